import { describe, expect, it } from 'vitest'
import {
  CLEARED,
  ECHO_BOT,
  NO_STATS,
  botOpen,
  callWorld,
  gone,
  inboundTalking,
  incoming,
  type World,
} from '../fakes/calls.ts'
import { settle } from '../fakes/clock.ts'

const place = (w: World, more: object = {}) =>
  w.calls.place({
    accountId: 'acc',
    to: '+919876543210',
    bot: w.bot,
    custom: {},
    connectAfterAnswer: false,
    ringTimeoutMs: 30_000,
    ...more,
  })

describe('an inbound call', () => {
  it('rings while its bot is dialled, is answered when the bot is there, and talks', async () => {
    const w = callWorld()
    await inboundTalking(w)
    expect(w.signaling.did.map(([what]) => what)).toEqual(['ring', 'answer'])
    expect(w.media.did.map(([what]) => what)).toEqual(['open', 'attachBot', 'connect', 'record', 'callAnswered'])
    expect(w.types()).toEqual(['created', 'ringing', 'botOpen', 'answered', 'recordingStarted'])
    expect(w.calls.reads.live('acc')[0].state).toBe('talking')
  })

  it('with answer_mode bot waits for call.answer', async () => {
    const w = callWorld({ bot: { answerMode: 'bot' } })
    w.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    w.media.say(botOpen('c1.1'))
    expect(w.signaling.all('answer')).toHaveLength(0)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ask: 'answer' } })
    expect(w.signaling.all('answer')).toHaveLength(1)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ask: 'answer' } })
    expect(w.signaling.all('answer')).toHaveLength(1)
  })

  it('rejected by its bot ends with the SIP status that the bot chose', async () => {
    const w = callWorld({ bot: { answerMode: 'bot' } })
    w.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    w.media.say(botOpen('c1.1'))
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ask: 'reject', sipStatus: 486, reason: 'busy now' } })
    expect(w.signaling.all('reject')[0]).toMatchObject(['c1.1', { sipStatus: 486, text: 'busy now' }, 'bot_rejected'])
    expect(w.events.at(-1)).toMatchObject({
      type: 'ended',
      outcome: { result: 'rejected', reason: 'bot_rejected', by: 'bot' },
    })
  })

  it('whose bot never answers is refused when the ring limit is over', async () => {
    const w = callWorld({ bot: { answerMode: 'bot' } })
    w.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    w.clock.advance(60_000)
    expect(w.signaling.all('reject')[0]).toMatchObject(['c1.1', { sipStatus: 480 }, 'ring_timeout'])
    gone(w, 'c1.1')
    expect(w.calls.held).toBe(0)
    expect(w.clock.pending).toBe(0)
  })

  it.each([
    ['unknown_number', { to: '+4930123' }, 404],
    ['number_rejects', { to: '+911140000000' }, 603],
    ['no_bot', { to: '+911140000001' }, 480],
    ['no_codec', { codec: undefined }, 488],
  ] as const)('is refused with one reason and a record: %s', async (reason, more, sipStatus) => {
    const w = callWorld()
    w.signaling.say({ on: 'incoming', leg: incoming(more) })
    await settle()
    expect(w.signaling.all('reject')).toMatchObject([['c1.1', { sipStatus }, reason]])
    expect(w.events.at(-1)).toMatchObject({ type: 'ended', outcome: { reason: 'refused', sipStatus } })
    expect(w.media.all('open')).toHaveLength(0)
  })

  it('beyond the call limit, or without a port, is refused as capacity', async () => {
    const full = callWorld({ maxCalls: 0 })
    full.signaling.say({ on: 'incoming', leg: incoming() })
    expect(full.signaling.all('reject')[0][2]).toBe('capacity')
    const noPort = callWorld()
    noPort.media.full = true
    noPort.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    expect(noPort.signaling.all('reject')[0][2]).toBe('capacity')
  })

  it('whose bot cannot be reached is refused, not left ringing', async () => {
    const w = callWorld()
    w.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    w.media.say({ on: 'bot', legId: 'c1.1', state: 'lost', clean: false, wasOpen: false, reason: 'ECONNREFUSED' })
    expect(w.signaling.all('reject')[0]).toMatchObject(['c1.1', { sipStatus: 480 }, 'bot_unreachable'])
  })

  it('cancelled by the caller while the port is being opened leaves nothing behind', async () => {
    const w = callWorld()
    w.signaling.say({ on: 'incoming', leg: incoming() })
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: { sipStatus: 487, q850: 16, text: 'cancelled' } })
    await settle()
    expect(w.signaling.all('ring')).toHaveLength(0)
    expect(w.media.all('close')).toHaveLength(1)
    w.media.say({ on: 'closed', legId: 'c1.1', stats: NO_STATS })
    expect(w.calls.held).toBe(0)
    expect(w.events.find((e) => e.type === 'ended')).toMatchObject({ outcome: { result: 'cancelled', by: 'caller' } })
  })
})

describe('the end of a call', () => {
  it('by the caller tells the bot, keeps the record until the recording is finished, then lets go', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.clock.advance(5000)
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: CLEARED })
    expect(w.media.all('close')).toEqual([['c1.1', { reason: 'caller_hangup', sipStatus: 200, q850: 16 }]])
    const { recordingId } = w.media.all('record')[0][1] as { recordingId: string }
    w.media.say({ on: 'captured', legId: 'c1.1', recordingId })
    w.media.say({ on: 'closed', legId: 'c1.1', stats: { ...NO_STATS, rxPackets: 250 } })
    await settle()
    expect(w.finished).toEqual([recordingId])
    expect(w.types().slice(-3)).toEqual(['ended', 'legEnded', 'recordingFinished'])
    expect(w.calls.held).toBe(0)
    expect(w.clock.pending).toBe(0)
  })

  it('by the bot carries the cause that the bot gave', async () => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ask: 'hangup', reason: 'done', q850: 17 } })
    expect(w.signaling.all('hangup')).toEqual([['c1.1', { sipStatus: 200, q850: 17, text: 'done' }]])
    expect(w.events.find((e) => e.type === 'ended')).toMatchObject({
      outcome: { result: 'completed', reason: 'bot_hangup', by: 'bot' },
    })
  })

  it.each([
    [true, 'bot_hangup'],
    [false, 'bot_lost'],
  ])('follows the loss of the bot (clean: %s) with a true reason', async (clean, reason) => {
    const w = callWorld()
    await inboundTalking(w)
    w.media.say({ on: 'bot', legId: 'c1.1', state: 'lost', clean, wasOpen: true, reason: 'closed 1006' })
    expect(w.events.find((e) => e.type === 'ended')).toMatchObject({ outcome: { reason } })
  })

  it('comes when the call is too long, when RTP stops, when the worker dies, and when an operator says so', async () => {
    const long = callWorld({ bot: { maxCallMs: 10_000 } })
    await inboundTalking(long)
    long.clock.advance(10_000)
    expect(long.events.find((e) => e.type === 'ended')).toMatchObject({ outcome: { reason: 'max_duration' } })

    const silent = callWorld()
    await inboundTalking(silent)
    silent.media.say({ on: 'rtpTimeout', legId: 'c1.1', afterFirst: true })
    expect(silent.events.find((e) => e.type === 'ended')).toMatchObject({ outcome: { reason: 'timeout' } })

    const crashed = callWorld()
    await inboundTalking(crashed)
    crashed.media.say({ on: 'crashed', legId: 'c1.1', reason: 'worker exit 1' })
    expect(crashed.signaling.all('hangup')).toHaveLength(1)
    crashed.signaling.say({ on: 'ended', legId: 'c1.1', by: 'us', cause: CLEARED })
    await settle()
    expect(crashed.calls.held).toBe(0)

    const operator = callWorld()
    await inboundTalking(operator)
    expect(() => operator.calls.hangup('other', 'c1')).toThrow('no such live call')
    operator.calls.hangup('acc', 'c1')
    expect(operator.events.find((e) => e.type === 'ended')).toMatchObject({ outcome: { reason: 'operator' } })
    expect(() => operator.calls.hangup('acc', 'c1')).toThrow('no such live call')
  })

  it('is waited for by drain, up to its limit', async () => {
    const w = callWorld()
    await inboundTalking(w)
    let done = false
    void w.calls.drain(900_000).then(() => (done = true))
    w.signaling.say({ on: 'incoming', leg: incoming({ legId: 'c2.1' }) })
    expect(w.signaling.all('reject')[0][2]).toBe('draining')
    w.signaling.say({ on: 'ended', legId: 'c2.1', by: 'us', cause: CLEARED })
    await expect(place(w)).rejects.toThrow('shutting down')
    await w.clock.run(900_000, 100_000)
    expect(done).toBe(false)
    expect(w.signaling.all('hangup')).toHaveLength(1)
    const { recordingId } = w.media.all('record')[0][1] as { recordingId: string }
    w.media.say({ on: 'captured', legId: 'c1.1', recordingId })
    gone(w, 'c1.1')
    await settle()
    expect(done).toBe(true)
  })
})

describe('an outbound call', () => {
  it('is journalled before the INVITE leaves, and dials its bot while it rings', async () => {
    const w = callWorld()
    const placed = await place(w, { custom: { order: 7 }, startFacts: { customer_no: '09876543210' } })
    const leg = `${placed.callId}.1`
    expect(w.types()).toEqual(['created', 'dialing'])
    await settle()
    expect(w.signaling.all('dial')[0]).toMatchObject([
      leg,
      { trunkId: 'trunk', to: '+919876543210', from: '+911140000002' },
    ])
    expect(w.media.all('attachBot')).toHaveLength(0)
    w.signaling.say({ on: 'progress', legId: leg, sipStatus: 180, early: false })
    expect(w.media.all('attachBot')[0]).toMatchObject([
      leg,
      { start: { customer_no: '09876543210', state: 'ringing', custom: { order: 7 } } },
    ])
    w.media.say(botOpen(leg))
    w.signaling.say({ on: 'answered', legId: leg, sipCallId: 's' })
    expect(w.media.all('attachBot')).toHaveLength(1)
    expect((await w.calls.reads.getByLogId('acc', placed.logId)).state).toBe('talking')
  })

  it('with connect_ws_after_answer dials the bot at the answer', async () => {
    const w = callWorld()
    const { callId } = await place(w, { connectAfterAnswer: true })
    await settle()
    w.signaling.say({ on: 'progress', legId: `${callId}.1`, sipStatus: 180, early: false })
    expect(w.media.all('attachBot')).toHaveLength(0)
    w.signaling.say({ on: 'answered', legId: `${callId}.1`, sipCallId: 's' })
    expect(w.media.all('attachBot')[0]).toMatchObject([`${callId}.1`, { start: { state: 'answered' } }])
  })

  it('tries its bot again at the answer when the first try failed while ringing', async () => {
    const w = callWorld()
    const { callId } = await place(w)
    await settle()
    const legId = `${callId}.1`
    w.signaling.say({ on: 'progress', legId, sipStatus: 180, early: false })
    w.media.say({ on: 'bot', legId, state: 'lost', clean: false, wasOpen: false, reason: '503' })
    expect(w.calls.live).toBe(1)
    w.signaling.say({ on: 'answered', legId, sipCallId: 's' })
    expect(w.media.all('attachBot')).toHaveLength(2)
  })

  it.each([
    [486, 'peer', 'busy', 'busy'],
    [603, 'peer', 'rejected', 'rejected'],
    [408, 'timeout', 'no_answer', 'no_answer'],
    [480, 'peer', 'no_answer', 'no_answer'],
    [500, 'peer', 'failed', 'error'],
  ] as const)('that ends with %i (%s) has the result %s', async (sipStatus, by, result, reason) => {
    const w = callWorld()
    const { callId } = await place(w)
    await settle()
    w.signaling.say({ on: 'ended', legId: `${callId}.1`, by, cause: { sipStatus, q850: 0, text: 'x' } })
    expect(w.events.find((e) => e.type === 'ended')).toMatchObject({ outcome: { result, reason, sipStatus } })
    w.media.say({ on: 'closed', legId: `${callId}.1`, stats: NO_STATS })
    expect(w.calls.held).toBe(0)
  })

  it('is not dialled when its intent cannot be written', async () => {
    const w = callWorld()
    w.journal.broken = true
    await expect(place(w)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await settle()
    expect(w.signaling.all('dial')).toHaveLength(0)
    expect(w.calls.held).toBe(0)
  })

  it('without a trunk or beyond the limit is refused before anything is written', async () => {
    const w = callWorld({ maxCalls: 0 })
    await expect(place(w)).rejects.toMatchObject({ code: 'CAPACITY' })
    const v = callWorld()
    await expect(place(v, { from: '+10' })).rejects.toMatchObject({ code: 'NO_TRUNK' })
    expect(v.events).toEqual([])
  })
})

it('a bot never sees the query of its own address in the record', async () => {
  const w = callWorld()
  await inboundTalking(w)
  expect(w.events[0]).toMatchObject({ botUrl: ECHO_BOT.url.replace('?key=s', '') })
})
