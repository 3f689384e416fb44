import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { FakeBot, type Conversation } from '../fakes/bot.ts'
import { RealtimeServer } from '../fakes/realtime-server.ts'
import { heardBy, likeness, sameFrames, voicedFrames } from '../helpers/heard.ts'
import { callWith, numberWithBot } from '../helpers/numbers.ts'
import { startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { at8k, frameMsOf, heardByBot, spokenIn, VENDOR_BOTS, type VendorBot } from '../helpers/vendor-bots.ts'

/** A bot of each vendor's making on a call of its own: all of them at the same time on one server. */
let t: TestServer
const closing: (() => Promise<void>)[] = []

/** What the caller says, and what the bot does. */
const question = loadClip('bot-key')
const QUESTION_MS = question.length / 8
const answer = loadClip('bot-greeting').subarray(0, 12_000)
const tone = loadClip('tone-440')

beforeAll(async () => {
  t = await startTestServer({ bots: {} })
})

afterAll(async () => {
  await t.close()
  for (const close of closing) await close()
})

const PCMU = { encoding: 'pcmu', rateHz: 8000 } as const
const PCM24 = { encoding: 'pcm16', rateHz: 24_000 } as const

/** A frame or two may be missing where this machine was late; what is there stands where it should. */
function wholeAndInOrder(heard: Uint8Array, said: Uint8Array): void {
  const { found, of } = sameFrames(heard, said)
  expect(found.length).toBeGreaterThan(of * 0.9)
  expect(found).toEqual([...found].sort((a, b) => a - b))
}

const names = Object.keys(VENDOR_BOTS) as (keyof typeof VENDOR_BOTS)[]
const didOf = (n: number): string => `+9180555500${String(n).padStart(2, '0')}`
const callerOf = (n: number): string => `+9198765550${String(n).padStart(2, '0')}`

async function callTo(n: number, bot: VendorBot): Promise<{ call: PhoneCall; talk: Conversation }> {
  const fake = await FakeBot.listen()
  closing.push(() => fake.close())
  await numberWithBot(t, didOf(n), { url: `${fake.url}${bot.query ?? ''}`, dialect: bot.dialect, ...bot.settings })
  const call = await t.carrier.call({ target: t.target(didOf(n)), from: callerOf(n), captureMs: 30_000 })
  await call.answered
  return { call, talk: await until(() => fake.conversations[0]) }
}

/** Everything that was played before the phone has heard this many frames more. */
const framesMore = (call: PhoneCall, frames: number): Promise<boolean> => {
  const goal = call.media.heard().length + frames * FRAME_SAMPLES
  return until(() => call.media.heard().length >= goal)
}

describe.concurrent('a bot written for', () => {
  it.each(names.map((name, n) => [name, n] as const))(
    '%s hears and speaks, gets a key and its marks, clears and hangs up by its own words',
    async (name, n) => {
      const bot = VENDOR_BOTS[name]
      const { call, talk } = await callTo(n, bot)
      await until(() => bot.frames(talk) > 0)
      expect(bot.started(talk, callerOf(n), didOf(n)), JSON.stringify(talk.messages.slice(0, 2))).toBe(true)

      const before = bot.frames(talk)
      await call.media.play(question)
      await until(() => (bot.frames(talk) - before) * frameMsOf(bot) > QUESTION_MS + 400)
      expect(likeness(heardByBot(bot, talk, before), pcmOf(question))).toBeGreaterThanOrEqual(0.9)
      expect(new Set(bot.payloads(talk).map((p) => p.length))).toEqual(new Set([bot.frameBytes]))

      const saidAt = call.media.heard().length
      // In two chunks of a size that no frame has.
      const speech = spokenIn(bot.format, answer)
      bot.send(talk, speech.subarray(0, 10_006))
      bot.send(talk, speech.subarray(10_006))
      bot.mark(talk, 'said')
      await until(() => bot.marks(talk).length > 0)
      expect(bot.marks(talk)).toEqual(['said'])
      await framesMore(call, 10)
      expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)
      // No transcoding on the way: every byte as it was sent.
      if (bot.format.encoding === 'pcmu') {
        wholeAndInOrder(Buffer.concat(bot.payloads(talk)), question)
        const heard = call.media.heard()
        wholeAndInOrder(heard.subarray(saidAt - (saidAt % FRAME_SAMPLES)), answer)
      }

      await call.media.press('5')
      await until(() => bot.digits(talk).length > 0)
      expect(bot.digits(talk)).toEqual(['5'])

      const toneAt = call.media.heard().length
      bot.send(talk, spokenIn(bot.format, tone))
      bot.mark(talk, 'unheard')
      await until(() => voicedFrames(call.media.heard().subarray(toneAt)).length >= 20)
      bot.clear(talk)
      await until(() => bot.wasCleared(talk, 'unheard'))
      const clearedAt = call.media.heard().length
      await framesMore(call, 20)
      const after = call.media.heard().subarray(clearedAt)
      expect(voicedFrames(after.subarray(after.length % FRAME_SAMPLES)).length).toBeLessThanOrEqual(2)

      bot.hangup(talk)
      expect(await call.ended).toMatchObject({ by: 'peer' })
      await talk.ended()
      if (bot.stopped) expect(bot.stopped(talk), JSON.stringify(talk.messages.at(-1))).toBe(true)
      const record = await until(async () => {
        const found = await callWith(t, callerOf(n))
        return found?.state === 'ended' ? found : undefined
      })
      expect(record.outcome).toMatchObject({ result: 'completed', reason: 'bot_hangup', by: 'bot' })
    },
  )

  it.each([
    ['with the phone line’s own µ-law', 'taken', 20],
    ['with 24 kHz PCM, as a server of its kind insists', 'replaced', 21],
  ] as const)('no bridge: the OpenAI Realtime API %s is the bot itself', async (_how, laws, n) => {
    const server = await RealtimeServer.listen({ laws })
    closing.push(() => server.close())
    const bot = { url: server.url, dialect: 'openai-realtime', headers: { Authorization: 'Bearer sk-test' } }
    await numberWithBot(t, didOf(n), { ...bot, systemMsg: 'You are kind.', text: 'Good morning.' })
    const call = await t.carrier.call({ target: t.target(didOf(n)), from: callerOf(n), captureMs: 30_000 })
    await call.answered
    const model = await until(() => server.conversations[0])
    expect(server.requests[0].headers.authorization).toBe('Bearer sk-test')
    await until(() => model.of('response.create').length > 0)
    expect(JSON.stringify(model.session)).toContain('You are kind.')
    expect(JSON.stringify(model.of('response.create')[0])).toContain('Good morning.')

    const format = model.input === 'audio/pcm' ? PCM24 : PCMU
    const before = model.heard.length
    await call.media.play(question)
    const bytes = spokenIn(format, question).length
    await until(() => model.heard.length > before + bytes * 1.25)
    expect(likeness(at8k(format, model.heard.subarray(before)), pcmOf(question))).toBeGreaterThanOrEqual(0.9)

    const spoken = (clip: Buffer): Buffer => spokenIn(model.output === 'audio/pcm' ? PCM24 : PCMU, clip)
    const saidAt = call.media.heard().length
    model.respond()
    model.speak(spoken(answer))
    model.finish()
    await until(() => call.media.heard().length > saidAt + answer.length + 8000)
    expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)

    await call.media.press('5')
    await until(() => model.of('conversation.item.create').length > 0)
    expect(JSON.stringify(model.of('conversation.item.create')[0])).toContain('The caller pressed 5.')

    // What was not heard of an answer that is interrupted is taken back, to the millisecond.
    const toneAt = call.media.heard().length
    model.respond()
    const item = model.speak(spoken(tone))
    await until(() => voicedFrames(call.media.heard().subarray(toneAt)).length >= 20)
    model.speechStarted()
    await until(() => model.of('conversation.item.truncate').length > 0)
    const [truncate] = model.of('conversation.item.truncate')
    expect(truncate).toMatchObject({ item_id: item, content_index: 0 })
    const clearedAt = call.media.heard().length
    await framesMore(call, 20)
    const all = call.media.heard()
    const after = all.subarray(clearedAt)
    expect(voicedFrames(after.subarray(after.length % FRAME_SAMPLES)).length).toBeLessThanOrEqual(2)
    const heardMs = voicedFrames(all.subarray(toneAt - (toneAt % FRAME_SAMPLES))).length * 20
    expect(Math.abs(Number(truncate.audio_end_ms) - heardMs)).toBeLessThanOrEqual(60)
    model.speechStopped()

    model.respond()
    model.call('end_call', { reason: 'the caller has what he wants' })
    model.finish()
    expect(await call.ended).toMatchObject({ by: 'peer' })
    expect(model.complaints).toEqual([])
    await until(async () => (await callWith(t, callerOf(n)))?.state === 'ended')
    expect((await callWith(t, callerOf(n)))?.outcome).toMatchObject({ reason: 'bot_hangup' })
  })
})
