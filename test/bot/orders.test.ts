import { describe, expect, it } from 'vitest'
import type { Json } from '../fakes/bot.ts'
import { FakeClock } from '../fakes/clock.ts'
import { connected, FRAME, synced } from '../fakes/session.ts'
import { fixture, frames, silence } from '../helpers/sound.ts'

const WORDS = frames(fixture('hello-caller'))
const QUIET = frames(silence(1000))

type Rig = Awaited<ReturnType<typeof connected>>

/** The caller's frames, with a slot of playback after each. */
function overheard(rig: Rig, caller: Uint8Array[]): number {
  let played = 0
  for (const frame of caller) {
    rig.session.sink.frame(frame, 'pcmu', 0)
    if (rig.play(1).length > 0) played++
  }
  return played
}

async function speaking(bargeIn: 'none' | 'notify' | 'auto_clear' | 'pause') {
  const clock = new FakeClock()
  const listening = { vad: false, bargeIn, amd: false, silenceMs: 0, quality: false }
  const rig = await connected({}, { listening }, { clock })
  rig.talk.say(new Uint8Array(8000 * 10).fill(0x20), { item_id: 'i1' })
  rig.talk.send({ type: 'mark', mark: { name: 'end' } })
  await synced(rig.talk)
  return { ...rig, clock }
}

describe('the caller speaks while the bot does', () => {
  it('none: nothing is told and nothing stops', async () => {
    const rig = await speaking('none')
    expect(overheard(rig, WORDS)).toBe(WORDS.length)
    await synced(rig.talk)
    expect(rig.talk.of('speech.started')).toEqual([])
  })

  it('notify: the bot is told when it began and ended, and decides', async () => {
    const rig = await speaking('notify')
    expect(overheard(rig, [...QUIET.slice(0, 10), ...WORDS, ...QUIET])).toBe(10 + WORDS.length + QUIET.length)
    await synced(rig.talk)
    expect(rig.talk.of('speech.started').length).toBeGreaterThan(0)
    expect(rig.talk.of('speech.stopped').length).toBe(rig.talk.of('speech.started').length)
    expect(rig.talk.of('cleared')).toEqual([])
  })

  it('auto_clear: the queue is thrown away, with the heard ms and its mark, before the bot is told of speech', async () => {
    const rig = await speaking('auto_clear')
    const played = overheard(rig, WORDS)
    await synced(rig.talk)
    expect(played).toBeLessThan(WORDS.length)
    const types = rig.talk.messages.map((m) => m.type)
    expect(types.indexOf('cleared')).toBeLessThan(types.indexOf('speech.started'))
    const [cleared] = rig.talk.of('cleared')
    expect(cleared).toMatchObject({ played_ms: played * 20, items: [{ item_id: 'i1', played_ms: played * 20 }] })
    expect(rig.talk.of('mark')).toMatchObject([{ mark: { name: 'end', status: 'cleared' } }])
  })

  it('pause: the bot is silent, and goes on by itself 2 s after the last word', async () => {
    const rig = await speaking('pause')
    const heard = overheard(rig, [...WORDS, ...QUIET])
    await synced(rig.talk)
    expect(heard).toBeLessThan(WORDS.length / 2)
    expect(rig.talk.of('playback').map((m) => m.state)).toEqual(['started', 'paused'])
    rig.clock.advance(2000)
    expect(rig.play(5).length).toBe(800)
    await synced(rig.talk)
    expect(rig.talk.of('playback').at(-1)).toMatchObject({ state: 'resumed' })
  })

  it('a relayed input_audio_buffer.speech_started does what the policy says', async () => {
    const clearing = await speaking('auto_clear')
    clearing.talk.send({ type: 'input_audio_buffer.speech_started', audio_start_ms: 1 })
    await clearing.talk.next('cleared')
    const heedless = await speaking('none')
    heedless.talk.send({ type: 'input_audio_buffer.speech_started', audio_start_ms: 1 })
    await synced(heedless.talk)
    expect(heedless.talk.of('cleared')).toEqual([])
  })
})

describe('what a bot may ask for', () => {
  it('turns listening on and off in the middle of the call', async () => {
    const rig = await connected()
    rig.talk.send({ type: 'session.update', vad: true, quality: true })
    await synced(rig.talk)
    for (let i = 0; i < 6; i++) overheard(rig, [...WORDS.slice(0, 50)])
    await rig.talk.next('speech.started')
    const quality = await rig.talk.next('quality')
    expect(quality).toMatchObject({ rx_loss: 0.01, mos: 4.2, dropped_to_bot_ms: 0 })
    rig.talk.send({ type: 'session.update', vad: false, quality: false })
    await synced(rig.talk)
    const n = rig.talk.of('speech.started').length
    for (let i = 0; i < 6; i++) overheard(rig, [...QUIET, ...WORDS.slice(0, 50)])
    await synced(rig.talk)
    expect(rig.talk.of('speech.started').length).toBe(n)
    expect(rig.talk.of('quality').length).toBe(1)
  })

  it('pauses its own playback and resumes it to the byte', async () => {
    const rig = await connected()
    const speech = Uint8Array.from({ length: 1600 }, (_, i) => (i % 200) + 1)
    rig.talk.say(speech)
    await synced(rig.talk)
    const first = rig.play(3)
    rig.talk.send({ type: 'playback.pause' })
    await synced(rig.talk)
    expect(rig.play(5).length).toBe(0)
    rig.talk.send({ type: 'playback.resume' })
    await synced(rig.talk)
    expect(Buffer.concat([first, rig.play(7)])).toEqual(Buffer.from(speech))
    expect(rig.talk.of('playback').map((m) => m.state)).toEqual(['started', 'paused', 'resumed'])
  })

  it('holds the caller: comfort audio out, no frames in, and both go on where they were', async () => {
    const rig = await connected()
    rig.session.sink.frame(FRAME, 'pcmu', 0)
    rig.talk.say(new Uint8Array(320).fill(9))
    rig.talk.send({ type: 'hold' })
    await synced(rig.talk)
    for (let i = 0; i < 10; i++) rig.session.sink.frame(FRAME, 'pcmu', 0)
    const comfort = rig.play(10)
    expect(comfort.length).toBe(1600)
    expect(comfort.includes(Buffer.alloc(160, 9))).toBe(false)
    rig.talk.send({ type: 'resume' })
    await synced(rig.talk)
    expect(rig.play(2)).toEqual(Buffer.alloc(320, 9))
    rig.session.sink.frame(FRAME, 'pcmu', 0)
    const [before, after] = [await rig.talk.next('media', 1), await rig.talk.next('media', 2)]
    expect((before.media as Json).timestamp).toBe(0)
    expect(after).toMatchObject({ media: { timestamp: 220, chunk: 11 } })
    expect(after.lost_ms).toBeUndefined()
  })

  it('passes recording and notes on to the call, and tells what became of a recording', async () => {
    const rig = await connected()
    rig.talk.send({ type: 'recording.pause', event_id: 'r' })
    expect(await rig.until('request')).toMatchObject({ request: { ask: 'recording', action: 'pause', ref: 'r' } })
    rig.session.recordingStatus({ ref: 'r', state: 'failed', reason: 'not recording' })
    expect(await rig.talk.next('recording.status')).toMatchObject({
      ref: 'r',
      state: 'failed',
      reason: 'not recording',
    })
    rig.told.length = 0
    rig.talk.send({ type: 'session.note', data: { order: 17 } })
    expect(await rig.until('request')).toMatchObject({ request: { ask: 'note', data: { order: 17 } } })
  })

  it('answers an inbound call with its first audio where that is agreed, once', async () => {
    const rig = await connected(
      {},
      { answerOnAudio: true, start: { direction: 'inbound', answer_mode: 'bot' } },
      { state: 'ringing' },
    )
    rig.talk.say(FRAME)
    rig.talk.say(FRAME)
    await synced(rig.talk)
    expect(rig.told.filter((t) => t.what === 'request')).toEqual([{ what: 'request', request: { ask: 'answer' } }])
    rig.session.answered()
    expect(rig.play(2)).toEqual(Buffer.concat([FRAME, FRAME]))
  })

  it('speaks and hears pcm16 at 16 and 24 kHz', async () => {
    for (const rate of [16_000, 24_000] as const) {
      const rig = await connected()
      const format = { encoding: 'pcm16', sample_rate: rate }
      rig.talk.send({ type: 'session.update', audio: { input: format, output: format } })
      await synced(rig.talk)
      rig.session.sink.frame(WORDS[20], 'pcmu', 0)
      const heard = Buffer.from(((await rig.talk.next('media')).media as Json).payload as string, 'base64')
      expect(heard.length).toBe((rate / 50) * 2)
      rig.talk.socket.send(Buffer.alloc((rate / 10) * 2, 1))
      rig.talk.send({ type: 'response.audio.done' })
      await synced(rig.talk)
      expect(rig.play(20).length).toBeGreaterThanOrEqual(800)
    }
  })
})
