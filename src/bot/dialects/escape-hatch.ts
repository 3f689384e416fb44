/**
 * What every foreign JSON dialect understands besides its own words: our call control, so that a ported bot needs no
 * REST, and the two ways in which clones of Twilio put it on the socket. Answers go back only to who gave an `event_id`.
 *
 *   bot ──{"event":"session.transfer","event_id":"t1",…}──▶ readEscape        tellEscape ──{"event":"transfer.status","ref":"t1",…}──▶ bot
 */
import { callSid } from '../../lib/sids.ts'
import type { BotMessage, BridgeMessage } from '../dialect.ts'
import { isObject, type Json, type Reading } from './json-reader.ts'
import { readNative } from './native-control.ts'

const CONTROL = new Set([
  'session.transfer',
  'session.hangup',
  'session.note',
  'dtmf.send',
  'call.answer',
  'call.reject',
  'hold',
  'resume',
  'recording.start',
  'recording.stop',
  'recording.pause',
  'recording.resume',
])
const MAX_NAME = 256

/**
 * @param ids the native ones; `call_id` may also be the call's sid. A `stream_id` is not looked at: bots invent them.
 * @returns null when the message is none of these: what it means, if anything, is up to the dialect
 */
export function readEscape(m: Json, ids: { callId: string; streamId: string }): Reading | null {
  const type = CONTROL.has(m.type as string) ? m.type : m.event
  // Acefone, Smartflo and Vobiz: the end of the stream is the end of the call.
  if (type === 'stop' || type === 'end') return { kind: 'hangup', reason: 'bot_hangup', afterPlayback: false }
  // `dtmf` is SignalWire's.
  if (!CONTROL.has(type as string) && !(type === 'dtmf' && isObject(m.dtmf))) return null
  const callId = m.call_id === callSid(ids.callId) ? ids.callId : m.call_id
  return readNative({ ...m, type, call_id: callId, stream_id: undefined }, ids)
}

/** A mark's name as any dialect has it; a number is taken too, since bots number their marks. */
export function readMark(name: unknown): BotMessage & { kind: 'mark' | 'mistake' } {
  const text = typeof name === 'number' ? String(name) : name
  if (typeof text === 'string' && text !== '' && text.length <= MAX_NAME) return { kind: 'mark', name: text }
  const message = `The mark's name must be a string of 1 to ${MAX_NAME} characters.`
  return { kind: 'mistake', code: 'bad_json', message, bad: true }
}

/** The fields of an answer to a message that came through the hatch; nothing when the bot has not asked for one. */
export function tellEscape(m: BridgeMessage): Json | undefined {
  switch (m.kind) {
    case 'transferStatus': {
      const { ref, state, sipStatus, reason } = m.status
      return ref === undefined ? undefined : { event: 'transfer.status', ref, state, sip_status: sipStatus, reason }
    }
    case 'recordingStatus': {
      const { ref, state, recordingId, reason } = m.status
      return ref === undefined ? undefined : { event: 'recording.status', ref, state, recording_id: recordingId, reason } // prettier-ignore
    }
    case 'error':
      if (m.ref === undefined) return undefined
      return { event: 'error', ref: m.ref, error: { code: m.code, message: m.message, fatal: false } }
    case 'ack':
      return { event: 'ack', ref: m.ref }
    default:
      return undefined
  }
}
