import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { FakeBot, type Json } from '../fakes/bot.ts'
import { RealtimeServer } from '../fakes/realtime-server.ts'
import { heardBy, likeness } from '../helpers/heard.ts'
import { startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

/** The vendor's one route for AI calls, with bots that speak another protocol than ours. */
let t: TestServer
let bot: FakeBot
let realtime: RealtimeServer
let phones: PhoneCall[] = []

beforeAll(async () => {
  bot = await FakeBot.listen()
  realtime = await RealtimeServer.listen()
  t = await startTestServer({ bots: { talk: { url: bot.url } } })
  t.carrier.onCall(
    () => ({ do: 'answer', ringMs: 400, captureMs: 20_000 }),
    (call) => phones.push(call),
  )
})

afterAll(async () => {
  await t.close()
  await bot.close()
  await realtime.close()
})

async function dial(body: Json): Promise<PhoneCall> {
  phones = []
  const reply = await t.api('POST', '/api/dial_by_aivoicebot', { customer_no: '09876543210', ...body })
  expect(reply, JSON.stringify(reply.body)).toMatchObject({ status: 200 })
  return until(() => phones[0])
}

const greeting = loadClip('bot-greeting').subarray(0, 12_000)

describe('dial_by_aivoicebot with dialect', () => {
  it('"twilio" reaches a Twilio-style bot while the phone rings; its first words come with the answer', async () => {
    const call = await dial({ wss_url: bot.url, dialect: 'twilio', system_msg: 'Be kind.', sttlanguage_code: 'hi-IN' })
    const talk = await until(() => bot.conversations[0])
    const { start, streamSid } = await talk.next('start')
    expect(talk.messages[0]).toEqual({ event: 'connected', protocol: 'Call', version: '1.0.0' })
    expect(start).toMatchObject({
      mediaFormat: { encoding: 'audio/x-mulaw', sampleRate: 8000, channels: 1 },
      customParameters: { direction: 'outbound', to: '+919876543210', system_msg: 'Be kind.', language: 'hi-IN' },
    })
    expect(call.times.answeredMs).toBe(-1)
    talk.send({ event: 'media', streamSid, media: { payload: greeting.toString('base64') } })
    talk.send({ event: 'mark', streamSid, mark: { name: 'greeted' } })
    await call.answered
    expect(await talk.next('mark')).toMatchObject({ mark: { name: 'greeted' } })
    await until(() => call.media.heard().length > greeting.length + 2000)
    expect(likeness(heardBy(call), pcmOf(greeting))).toBeGreaterThanOrEqual(0.9)
    talk.send({ event: 'session.hangup' })
    expect(await call.ended).toMatchObject({ by: 'peer' })
  })

  it('"openai-realtime" dials the model itself; its opening line is asked for when the phone is answered', async () => {
    const call = await dial({
      wss_url: realtime.url,
      dialect: 'openai-realtime',
      wss_header: 'Authorization: Bearer sk-test',
      system_msg: 'You are kind.',
      text: 'Good morning.',
    })
    const model = await until(() => realtime.conversations[0])
    expect(realtime.requests[0].headers.authorization).toBe('Bearer sk-test')
    await call.answered
    await until(() => model.of('response.create').length > 0)
    expect(JSON.stringify(model.of('response.create')[0])).toContain('Good morning.')
    expect(JSON.stringify(model.session)).toContain('You are kind.')
    const saidAt = call.media.heard().length
    model.respond()
    model.speak(greeting)
    model.finish()
    await until(() => call.media.heard().length > saidAt + greeting.length + 6000)
    expect(likeness(heardBy(call, saidAt), pcmOf(greeting))).toBeGreaterThanOrEqual(0.9)
    call.hangup()
    await call.ended
    expect(model.complaints).toEqual([])
  })

  it('that nobody speaks is refused in the vendor’s own shape', async () => {
    const wrong = { customer_no: '09876543210', wss_url: bot.url, dialect: 'klingon' }
    expect(await t.api('POST', '/api/dial_by_aivoicebot', wrong)).toMatchObject({ status: 400, body: { status: 400 } })
  })
})

it('the model’s public address tells its protocol by itself; the same path elsewhere does not', async () => {
  const made = async (url: string): Promise<unknown> =>
    (await t.admin('POST', `/admin/v1/accounts/${t.accountId}/bots`, { name: 'model', url })).body.dialect
  expect(await made('wss://api.openai.com/v1/realtime?model=gpt-realtime')).toBe('openai-realtime')
  expect(await made('wss://bot.example.com/v1/realtime')).toBe('native')
})
