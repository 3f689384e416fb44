import type { CallEvent } from '../calls/events.ts'
import { applyEvent, type CallRecord } from '../calls/record.ts'
import type { Clock } from '../lib/clock.ts'
import { sleep } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { metrics } from '../telemetry/metrics.ts'
import { callRow, recordingRows } from './call-rows.ts'
import { cleanText, instant, jsonText, sqlState, type Database } from './database.ts'
import { isBefore, type Position } from './journal-segment.ts'
import type { FileJournal } from './journal.ts'

export interface ProjectorOptions {
  journal: FileJournal
  db: Database
  nodeId: string
  clock: Clock
  log: Log
  /** Resolves when what is in the database survives a power failure; before that no journal file is deleted. */
  settleDisk: () => Promise<void>
}

const RETRY_MS = 500
// Classes of SQLSTATE that mean "these values", not "not now": 22 data exception, 23 constraint.
const isBadData = (err: unknown): boolean => /^2[23]/.test(sqlState(err) ?? '')

/**
 * Writes rows from the journal, in its order, each batch in one transaction with the position reached; repeats change
 * nothing (every call's row knows its last event). While the database is away it waits and the journal grows.
 *
 *   journal ─▶ batch ─▶ fold into records (calls/record.ts) ─▶ calls, call_events, recordings, position
 */
export class Projector {
  readonly #options: ProjectorOptions
  #position: Position = { segment: 0, offset: 0 }
  #appended = 0
  #projected = 0
  #running: Promise<void> | undefined
  #stopping = false
  /** False while the database refuses. */
  healthy = true

  constructor(options: ProjectorOptions) {
    this.#options = options
    options.journal.onCommit((events) => {
      this.#appended += events
      this.#showLag()
      this.#wake()
    })
  }

  /** Projects what earlier runs left behind. Rejects when the database does. */
  async start(): Promise<void> {
    const { db, nodeId, journal } = this.#options
    const row = await db.selectFrom('journal_positions').selectAll().where('node_id', '=', nodeId).executeTakeFirst()
    const done = { segment: row?.segment ?? 0, offset: row?.byte_offset ?? 0 }
    this.#position = isBefore(done, journal.begin) ? journal.begin : done
    await this.#drain()
    await this.#dropProjected()
  }

  /** Events on disk that are not yet rows. */
  get lag(): number {
    return Math.max(0, this.#appended - this.#projected)
  }

  /** Resolves when all that was durable at the call are rows. Waits as long as the database is away. */
  async caughtUp(): Promise<void> {
    const target = this.#options.journal.end
    while (isBefore(this.#position, target) && !this.#stopping) {
      this.#wake()
      await this.#running
    }
  }

  /** Lets the batch under way finish. What is left is projected at the next start. */
  async stop(): Promise<void> {
    this.#stopping = true
    await this.#running
  }

  #wake(): void {
    if (this.#running || this.#stopping) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      if (isBefore(this.#position, this.#options.journal.end) && !this.#stopping) this.#wake()
    })
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#options
    while (!this.#stopping) {
      try {
        await this.#drain()
        await this.#dropProjected()
        if (!this.healthy) log.info('database is back; call records catch up')
        this.healthy = true
        return
      } catch (err) {
        if (this.healthy) log.error({ err }, 'call records wait for the database')
        this.healthy = false
        await sleep(clock, RETRY_MS)
      }
    }
  }

  async #drain(): Promise<void> {
    for await (const { events, next } of this.#options.journal.replay(this.#position)) {
      if (events.length) await this.#project(events, next)
      this.#position = next
      this.#projected += events.length
      this.#showLag()
      if (this.#stopping) return
    }
  }

  async #project(events: CallEvent[], next: Position): Promise<void> {
    try {
      await this.#write(events, next)
    } catch (err) {
      if (!isBadData(err)) throw err
      // One call with values that the database refuses must not hold up the others.
      for (const ofCall of Map.groupBy(events, (e) => e.callId).values())
        try {
          await this.#write(ofCall, undefined)
        } catch (callErr) {
          if (!isBadData(callErr)) throw callErr
          this.#options.log.error(
            { callId: ofCall[0].callId, events: ofCall, err: errorText(callErr) },
            'events refused by the database are left out',
          )
        }
      await this.#write([], next)
    }
  }

  async #write(events: CallEvent[], next: Position | undefined): Promise<void> {
    await this.#options.db.transaction().execute(async (trx) => {
      if (events.length) {
        await this.#writeCalls(trx, events)
        await trx
          .insertInto('call_events')
          .values(
            events.map((event) => ({
              call_id: event.callId,
              seq: event.seq,
              account_id: cleanText(event.accountId),
              at: instant(event.atMs),
              type: event.type,
              event: jsonText(event),
            })),
          )
          .onConflict((c) => c.columns(['call_id', 'seq']).doNothing())
          .execute()
      }
      if (next)
        await trx
          .insertInto('journal_positions')
          .values({ node_id: this.#options.nodeId, segment: next.segment, byte_offset: next.offset })
          .onConflict((c) => c.column('node_id').doUpdateSet({ segment: next.segment, byte_offset: next.offset }))
          .execute()
    })
  }

  async #writeCalls(trx: Database, events: CallEvent[]): Promise<void> {
    const ids = [...new Set(events.map((e) => e.callId))]
    const stored = await trx.selectFrom('calls').select(['id', 'record']).where('id', 'in', ids).execute()
    const records = new Map<string, CallRecord>(stored.map((row) => [row.id, row.record]))
    const changed = new Map<string, { record: CallRecord; lastEventAtMs: number }>()
    const fresh: CallEvent[] = []
    for (const event of events) {
      const before = records.get(event.callId)
      const seqBefore = before?.seq ?? -1
      const record = applyEvent(before, event)
      if (!record || record.seq === seqBefore) continue
      records.set(event.callId, record)
      fresh.push(event)
      changed.set(event.callId, { record, lastEventAtMs: event.atMs })
    }
    if (!changed.size) return
    await trx
      .insertInto('calls')
      .values([...changed.values()].map(({ record, lastEventAtMs }) => callRow(record, lastEventAtMs)))
      .onConflict((c) =>
        c.column('id').doUpdateSet((e) => ({
          seq: e.ref('excluded.seq'),
          state: e.ref('excluded.state'),
          result: e.ref('excluded.result'),
          answered_at: e.ref('excluded.answered_at'),
          ended_at: e.ref('excluded.ended_at'),
          last_event_at: e.ref('excluded.last_event_at'),
          record: e.ref('excluded.record'),
        })),
      )
      .execute()
    const recordings = recordingRows(fresh, records)
    if (recordings.length)
      await trx
        .insertInto('recordings')
        .values(recordings)
        .onConflict((c) =>
          c.column('id').doUpdateSet((e) => ({
            status: e.ref('excluded.status'),
            finished_at: e.ref('excluded.finished_at'),
            duration_ms: e.ref('excluded.duration_ms'),
            bytes: e.ref('excluded.bytes'),
            failure: e.ref('excluded.failure'),
          })),
        )
        .execute()
  }

  async #dropProjected(): Promise<void> {
    const { journal, settleDisk } = this.#options
    if (journal.begin.segment >= this.#position.segment) return
    await settleDisk()
    await journal.dropBefore(this.#position.segment)
  }

  #showLag(): void {
    metrics.journalLag.set(this.lag)
  }
}
