import type { Selectable } from 'kysely'
import type { AccountContext } from '../calls/ports.ts'
import { DomainError } from '../lib/errors.ts'
import type { ScheduledCall, ScheduleStatus, ScheduleStore } from '../schedules/ports.ts'
import { instant, type Database } from './database.ts'
import type { Jobs } from './jobs.ts'
import type { ScheduledCallsTable } from './schema.ts'
import type { Vault } from './vault.ts'

const QUEUE = 'scheduled-calls'

/** A request may carry handshake headers and prompts: it waits sealed. */
export class SqlScheduleStore implements ScheduleStore {
  readonly #db: Database
  readonly #jobs: Jobs
  readonly #nodeId: string
  readonly #vault: Vault

  constructor(db: Database, jobs: Jobs, vault: Vault, nodeId: string) {
    this.#db = db
    this.#jobs = jobs
    this.#vault = vault
    this.#nodeId = nodeId
  }

  async insert(ctx: AccountContext, call: ScheduledCall, maxPending: number): Promise<void> {
    await this.#jobs.prepare(QUEUE)
    await this.#db.transaction().execute(async (trx) => {
      const { pending } = await trx
        .selectFrom('scheduled_calls')
        .select((e) => e.fn.countAll<number>().as('pending'))
        .where('account_id', '=', ctx.accountId)
        .where('status', '=', 'pending')
        .executeTakeFirstOrThrow()
      if (pending >= maxPending)
        throw new DomainError('RATE_LIMITED', `There are ${pending} scheduled calls waiting already.`)
      await trx
        .insertInto('scheduled_calls')
        .values({
          id: call.id,
          account_id: ctx.accountId,
          call_id: call.callId,
          log_id: call.logId,
          at: instant(call.atMs),
          status: call.status,
          sealed: this.#vault.seal(call.payload, placeOf(call.id)),
          created_at: instant(call.createdAtMs),
        })
        .execute()
      await this.#jobs.at(QUEUE, { accountId: ctx.accountId, id: call.id }, call.atMs, {
        singletonKey: call.id,
        within: trx,
      })
    })
  }

  async get(ctx: AccountContext, id: string): Promise<ScheduledCall | undefined> {
    const row = await this.#of(ctx).where('id', '=', id).executeTakeFirst()
    return row && this.#scheduledFrom(row)
  }

  async findByCallId(ctx: AccountContext, callId: string): Promise<ScheduledCall | undefined> {
    const row = await this.#of(ctx).where('call_id', '=', callId).executeTakeFirst()
    return row && this.#scheduledFrom(row)
  }

  async findByLogId(ctx: AccountContext, logId: number): Promise<ScheduledCall | undefined> {
    if (!Number.isSafeInteger(logId)) return undefined
    const row = await this.#of(ctx).where('log_id', '=', logId).executeTakeFirst()
    return row && this.#scheduledFrom(row)
  }

  async list(ctx: AccountContext, limit: number): Promise<ScheduledCall[]> {
    return (await this.#of(ctx).orderBy('at').orderBy('id').limit(limit).execute()).map((row) =>
      this.#scheduledFrom(row),
    )
  }

  async cancel(ctx: AccountContext, id: string): Promise<boolean> {
    // The job stays and finds nothing to do.
    const result = await this.#db
      .updateTable('scheduled_calls')
      .set({ status: 'cancelled' })
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', id)
      .where('status', '=', 'pending')
      .executeTakeFirst()
    return result.numUpdatedRows > 0n
  }

  async claim(ctx: AccountContext, id: string): Promise<ScheduledCall | undefined> {
    const row = await this.#db
      .updateTable('scheduled_calls')
      .set({ status: 'firing', claimed_by: this.#nodeId })
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', id)
      .where((e) =>
        e.or([e('status', '=', 'pending'), e.and([e('status', '=', 'firing'), e('claimed_by', '=', this.#nodeId)])]),
      )
      .returningAll()
      .executeTakeFirst()
    return row && this.#scheduledFrom(row)
  }

  async settle(
    ctx: AccountContext,
    id: string,
    status: 'fired' | 'failed' | 'missed',
    failure?: string,
  ): Promise<void> {
    await this.#db
      .updateTable('scheduled_calls')
      .set({ status, failure: failure ?? null })
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', id)
      .where('status', '=', 'firing')
      .execute()
  }

  async listInterrupted(): Promise<ScheduledCall[]> {
    const rows = await this.#db
      .selectFrom('scheduled_calls')
      .selectAll()
      .where('status', '=', 'firing')
      .where('claimed_by', '=', this.#nodeId)
      .orderBy('at')
      .execute()
    return rows.map((row) => this.#scheduledFrom(row))
  }

  onDue(fire: (ctx: AccountContext, id: string) => Promise<void>): Promise<void> {
    return this.#jobs.work(QUEUE, ({ accountId, id }) => fire({ accountId: String(accountId) }, String(id)))
  }

  #of(ctx: AccountContext) {
    return this.#db.selectFrom('scheduled_calls').selectAll().where('account_id', '=', ctx.accountId)
  }

  #scheduledFrom(row: Selectable<ScheduledCallsTable>): ScheduledCall {
    return {
      id: row.id,
      accountId: row.account_id,
      callId: row.call_id,
      logId: row.log_id,
      atMs: row.at,
      status: row.status as ScheduleStatus,
      payload: this.#vault.open(row.sealed, placeOf(row.id)) as Record<string, unknown>,
      failure: row.failure ?? undefined,
      createdAtMs: row.created_at,
    }
  }
}

const placeOf = (id: string): string => `scheduled_calls/${id}`
