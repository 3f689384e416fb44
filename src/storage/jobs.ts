import { PgBoss, fromKysely, type Job, type JobResult } from 'pg-boss'
import type { Clock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { createPool, type Database, type DatabaseTarget } from './database.ts'

export interface JobOptions {
  /** At most one waiting job of a queue per key. */
  singletonKey?: string
  /**
   * The transaction that the job comes into being with. The queue must be prepared: the embedded database is one
   * session, so whoever holds a transaction and waits for another connection waits for ever.
   */
  within?: Database
  /** Tries after the first one, each after a longer wait. */
  retryLimit?: number
}

export type JobHandler = (data: Record<string, unknown>) => Promise<void>

const POLL_S = 1
const BATCH = 20
// A node that dies in the middle of a job gives it free after this.
const EXPIRE_S = 60
const NO_JOB = '00000000-0000-0000-0000-000000000000'
const MAINTENANCE_TIMEOUT_MS = 60_000

/**
 * Jobs for later, in pg-boss on our database: they survive restarts, and one node runs each. A handler that rejects is
 * run again, so it must bear being run twice.
 */
export class Jobs {
  readonly #boss: PgBoss
  readonly #clock: Clock
  readonly #log: Log
  readonly #pool: ReturnType<typeof createPool>
  readonly #prepared = new Set<string>()

  constructor(target: DatabaseTarget, clock: Clock, log: Log) {
    this.#clock = clock
    this.#log = log
    // A pool of its own: pg-boss wants times as Date, and its maintenance may take longer than our queries.
    const timeouts = {
      query_timeout: MAINTENANCE_TIMEOUT_MS,
      statement_timeout: 'url' in target ? MAINTENANCE_TIMEOUT_MS : undefined,
    }
    const pool = (this.#pool = createPool(target, 2, log, timeouts))
    const embedded = !('url' in target)
    this.#boss = new PgBoss({
      db: {
        async executeSql(text, values) {
          const { rows } = await pool.query<Record<string, unknown>>(text, values)
          return { rows }
        },
      },
      schedule: false,
      // Neither means anything to a database that only we use.
      reindex: !embedded,
      monitorVacuum: !embedded,
    })
    this.#boss.on('error', (err) => log.warn({ err }, 'job engine'))
  }

  async start(): Promise<void> {
    await this.#boss.start()
  }

  /** Lets running handlers finish for a while. */
  async stop(): Promise<void> {
    await this.#boss.stop({ graceful: true, timeout: 5000 })
    await this.#pool.end()
  }

  /** Runs the queue's handler with `data` at `whenMs` (wall clock) or soon after. Undefined: the singleton exists. */
  async at(
    queue: string,
    data: Record<string, unknown>,
    whenMs: number,
    options: JobOptions = {},
  ): Promise<string | undefined> {
    if (!options.within) await this.prepare(queue)
    else if (!this.#prepared.has(queue)) throw new Error(`queue ${queue} is not prepared`)
    const id = await this.#boss.send(queue, data, {
      // In seconds from now, so that the database's clock and ours need not agree.
      startAfter: Math.max(0, (whenMs - this.#clock.wallMs()) / 1000),
      singletonKey: options.singletonKey,
      retryLimit: options.retryLimit ?? 20,
      retryDelay: 1,
      retryBackoff: true,
      retryDelayMax: 60,
      expireInSeconds: EXPIRE_S,
      // Counted from the moment that the job is due.
      retentionSeconds: 7 * 86_400,
      deleteAfterSeconds: 86_400,
      db: options.within && fromKysely(options.within),
    })
    return id ?? undefined
  }

  /** Up to twenty jobs at once; a full batch is followed by the next without a pause. */
  async work(queue: string, handler: JobHandler): Promise<void> {
    await this.prepare(queue)
    const options = {
      pollingIntervalSeconds: POLL_S,
      batchSize: BATCH,
      burstWhenBatchFull: true,
      perJobResults: true,
    } as const
    await this.#boss.work(queue, options, (jobs: Job<Record<string, unknown>>[]) =>
      Promise.all(jobs.map((job) => this.#run(queue, job, handler))),
    )
  }

  async cancel(queue: string, id: string): Promise<void> {
    await this.prepare(queue)
    await this.#boss.cancel(queue, id)
  }

  async #run(queue: string, job: Job<Record<string, unknown>>, handler: JobHandler): Promise<JobResult> {
    try {
      await handler(job.data)
      return { id: job.id, status: 'completed' }
    } catch (err) {
      this.#log.warn({ queue, job: job.id, err }, 'job failed; it is tried again')
      return { id: job.id, status: 'failed', output: { message: errorText(err) } }
    }
  }

  /** Makes the queue, and lets pg-boss load what it must know of it. */
  async prepare(queue: string): Promise<void> {
    if (this.#prepared.has(queue)) return
    await this.#boss.createQueue(queue)
    // createQueue drops the queue from pg-boss's cache; this look-up brings it back, so that `at` asks nothing.
    await this.#boss.findJobs(queue, { id: NO_JOB })
    this.#prepared.add(queue)
  }
}
