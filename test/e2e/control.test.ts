import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { sine } from '../../src/audio/tone.ts'
import { readWav } from '../../src/audio/wav.ts'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { FakeBot, type Conversation, type Json } from '../fakes/bot.ts'
import { heardBy, likeness, voicedFrames } from '../helpers/heard.ts'
import { callWith, numberWithBot } from '../helpers/numbers.ts'
import { ReferablePhone } from '../helpers/referable-phone.ts'
import { startTestServer, type TestServer } from '../helpers/server.ts'
import { fixture, frames, sequence, silence } from '../helpers/sound.ts'
import { until } from '../helpers/until.ts'

/** What a bot can ask of a call besides speech, and what it is told besides sound. */
let t: TestServer
let bot: FakeBot
let phones: PhoneCall[] = []
const DID = '+918055580001'
const BARGE_IN = '+918055580002'
const answer = loadClip('bot-greeting').subarray(0, 12_000)

beforeAll(async () => {
  bot = await FakeBot.listen()
  t = await startTestServer({ bots: {} })
  t.carrier.onCall(
    () => ({ do: 'answer', ringMs: 100, captureMs: 20_000 }),
    (call) => phones.push(call),
  )
  await numberWithBot(t, DID, { url: bot.url }, true)
  await numberWithBot(t, BARGE_IN, { url: bot.url, bargeIn: 'auto_clear' })
})

afterAll(async () => {
  await t.close()
  await bot.close()
})

async function callTo(number: string, from: string): Promise<{ call: PhoneCall; talk: Conversation; start: Json }> {
  const before = bot.conversations.length
  const call = await t.carrier.call({ target: t.target(number), from, captureMs: 30_000 })
  await call.answered
  const talk = await until(() => bot.conversations[before])
  return { call, talk, start: await answeredStart(talk) }
}

/** `start`, and the answer where it did not tell of it: before that a bot may not ask for everything. */
async function answeredStart(talk: Conversation): Promise<Json> {
  const start = await talk.next('start')
  if (start.state !== 'answered') await talk.next('call.answered')
  return start
}

/** So many frames of the caller more have come to the bot. */
const framesMore = (talk: Conversation, frames: number): Promise<boolean> => {
  const goal = talk.of('media').length + frames
  return until(() => talk.of('media').length >= goal)
}

/** Frames of 20 ms of a PCM16 signal that are louder than anything that a pause has. */
const loudFrames = (pcm: Int16Array): boolean[] =>
  Array.from({ length: Math.floor(pcm.length / FRAME_SAMPLES) }, (_, n) =>
    pcm.subarray(n * FRAME_SAMPLES, (n + 1) * FRAME_SAMPLES).some((s) => Math.abs(s) > 500),
  )

describe('a bot', () => {
  it('pauses the recording: neither side is in it until it goes on, and time does not stand still', async () => {
    const { call, talk, start } = await callTo(DID, '+919876558001')
    void call.media.play(loadClip('tone-440'), true)
    await framesMore(talk, 25)
    talk.send({ type: 'recording.pause', event_id: 'p' })
    expect(await talk.next('recording.status')).toMatchObject({ ref: 'p', state: 'paused' })
    talk.say(loadClip('tone-600').subarray(0, 6400))
    await framesMore(talk, 60)
    talk.send({ type: 'recording.resume', event_id: 'r' })
    expect(await talk.next('recording.status', 2)).toMatchObject({ ref: 'r', state: 'resumed' })
    await framesMore(talk, 25)
    talk.send({ type: 'session.hangup' })
    await call.ended
    const record = await until(async () => {
      const found = await callWith(t, '+919876558001')
      return found?.recordingStatus === 'ready' ? found : undefined
    })
    expect(record.id).toBe(start.call_id)
    const wav = Buffer.from(await (await fetch(record.recordingUrl as string)).arrayBuffer())
    const caller = loudFrames(readWav(wav, 0).pcm)
    // The pause is the one long quiet stretch between the first and the last tone.
    const heard = caller.slice(caller.indexOf(true), caller.lastIndexOf(true) + 1)
    const longest = Math.max(...heard.map((loud) => (loud ? ' ' : '.')).join('').split(' ').map((run) => run.length)) // prettier-ignore
    expect(longest).toBeGreaterThanOrEqual(45)
    expect(longest).toBeLessThanOrEqual(100)
    expect(heard.filter(Boolean).length).toBeGreaterThanOrEqual(35)
    expect(loudFrames(readWav(wav, 1).pcm)).not.toContain(true)
  })

  it('notes what it has learnt, for whoever looks at the call now and later', async () => {
    const { call, talk } = await callTo(DID, '+919876558002')
    talk.send({ type: 'session.note', data: { intent: 'booking', party: 4 } })
    await until(async () => (await callWith(t, '+919876558002'))?.notes)
    talk.send({ type: 'session.note', data: { party: 5 }, ack: true, event_id: 'n2' })
    await talk.next('ack')
    talk.send({ type: 'session.hangup' })
    await call.ended
    const record = await until(async () => {
      const found = await callWith(t, '+919876558002')
      return found?.state === 'ended' ? found : undefined
    })
    expect(record.notes).toEqual({ intent: 'booking', party: 5 })
  })

  it('puts its caller on hold: he hears that the line is alive, the bot hears nothing, its words wait', async () => {
    const { call, talk } = await callTo(DID, '+919876558003')
    await framesMore(talk, 5)
    talk.send({ type: 'hold', ack: true, event_id: 'h' })
    await talk.next('ack')
    const [framesThen, heldAt] = [talk.of('media').length, call.media.heard().length]
    talk.say(answer)
    await until(() => call.media.heard().length > heldAt + 40 * FRAME_SAMPLES)
    expect(talk.of('media').length - framesThen).toBeLessThanOrEqual(1)
    const held = call.media.heard().subarray(heldAt - (heldAt % FRAME_SAMPLES))
    expect(voicedFrames(held).length).toBeGreaterThan(25)
    expect(likeness(pcmOf(held), pcmOf(answer.subarray(0, 4800)))).toBeLessThan(0.5)

    talk.send({ type: 'resume', ack: true, event_id: 'r' })
    await talk.next('ack', 2)
    const resumedAt = call.media.heard().length
    await framesMore(talk, 10)
    await until(() => call.media.heard().length > resumedAt + answer.length + 4000)
    expect(likeness(heardBy(call, resumedAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)
    call.hangup()
    await call.ended
  })

  it('is interrupted, with auto_clear: the caller speaks, its own words stop and it learns how much was heard', async () => {
    const { call, talk } = await callTo(BARGE_IN, '+919876558004')
    for (let i = 0; i < 4; i++) talk.say(loadClip('bot-greeting'), { item_id: 'long' })
    talk.send({ type: 'mark', mark: { name: 'end' } })
    await until(() => voicedFrames(call.media.heard()).length >= 25)
    void call.media.play(loadClip('hello-caller'))
    await talk.next('speech.started')
    const cleared = (await talk.next('cleared')) as { played_ms: number; discarded_ms: number; items: Json[] }
    const clearedAt = call.media.heard().length
    expect(cleared.items).toMatchObject([{ item_id: 'long' }])
    expect(cleared.played_ms).toBeGreaterThan(400)
    expect(cleared.discarded_ms).toBeGreaterThan(3000)
    expect(await talk.next('mark')).toMatchObject({ mark: { name: 'end', status: 'cleared' } })
    await until(() => call.media.heard().length > clearedAt + 20 * FRAME_SAMPLES)
    const after = call.media.heard().subarray(clearedAt - (clearedAt % FRAME_SAMPLES) + FRAME_SAMPLES)
    expect(voicedFrames(after).length).toBeLessThanOrEqual(2)
    // The bot heard the words that interrupted it.
    await framesMore(talk, 80)
    const words = pcmOf(loadClip('hello-caller').subarray(0, 12_800))
    expect(likeness(pcmOf(talk.heard()), words)).toBeGreaterThanOrEqual(0.9)
    call.hangup()
    await call.ended
  })
})

describe('a blind transfer', () => {
  it('is a REFER, where the caller’s phone takes it: our leg ends when the phone has reached the target', async () => {
    const before = bot.conversations.length
    await using phone = await ReferablePhone.call(t.server.sipPort, DID, '+919876558005')
    await until(() => phone.answered)
    const talk = await until(() => bot.conversations[before])
    await answeredStart(talk)
    const target = 'sip:agent@pbx.example.com'
    talk.send({ type: 'session.transfer', target, mode: 'blind', event_id: 't', context: { ticket: 7 } })
    const refer = await until(() => phone.refer)
    expect(refer.headers.get('Refer-To')).toContain('sip:agent@pbx.example.com')
    phone.tell('180 Ringing', false)
    await talk.until(() => talk.of('transfer.status').some((m) => m.state === 'ringing'))
    phone.tell('200 OK', true)
    expect(await talk.next('stop')).toMatchObject({ reason: 'transferred' })
    expect(talk.of('transfer.status').map((m) => m.state)).toEqual(['trying', 'ringing', 'answered', 'completed'])
    await until(() => phone.ended)
    const record = await callWith(t, '+919876558005')
    expect(record).toMatchObject({ transferTarget: target, transferContext: { ticket: 7 } })
    expect(record?.outcome).toMatchObject({ reason: 'transferred', by: 'bot' })
  })

  it('that the caller’s phone refuses leaves him with the bot, who learns why', async () => {
    const { call, talk } = await callTo(DID, '+919876558006')
    talk.send({ type: 'session.transfer', target: '+914911000001', mode: 'blind', event_id: 't' })
    await talk.until(() => talk.of('transfer.status').some((m) => m.state === 'failed'))
    expect(talk.of('transfer.status').at(-1)).toMatchObject({ ref: 't', state: 'failed', sip_status: 405 })
    const saidAt = call.media.heard().length
    talk.say(answer)
    talk.send({ type: 'mark', mark: { name: 'still here' } })
    expect(await talk.next('mark')).toMatchObject({ mark: { status: 'played' } })
    await until(() => call.media.heard().length > saidAt + answer.length)
    expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)
    call.hangup()
    await call.ended
  })
})

describe('a bot written for another carrier', () => {
  it('may send its caller on with its first word, before the answer has gone round', async () => {
    await using router = await FakeBot.listen({
      onMessage: (m, talk) => {
        if (m.event === 'start') talk.send({ event: 'session.transfer', target: '+914911000001' })
      },
    })
    await numberWithBot(t, '+918055580003', { url: router.url, dialect: 'twilio' })
    phones = []
    const call = await t.carrier.call({ target: t.target('+918055580003'), from: '+919876558009', captureMs: 20_000 })
    await call.answered
    const person = await until(() => phones[0])
    await person.answered
    const saidAt = call.media.heard().length
    await person.media.play(answer)
    await until(() => call.media.heard().length > saidAt + answer.length + 2000)
    expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)
    call.hangup()
    await call.ended
  })
})

describe('a bot that wants to know who picked up', () => {
  const ulaw = (pcm: Int16Array): Buffer => Buffer.concat(frames(pcm))
  const beep = sequence(silence(300), sine(1000, 600), silence(500))

  it.each([
    ['a machine, and its beep', 'greet-voicemail', 'machine', beep],
    ['a person', 'greet-hello', 'human', silence(2000)],
  ] as const)('of an outbound call is told: %s', async (_what, clip, result, then) => {
    phones = []
    const before = bot.conversations.length
    const made = await t.admin('POST', `/admin/v1/accounts/${t.accountId}/bots`, {
      name: clip,
      url: bot.url,
      amd: true,
    })
    const reply = await t.api('POST', '/api/dial_by_aivoicebot', {
      customer_no: '09876543210',
      Voicechat_id: made.body.publicNo,
    })
    expect(reply, JSON.stringify(reply.body)).toMatchObject({ status: 200 })
    const call = await until(() => phones[0])
    const talk = await until(() => bot.conversations[before])
    await call.answered
    await talk.next('call.answered')
    void call.media.play(ulaw(sequence(fixture(clip), then)))
    expect(await talk.next('amd')).toMatchObject({ result })
    if (result === 'machine') {
      const { at_ms } = await talk.next('beep')
      expect(at_ms).toBeGreaterThan(fixture(clip).length / 8)
    }
    call.hangup()
    await call.ended
    expect(talk.of('amd').length).toBe(1)
  })
})
