/** How calls end: data from closed lists, mapped once per facade. */

export const RESULTS = ['completed', 'busy', 'no_answer', 'rejected', 'failed', 'cancelled'] as const
export type Result = (typeof RESULTS)[number]

/** Why, in one word; also the `reason` of the bot protocol's `stop` (mapped in `stopReason`). */
export const END_REASONS = [
  'caller_hangup', // the phone side hung up (inbound caller or dialled callee)
  'bot_hangup',
  'transferred', // ended after a transfer had been bridged
  'bot_lost',
  'bot_rejected',
  'no_answer',
  'busy',
  'rejected',
  'timeout', // RTP or signalling silence
  'max_duration',
  'media_lost', // the media worker died
  'operator', // hung up through the API
  'drained', // the server stopped
  'node_crash', // the server died; found at the next start
  'refused', // we refused the incoming call: `detail` names the rule
  'error',
] as const
export type EndReason = (typeof END_REASONS)[number]

export interface Outcome {
  result: Result
  reason: EndReason
  /** Final SIP status of the first leg, 0 where none was. */
  sipStatus: number
  q850: number
  by: 'caller' | 'callee' | 'bot' | 'us'
  /** More for people: the SIP reason phrase, the rule that refused, the error. */
  detail?: string
}

/** What a final SIP status of a dialled leg means (RFC 3261 §21, Q.850 by RFC 3398 §8.2.6.1). */
export function resultOfStatus(status: number): Result {
  if (status >= 200 && status < 300) return 'completed'
  if (status === 486 || status === 600) return 'busy'
  if (status === 487) return 'cancelled'
  if (status === 408 || status === 480) return 'no_answer'
  if (status === 403 || status === 603 || status === 607 || status === 608) return 'rejected'
  return 'failed'
}

/** The `reason` of the bot protocol's `stop` message (BOT-PROTOCOL, section 3): a shorter list than ours. */
export const STOP_REASONS: Readonly<Record<EndReason, string>> = {
  caller_hangup: 'caller_hangup',
  bot_hangup: 'bot_hangup',
  transferred: 'transferred',
  bot_lost: 'bot_lost',
  bot_rejected: 'rejected',
  no_answer: 'no_answer',
  busy: 'busy',
  rejected: 'rejected',
  timeout: 'timeout',
  max_duration: 'max_duration',
  media_lost: 'error',
  operator: 'caller_hangup',
  drained: 'error',
  node_crash: 'error',
  refused: 'rejected',
  error: 'error',
}
