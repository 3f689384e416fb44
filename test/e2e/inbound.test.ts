import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { loadClip } from '../../src/load/clips.ts'
import { FakeBot, type Conversation, type Json } from '../fakes/bot.ts'
import { DIDS, startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

/** Each story runs a real SIP call with real RTP through the whole server to a real WebSocket. */
let echo: FakeBot
let talk: FakeBot
let asks: FakeBot
let t: TestServer

beforeAll(async () => {
  echo = await FakeBot.listen({ echo: true })
  talk = await FakeBot.listen()
  asks = await FakeBot.listen()
  t = await startTestServer({
    bots: {
      echo: { url: echo.url, transport: 'binary' },
      talk: { url: talk.url, reconnectMs: 0 },
      asks: { url: asks.url, answerMode: 'bot' },
    },
  })
})

afterAll(async () => {
  await t.close()
  await Promise.all([echo.close(), talk.close(), asks.close()])
})

/** A frame that no other frame equals. */
function numbered(frame: Uint8Array, n: number): void {
  for (let i = 0; i < frame.length; i++) frame[i] = (n * 31 + i * 7 + ((n * i) >> 3)) & 0xff
}

const recordOf = async (number: string): Promise<Json> => {
  const { body } = await t.api('GET', `/v1/calls?phone_number=${encodeURIComponent(number)}`)
  return (body.calls as Json[])[0]
}

/** The newest conversation that begins after this is called. */
async function nextTalk(bot: FakeBot, begin: () => Promise<unknown>): Promise<Conversation> {
  const before = bot.conversations.length
  await begin()
  await until(() => bot.conversations.length > before)
  return bot.conversations[before]
}

describe('a call to a number with an echo bot', () => {
  it.each(['udp', 'tcp'] as const)(
    'over %s returns every µ-law byte as it was, and is recorded in stereo',
    async (transport) => {
      const caller = transport === 'udp' ? '+919876500001' : '+919876500002'
      const sent: string[] = []
      const heard: string[] = []
      const call = await t.carrier.call({
        target: t.target(DIDS.echo),
        from: caller,
        transport,
        sending: (frame, n) => {
          numbered(frame, n)
          sent.push(Buffer.from(frame).toString('latin1'))
        },
        arrived: (payload) => heard.push(Buffer.from(payload).toString('latin1')),
      })
      await call.answered
      await until(() => heard.length >= 150)
      call.hangup()
      await call.ended
      // Which of our frames each packet brought; -1 is a filled slot, where this machine was late.
      const order = heard.map((frame) => sent.indexOf(frame)).filter((n) => n >= 0)
      expect(order.length).toBeGreaterThan(75)
      expect(order).toEqual([...order].sort((a, b) => a - b))
      // Each whole and in its place. A stall of this machine leaves a live stream behind; what it was behind is cut.
      const missing = order.at(-1)! - order[0] + 1 - order.length
      expect(missing).toBeLessThanOrEqual(Math.ceil(order.length / 20))

      const record = await until(async () => {
        const r = await recordOf(caller)
        return r?.recording_url ? r : undefined
      })
      expect(record).toMatchObject({ direction: 'inbound', from: caller, to: DIDS.echo, state: 'ended' })
      const wav = Buffer.from(await (await fetch(record.recording_url as string)).arrayBuffer())
      expect(wav.toString('latin1', 0, 4)).toBe('RIFF')
      expect(wav.readUInt16LE(22)).toBe(2)
      expect(wav.length).toBeGreaterThan(44 + 100 * FRAME_SAMPLES * 4)
    },
  )
})

describe('a talking bot', () => {
  it('learns the call in start, plays, marks what was heard, and is stopped by clear within one packet', async () => {
    const call = await t.carrier.call({ target: t.target(DIDS.talk), from: '+919876500003', captureMs: 20_000 })
    const bot = await nextTalk(talk, () => call.answered)
    const start = await bot.next('start')
    expect(start).toMatchObject({
      event: 'start',
      direction: 'inbound',
      from: '+919876500003',
      to: DIDS.talk,
      audio: { input: { encoding: 'pcmu' } },
    })

    bot.say(loadClip('bot-greeting'), { item_id: 'i1' })
    bot.send({ type: 'mark', mark: { name: 'greeted' } })
    expect(await bot.next('mark')).toMatchObject({ mark: { name: 'greeted', status: 'played' } })

    bot.say(loadClip('tone-440'), { item_id: 'i2' })
    bot.say(loadClip('tone-440'), { item_id: 'i2' })
    bot.send({ type: 'mark', mark: { name: 'never' } })
    await bot.next('playback')
    await until(() => call.media.stats.received > 150)
    bot.send({ type: 'clear' })
    const cleared = (await bot.next('cleared')) as { played_ms: number; discarded_ms: number }
    const atClear = call.media.heard().length
    expect(cleared.discarded_ms).toBeGreaterThan(0)
    expect(await bot.next('mark', 2)).toMatchObject({ mark: { name: 'never', status: 'cleared' } })
    await until(() => call.media.heard().length > atClear + 20 * FRAME_SAMPLES)
    const after = call.media.heard().subarray(atClear)
    const voiced = [...Array(20).keys()].filter((n) =>
      after.subarray(n * FRAME_SAMPLES, (n + 1) * FRAME_SAMPLES).some((b) => b !== 0xff),
    )
    expect(voiced.length).toBeLessThanOrEqual(1)

    bot.send({ type: 'session.hangup', reason: 'done' })
    const end = await call.ended
    expect(end.by).toBe('peer')
    expect(await bot.next('stop')).toMatchObject({ reason: 'bot_hangup' })
    expect(await bot.ended()).toMatchObject({ code: 1000 })
  })

  it('hears keys by RFC 4733 once each, and presses keys itself', async () => {
    const call = await t.carrier.call({ target: t.target(DIDS.talk), from: '+919876500004' })
    const bot = await nextTalk(talk, () => call.answered)
    await call.media.press('15#')
    expect((await bot.next('dtmf', 3)).dtmf).toMatchObject({ digit: '#', method: 'rfc4733' })
    expect(bot.of('dtmf').map((m) => (m.dtmf as Json).digit)).toEqual(['1', '5', '#'])
    bot.send({ type: 'dtmf.send', digits: '42', duration_ms: 100, gap_ms: 60 })
    await until(() => call.digits.length >= 2)
    expect(call.digits).toEqual(['4', '2'])
    call.session.info('7', 120)
    expect((await bot.next('dtmf', 4)).dtmf).toMatchObject({ digit: '7', method: 'info' })
    call.hangup()
    expect(await bot.next('stop')).toMatchObject({ reason: 'caller_hangup' })
  })

  it('is told of hold and resume, and the caller keeps its call', async () => {
    const call = await t.carrier.call({ target: t.target(DIDS.talk), from: '+919876500005' })
    const bot = await nextTalk(talk, () => call.answered)
    call.session.hold()
    await bot.next('hold')
    call.session.resume()
    await bot.next('resume')
    const before = call.media.stats.received
    await until(() => call.media.stats.received > before + 10)
    call.hangup()
    await call.ended
  })

  it('that vanishes ends its own call with a true reason, and no other', async () => {
    const other = await t.carrier.call({ target: t.target(DIDS.echo), from: '+919876500006' })
    const call = await t.carrier.call({ target: t.target(DIDS.talk), from: '+919876500007' })
    const bot = await nextTalk(talk, () => Promise.all([call.answered, other.answered]))
    bot.socket.terminate()
    expect((await call.ended).by).toBe('peer')
    expect(other.end).toBeUndefined()
    other.hangup()
    await other.ended
    const [{ outcome }] = await t.server.calls.reads.list(t.accountId, { phoneNumber: '+919876500007', limit: 1 })
    expect(outcome).toMatchObject({ reason: 'bot_lost' })
  })

  it('that sends rubbish is told so, and its call goes on', async () => {
    const call = await t.carrier.call({ target: t.target(DIDS.talk), from: '+919876500008' })
    const bot = await nextTalk(talk, () => call.answered)
    for (const rubbish of [
      '{',
      '[]',
      '{"type":"nonsense"}',
      '{"type":"response.audio.delta","delta":"UklGRg=="}',
      '{"type":7}',
    ])
      bot.send(rubbish)
    expect((await bot.next('error', 3)).error).toMatchObject({ fatal: false })
    bot.send({ type: 'session.hangup' })
    await call.ended
  })
})

describe('a bot that decides', () => {
  it('answers when it says call.answer', async () => {
    const before = asks.conversations.length
    const call = await t.carrier.call({ target: t.target(DIDS.asks), from: '+919876500009' })
    await until(() => asks.conversations.length > before)
    const bot = asks.conversations[before]
    expect(await bot.next('start')).toMatchObject({ state: 'ringing', answer_mode: 'bot' })
    expect(call.times.answeredMs).toBe(-1)
    bot.send({ type: 'call.answer' })
    await call.answered
    await bot.next('call.answered')
    call.hangup()
    await call.ended
  })

  it('rejects with the SIP status that it names', async () => {
    const before = asks.conversations.length
    const call = await t.carrier.call({ target: t.target(DIDS.asks), from: '+919876500010' })
    await until(() => asks.conversations.length > before)
    asks.conversations[before].send({ type: 'call.reject', sip_status: 486, reason: 'not now' })
    expect(await call.ended).toMatchObject({ sipStatus: 486, by: 'peer' })
  })
})

describe('a call that cannot be taken', () => {
  it('is refused with a status that says why, and leaves a record', async () => {
    const unknown = await t.carrier.call({ target: t.target('+918044449999'), from: '+919876500011' })
    expect(await unknown.ended).toMatchObject({ sipStatus: 404 })
    const rejects = await t.carrier.call({ target: t.target(DIDS.rejects), from: '+919876500012' })
    expect(await rejects.ended).toMatchObject({ sipStatus: 603 })
    const record = await until(() => recordOf('+919876500012'))
    expect(record).toMatchObject({ state: 'ended', answered_at: null })
  })
})

it('every call that ended is let go: no call, leg, socket or port is held', async () => {
  await until(() => t.server.calls.held === 0)
  const stats = await t.server.engine.stats()
  expect(stats).toMatchObject({ legs: 0, botSockets: 0, recordings: 0 })
  expect(await readFile(`${t.dataDir}/node-id`, 'utf8')).toMatch(/^node-/)
})
