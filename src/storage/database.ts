import { CompiledQuery, Kysely, PostgresDialect, sql, type RawBuilder } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import type { Log } from '../telemetry/log.ts'
import { migrationProvider } from './migrations/index.ts'
import type { Schema } from './schema.ts'

export { sql }
export type Database = Kysely<Schema>

/** Where the database is: a server's URL, or the directory of the embedded one's Unix socket. */
export type DatabaseTarget = { url: string } | { socketDir: string }

// A hung query costs its caller 5 s and no more.
const STATEMENT_TIMEOUT_MS = 5000
const INT8 = 20
const TIMESTAMPTZ = 1184

// Ids and counts stay far below 2^53, and times are ms everywhere in the program.
const parseInstant = pg.types.getTypeParser(TIMESTAMPTZ) as (text: string) => Date
const parsers = new Map<number, (text: string) => unknown>([
  [INT8, Number],
  [TIMESTAMPTZ, (text) => parseInstant(text).getTime()],
])
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text'): unknown =>
    parsers.get(oid) ?? pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
}

/** Connection settings for a pool of our own or of pg-boss. PGlite knows no timers, so it is timed out from here too. */
export function connectionConfig(target: DatabaseTarget, statementTimeoutMs = STATEMENT_TIMEOUT_MS): pg.PoolConfig {
  const common = {
    connectionTimeoutMillis: 5000,
    query_timeout: statementTimeoutMs + 500,
    application_name: 'trunkline',
  }
  if ('url' in target)
    return { ...common, connectionString: target.url, statement_timeout: statementTimeoutMs, keepAlive: true }
  return { ...common, host: target.socketDir, port: 5432, user: 'postgres', database: 'postgres' }
}

export function createPool(target: DatabaseTarget, max: number, log: Log, own: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ ...connectionConfig(target), max, ...own })
  // An idle connection that breaks is replaced at the next query; without a listener it would end the process.
  pool.on('error', (err) => log.warn({ err }, 'database connection lost'))
  return pool
}

export function openDatabase(target: DatabaseTarget, log: Log): Database {
  const pool = createPool(target, 8, log, { types })
  return new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })
}

/** Brings the schema up to date; several nodes may start at once (Kysely takes an advisory lock). */
export async function migrate(db: Database, log: Log): Promise<void> {
  const { error, results } = await new Migrator({ db, provider: migrationProvider }).migrateToLatest()
  for (const { migrationName, status } of results ?? []) log.info({ migration: migrationName, status }, 'migration')
  if (error)
    throw error instanceof Error
      ? error
      : new Error('the database schema could not be brought up to date', { cause: error })
}

export const ping = (db: Database): Promise<unknown> => db.executeQuery(CompiledQuery.raw('select 1'))

/** A timestamptz from wall-clock ms. */
export const instant = (ms: number): RawBuilder<number> => sql<number>`to_timestamp(${ms}::float8 / 1000)`
export const optionalInstant = (ms: number | undefined): RawBuilder<number> | null =>
  ms === undefined ? null : instant(ms)

/** What PostgreSQL text can't hold: NUL and lone surrogates. */
export const cleanText = (text: string): string => text.replaceAll('\0', '').toWellFormed()

export const jsonText = (value: unknown): string =>
  JSON.stringify(value, (_, v: unknown) => (typeof v === 'string' ? cleanText(v) : v))

/** SQLSTATE of a PostgreSQL error. */
export const sqlState = (err: unknown): string | undefined =>
  err instanceof Error && 'code' in err && typeof err.code === 'string' ? err.code : undefined

export const UNIQUE_VIOLATION = '23505'
export const FOREIGN_KEY_VIOLATION = '23503'
