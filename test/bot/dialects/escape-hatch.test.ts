import { describe, expect, it } from 'vitest'
import { readEscape, readMark, tellEscape } from '../../../src/bot/dialects/escape-hatch.ts'
import type { BridgeMessage } from '../../../src/bot/dialect.ts'
import { callSid } from '../../../src/lib/sids.ts'
import { CALL_ID } from './dialogue.ts'

const ids = { callId: CALL_ID, streamId: 's1' }

describe('call control in a foreign dialect', () => {
  it.each(['type', 'event'])('is found by `%s`', (name) => {
    expect(readEscape({ [name]: 'session.hangup' }, ids)).toMatchObject({ kind: 'hangup' })
    expect(readEscape({ [name]: 'session.transfer', target: '+911' }, ids)).toMatchObject({ kind: 'transfer', target: '+911' }) // prettier-ignore
    expect(readEscape({ [name]: 'dtmf.send', digits: '1w#' }, ids)).toMatchObject({ kind: 'digits', digits: '1w#' })
    expect(readEscape({ [name]: 'call.answer' }, ids)).toMatchObject({ kind: 'answer' })
    expect(readEscape({ [name]: 'call.reject', sip_status: 486 }, ids)).toMatchObject({ kind: 'reject', sipStatus: 486 }) // prettier-ignore
  })

  it('keeps the id and the wish for an ack', () => {
    expect(readEscape({ event: 'session.hangup', event_id: 'e1', ack: true }, ids)).toMatchObject({ ref: 'e1', ack: true }) // prettier-ignore
  })

  it('is taken from a message that has another `type` for somebody else', () => {
    expect(readEscape({ type: 'control', event: 'session.hangup' }, ids)).toMatchObject({ kind: 'hangup' })
    expect(readEscape({ type: 'session.transfer', event: 'stop', target: '+911' }, ids)).toMatchObject({ kind: 'transfer' }) // prettier-ignore
  })

  it.each(['stop', 'end'])('ends the call at once by {"event":"%s"}', (event) => {
    expect(readEscape({ event }, ids)).toEqual({ kind: 'hangup', reason: 'bot_hangup', afterPlayback: false })
    expect(readEscape({ type: event }, ids)).toBeNull()
  })

  it('presses keys in the shape of Twilio', () => {
    for (const digit of ['5', 5])
      expect(readEscape({ event: 'dtmf', dtmf: { digit } }, ids)).toMatchObject({ kind: 'digits', digits: '5' })
    expect(readEscape({ event: 'dtmf', dtmf: { digit: 'x' } }, ids)).toMatchObject({ kind: 'mistake', code: 'dtmf_failed' }) // prettier-ignore
    expect(readEscape({ event: 'dtmf', dtmf: '5' }, ids)).toBeNull()
  })

  it('is not for another call, and asks for no stream', () => {
    const m = { event: 'session.hangup' }
    expect(readEscape({ ...m, call_id: 'other' }, ids)).toMatchObject({ kind: 'mistake', code: 'not_allowed' })
    for (const call_id of [CALL_ID, callSid(CALL_ID)])
      expect(readEscape({ ...m, call_id, stream_id: 'invented' }, ids)).toMatchObject({ kind: 'hangup' })
  })

  it.each([{}, { event: 'media' }, { event: 'clear' }, { event: 5 }, { type: null }, { event: 'toString' }])(
    'leaves %j to the dialect',
    (m) => expect(readEscape(m, ids)).toBeNull(),
  )

  it('reads names of marks', () => {
    expect(readMark('m')).toEqual({ kind: 'mark', name: 'm' })
    expect(readMark(0)).toEqual({ kind: 'mark', name: '0' })
    for (const name of ['', undefined, null, {}, 'x'.repeat(257)])
      expect(readMark(name)).toMatchObject({ kind: 'mistake', code: 'bad_json' })
  })

  it('answers only who has given an id', () => {
    const answers: [BridgeMessage, object | undefined][] = [
      [{ kind: 'ack', ref: 'r' }, { event: 'ack', ref: 'r' }],
      [{ kind: 'recordingStatus', status: { ref: 'r', state: 'started', recordingId: 'x' } }, { event: 'recording.status', ref: 'r', state: 'started', recording_id: 'x' }],
      [{ kind: 'recordingStatus', status: { state: 'started' } }, undefined],
      [{ kind: 'transferStatus', status: { ref: 'r', state: 'ringing', sipStatus: 180 } }, { event: 'transfer.status', ref: 'r', state: 'ringing', sip_status: 180 }],
      [{ kind: 'transferStatus', status: { state: 'ringing' } }, undefined],
      [{ kind: 'error', code: 'internal', message: 'm', ref: 'r' }, { event: 'error', ref: 'r', error: { code: 'internal', message: 'm', fatal: false } }],
      [{ kind: 'error', code: 'internal', message: 'm' }, undefined],
      [{ kind: 'held', held: true }, undefined],
    ] // prettier-ignore
    for (const [message, answer] of answers)
      expect(tellEscape(message) && JSON.parse(JSON.stringify(tellEscape(message)))).toEqual(answer)
  })
})
