import { describe, expect, it } from 'vitest'
import { CLEARED, botLost, botOpen, callWorld, gone, inboundTalking, incoming, type World } from '../fakes/calls.ts'
import { settle } from '../fakes/clock.ts'

const TARGET = '+911140000009'
const end = (w: World): unknown => w.events.find((e) => e.type === 'ended')
const reconnecting = (w: World): void =>
  w.media.say({ on: 'bot', legId: 'c1.1', state: 'reconnecting', reason: 'closed 1006' })
const played = (w: World, ok = true): void =>
  w.media.say({ on: 'played', legId: 'c1.1', ok, ...(ok ? {} : { reason: 'no such file' }) })

describe('a bot that is lost and dialled again', () => {
  it('keeps its call, and both moments are written down once', async () => {
    const w = callWorld()
    await inboundTalking(w)
    reconnecting(w)
    reconnecting(w)
    w.media.say(botOpen('c1.1', { resumed: true, standIn: 1 }))
    expect(w.types().slice(5)).toEqual(['botLost', 'botOpen'])
    expect(w.events.at(-1)).toMatchObject({ standIn: 1 })
    expect(w.calls.reads.live()[0].state).toBe('talking')
    expect(w.signaling.all('answer')).toHaveLength(1)
  })

  it('does not keep the caller from hanging up, nor the operator', async () => {
    const w = callWorld()
    await inboundTalking(w)
    reconnecting(w)
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: CLEARED })
    expect(end(w)).toMatchObject({ outcome: { reason: 'caller_hangup' } })
    const v = callWorld()
    await inboundTalking(v)
    reconnecting(v)
    v.calls.hangup('acc', 'c1')
    expect(end(v)).toMatchObject({ outcome: { reason: 'operator' } })
  })

  it('is not attached twice when an outbound call is answered meanwhile', async () => {
    const w = callWorld()
    const { callId } = await w.calls.place({
      accountId: 'acc',
      to: '+919876543210',
      bot: w.bot,
      custom: {},
      connectAfterAnswer: false,
      ringTimeoutMs: 30_000,
    })
    await settle()
    const legId = `${callId}.1`
    w.signaling.say({ on: 'progress', legId, sipStatus: 180, early: false })
    w.media.say({ on: 'bot', legId, state: 'reconnecting', reason: 'ECONNREFUSED' })
    w.signaling.say({ on: 'answered', legId, sipCallId: 's' })
    expect(w.media.all('attachBot')).toHaveLength(1)
    w.media.say(botOpen(legId, { standIn: 1 }))
    w.media.say({ on: 'bot', legId, state: 'reconnecting', reason: '1006' })
    w.media.say(botLost(legId))
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_lost' } })
    // One loss, told by the second event; the third says that it is for good.
    expect(w.types().filter((t) => t === 'botLost')).toHaveLength(2)
  })
})

describe('a bot that is lost for good', () => {
  it('with onLost hangup takes its call with it', async () => {
    const w = callWorld({ bot: { fallbackPrompt: 'sorry.wav', fallbackTarget: TARGET } })
    await inboundTalking(w)
    w.media.say(botLost('c1.1'))
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_lost', by: 'us', detail: 'closed 1006' } })
  })

  it('with onLost transfer hands the caller over, and ends the call when that fails', async () => {
    const w = callWorld({ bot: { onLost: 'transfer', fallbackTarget: TARGET } })
    await inboundTalking(w)
    w.media.say(botLost('c1.1'))
    await settle()
    expect(w.signaling.all('dial')[0]).toMatchObject(['c1.2', { to: TARGET }])
    w.signaling.say({ on: 'ended', legId: 'c1.2', by: 'peer', cause: { sipStatus: 404, q850: 1, text: 'x' } })
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_lost' } })
  })

  it('with onLost prompt says goodbye, then ends the call', async () => {
    const w = callWorld({ bot: { onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    await inboundTalking(w)
    w.media.say(botLost('c1.1'))
    expect(w.media.all('play')).toEqual([['c1.1', 'sorry.wav']])
    expect(w.calls.live).toBe(1)
    played(w)
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_lost', detail: 'the prompt has been played' } })
    expect(w.clock.pending).toBe(0)
  })

  it('between our answer and the ACK to it is not dialled again; its fallback begins with the ACK', async () => {
    const w = callWorld({ bot: { onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    w.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    w.media.say(botOpen('c1.1'))
    expect(w.signaling.all('answer')).toHaveLength(1)
    w.media.say(botLost('c1.1'))
    expect(w.media.all('play')).toEqual([])
    w.signaling.say({ on: 'answered', legId: 'c1.1', sipCallId: 's' })
    expect(w.media.all('play')).toEqual([['c1.1', 'sorry.wav']])
    expect(w.media.all('attachBot')).toHaveLength(1)
    played(w)
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_lost' } })

    const plain = callWorld()
    plain.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    plain.media.say(botOpen('c1.1'))
    plain.media.say(botLost('c1.1'))
    plain.signaling.say({ on: 'answered', legId: 'c1.1', sipCallId: 's' })
    expect(end(plain)).toMatchObject({ outcome: { result: 'completed', reason: 'bot_lost' } })
    expect(plain.media.all('attachBot')).toHaveLength(1)
  })

  it('whose prompt cannot be played, or never ends, does not keep the call', async () => {
    const missing = callWorld({ bot: { onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    await inboundTalking(missing)
    missing.media.say(botLost('c1.1'))
    played(missing, false)
    expect(end(missing)).toMatchObject({ outcome: { detail: 'the prompt could not be played: no such file' } })

    const endless = callWorld({ bot: { onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    await inboundTalking(endless)
    endless.media.say(botLost('c1.1'))
    endless.clock.advance(29_999)
    expect(endless.calls.live).toBe(1)
    endless.clock.advance(1)
    expect(endless.calls.live).toBe(0)

    const none = callWorld({ bot: { onLost: 'prompt' } })
    await inboundTalking(none)
    none.media.say(botLost('c1.1'))
    expect(none.calls.live).toBe(0)
  })

  it('tries the transfer, then the prompt, each once', async () => {
    const w = callWorld({ bot: { onLost: 'transfer', fallbackTarget: TARGET, fallbackPrompt: 'sorry.wav' } })
    await inboundTalking(w)
    w.media.say(botLost('c1.1'))
    await settle()
    w.signaling.say({ on: 'ended', legId: 'c1.2', by: 'peer', cause: { sipStatus: 486, q850: 17, text: 'Busy' } })
    expect(w.media.all('play')).toHaveLength(1)
    expect(w.signaling.all('dial')).toHaveLength(1)
    played(w)
    expect(w.calls.live).toBe(0)
  })

  it('during a transfer that then fails leaves the caller to the fallback', async () => {
    const w = callWorld({ bot: { onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    await inboundTalking(w)
    w.calls.transfer('acc', 'c1', { target: TARGET, mode: 'blind', timeoutMs: 1000, onFail: 'resume', headers: {} })
    w.media.say(botLost('c1.1'))
    expect(w.media.all('play')).toEqual([])
    w.signaling.say({ on: 'refer', legId: 'c1.1', state: 'failed', sipStatus: 603, text: 'Decline' })
    expect(w.media.all('play')).toHaveLength(1)
  })

  it('lets the API take the caller while the prompt plays', async () => {
    const w = callWorld({ bot: { onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    await inboundTalking(w)
    w.media.say(botLost('c1.1'))
    w.calls.transfer('acc', 'c1', { target: TARGET, mode: 'bridge', timeoutMs: 1000, onFail: 'resume', headers: {} })
    await settle()
    w.clock.advance(30_000)
    played(w)
    w.signaling.say({ on: 'answered', legId: 'c1.2', sipCallId: 's2' })
    expect(w.calls.reads.live()[0].state).toBe('bridged')
  })

  it('by its own normal close has hung up', async () => {
    const w = callWorld({ bot: { onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    await inboundTalking(w)
    w.media.say(botLost('c1.1', true))
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_hangup' } })
  })
})

describe('a ringing call that no bot takes', () => {
  const ring = async (w: World): Promise<void> => {
    w.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
  }
  const answered = (w: World): void => w.signaling.say({ on: 'answered', legId: 'c1.1', sipCallId: 's' })

  it('is answered for its fallback when the bot cannot be reached', async () => {
    const w = callWorld({ bot: { onLost: 'transfer', fallbackTarget: TARGET } })
    await ring(w)
    w.media.say(botLost('c1.1'))
    expect(w.signaling.did.map(([what]) => what)).toEqual(['ring', 'answer'])
    answered(w)
    await settle()
    expect(w.media.all('attachBot')).toHaveLength(1)
    expect(w.signaling.all('dial')[0]).toMatchObject(['c1.2', { to: TARGET }])
    w.signaling.say({ on: 'answered', legId: 'c1.2', sipCallId: 's2' })
    expect(w.calls.reads.live()[0].state).toBe('bridged')
  })

  it('is answered for its fallback when the bot never answers', async () => {
    const w = callWorld({ bot: { answerMode: 'bot', onLost: 'prompt', fallbackPrompt: 'sorry.wav' } })
    await ring(w)
    w.media.say(botOpen('c1.1'))
    w.clock.advance(60_000)
    expect(w.media.all('detachBot')).toEqual([['c1.1', { reason: 'timeout', sipStatus: 0, q850: 16 }]])
    w.media.say(botLost('c1.1', true))
    answered(w)
    expect(w.media.all('play')).toHaveLength(1)
    played(w)
    gone(w, 'c1.1')
    expect(end(w)).toMatchObject({ outcome: { reason: 'bot_lost' } })
  })

  it('whose bot hangs up is refused', async () => {
    const w = callWorld({ bot: { onLost: 'transfer', fallbackTarget: TARGET } })
    await ring(w)
    w.media.say(botLost('c1.1', true))
    expect(w.signaling.all('reject')[0]).toMatchObject(['c1.1', { sipStatus: 480 }, 'bot_unreachable'])
  })
})
