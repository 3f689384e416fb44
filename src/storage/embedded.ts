import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'

/** What the worker is started with, told and says. */
export interface EmbeddedStart {
  dbDir: string
  socketPath: string
}
export type EmbeddedCommand = { do: 'settle' | 'close'; id: number }
export type EmbeddedReport =
  | { is: 'ready' }
  | { is: 'done'; id: number }
  | { is: 'refused'; id: number; text: string }
  | { is: 'error'; text: string }

interface Pending {
  resolve(): void
  reject(err: Error): void
}

// sun_path holds 108 bytes with the closing NUL.
const MAX_SOCKET_PATH = 107
const SOCKET_NAME = '.s.PGSQL.5432'
const RESTART_MS = 500

/**
 * The embedded database: PGlite in a worker thread, reached through a Unix socket as any PostgreSQL is. The caller
 * holds the lock on the data directory. A worker that dies is started again; PGlite recovers from its WAL.
 */
export class EmbeddedDatabase {
  /** Directory of the socket: `host` for pg. */
  readonly socketDir: string
  readonly #start: EmbeddedStart
  readonly #clock: Clock
  readonly #log: Log
  readonly #pending = new Map<number, Pending>()
  #worker: Worker | undefined
  #closing = false
  #nextId = 1

  private constructor(dataDir: string, clock: Clock, log: Log) {
    this.socketDir = socketDirFor(dataDir)
    this.#start = { dbDir: resolve(dataDir, 'db'), socketPath: join(this.socketDir, SOCKET_NAME) }
    this.#clock = clock
    this.#log = log
  }

  static async open(dataDir: string, clock: Clock, log: Log): Promise<EmbeddedDatabase> {
    const database = new EmbeddedDatabase(dataDir, clock, log)
    await database.#spawn()
    return database
  }

  /** Resolves when everything committed so far survives a power failure. */
  settleDisk(): Promise<void> {
    return this.#ask('settle')
  }

  async close(): Promise<void> {
    if (this.#closing) return
    this.#closing = true
    if (this.#worker) {
      await this.#ask('close').catch((err: unknown) =>
        this.#log.error({ err }, 'embedded database did not close cleanly'),
      )
      await this.#worker?.terminate()
    }
    rmSync(this.#start.socketPath, { force: true })
  }

  #spawn(): Promise<void> {
    return new Promise((resolve, reject) => {
      let ready = false
      let fault: Error | undefined
      // PGlite prints initdb's and recovery's talk; it is not for our stdout.
      const worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
        workerData: this.#start,
        stdout: true,
        stderr: true,
      })
      this.#worker = worker
      worker.stdout.on('data', (text: Buffer) =>
        this.#log.debug({ text: text.toString().trimEnd() }, 'embedded database'),
      )
      worker.stderr.on('data', (text: Buffer) =>
        this.#log.debug({ text: text.toString().trimEnd() }, 'embedded database'),
      )
      worker.on('message', (report: EmbeddedReport) => {
        if (report.is === 'ready') {
          ready = true
          resolve()
        } else this.#hear(report)
      })
      worker.on('error', (err: Error) => (fault = err))
      worker.on('exit', () => {
        this.#worker = undefined
        const err = fault ?? new Error('the embedded database has stopped')
        for (const pending of this.#pending.values()) pending.reject(err)
        this.#pending.clear()
        if (!ready) return reject(err)
        if (this.#closing) return
        this.#log.error({ err }, 'embedded database died; starting it again')
        this.#clock.after(RESTART_MS, () => this.#respawn())
      })
    })
  }

  #respawn(): void {
    if (this.#closing) return
    this.#spawn().catch((err: unknown) => {
      this.#log.error({ err }, 'embedded database could not be started again')
      this.#clock.after(RESTART_MS, () => this.#respawn())
    })
  }

  #hear(report: Exclude<EmbeddedReport, { is: 'ready' }>): void {
    if (report.is === 'error') return this.#log.warn({ text: report.text }, 'embedded database connection')
    const pending = this.#pending.get(report.id)
    this.#pending.delete(report.id)
    if (report.is === 'done') pending?.resolve()
    else pending?.reject(new Error(report.text))
  }

  #ask(what: EmbeddedCommand['do']): Promise<void> {
    return new Promise((resolve, reject) => {
      if (!this.#worker) return reject(new Error('the embedded database is not running'))
      const id = this.#nextId++
      this.#pending.set(id, { resolve, reject })
      this.#worker.postMessage({ do: what, id } satisfies EmbeddedCommand)
    })
  }
}

/** The data directory itself, or a short private one in the system's temp directory where its path is too long. */
export function socketDirFor(dataDir: string): string {
  const dir = resolve(dataDir)
  if (Buffer.byteLength(join(dir, SOCKET_NAME)) <= MAX_SOCKET_PATH) return dir
  const name = createHash('sha256').update(dir).digest('hex').slice(0, 16)
  const short = join(tmpdir(), `trunkline-${userInfo().uid}-${name}`)
  mkdirSync(short, { recursive: true, mode: 0o700 })
  const { uid, mode } = statSync(short)
  if (uid !== userInfo().uid || (mode & 0o077) !== 0) throw new Error(`${short} must belong to this user alone`)
  return short
}
