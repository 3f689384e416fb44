import type { Clock } from '../lib/clock.ts'
import type { CallFact } from './events.ts'
import type { CallId } from './ids.ts'
import type { AccountContext, CallStore, Journal } from './ports.ts'

/** States a fact about a call that is no longer in memory: what an earlier run of the program left to be said. */
export async function noteLate(
  world: { journal: Journal; store: CallStore; clock: Clock },
  ctx: AccountContext,
  callId: CallId,
  fact: CallFact,
): Promise<void> {
  const record = await world.store.get(ctx, callId)
  if (!record) return
  const about = { callId, accountId: ctx.accountId, seq: record.seq + 1, atMs: world.clock.wallMs() }
  await world.journal.append({ ...about, ...fact })
}
