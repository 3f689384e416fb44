/**
 * What happens to a call, as facts in the past tense. The journal stores them, the projector folds them into rows, the
 * registry folds them into the live record: one fold (record.ts) for all three. Additive only: old journals are replayed.
 */
import type { CallId, LegId } from './ids.ts'
import type { Outcome } from './outcome.ts'
import type { TransferMode } from './ports.ts'

export type CallEvent = {
  callId: CallId
  accountId: string
  seq: number
  /** Wall clock, ms. */ atMs: number
} & CallFact

export type CallFact =
  | {
      type: 'created'
      /** Number for vendor routes (`logid`), unique over all accounts. */
      logId: number
      nodeId: string
      direction: 'inbound' | 'outbound'
      from: string
      to: string
      trunkId: string
      numberId?: string
      botId?: string
      /** Bot address without query, for people to read. */
      botUrl?: string
      /** Free data of the request: customer_no as given, Voicechat_id, ai_agent_ext, system_msg … */
      custom: Record<string, unknown>
      scheduledFor?: number
    }
  | { type: 'dialing'; legId: LegId; to: string }
  | { type: 'ringing'; legId: LegId; sipStatus: number }
  | { type: 'answered'; legId: LegId; sipCallId: string }
  /** `standIn` over 0: not the bot's first address. */
  | { type: 'botOpen'; legId: LegId; standIn?: number }
  /** For good, or until the next botOpen. */
  | { type: 'botLost'; legId: LegId; reason: string }
  | { type: 'digit'; legId: LegId; method: 'rfc4733' | 'info' | 'inband' }
  /** `legId`: the leg that dials the target, or, with mode 'blind', the one whose far end is asked to. */
  | {
      type: 'transferring'
      legId: LegId
      target: string
      mode?: TransferMode
      context?: Record<string, unknown>
    }
  | { type: 'transferFailed'; legId: LegId; sipStatus: number; reason: string }
  | { type: 'bridged'; legId: LegId; target: string }
  | { type: 'recordingStarted'; recordingId: string }
  | { type: 'recordingPaused'; recordingId: string }
  | { type: 'recordingResumed'; recordingId: string }
  | { type: 'recordingFinished'; recordingId: string; durationMs: number; bytes: number }
  | { type: 'recordingFailed'; recordingId: string; reason: string }
  /** Free data of the bot's about the call: added to what it said before. */
  | { type: 'noted'; data: Record<string, unknown> }
  | { type: 'legEnded'; legId: LegId; sipStatus: number; q850: number; stats?: Record<string, number> }
  | { type: 'ended'; outcome: Outcome }
