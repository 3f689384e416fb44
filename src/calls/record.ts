import type { CallEvent } from './events.ts'
import type { CallId } from './ids.ts'
import type { Outcome } from './outcome.ts'
import { callMachine, type CallMove, type CallState } from './machine.ts'

/** A call as people and APIs see it: the fold of its events. Times are wall-clock ms; undefined = not yet. */
export interface CallRecord {
  id: CallId
  logId: number
  accountId: string
  nodeId: string
  /** The last event folded in; an event at or below it is a repeat and changes nothing. */
  seq: number
  direction: 'inbound' | 'outbound'
  state: CallState
  from: string
  to: string
  trunkId: string
  numberId?: string
  botId?: string
  botUrl?: string
  custom: Record<string, unknown>
  scheduledForMs?: number
  createdAtMs: number
  dialedAtMs?: number
  ringingAtMs?: number
  answeredAtMs?: number
  botOpenAtMs?: number
  bridgedAtMs?: number
  endedAtMs?: number
  outcome?: Outcome
  recordingId?: string
  recordingStatus?: 'capturing' | 'ready' | 'failed'
  recordingDurationMs?: number
  transferTarget?: string
  /** What the bot said about its last transfer. */
  transferContext?: Record<string, unknown>
  /** What the bot noted about the call. */
  notes?: Record<string, unknown>
  /** Media figures of the legs that have ended, by leg id. */
  stats?: Record<string, Record<string, number>>
}

/** Whole seconds from answer to end, as every vendor reports it; null while live, 0 when never answered. */
export function durationSeconds(record: CallRecord): number | null {
  if (record.endedAtMs === undefined) return null
  if (record.answeredAtMs === undefined) return 0
  return Math.max(0, Math.round((record.endedAtMs - record.answeredAtMs) / 1000))
}

const MOVES: Partial<Record<CallEvent['type'], CallMove>> = {
  dialing: 'dial',
  ringing: 'progress',
  answered: 'answer',
  botOpen: 'botReady',
  transferring: 'transfer',
  transferFailed: 'resume',
  bridged: 'bridge',
  ended: 'end',
}

/**
 * Folds one event in. `record` is undefined before 'created'. Returns the same object, changed; an event already seen
 * (by seq) or without a created call is ignored, so a journal can be replayed over rows that are ahead of it.
 */
export function applyEvent(record: CallRecord | undefined, event: CallEvent): CallRecord | undefined {
  if (event.type === 'created') {
    if (record) return record
    return {
      id: event.callId,
      logId: event.logId,
      accountId: event.accountId,
      nodeId: event.nodeId,
      seq: event.seq,
      direction: event.direction,
      state: 'queued',
      from: event.from,
      to: event.to,
      trunkId: event.trunkId,
      numberId: event.numberId,
      botId: event.botId,
      botUrl: event.botUrl,
      custom: event.custom,
      scheduledForMs: event.scheduledFor,
      createdAtMs: event.atMs,
    }
  }
  if (!record || event.seq <= record.seq) return record
  record.seq = event.seq
  const move = MOVES[event.type]
  if (move && callMachine.can(record.state, move)) record.state = callMachine.next(record.state, move)
  switch (event.type) {
    case 'dialing':
      record.dialedAtMs ??= event.atMs
      break
    case 'ringing':
      record.ringingAtMs ??= event.atMs
      break
    case 'answered':
      record.answeredAtMs ??= event.atMs
      // Ring-time connect: the bot was on the line before the caller was.
      if (record.botOpenAtMs !== undefined) record.state = callMachine.next(record.state, 'botReady')
      break
    case 'botOpen':
      record.botOpenAtMs ??= event.atMs
      break
    case 'transferring':
      record.transferTarget = event.target
      record.transferContext = event.context
      break
    case 'bridged':
      record.bridgedAtMs ??= event.atMs
      record.transferTarget = event.target
      break
    case 'recordingStarted':
      record.recordingId = event.recordingId
      record.recordingStatus = 'capturing'
      break
    case 'recordingFinished':
      record.recordingStatus = 'ready'
      record.recordingDurationMs = event.durationMs
      break
    case 'recordingFailed':
      record.recordingStatus = 'failed'
      break
    case 'legEnded':
      if (event.stats) record.stats = { ...record.stats, [event.legId]: event.stats }
      break
    case 'ended':
      record.endedAtMs ??= event.atMs
      record.outcome ??= event.outcome
      break
    case 'noted':
      record.notes = { ...record.notes, ...event.data }
      break
    case 'recordingPaused':
    case 'recordingResumed':
    case 'transferFailed':
    case 'botLost':
    case 'digit':
      break
  }
  return record
}
