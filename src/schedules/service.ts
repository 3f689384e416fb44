import type { AccountContext } from '../accounts/ports.ts'
import type { LogIds } from '../calls/ports.ts'
import type { Clock } from '../lib/clock.ts'
import { DomainError, errorText, type ErrorCode } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import type { Log } from '../telemetry/log.ts'
import type { ScheduledCall, ScheduleStore } from './ports.ts'
import { parseScheduleTime } from './when.ts'

export interface ScheduleWorld {
  store: ScheduleStore
  logIds: LogIds
  /** Whether the call has a record: then it was placed, and is never placed again. */
  callExists(ctx: AccountContext, callId: string): Promise<boolean>
  clock: Clock
  log: Log
  /** Pending schedules of one account. */
  maxPending?: number
  /** A call that is later than this (the server was down) is not placed any more. */
  maxLateMs?: number
}

const NOT_NOW: ReadonlySet<ErrorCode> = new Set(['CAPACITY', 'RATE_LIMITED', 'DRAINING', 'UNAVAILABLE'])

/** Places the call, under the ids that it was promised. Rejects with CAPACITY and the like for "later", else for good. */
export type OnDue = (call: ScheduledCall) => Promise<void>

/**
 * Calls for later. Each is placed once: the row is claimed before the handler runs, and after a crash in between the
 * call's own record (journalled before its INVITE) tells whether it was placed.
 */
export class ScheduleService {
  readonly #world: ScheduleWorld
  #onDue: OnDue | undefined

  constructor(world: ScheduleWorld) {
    this.#world = world
  }

  /** Begins to fire what is due; what was claimed when this node died comes first. */
  async start(onDue: OnDue): Promise<void> {
    this.#onDue = onDue
    const { store, log } = this.#world
    for (const call of await store.listInterrupted())
      // What can't be placed now comes again with its job.
      await this.#fire({ accountId: call.accountId }, call.id).catch((err: unknown) =>
        log.warn({ scheduleId: call.id, err }, 'interrupted schedule waits'),
      )
    await store.onDue((ctx, id) => this.#fire(ctx, id))
  }

  parse(text: string, zone: string): number {
    return parseScheduleTime(text, zone, this.#world.clock.wallMs())
  }

  /** `callId`: the id that the call will have; scheduling the same one again returns what was scheduled before. */
  async scheduleCall(
    ctx: AccountContext,
    whenMs: number,
    payload: Record<string, unknown>,
    callId?: string,
  ): Promise<ScheduledCall> {
    const { clock, logIds, store, maxPending = 10_000 } = this.#world
    const nowMs = clock.wallMs()
    const before = callId === undefined ? undefined : await store.findByCallId(ctx, callId)
    if (before) return before
    const call: ScheduledCall = {
      id: uuidv7(nowMs),
      accountId: ctx.accountId,
      callId: callId ?? uuidv7(nowMs),
      logId: logIds.next(),
      atMs: whenMs,
      status: 'pending',
      payload,
      createdAtMs: nowMs,
    }
    await store.insert(ctx, call, maxPending)
    return call
  }

  async get(ctx: AccountContext, id: string): Promise<ScheduledCall> {
    const call = await this.#world.store.get(ctx, id)
    if (!call) throw notFound()
    return call
  }

  findByLogId(ctx: AccountContext, logId: number): Promise<ScheduledCall | undefined> {
    return this.#world.store.findByLogId(ctx, logId)
  }

  /** Soonest first. */
  list(ctx: AccountContext, limit = 100): Promise<ScheduledCall[]> {
    return this.#world.store.list(ctx, limit)
  }

  async cancel(ctx: AccountContext, id: string): Promise<void> {
    if (await this.#world.store.cancel(ctx, id)) return
    const call = await this.get(ctx, id)
    throw new DomainError('CONFLICT', `The call is not pending any more but ${call.status}.`)
  }

  async #fire(ctx: AccountContext, id: string): Promise<void> {
    const { store, clock, log, maxLateMs = 3_600_000 } = this.#world
    const call = await store.claim(ctx, id)
    if (!call || !this.#onDue) return
    if (await this.#world.callExists(ctx, call.callId)) return store.settle(ctx, id, 'fired')
    const lateMs = clock.wallMs() - call.atMs
    if (lateMs > maxLateMs) {
      log.warn({ scheduleId: id, lateMs }, 'scheduled call missed: too late to place it')
      return store.settle(ctx, id, 'missed', `${Math.round(lateMs / 1000)} s late`)
    }
    try {
      await this.#onDue(call)
    } catch (err) {
      log.warn({ scheduleId: id, err }, 'scheduled call could not be placed')
      // Not now, but perhaps in a while: the job comes again, until the call is too late.
      if (err instanceof DomainError && NOT_NOW.has(err.code)) throw err
      return store.settle(ctx, id, 'failed', errorText(err))
    }
    await store.settle(ctx, id, 'fired')
  }
}

const notFound = (): DomainError => new DomainError('NOT_FOUND', 'There is no such scheduled call.')
