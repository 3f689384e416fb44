import { createHash } from 'node:crypto'
import type { AccountContext } from '../accounts/ports.ts'
import type { CallRecord } from '../calls/record.ts'
import { DomainError } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import type { Core } from './core.ts'
import { IdempotencyMismatch, orUndefined } from './errors.ts'

type Answer = readonly [number, unknown]

export interface Repeatable<A extends Answer> {
  op: string
  /** The Idempotency-Key header; without one the request just runs. */
  key: string | undefined
  input: unknown
  /** Does it. A call that it places must get this id. */
  run(callId: string): Promise<A>
  /** The answer for a call that a run which died had placed. */
  answerFor(call: CallRecord): A
}

/**
 * Runs a request once per key and account; a repeat gets the first one's answer. A request that was refused
 * (DomainError) may be repeated; one that broke in the middle stays claimed, because it may have dialled.
 */
export async function once<A extends Answer>(core: Core, ctx: AccountContext, request: Repeatable<A>): Promise<A> {
  const { op, key, input } = request
  let callId = uuidv7(core.clock.wallMs())
  if (key === undefined) return request.run(callId)
  if (!/^[\x20-\x7e]{1,255}$/.test(key))
    throw new DomainError('INVALID', 'Idempotency-Key must have 1 to 255 characters.', { field: 'Idempotency-Key' })
  const row = { op, key, bodyDigest: digestOf(input), callId }
  const claim = await core.idempotency.begin(ctx, row)
  switch (claim.state) {
    case 'mismatch':
      throw new IdempotencyMismatch()
    case 'inFlight':
      throw new DomainError('CONFLICT', 'The first request with this Idempotency-Key is still running.')
    case 'done':
      // What was stored came from `run`.
      return claim.reply as A
    case 'interrupted': {
      callId = claim.callId ?? callId
      const call = await orUndefined(core.reads.get(ctx.accountId, callId))
      if (call) return finished(core, ctx, row, request.answerFor(call))
    }
  }
  try {
    return await finished(core, ctx, row, await request.run(callId))
  } catch (err) {
    if (err instanceof DomainError) await core.idempotency.abandon(ctx, row)
    throw err
  }
}

async function finished<A extends Answer>(
  core: Core,
  ctx: AccountContext,
  row: Parameters<Core['idempotency']['finish']>[1],
  answer: A,
): Promise<A> {
  try {
    await core.idempotency.finish(ctx, row, answer)
  } catch (err) {
    // The call is on its way: its answer goes out. A repeat finds the claim, and after a restart the call itself.
    core.log.error({ err, op: row.op }, 'answer of an idempotent request not kept')
  }
  return answer
}

const digestOf = (input: unknown): string => createHash('sha256').update(sorted(input)).digest('base64url')

/** JSON with the keys in order, so that the same fields in another order are the same request. */
const sorted = (value: unknown): string =>
  JSON.stringify(value, (_key, v: unknown) =>
    typeof v === 'object' && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  )
