import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { systemClock } from '../../src/lib/clock.ts'
import { hexToken } from '../../src/lib/ids.ts'
import { openStorage, type Storage, type StorageOptions } from '../../src/storage/index.ts'
import { silentLog } from '../../src/telemetry/log.ts'

/** Where storage tests run: PGlite always, a PostgreSQL server where TEST_DATABASE_URL names one. */
export interface TestHome {
  dataDir: string
  /** Opens the storage here; may be called again after a close. */
  open(options?: Partial<StorageOptions>): Promise<Storage>
  remove(): Promise<void>
}

export interface DatabaseKind {
  name: string
  /** A home with nothing in it. */
  home(): Promise<TestHome>
}

const serverUrl = process.env.TEST_DATABASE_URL

const homeWith = (databaseUrl: string | undefined, removeMore: () => Promise<void>): TestHome => {
  const dataDir = mkdtempSync(join(tmpdir(), 'trunkline-test-'))
  return {
    dataDir,
    open: (options) => openStorage({ dataDir, databaseUrl, clock: systemClock, log: silentLog, ...options }),
    async remove() {
      rmSync(dataDir, { recursive: true, force: true })
      await removeMore()
    },
  }
}

const pglite: DatabaseKind = { name: 'PGlite', home: async () => homeWith(undefined, () => Promise.resolve()) }

const postgres = (url: string): DatabaseKind => ({
  name: 'PostgreSQL',
  async home() {
    const name = `trunkline_test_${hexToken(32)}`
    await onServer(url, `create database ${name}`)
    const own = new URL(url)
    own.pathname = `/${name}`
    return homeWith(own.href, () => onServer(url, `drop database ${name} with (force)`))
  },
})

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(statement)
  await client.end()
}

export const databases: DatabaseKind[] = serverUrl ? [pglite, postgres(serverUrl)] : [pglite]
