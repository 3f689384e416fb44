import { describe, expect, it } from 'vitest'
import { callStatusView, scheduledStatusView, statusOf } from '../../../src/api/ivr-solutions/call-status.ts'
import { errorView } from '../../../src/api/ivr-solutions/errors.ts'
import { dialFrom, placedView, scheduledView } from '../../../src/api/ivr-solutions/voicebots.ts'
import { RESULTS } from '../../../src/calls/outcome.ts'
import { callMachine, type CallState } from '../../../src/calls/machine.ts'
import type { ScheduledCall } from '../../../src/schedules/ports.ts'
import { fakeCore } from '../../fakes/core.ts'

const core = await fakeCore()
const [dialing, , , , , recorded] = core.stored

describe('dialFrom', () => {
  it('keeps what was asked for the call, and what the bot shall know, apart', () => {
    const dial = dialFrom(
      {
        customer_no: '0 98765 43210',
        did_no: '011-4310-4567',
        wss_url: 'wss://example.com/stream',
        wss_header: 'Authorization: Bearer xyz',
        sip_url: 'sip:agent@example.com',
        timezone: 'Asia/Kolkata',
        system_msg: 'Be brief.',
      },
      core,
      undefined,
    )
    expect(dial).toEqual({
      to: '+919876543210',
      from: '+911143104567',
      bot: {
        id: undefined,
        url: 'wss://example.com/stream',
        headers: { Authorization: 'Bearer xyz' },
        systemMsg: 'Be brief.',
        language: undefined,
        text: undefined,
      },
      custom: { customer_no: '0 98765 43210', sip_url: 'sip:agent@example.com' },
      startFacts: { customer_no: '0 98765 43210', timezone: 'Asia/Kolkata' },
      connectAfterAnswer: false,
      ringTimeoutMs: 60_000,
      defaultTarget: 'sip:agent@example.com',
    })
  })

  it('prefers did_num to did_no and a SIP target to an extension', () => {
    const dial = dialFrom(
      { customer_no: '9876543210', did_num: '+911143104567', did_no: 'x', ai_agent_ext: '2101', sip_url: 'sip:a@b' },
      core,
      'bot-1',
    )
    expect(dial).toMatchObject({ from: '+911143104567', defaultTarget: 'sip:a@b', bot: { id: 'bot-1' } })
  })

  it('stays whole through JSON, for a schedule', () => {
    const dial = dialFrom({ customer_no: '9876543210', wss_url: 'wss://example.com/' }, core, undefined)
    expect(JSON.parse(JSON.stringify(dial))).toEqual(JSON.parse(JSON.stringify({ ...dial })))
  })
})

describe('views', () => {
  it('say both logid and recordid', () => {
    expect(placedView({ callId: 'c', logId: 7 })).toEqual({
      status: 200,
      message: 'Call initiated successfully',
      call_id: 'c',
      logid: 7,
      recordid: 7,
    })
    expect(scheduledView({ id: 's', callId: 'c', logId: 7 } as ScheduledCall)).toMatchObject({
      schedule_id: 's',
      logid: 7,
    })
  })

  it('have a word for every state and every result', () => {
    const states: CallState[] = ['queued', 'dialing', 'ringing', 'answered', 'talking', 'transferring', 'bridged']
    for (const state of states) expect(callMachine.isFinal(state)).toBe(false)
    expect(states.map((state) => statusOf({ ...dialing, state }))).toEqual([
      'initiated',
      'initiated',
      'ringing',
      'answered',
      'answered',
      'answered',
      'answered',
    ])
    const ended = (result: (typeof RESULTS)[number]): string =>
      statusOf({ ...dialing, state: 'ended', outcome: { ...recorded.outcome!, result } })
    expect(RESULTS.map((result) => [result, ended(result)])).toEqual([
      ['completed', 'failed'], // never answered: cannot be
      ['busy', 'busy'],
      ['no_answer', 'no_answer'],
      ['rejected', 'failed'],
      ['failed', 'failed'],
      ['cancelled', 'cancelled'],
    ])
    expect(statusOf({ ...recorded, outcome: { ...recorded.outcome!, result: 'failed' } })).toBe('answered')
  })

  it('write times in the zone asked for, also across a clock change', () => {
    const call = {
      ...recorded,
      createdAtMs: Date.UTC(2026, 2, 29, 0, 59, 59),
      answeredAtMs: Date.UTC(2026, 2, 29, 1, 0, 0),
    }
    const view = callStatusView(call, 'Europe/Berlin', 'https://link')
    expect([view.call_time, view.answer_time]).toEqual(['2026-03-29 01:59:59', '2026-03-29 03:00:00'])
    expect(view.recording_url).toBe('https://link')
  })

  it('show a schedule without a request of ours', () => {
    const scheduled = {
      id: 's',
      callId: 'c',
      logId: 7,
      atMs: 0,
      status: 'cancelled',
      payload: {},
    } as unknown as ScheduledCall
    expect(scheduledStatusView(scheduled, 'UTC')).toMatchObject({
      call_status: 'cancelled',
      client_no: null,
      did_no: null,
    })
  })

  it('spell failure in the type of the route’s success', () => {
    const failure = { status: 404, message: 'No.' }
    expect(errorView(failure, 'numeric')).toEqual({ status: 404, message: 'No.' })
    expect(errorView(failure, 'boolean')).toEqual({ status: false, message: 'No.' })
    expect(errorView(failure)).toEqual({ status: 404, message: 'No.' })
  })
})
