import type { CallEvent } from '../calls/events.ts'
import type { CallId } from '../calls/ids.ts'
import type { AccountContext, CallFilter, CallStore } from '../calls/ports.ts'
import type { CallRecord } from '../calls/record.ts'
import { sql, type Database } from './database.ts'

/** One page is never more than this, whatever is asked for. */
const MAX_PAGE = 1000

/** Calls as the projector has written them; a call in progress trails its journal a little. */
export class SqlCallStore implements CallStore {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async get(ctx: AccountContext, callId: CallId): Promise<CallRecord | undefined> {
    const row = await this.#of(ctx).where('id', '=', callId).executeTakeFirst()
    return row?.record
  }

  async getByLogId(ctx: AccountContext, logId: number): Promise<CallRecord | undefined> {
    if (!Number.isSafeInteger(logId)) return undefined
    const row = await this.#of(ctx).where('log_id', '=', logId).executeTakeFirst()
    return row?.record
  }

  /** Newest first. */
  async list(ctx: AccountContext, filter: CallFilter): Promise<CallRecord[]> {
    let query = this.#of(ctx)
    if (filter.phoneNumber !== undefined) {
      const tail = reversedDigits(filter.phoneNumber)
      if (tail === '') return []
      query = query.where('remote_reversed', 'like', `${tail}%`)
    }
    if (filter.direction) query = query.where('direction', '=', filter.direction)
    if (filter.states) query = query.where('state', 'in', filter.states.length ? filter.states : [''])
    if (filter.before)
      query = query.where(
        sql<boolean>`(created_at, id) < (to_timestamp(${filter.before.createdAtMs}::float8 / 1000), ${filter.before.id})`,
      )
    const limit = Math.max(0, Math.min(filter.limit, MAX_PAGE))
    const rows = await query.orderBy('created_at', 'desc').orderBy('id', 'desc').limit(limit).execute()
    return rows.map((row) => row.record)
  }

  /** What happened, in order. */
  async events(ctx: AccountContext, callId: CallId): Promise<CallEvent[]> {
    const rows = await this.#db
      .selectFrom('call_events')
      .select('event')
      .where('account_id', '=', ctx.accountId)
      .where('call_id', '=', callId)
      .orderBy('seq')
      .execute()
    return rows.map((row) => row.event)
  }

  #of(ctx: AccountContext) {
    return this.#db.selectFrom('calls').select('record').where('account_id', '=', ctx.accountId)
  }
}

/**
 * Digits backwards, without the leading zeros of national notation: `+91 98…01` and `098…01` share their beginning.
 */
export const reversedDigits = (number: string): string =>
  [...number.replace(/\D/g, '').replace(/^0+/, '')].reverse().join('')
