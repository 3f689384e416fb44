import { copyFileSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { FakeBot, type Conversation, type Json } from '../fakes/bot.ts'
import { heardBy, likeness, voicedFrames } from '../helpers/heard.ts'
import { callWith, numberWithBot } from '../helpers/numbers.ts'
import { startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

/** A bot whose socket is torn off in the middle of a call, and what the caller then hears. */
let t: TestServer
let targets: PhoneCall[] = []
const closing: FakeBot[] = []
const answer = loadClip('bot-greeting').subarray(0, 12_000)
const question = loadClip('bot-key')

beforeAll(async () => {
  t = await startTestServer({ bots: {} })
  t.carrier.onCall(
    () => ({ do: 'answer', ringMs: 100, captureMs: 20_000 }),
    (call) => targets.push(call),
  )
  mkdirSync(join(t.dataDir, 'prompts'), { recursive: true })
  copyFileSync(join(import.meta.dirname, '../../fixtures/audio/bot-key.wav'), join(t.dataDir, 'prompts/sorry.wav'))
})

afterAll(async () => {
  await t.close()
  for (const bot of closing) await bot.close()
})

async function newBot(): Promise<FakeBot> {
  const bot = await FakeBot.listen()
  closing.push(bot)
  return bot
}

interface Hooks {
  sending?: () => void
  arrived?: () => void
}

async function callTo(number: string, from: string, hooks: Hooks = {}): Promise<PhoneCall> {
  targets = []
  const call = await t.carrier.call({ target: t.target(number), from, captureMs: 30_000, ...hooks })
  await call.answered
  return call
}

/** RST instead of a closing handshake, as a process that is killed leaves it. */
const reset = (talk: Conversation): unknown => talk.request.socket.resetAndDestroy()

/** What the server has on disk about a call. */
function journalOf(callId: unknown): Json[] {
  const dir = join(t.dataDir, 'journal')
  return readdirSync(dir).flatMap((name) =>
    readFileSync(join(dir, name), 'utf8')
      .split('\n')
      .filter((line) => line.includes(String(callId)))
      .map((line) => JSON.parse(line.slice(line.indexOf('{'))) as Json),
  )
}

async function outcomeOf(from: string): Promise<Json> {
  const record = await until(async () => {
    const found = await callWith(t, from)
    return found?.state === 'ended' ? found : undefined
  })
  return record.outcome as Json
}

async function speaks(talk: Conversation, call: PhoneCall): Promise<void> {
  const saidAt = call.media.heard().length
  talk.say(answer)
  await until(() => call.media.heard().length > saidAt + answer.length + 4000)
  expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)
}

async function hears(talk: Conversation, call: PhoneCall): Promise<void> {
  const heardAt = talk.heard().length
  await call.media.play(question)
  const frames = talk.of('media').length
  await until(() => talk.of('media').length > frames + 20)
  expect(likeness(pcmOf(talk.heard().subarray(heardAt)), pcmOf(question))).toBeGreaterThanOrEqual(0.9)
}

/** The longest time between two of these moments, ms. */
const longestGap = (atMs: number[]): number => Math.max(0, ...atMs.slice(1).map((ms, i) => ms - atMs[i]))

describe('a bot whose socket is reset', () => {
  it('is dialled again and goes on; the caller hears that the line is alive, without a gap', async () => {
    const bot = await newBot()
    await numberWithBot(t, '+918055570001', { url: bot.url })
    const [sentAtMs, arrivedAtMs]: [number[], number[]] = [[], []]
    const call = await callTo('+918055570001', '+919876557001', {
      sending: () => sentAtMs.push(performance.now()),
      arrived: () => arrivedAtMs.push(performance.now()),
    })
    const first = await until(() => bot.conversations[0])
    const { call_id, resume_token } = await first.next('start')
    await speaks(first, call)
    const lostAt = call.media.heard().length
    const from = [sentAtMs.length, arrivedAtMs.length]
    reset(first)
    void call.media.play(question)

    const second = await until(() => bot.conversations[1])
    const start = await second.next('start')
    expect(start).toMatchObject({ call_id, resume_token, state: 'answered', stand_in: 0 })
    expect(start.resume).toMatchObject({ token: resume_token, count: 1, unplayed_marks: [] })
    const { gap_ms } = start.resume as { gap_ms: number }
    expect(gap_ms).toBeGreaterThanOrEqual(250)
    expect(gap_ms).toBeLessThan(5000)
    const away = call.media.heard().subarray(lostAt - (lostAt % 160))
    expect(voicedFrames(away).length).toBeGreaterThanOrEqual(8)

    await speaks(second, call)
    await hears(second, call)
    // What the caller said meanwhile was not lost.
    const once = second.of('media').length
    second.send({ type: 'session.replay', ms: 10_000 })
    await until(() => second.of('media').length > once + 300)
    const again = second.of('media').filter((m) => m.replay === true)
    const missed = Buffer.concat(again.map((m) => Buffer.from((m.media as Json).payload as string, 'base64')))
    expect(likeness(pcmOf(missed), pcmOf(question))).toBeGreaterThanOrEqual(0.9)
    // RTP came all the time; where this process itself stood still, it shows in what it sent as well.
    const ownStall = Math.max(0, longestGap(sentAtMs.slice(from[0])) - 25)
    expect(longestGap(arrivedAtMs.slice(from[1]))).toBeLessThanOrEqual(60 + ownStall)
    expect(call.media.stats.lost).toBe(0)

    second.send({ type: 'session.hangup' })
    expect((await second.next('stop')).stats).toMatchObject({ reconnects: 1 })
    await call.ended
    expect(await outcomeOf('+919876557001')).toMatchObject({ reason: 'bot_hangup' })
    const events = journalOf(call_id).map((e) => e.type)
    expect(events.filter((type) => type === 'botOpen' || type === 'botLost')).toEqual(['botOpen', 'botLost', 'botOpen'])
  })

  it('in the middle of a sentence: what the caller was to hear is heard, its mark is answered to the new socket', async () => {
    const bot = await newBot()
    await numberWithBot(t, '+918055570002', { url: bot.url })
    const call = await callTo('+918055570002', '+919876557002')
    const first = await until(() => bot.conversations[0])
    await first.next('start')
    const saidAt = call.media.heard().length
    first.say(answer)
    first.send({ type: 'mark', mark: { name: 'said' } })
    await first.next('playback')
    reset(first)
    const second = await until(() => bot.conversations[1])
    expect((await second.next('start')).resume).toMatchObject({ unplayed_marks: ['said'] })
    expect(await second.next('mark')).toMatchObject({ mark: { name: 'said', status: 'played' } })
    await until(() => call.media.heard().length > saidAt + answer.length + 3200)
    expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)
    call.hangup()
    expect(await second.next('stop')).toMatchObject({ reason: 'caller_hangup' })
  })
})

describe('a bot that stays away', () => {
  it('is replaced by its stand-in, which speaks to the same caller', async () => {
    const bot = await newBot()
    const standIn = await newBot()
    const settings = { url: bot.url, reconnectMs: 600, fallbackUrls: [standIn.url] }
    await numberWithBot(t, '+918055570003', settings)
    const call = await callTo('+918055570003', '+919876557003')
    const first = await until(() => bot.conversations[0])
    const { call_id } = await first.next('start')
    first.say(loadClip('bot-greeting'))
    first.send({ type: 'mark', mark: { name: 'of the first' } })
    await first.next('playback')
    await bot.close()

    const second = await until(() => standIn.conversations[0])
    const start = await second.next('start')
    expect(start).toMatchObject({ call_id, state: 'answered', stand_in: 1, resume: null })
    await speaks(second, call)
    await hears(second, call)
    expect(second.of('mark')).toEqual([])
    call.hangup()
    await call.ended
    expect(await outcomeOf('+919876557003')).toMatchObject({ reason: 'caller_hangup' })
    expect(journalOf(call_id).filter((e) => e.type === 'botOpen')).toMatchObject([{}, { standIn: 1 }])
  })

  it('leaves its caller to a person, with onLost transfer', async () => {
    const bot = await newBot()
    const lost = { reconnectMs: 0, onLost: 'transfer', fallbackTarget: '+914911000002' }
    await numberWithBot(t, '+918055570004', { url: bot.url, ...lost })
    const call = await callTo('+918055570004', '+919876557004')
    reset(await until(() => bot.conversations[0]))
    const person = await until(() => targets[0])
    await person.answered
    const saidAt = call.media.heard().length
    await person.media.play(answer)
    await until(() => call.media.heard().length > saidAt + answer.length + 2000)
    expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)
    const heardAt = person.media.heard().length
    await call.media.play(question)
    await until(() => person.media.heard().length > heardAt + question.length + 2000)
    expect(likeness(heardBy(person, heardAt), pcmOf(question))).toBeGreaterThanOrEqual(0.9)
    expect(await callWith(t, '+919876557004')).toMatchObject({ state: 'bridged', transferTarget: '+914911000002' })
    person.hangup()
    expect(await call.ended).toMatchObject({ by: 'peer' })
  })

  it('leaves its caller a last word, with onLost prompt', async () => {
    const bot = await newBot()
    await numberWithBot(t, '+918055570005', { url: bot.url, reconnectMs: 0, onLost: 'prompt', fallbackPrompt: 'sorry.wav' }) // prettier-ignore
    const call = await callTo('+918055570005', '+919876557005')
    const lostAt = call.media.heard().length
    reset(await until(() => bot.conversations[0]))
    expect(await call.ended).toMatchObject({ by: 'peer' })
    expect(likeness(heardBy(call, lostAt), pcmOf(question))).toBeGreaterThanOrEqual(0.9)
    expect(await outcomeOf('+919876557005')).toMatchObject({ result: 'completed', reason: 'bot_lost' })
  })

  it('was never there: the caller is answered by the stand-in', async () => {
    const gone = await FakeBot.listen()
    const { url } = gone
    await gone.close()
    const standIn = await newBot()
    await numberWithBot(t, '+918055570006', { url, fallbackUrls: [standIn.url] })
    const call = await callTo('+918055570006', '+919876557006')
    const talk = await until(() => standIn.conversations[0])
    expect(await talk.next('start')).toMatchObject({ stand_in: 1, resume: null })
    await speaks(talk, call)
    call.hangup()
    await call.ended
  })
})
