import { describe, expect, it } from 'vitest'
import type { BotRequest, RecordingStatus } from '../../src/calls/ports.ts'
import { CLEARED, botOpen, callWorld, gone, inboundTalking, incoming, type World } from '../fakes/calls.ts'
import { settle } from '../fakes/clock.ts'

const NO_RECORDING = { bot: { record: false }, record: false }

const asks = (w: World, action: Extract<BotRequest, { ask: 'recording' }>['action'], ref = 'r'): void =>
  w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ask: 'recording', ref, action } })

const told = (w: World): string[] =>
  w.media.all('recordingStatus').map(([, s]) => {
    const { state, reason } = s as RecordingStatus
    return reason === undefined ? state : `${state}: ${reason}`
  })

const recorded = (w: World): string => (w.media.all('record')[0][1] as { recordingId: string }).recordingId

describe('a recording that the bot asks for', () => {
  it('starts, pauses, goes on and stops, and each is told and written down', async () => {
    const w = callWorld(NO_RECORDING)
    await inboundTalking(w)
    expect(w.media.all('record')).toEqual([])
    for (const action of ['start', 'pause', 'resume', 'pause', 'stop'] as const) asks(w, action)
    expect(told(w)).toEqual(['started', 'paused', 'resumed', 'paused', 'stopped'])
    expect(w.media.all('recordingStatus')[0]).toEqual([
      'c1.1',
      { ref: 'r', state: 'started', recordingId: recorded(w), reason: undefined },
    ])
    expect(w.media.all('pauseRecording')).toEqual([['c1.1', true], ['c1.1', false], ['c1.1', true]]) // prettier-ignore
    expect(w.media.all('stopRecording')).toEqual([['c1.1']])
    w.media.say({ on: 'captured', legId: 'c1.1', recordingId: recorded(w) })
    await settle()
    expect(w.finished).toEqual([recorded(w)])
    expect(w.types().slice(4)).toEqual(['recordingStarted', 'recordingPaused', 'recordingResumed', 'recordingPaused', 'recordingFinished']) // prettier-ignore
    expect(w.calls.reads.live()[0]).toMatchObject({ state: 'talking', recordingStatus: 'ready' })
  })

  it('that is not possible says why', async () => {
    const w = callWorld(NO_RECORDING)
    await inboundTalking(w)
    for (const action of [
      'stop',
      'pause',
      'resume',
      'start',
      'start',
      'resume',
      'pause',
      'pause',
      'stop',
      'stop',
    ] as const)
      asks(w, action)
    w.media.say({ on: 'captured', legId: 'c1.1', recordingId: recorded(w) })
    await settle()
    asks(w, 'start')
    expect(told(w)).toEqual([
      'failed: not recording',
      'failed: not recording',
      'failed: not recording',
      'started',
      'failed: the call is being recorded already',
      'failed: not paused',
      'paused',
      'failed: paused already',
      'stopped',
      'failed: not recording',
      'failed: the call has been recorded already',
    ])
  })

  it('waits for the answer', async () => {
    const w = callWorld({ ...NO_RECORDING, bot: { record: false, answerMode: 'bot' } })
    w.signaling.say({ on: 'incoming', leg: incoming() })
    await settle()
    w.media.say(botOpen('c1.1'))
    asks(w, 'start')
    expect(told(w)).toEqual(['failed: the call is not answered'])
  })

  it('may pause and stop one that began at the answer, and the end of the call finishes it once', async () => {
    const w = callWorld()
    await inboundTalking(w)
    asks(w, 'pause')
    asks(w, 'stop')
    expect(told(w)).toEqual(['paused', 'stopped'])
    w.signaling.say({ on: 'ended', legId: 'c1.1', by: 'peer', cause: CLEARED })
    gone(w, 'c1.1')
    expect(w.calls.held).toBe(1)
    w.media.say({ on: 'captured', legId: 'c1.1', recordingId: recorded(w) })
    w.media.say({ on: 'captured', legId: 'c1.1', recordingId: recorded(w) })
    await settle()
    expect(w.finished).toHaveLength(1)
    expect(w.calls.held).toBe(0)
  })
})

describe('notes of the bot', () => {
  const note = (w: World, data: Record<string, unknown>): void =>
    w.media.say({ on: 'botRequest', legId: 'c1.1', request: { ask: 'note', data } })

  it('are added to the record, the later one winning', async () => {
    const w = callWorld()
    await inboundTalking(w)
    note(w, { intent: 'sales', score: 1 })
    note(w, { score: 2, tags: ['a'] })
    expect(w.events.at(-1)).toMatchObject({ type: 'noted', data: { score: 2 } })
    expect(w.calls.reads.live()[0].notes).toEqual({ intent: 'sales', score: 2, tags: ['a'] })
  })

  it('are ignored past a hundred, and past 16 KB together', async () => {
    const many = callWorld()
    await inboundTalking(many)
    for (let i = 0; i < 120; i++) note(many, { n: i })
    expect(many.calls.reads.live()[0].notes).toEqual({ n: 99 })

    const large = callWorld()
    await inboundTalking(large)
    note(large, { a: 'x'.repeat(10_000) })
    note(large, { b: 'x'.repeat(10_000) })
    note(large, { c: 1 })
    expect(Object.keys(large.calls.reads.live()[0].notes ?? {})).toEqual(['a', 'c'])
  })

  it('cannot reach the prototype of anything', async () => {
    const w = callWorld()
    await inboundTalking(w)
    note(w, JSON.parse('{"__proto__":{"polluted":true},"constructor":1}') as Record<string, unknown>)
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect(w.calls.reads.live()[0].notes).toMatchObject({ constructor: 1 })
  })
})
