import type { AccountContext } from '../calls/ports.ts'
import type { Clock } from '../lib/clock.ts'
import { instant, jsonText, type Database } from './database.ts'

/** What became of a request with this key before. */
export type IdempotencyClaim =
  /** Nobody has used the key: do it, then `finish` or `abandon`. */
  | { state: 'new' }
  /** Under way on some node. */
  | { state: 'inFlight' }
  /** The node that did it died on the way. If a call `callId` exists, it was placed; else do it, under that same id. */
  | { state: 'interrupted'; callId?: string }
  /** The key came with another body. */
  | { state: 'mismatch' }
  /** Done: answer the same again. */
  | { state: 'done'; reply: unknown }

export interface IdempotentRequest {
  op: string
  key: string
  /** Digest of the body: the same key with another body is a mistake of the caller. */
  bodyDigest: string
  /** The id that the call will have, so that after a crash it can be told whether it was placed. */
  callId?: string
}

const KEEP_MS = 48 * 3_600_000
const TABLE = 'idempotency_keys'

/** Requests that must not happen twice, by the caller's key. Survives restarts. */
export class IdempotencyStore {
  readonly #db: Database
  readonly #clock: Clock
  readonly #nodeId: string
  /** Keys that this process works on: a row of this node that is not here was left by a crash. */
  readonly #working = new Set<string>()

  constructor(db: Database, clock: Clock, nodeId: string) {
    this.#db = db
    this.#clock = clock
    this.#nodeId = nodeId
  }

  async begin(ctx: AccountContext, request: IdempotentRequest): Promise<IdempotencyClaim> {
    const name = nameOf(ctx, request)
    if (this.#working.has(name)) return { state: 'inFlight' }
    this.#working.add(name)
    try {
      const claim = await this.#claim(ctx, request)
      if (claim.state !== 'new' && claim.state !== 'interrupted') this.#working.delete(name)
      return claim
    } catch (err) {
      this.#working.delete(name)
      throw err
    }
  }

  async finish(ctx: AccountContext, request: IdempotentRequest, reply: unknown): Promise<void> {
    this.#working.delete(nameOf(ctx, request))
    await this.#row(ctx, request)
      .set({ status: 'done', reply: jsonText(reply) })
      .execute()
  }

  /** It did not happen: the key may be used again. */
  async abandon(ctx: AccountContext, request: IdempotentRequest): Promise<void> {
    this.#working.delete(nameOf(ctx, request))
    await this.#db
      .deleteFrom(TABLE)
      .where('account_id', '=', ctx.accountId)
      .where('op', '=', request.op)
      .where('key', '=', request.key)
      .where('status', '=', 'inFlight')
      .execute()
  }

  /** Forgets keys of more than two days. */
  async purge(): Promise<void> {
    await this.#db
      .deleteFrom(TABLE)
      .where('created_at', '<', instant(this.#clock.wallMs() - KEEP_MS))
      .execute()
  }

  async #claim(ctx: AccountContext, request: IdempotentRequest): Promise<IdempotencyClaim> {
    const inserted = await this.#db
      .insertInto(TABLE)
      .values({
        account_id: ctx.accountId,
        op: request.op,
        key: request.key,
        body_digest: request.bodyDigest,
        node_id: this.#nodeId,
        call_id: request.callId ?? null,
        status: 'inFlight',
        reply: 'null',
        created_at: instant(this.#clock.wallMs()),
      })
      .onConflict((c) => c.columns(['account_id', 'op', 'key']).doNothing())
      .executeTakeFirst()
    if (inserted.numInsertedOrUpdatedRows === 1n) return { state: 'new' }
    const row = await this.#db
      .selectFrom(TABLE)
      .selectAll()
      .where('account_id', '=', ctx.accountId)
      .where('op', '=', request.op)
      .where('key', '=', request.key)
      .executeTakeFirst()
    // Abandoned between the two queries.
    if (!row) return this.#claim(ctx, request)
    if (row.body_digest !== request.bodyDigest) return { state: 'mismatch' }
    if (row.status === 'done') return { state: 'done', reply: row.reply }
    return row.node_id === this.#nodeId
      ? { state: 'interrupted', callId: row.call_id ?? undefined }
      : { state: 'inFlight' }
  }

  #row(ctx: AccountContext, request: IdempotentRequest) {
    return this.#db
      .updateTable(TABLE)
      .where('account_id', '=', ctx.accountId)
      .where('op', '=', request.op)
      .where('key', '=', request.key)
  }
}

const nameOf = (ctx: AccountContext, request: IdempotentRequest): string =>
  JSON.stringify([ctx.accountId, request.op, request.key])
