import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { CallEvent } from '../calls/events.ts'
import { applyEvent, type CallRecord } from '../calls/record.ts'
import { every, type Clock, type Timer } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Database } from './database.ts'
import type { FileJournal } from './journal.ts'
import type { Projector } from './projector.ts'

const STAMP_MS = 2000

/**
 * The time at which this process was last seen alive, in a small file: after a crash it dates the end of calls that
 * were quiet, to within two seconds. Not fsynced: a power failure may cost it, then the last event dates the end.
 */
export class AliveStamp {
  readonly #path: string
  /** What the process before us wrote. */
  readonly lastMs: number | undefined
  #timer: Timer | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(dataDir: string) {
    this.#path = join(dataDir, 'alive')
    this.lastMs = readStamp(this.#path)
  }

  start(clock: Clock, log: Log): void {
    const write = (): void => {
      this.#writing = writeFile(this.#path, String(clock.wallMs())).catch((err: unknown) =>
        log.warn({ err }, 'alive stamp'),
      )
    }
    write()
    this.#timer = every(clock, STAMP_MS, write)
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    await this.#writing
  }
}

function readStamp(path: string): number | undefined {
  try {
    const ms = Number(readFileSync(path, 'utf8'))
    return Number.isSafeInteger(ms) && ms > 0 ? ms : undefined
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
}

export interface Recovery {
  /** Calls that were live when this node died, each with its terminal record now. */
  openCalls: CallRecord[]
}

/**
 * Ends, in journal and rows, every call of this node that has no end: at a start none can be live. The end is dated by
 * the last sign of life, never before the call's own last event and never in the future.
 */
export async function recoverCalls(
  world: { db: Database; journal: FileJournal; projector: Projector; log: Log; aliveMs: number | undefined },
  nodeId: string,
  nowMs: number,
): Promise<Recovery> {
  const { db, journal, projector, log, aliveMs = 0 } = world
  const rows = await db
    .selectFrom('calls')
    .select(['record', 'last_event_at'])
    .where('node_id', '=', nodeId)
    .where('state', '<>', 'ended')
    .orderBy('created_at')
    .execute()
  const openCalls: CallRecord[] = []
  const written = rows.map(({ record, last_event_at }) => {
    const atMs = Math.max(last_event_at, Math.min(aliveMs, nowMs))
    const { id: callId, accountId } = record
    const outcome = { result: 'failed', reason: 'node_crash', sipStatus: 0, q850: 41, by: 'us' } as const
    const event: CallEvent = { callId, accountId, seq: record.seq + 1, atMs, type: 'ended', outcome }
    applyEvent(record, event)
    openCalls.push(record)
    return journal.append(event)
  })
  await Promise.all(written)
  await projector.caughtUp()
  if (openCalls.length)
    log.warn({ calls: openCalls.length }, 'calls were live when this node died; each has a terminal record now')
  return { openCalls }
}
