import { describe, expect, it } from 'vitest'
import type { BotRequest, TransferStatus } from '../../src/calls/ports.ts'
import { CLEARED, NO_STATS, botLost, botOpen, callWorld, gone, inboundTalking, type World } from '../fakes/calls.ts'
import { settle } from '../fakes/clock.ts'

const ask = {
  ask: 'transfer',
  ref: 'r1',
  target: '+911140000009',
  mode: 'bridge',
  timeoutMs: 20_000,
  onFail: 'resume',
  headers: {},
} as const

const asks = (w: World, more: Partial<Extract<BotRequest, { ask: 'transfer' }>> = {}): void =>
  w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ...ask, ...more } })

/** What the bot was told, as `state sipStatus reason`. */
const told = (w: World): string[] =>
  w.media.all('transferStatus').map(([, s]) => {
    const { state, sipStatus, reason } = s as TransferStatus
    return [state, sipStatus, reason].filter((part) => part !== undefined).join(' ')
  })

const refer = (
  w: World,
  state: 'accepted' | 'progress' | 'completed' | 'failed',
  sipStatus: number,
  text = 'x',
): void => w.signaling.say({ on: 'refer', legId: 'c1.1', state, sipStatus, text })

const end = (w: World): unknown => w.events.find((e) => e.type === 'ended')

describe('a transfer', () => {
  it('dials the target beside the caller, bridges on its answer, and lets the bot go', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: ask })
    await settle()
    expect(w.media.all('open')[1]).toEqual(['c1.2', 'c1.1'])
    expect(w.signaling.all('dial')[0]).toMatchObject([
      'c1.2',
      { to: '+911140000009', from: '+911140000002', maxForwards: 68 },
    ])
    w.signaling.say({ on: 'progress', legId: 'c1.2', sipStatus: 180, early: false })
    w.signaling.say({ on: 'answered', legId: 'c1.2', sipCallId: 's2' })
    expect(w.media.all('transferStatus').map(([, s]) => (s as { state: string }).state)).toEqual([
      'trying',
      'ringing',
      'answered',
      'completed',
    ])
    expect(w.media.all('bridge')).toEqual([['c1.1', 'c1.2']])
    expect(w.media.all('detachBot')[0][0]).toBe('c1.1')
    expect(w.calls.reads.live()[0].state).toBe('bridged')
    w.media.say({ on: 'bot', legId: 'c1.1', state: 'lost', clean: true, wasOpen: true, reason: 'stop' })
    expect(w.calls.live).toBe(1)
    w.signaling.say({ on: 'ended', legId: 'c1.2', by: 'peer', cause: CLEARED })
    expect(w.signaling.all('hangup').map(([leg]) => leg)).toEqual(['c1.1'])
    expect(w.events.find((e) => e.type === 'ended')).toMatchObject({ outcome: { reason: 'transferred', by: 'callee' } })
  })

  it('that fails leaves the call with its bot, and a second one may follow', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: ask })
    await settle()
    w.signaling.say({ on: 'ended', legId: 'c1.2', by: 'peer', cause: { sipStatus: 486, q850: 17, text: 'Busy Here' } })
    w.media.say({ on: 'closed', legId: 'c1.2', stats: NO_STATS })
    expect(w.media.all('transferStatus').at(-1)).toEqual([
      'c1.1',
      { ref: 'r1', state: 'failed', sipStatus: 486, reason: 'Busy Here' },
    ])
    expect(w.calls.reads.live()[0].state).toBe('talking')
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: ask })
    await settle()
    expect(w.signaling.all('dial')[1][0]).toBe('c1.3')
  })

  it('that fails with on_fail hangup ends the call', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ...ask, onFail: 'hangup' } })
    await settle()
    w.signaling.say({
      on: 'ended',
      legId: 'c1.2',
      by: 'timeout',
      cause: { sipStatus: 408, q850: 19, text: 'no answer' },
    })
    expect(w.calls.live).toBe(0)
  })

  it('is cancelled when the caller hangs up meanwhile', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: ask })
    await settle()
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: CLEARED })
    expect(w.signaling.all('hangup').map(([leg]) => leg)).toEqual(['c1.2'])
    expect(w.media.all('close').map(([leg]) => leg)).toEqual(['c1.1', 'c1.2'])
  })

  it.each(['', 'http://x', '+91 11\r\nX: y', 'sip:<a>'])('to %j is refused and says why', async (target) => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ...ask, target } })
    expect(w.media.all('transferStatus')).toMatchObject([['c1.1', { state: 'failed', ref: 'r1' }]])
    expect(w.calls.reads.live()[0].state).toBe('talking')
  })
})

describe('a blind transfer', () => {
  const blind = { mode: 'blind' } as const

  it('asks the caller’s far end to call the target, tells how it goes, and ends the leg when it has', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, { ...blind, headers: { 'X-Ticket': '7' } })
    await settle()
    expect(w.signaling.all('refer')).toMatchObject([
      ['c1.1', { to: '+911140000009', headers: { 'X-Ticket': '7' }, timeoutMs: 20_000 }],
    ])
    expect(w.signaling.all('dial')).toEqual([])
    refer(w, 'accepted', 202)
    refer(w, 'progress', 100)
    refer(w, 'progress', 180)
    expect(w.calls.reads.live()[0].state).toBe('transferring')
    refer(w, 'completed', 200)
    expect(told(w)).toEqual(['trying', 'ringing 180', 'answered 200', 'completed 200'])
    expect(w.signaling.all('hangup').map(([leg]) => leg)).toEqual(['c1.1'])
    expect(w.media.all('close')[0]).toEqual(['c1.1', { reason: 'transferred', sipStatus: 200, q850: 16 }])
    expect(end(w)).toMatchObject({ outcome: { result: 'completed', reason: 'transferred', by: 'bot' } })
    gone(w, 'c1.1')
    w.media.say({ on: 'captured', legId: 'c1.1', recordingId: (w.media.all('record')[0][1] as { recordingId: string }).recordingId }) // prettier-ignore
    await settle()
    expect(w.calls.held).toBe(0)
    expect(w.clock.pending).toBe(0)
  })

  it.each([
    [405, 'Method Not Allowed'],
    [603, 'Decline'],
    [408, 'no result of the REFER in time'],
  ])('that is refused with %i goes back to the bot, and another may follow', async (sipStatus, text) => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, blind)
    refer(w, 'failed', sipStatus, text)
    expect(told(w)).toEqual(['trying', `failed ${sipStatus} ${text}`])
    expect(w.calls.reads.live()[0].state).toBe('talking')
    expect(w.events.at(-1)).toMatchObject({ type: 'transferFailed', legId: 'c1.1', sipStatus, reason: text })
    asks(w)
    await settle()
    expect(w.signaling.all('dial')).toHaveLength(1)
  })

  it('that fails with on_fail hangup ends the call', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, { ...blind, onFail: 'hangup' })
    refer(w, 'accepted', 202)
    refer(w, 'failed', 486, 'Busy Here')
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_hangup', detail: 'transfer failed: busy' } })
  })

  it('is done when the far end hangs up after it has taken the REFER', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, blind)
    refer(w, 'accepted', 202)
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: CLEARED })
    expect(told(w).at(-1)).toBe('completed 200')
    expect(end(w)).toMatchObject({ outcome: { reason: 'transferred' } })
  })

  it('is cancelled when the caller hangs up before it is taken', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, blind)
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: CLEARED })
    expect(told(w)).toEqual(['trying', 'cancelled'])
    expect(end(w)).toMatchObject({ outcome: { reason: 'caller_hangup' } })
    refer(w, 'completed', 200)
    expect(told(w)).toHaveLength(2)
  })

  it('and a hang-up by the bot do not wait for one another', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, blind)
    refer(w, 'accepted', 202)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ask: 'hangup', reason: 'bye' } })
    expect(told(w).at(-1)).toBe('cancelled')
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_hangup' } })
  })

  it.each([
    ['ext:100', '100'],
    ['tel:+4930123456', '+4930123456'],
    ['sip:desk@pbx.example', 'sip:desk@pbx.example'],
  ])('to %s goes to %s', async (target, to) => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, { ...blind, target })
    expect(w.signaling.all('refer')[0][1]).toMatchObject({ to })
  })

  it('of a call whose bot is being dialled again goes on without it', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, blind)
    w.media.say({ on: 'bot', legId: 'c1.1', state: 'reconnecting', reason: '1006' })
    refer(w, 'failed', 603)
    expect(w.calls.live).toBe(1)
    asks(w, blind)
    w.media.say(botLost('c1.1'))
    refer(w, 'accepted', 202)
    refer(w, 'completed', 200)
    expect(end(w)).toMatchObject({ outcome: { reason: 'transferred' } })
  })
})

describe('an attended transfer', () => {
  const attended = { mode: 'attended' } as const

  async function answered(w: World): Promise<void> {
    await inboundTalking(w)
    asks(w, attended)
    await settle()
    w.signaling.say({ on: 'progress', legId: 'c1.2', sipStatus: 180, early: false })
    w.signaling.say({ on: 'answered', legId: 'c1.2', sipCallId: 's2' })
  }

  it('joins the two at the answer, and lets their far ends do without us', async () => {
    const w = callWorld()
    await answered(w)
    expect(w.media.all('bridge')).toEqual([['c1.1', 'c1.2']])
    expect(w.signaling.all('refer')).toMatchObject([
      ['c1.1', { to: '+911140000009', replaces: 'c1.2', timeoutMs: 10_000 }],
    ])
    expect(w.media.all('detachBot')).toEqual([])
    refer(w, 'accepted', 202)
    // The target's far end lets go of us before it is told that all is well.
    w.signaling.say({ on: 'ended', legId: 'c1.2', by: 'peer', cause: CLEARED })
    expect(w.calls.live).toBe(1)
    refer(w, 'completed', 200)
    expect(told(w)).toEqual(['trying', 'ringing 180', 'answered 200', 'completed 200'])
    expect(w.signaling.all('hangup').map(([leg]) => leg)).toEqual(['c1.1'])
    expect(end(w)).toMatchObject({ outcome: { reason: 'transferred', by: 'bot' } })
  })

  it('stays bridged when the REFER is refused', async () => {
    const w = callWorld()
    await answered(w)
    refer(w, 'failed', 405, 'Method Not Allowed')
    expect(told(w).at(-1)).toBe('completed 200')
    expect(w.calls.reads.live()[0].state).toBe('bridged')
    expect(w.media.all('detachBot')).toHaveLength(1)
    w.signaling.say({ on: 'ended', legId: 'c1.2', by: 'peer', cause: CLEARED })
    expect(end(w)).toMatchObject({ outcome: { reason: 'transferred', by: 'callee' } })
  })

  it('goes back to the bot when the target hung up meanwhile and was not taken over', async () => {
    const w = callWorld()
    await answered(w)
    w.signaling.say({ on: 'ended', legId: 'c1.2', by: 'peer', cause: CLEARED })
    refer(w, 'failed', 405)
    expect(w.media.all('unbridge')).toEqual([['c1.1']])
    expect(told(w).at(-1)).toBe('failed 405 the target hung up')
    expect(w.calls.reads.live()[0].state).toBe('talking')
  })

  it('whose caller hangs up before the REFER is taken ends both', async () => {
    const w = callWorld()
    await answered(w)
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: CLEARED })
    expect(w.signaling.all('hangup').map(([leg]) => leg)).toEqual(['c1.2'])
    expect(end(w)).toMatchObject({ outcome: { reason: 'caller_hangup' } })
  })
})

describe('the context of a transfer', () => {
  it.each(['bridge', 'blind'] as const)('is kept with the call and travels to the target (%s)', async (mode) => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, { mode, context: { order: 7, who: 'Ásha' } })
    await settle()
    expect(w.signaling.all(mode === 'blind' ? 'refer' : 'dial')[0][1]).toMatchObject({
      userData: '{"order":7,"who":"Ásha"}',
    })
    expect(w.events.at(-1)).toMatchObject({ type: 'transferring', mode, context: { order: 7 } })
    expect(w.calls.reads.live()[0].transferContext).toEqual({ order: 7, who: 'Ásha' })
  })

  it('is kept but not sent over 128 bytes, and not kept over 16 KB', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, { mode: 'blind', context: { summary: 'x'.repeat(200) } })
    expect(w.signaling.all('refer')[0][1]).toMatchObject({ userData: undefined })
    expect(w.calls.reads.live()[0].transferContext).toEqual({ summary: 'x'.repeat(200) })
    refer(w, 'failed', 405)
    asks(w, { mode: 'blind', context: { summary: 'x'.repeat(17_000) } })
    expect(w.signaling.all('refer')).toHaveLength(2)
    expect(w.calls.reads.live()[0].transferContext).toBeUndefined()
  })

  it('that is nested deeper than can be written is left out', async () => {
    const w = callWorld()
    await inboundTalking(w)
    let deep: Record<string, unknown> = {}
    for (let i = 0; i < 100_000; i++) deep = { deep }
    asks(w, { mode: 'blind', context: deep })
    expect(w.signaling.all('refer')).toHaveLength(1)
    expect(w.calls.reads.live()[0].transferContext).toBeUndefined()
  })
})

describe('a transfer by the API', () => {
  const { ask: _ask, ref: _ref, ...wanted } = ask

  it('is as the bot’s, which hears of it', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.calls.transfer('acc', 'c1', { ...wanted, mode: 'blind' })
    expect(w.signaling.all('refer')).toHaveLength(1)
    expect(told(w)).toEqual(['trying'])
    refer(w, 'completed', 200)
    expect(end(w)).toMatchObject({ outcome: { reason: 'transferred', by: 'us' } })
  })

  it('says what stands against it', async () => {
    const w = callWorld()
    await inboundTalking(w)
    const error = (accountId: string, callId: string, more: object = {}): unknown => {
      try {
        w.calls.transfer(accountId, callId, { ...wanted, ...more })
        return undefined
      } catch (err) {
        return err
      }
    }
    expect(error('other', 'c1')).toMatchObject({ code: 'NOT_FOUND' })
    expect(error('acc', 'c9')).toMatchObject({ code: 'NOT_FOUND' })
    expect(error('acc', 'c1', { target: 'http://x' })).toMatchObject({ code: 'INVALID', field: 'target' })
    expect(error('acc', 'c1', { callerId: '+10' })).toMatchObject({ code: 'NO_TRUNK' })
    expect(error('acc', 'c1')).toBeUndefined()
    expect(error('acc', 'c1')).toMatchObject({
      code: 'CONFLICT',
      message: 'Not transferred: not possible while the call is transferring.',
    })
    w.calls.hangup('acc', 'c1')
    expect(error('acc', 'c1')).toMatchObject({ code: 'NOT_FOUND' })
  })

  it('with on_fail hangup ends the call in the operator’s name', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.calls.transfer(undefined, 'c1', { ...wanted, mode: 'blind', onFail: 'hangup' })
    refer(w, 'failed', 603)
    expect(end(w)).toMatchObject({ outcome: { reason: 'operator', by: 'us' } })
  })

  it('is possible while the bot is being dialled again', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'bot', legId: 'c1.1', state: 'reconnecting', reason: '1006' })
    w.calls.transfer('acc', 'c1', wanted)
    await settle()
    expect(w.signaling.all('dial')).toHaveLength(1)
    w.media.say(botOpen('c1.1', { resumed: true }))
    expect(w.calls.reads.live()[0].state).toBe('transferring')
  })
})
