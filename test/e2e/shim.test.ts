import twilio from 'twilio'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { FakeBot, type Conversation, type Json } from '../fakes/bot.ts'
import { heardBy, likeness } from '../helpers/heard.ts'
import { numberWithBot } from '../helpers/numbers.ts'
import { startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

/** A bot written for Twilio, with Twilio's own client: it knows what its start message told it, and a key. */
let t: TestServer
let bot: FakeBot
let answering: PhoneCall[] = []
const DID = '+918055560001'

interface TwilioCall {
  call: PhoneCall
  talk: Conversation
  callSid: string
  client: ReturnType<typeof twilio>
}

beforeAll(async () => {
  bot = await FakeBot.listen()
  t = await startTestServer({ bots: {} })
  t.carrier.onCall(
    (session) =>
      session.request.uri.includes('4911')
        ? { do: 'answer', ringMs: 100, captureMs: 20_000 }
        : { do: 'refuse', status: 486 },
    (call) => answering.push(call),
  )
  await numberWithBot(t, DID, { url: bot.url, dialect: 'twilio' })
})

afterAll(async () => {
  await t.close()
  await bot.close()
})

/** The client with nothing changed but where its requests go. */
function clientOf(accountSid: string, authToken: string): ReturnType<typeof twilio> {
  const httpClient = new twilio.RequestClient({ timeout: 5000 })
  httpClient.axios.interceptors.request.use((config) => {
    config.url = config.url?.replace('https://api.twilio.com', t.server.httpUrl)
    return config
  })
  return twilio(accountSid, authToken, { httpClient })
}

async function callIn(from: string): Promise<TwilioCall> {
  const before = bot.conversations.length
  answering = []
  const call = await t.carrier.call({ target: t.target(DID), from, captureMs: 20_000 })
  await call.answered
  const talk = await until(() => bot.conversations[before])
  const { callSid, accountSid } = (await talk.next('start')).start as { callSid: string; accountSid: string }
  return { call, talk, callSid, client: clientOf(accountSid, t.apiKey) }
}

describe('a Twilio-style bot', () => {
  it('fetches its call and hangs it up by REST', async () => {
    const { call, talk, callSid, client } = await callIn('+919876556001')
    expect(await client.calls(callSid).fetch()).toMatchObject({
      sid: callSid,
      status: 'in-progress',
      direction: 'inbound',
      from: '+919876556001',
      to: DID,
    })
    const reply = await client.calls(callSid).update({ status: 'completed' })
    expect(reply.status).toBe('completed')
    expect(await call.ended).toMatchObject({ by: 'peer' })
    expect(await talk.next('stop')).toMatchObject({ stop: { callSid } })
    expect(await talk.ended()).toMatchObject({ code: 1000 })
    const ended = await client.calls(callSid).fetch()
    expect(ended.status).toBe('completed')
    expect(ended.endTime).toBeInstanceOf(Date)
    // Twilio's own code for a call that has ended is that of one that is not there.
    await expect(client.calls(callSid).update({ status: 'completed' })).rejects.toMatchObject({
      status: 404,
      code: 20404,
    })
  })

  it('sends its caller to another phone by Twiml; the two hear each other and the bot is gone', async () => {
    const { call, talk, callSid, client } = await callIn('+919876556002')
    const twiml = new twilio.twiml.VoiceResponse()
    twiml.dial({ timeout: 10 }, '+914911000001')
    expect((await client.calls(callSid).update({ twiml })).status).toBe('in-progress')
    const agent = await until(() => answering[0])
    await agent.answered
    await talk.next('stop')
    expect((await client.calls(callSid).fetch()).status).toBe('in-progress')

    const [question, answer] = [loadClip('bot-key'), loadClip('bot-greeting').subarray(0, 12_000)]
    const [askedAt, saidAt] = [agent.media.heard().length, call.media.heard().length]
    await Promise.all([call.media.play(question), agent.media.play(answer)])
    await until(() => agent.media.heard().length > askedAt + question.length + 4000)
    await until(() => call.media.heard().length > saidAt + answer.length + 4000)
    expect(likeness(heardBy(agent, askedAt), pcmOf(question))).toBeGreaterThanOrEqual(0.9)
    expect(likeness(heardBy(call, saidAt), pcmOf(answer))).toBeGreaterThanOrEqual(0.9)

    agent.hangup()
    expect(await call.ended).toMatchObject({ by: 'peer' })
    await until(async () => (await client.calls(callSid).fetch()).status === 'completed')
  })

  it('sends its caller to a busy phone: the document is at its end, and so is the call', async () => {
    const { call, callSid, client } = await callIn('+919876556003')
    await client.calls(callSid).update({ twiml: '<Response><Dial>+914900000001</Dial></Response>' })
    expect(await call.ended).toMatchObject({ by: 'peer' })
  })

  it('with the key of nobody is refused, and its call goes on', async () => {
    const { call, talk, callSid } = await callIn('+919876556004')
    const { accountSid } = (await talk.next('start')).start as Json
    await expect(clientOf(accountSid as string, 'wrong').calls(callSid).update({ status: 'completed' })).rejects.toMatchObject({ status: 401 }) // prettier-ignore
    const frames = talk.of('media').length
    await until(() => talk.of('media').length > frames + 10)
    call.hangup()
    await call.ended
  })
})
