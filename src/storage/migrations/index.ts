import type { Migration, MigrationProvider } from 'kysely/migration'
import { base } from './0001-base.ts'

/** In order; a static list, so that what runs is what the type checker saw. */
const MIGRATIONS: Record<string, Migration> = {
  '0001-base': base,
}

export const migrationProvider: MigrationProvider = {
  getMigrations: () => Promise.resolve(MIGRATIONS),
}
