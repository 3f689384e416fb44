import type { LogIds } from '../calls/ports.ts'
import type { Clock } from '../lib/clock.ts'
import { DomainError } from '../lib/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { sql, type Database } from './database.ts'

/** As in the sequence's `increment by`. */
const BLOCK = 1000
const RETRY_MS = 1000

/**
 * Numbers for calls, given from memory out of reserved blocks; the next block is fetched while half of the last one is
 * left. With the database away there are at least 500 more. Numbers that a stopped process had reserved are skipped.
 */
export class BlockLogIds implements LogIds {
  readonly #db: Database
  readonly #clock: Clock
  readonly #log: Log
  /** Blocks as [next, end). */
  readonly #blocks: [number, number][] = []
  #refilling = false
  #closed = false

  private constructor(db: Database, clock: Clock, log: Log) {
    this.#db = db
    this.#clock = clock
    this.#log = log
  }

  static async open(db: Database, clock: Clock, log: Log): Promise<BlockLogIds> {
    const ids = new BlockLogIds(db, clock, log)
    await ids.#reserve()
    return ids
  }

  next(): number {
    const block = this.#blocks[0]
    if (!block) {
      this.#refill()
      throw new DomainError('UNAVAILABLE', 'No call number is left while the database is away.', {
        retryAfterMs: RETRY_MS,
      })
    }
    const id = block[0]++
    if (block[0] === block[1]) this.#blocks.shift()
    if (this.#left < BLOCK / 2) this.#refill()
    return id
  }

  close(): void {
    this.#closed = true
  }

  get #left(): number {
    return this.#blocks.reduce((sum, [next, end]) => sum + end - next, 0)
  }

  async #reserve(): Promise<void> {
    const { rows } = await sql<{ first: number }>`select nextval('call_log_ids') as first`.execute(this.#db)
    this.#blocks.push([rows[0].first, rows[0].first + BLOCK])
  }

  #refill(): void {
    if (this.#refilling || this.#closed) return
    this.#refilling = true
    this.#reserve().then(
      () => (this.#refilling = false),
      (err: unknown) => {
        this.#log.warn({ err, left: this.#left }, 'call numbers could not be reserved')
        this.#clock.after(RETRY_MS, () => {
          this.#refilling = false
          this.#refill()
        })
      },
    )
  }
}
