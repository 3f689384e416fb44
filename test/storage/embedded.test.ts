import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { EmbeddedDatabase, socketDirFor } from '../../src/storage/embedded.ts'
import { IMAGE_VERSION, imagePath } from '../../src/storage/image/image.ts'
import { silentLog } from '../../src/telemetry/log.ts'

const connection = (host: string): pg.ClientConfig => ({
  host,
  port: 5432,
  user: 'postgres',
  database: 'postgres',
  query_timeout: 10_000,
})

describe('the embedded database', { timeout: 60_000 }, () => {
  let dir: string
  let embedded: EmbeddedDatabase
  let pool: pg.Pool
  let startCpuMs: number

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'trunkline-embedded-'))
    const before = process.cpuUsage()
    embedded = await EmbeddedDatabase.open(dir, systemClock, silentLog)
    pool = new pg.Pool({ ...connection(embedded.socketDir), max: 8 })
    await pool.query('select 1')
    const { user, system } = process.cpuUsage(before)
    startCpuMs = (user + system) / 1000
  })
  afterAll(async () => {
    await pool.end()
    await embedded.close()
    rmSync(dir, { recursive: true })
  })

  it('starts for the first time in under 3 s, from the prepared image of the installed version', () => {
    // CPU time: other tests may hold the machine.
    expect(startCpuMs).toBeLessThan(3000)
    const { version } = JSON.parse(readFileSync('node_modules/@electric-sql/pglite/package.json', 'utf8')) as {
      version: string
    }
    expect(IMAGE_VERSION).toBe(version)
    expect(statSync(imagePath).size).toBeLessThan(2_000_000)
  })

  it('lets nobody but its owner connect', () => {
    expect(statSync(join(embedded.socketDir, '.s.PGSQL.5432')).mode & 0o077).toBe(0)
  })

  it('never mixes up connections, however large and slow their parameters', async () => {
    const big = 'x'.repeat(300_000)
    const answers = await Promise.all(
      Array.from({ length: 64 }, async (_, i) => {
        const { rows } =
          i % 2
            ? await pool.query<{ i: number; l: number }>(`select length($1::text) as l, ${i}::int as i`, [big])
            : await pool.query<{ i: number; l: number }>('select length($1::text) as l, $2::int as i', [big, i])
        return [rows[0].i, rows[0].l]
      }),
    )
    expect(answers).toEqual(Array.from({ length: 64 }, (_, i) => [i, 300_000]))
  })

  it('keeps transactions of several connections apart', async () => {
    await pool.query('create table counters (id int primary key, n int)')
    await pool.query('insert into counters values (1, 0)')
    await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const client = await pool.connect()
        await client.query('begin')
        const { rows } = await client.query<{ n: number }>('select n from counters where id = 1')
        await client.query('update counters set n = $1 where id = 1', [rows[0].n + 1])
        await client.query(i % 3 === 0 ? 'rollback' : 'commit')
        client.release()
      }),
    )
    expect((await pool.query('select n from counters')).rows).toEqual([{ n: 8 }])
  })

  it('goes on after an error in the middle of an extended query', async () => {
    await expect(pool.query('select * from nowhere where a = $1', [1])).rejects.toThrow('nowhere')
    expect((await pool.query('select $1::int as a', [5])).rows).toEqual([{ a: 5 }])
  })

  it('rolls back the transaction of a connection that vanishes', async () => {
    const client = new pg.Client(connection(embedded.socketDir))
    client.on('error', () => undefined)
    await client.connect()
    await client.query('create table left_open (id int)')
    await client.query('begin')
    await client.query('insert into left_open values (1)')
    const waiting = pool.query('select count(*)::int as n from left_open')
    // The socket itself, to end it without goodbye.
    const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection
    stream.destroy()
    expect((await waiting).rows).toEqual([{ n: 0 }])
  })

  it('puts everything on disk when asked', async () => {
    await embedded.settleDisk()
  })
})

describe('the socket of the embedded database', { timeout: 60_000 }, () => {
  it('moves to a short private directory when the data directory has a long path', async () => {
    const root = mkdtempSync(join(tmpdir(), 'trunkline-long-'))
    const dir = join(root, 'd'.repeat(120))
    mkdirSync(dir)
    const short = socketDirFor(dir)
    expect(short.startsWith(tmpdir())).toBe(true)
    expect(join(short, '.s.PGSQL.5432').length).toBeLessThanOrEqual(107)
    expect(statSync(short).mode & 0o077).toBe(0)
    const embedded = await EmbeddedDatabase.open(dir, systemClock, silentLog)
    const client = new pg.Client(connection(embedded.socketDir))
    await client.connect()
    expect((await client.query('select 1 as one')).rows).toEqual([{ one: 1 }])
    await client.end()
    await embedded.close()
    expect(existsSync(join(short, '.s.PGSQL.5432'))).toBe(false)
    rmSync(root, { recursive: true })
    rmSync(short, { recursive: true })
  })
})
