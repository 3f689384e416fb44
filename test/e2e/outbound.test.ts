import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { loadClip } from '../../src/load/clips.ts'
import type { PhoneCall, Reaction } from '../../src/load/phone.ts'
import { FakeBot, type Conversation, type Json } from '../fakes/bot.ts'
import { DIDS, startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

let bot: FakeBot
let t: TestServer
let react: Reaction = { do: 'answer', ringMs: 300 }
let calls: PhoneCall[] = []

beforeAll(async () => {
  bot = await FakeBot.listen()
  t = await startTestServer({ bots: { talk: { url: bot.url } } })
  t.carrier.onCall(
    (session) =>
      session.request.uri.includes('4911')
        ? { do: 'answer', ringMs: 100, captureMs: 5000 }
        : session.request.uri.includes('4900')
          ? { do: 'refuse', status: 486 }
          : react,
    (call) => calls.push(call),
  )
})

afterAll(async () => {
  await t.close()
  await bot.close()
})

async function dial(
  how: Reaction,
  body: Json = {},
): Promise<{ logid: number; talk: () => Promise<Conversation>; call: () => Promise<PhoneCall> }> {
  react = how
  calls = []
  const before = bot.conversations.length
  const reply = await t.api('POST', '/api/dial_by_aivoicebot', {
    customer_no: '09876543210',
    wss_url: bot.url,
    ...body,
  })
  expect(reply, JSON.stringify(reply.body)).toMatchObject({ status: 200, body: { status: 200 } })
  return {
    logid: Number(reply.body.logid),
    talk: () => until(() => bot.conversations[before]),
    call: () => until(() => calls[0]),
  }
}

const status = async (logid: number): Promise<Json> => {
  const { body } = await t.api('GET', `/api/get_call_status?logid=${logid}`)
  return (body.data ?? body) as Json
}

describe('dial_by_aivoicebot', () => {
  it('dials the bot while the phone rings; its opening words begin with the first packet after the answer', async () => {
    const greeting = loadClip('bot-greeting')
    const placed = await dial(
      { do: 'answer', ringMs: 600, captureMs: 10_000 },
      {
        system_msg: 'Be kind.',
        text: 'Hello!',
        sttlanguage_code: 'hi-IN',
        wss_header: 'Authorization: Bearer xyz',
        ai_agent_ext: 2101,
      },
    )
    const talk = await placed.talk()
    expect(talk.request.headers.authorization).toBe('Bearer xyz')
    const start = await talk.next('start')
    expect(start).toMatchObject({
      direction: 'outbound',
      state: 'ringing',
      to: '+919876543210',
      from: DIDS.talk,
      system_msg: 'Be kind.',
      text: 'Hello!',
      language: 'hi-IN',
      customer_no: '09876543210',
      ai_agent_ext: '2101',
    })
    talk.say(greeting)
    const call = await placed.call()
    expect(call.times.answeredMs).toBe(-1)
    await call.answered
    await talk.next('call.answered')
    await until(() => call.media.heard().length >= greeting.length)
    const heard = call.media.heard()
    expect(heard.subarray(0, 10 * FRAME_SAMPLES).equals(greeting.subarray(0, 10 * FRAME_SAMPLES))).toBe(true)
    expect((await status(placed.logid)).call_status).toBe('answered')
    talk.send({ type: 'session.hangup', after_playback: true })
    await call.ended
  })

  it('with connect_ws_after_answer opens the socket only then', async () => {
    const before = bot.conversations.length
    const placed = await dial({ do: 'answer', ringMs: 300 }, { connect_ws_after_answer: '1' })
    const call = await placed.call()
    expect(bot.conversations.length).toBe(before)
    await call.answered
    const talk = await placed.talk()
    expect(await talk.next('start')).toMatchObject({ state: 'answered' })
    call.hangup()
    expect(await talk.next('stop')).toMatchObject({ reason: 'caller_hangup' })
  })

  it.each([
    [{ do: 'refuse', status: 486, ringMs: 100 } as const, 'busy'],
    [{ do: 'refuse', status: 603 } as const, 'failed'],
    [{ do: 'refuse', status: 404 } as const, 'failed'],
  ])('to a phone that does %j ends as %s', async (how, result) => {
    const placed = await dial(how)
    for (let i = 0; ; i++) {
      const s = (await status(placed.logid)).call_status
      if (s === result) break
      if (i > 200) throw new Error(`still ${JSON.stringify(s)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })

  it('with schedule_datetime is promised a logid now and dials when the time comes', async () => {
    const at = new Date(Date.now() + 3000).toISOString().slice(0, 19).replace('T', ' ')
    const placed = await dial({ do: 'answer' }, { schedule_datetime: at, timezone: 'UTC' })
    expect((await status(placed.logid)).call_status).toBe('scheduled')
    expect(calls).toEqual([])
    const call = await placed.call()
    await call.answered
    expect((await status(placed.logid)).call_status).toBe('answered')
    call.hangup()
    await call.ended
  })

  it('refuses what it cannot dial, in its own shape', async () => {
    expect(await t.api('POST', '/api/dial_by_aivoicebot', { wss_url: bot.url })).toMatchObject({
      status: 400,
      body: { status: 400 },
    })
    expect(
      await t.api('POST', '/api/dial_by_aivoicebot', { customer_no: '09876543210', wss_url: 'ftp://x' }),
    ).toMatchObject({ status: 400, body: { status: 400 } })
    expect(await t.api('POST', '/api/dial_by_aivoicebot', { customer_no: '1' }, 'wrong')).toMatchObject({ status: 401 })
  })
})

describe('session.transfer', () => {
  it('bridges caller and target, byte for byte, and the bot leaves', async () => {
    const placed = await dial({ do: 'answer', ringMs: 50, captureMs: 5000 })
    const talk = await placed.talk()
    await talk.next('call.answered')
    talk.send({ type: 'session.transfer', target: '+914911000001', event_id: 'e1' })
    await until(() => calls.length === 2)
    await calls[1].answered
    expect(await talk.next('stop')).toMatchObject({ reason: 'transferred' })
    expect(talk.of('transfer.status').map((m) => m.state)).toEqual(
      expect.arrayContaining(['trying', 'answered', 'completed']),
    )
    const tone = loadClip('tone-600')
    void calls[0].media.play(tone)
    await until(() => calls[1].media.heard().includes(tone.subarray(0, 10 * FRAME_SAMPLES)))
    expect((await status(placed.logid)).call_status).toBe('answered')
    calls[1].hangup()
    await calls[0].ended
  })

  it('to a busy target leaves the caller with the bot', async () => {
    const placed = await dial({ do: 'answer', ringMs: 50 })
    const talk = await placed.talk()
    await talk.next('call.answered')
    talk.send({ type: 'session.transfer', target: '+914900000001' })
    await talk.until(() => talk.of('transfer.status').some((m) => m.state === 'failed'))
    expect(talk.of('transfer.status').at(-1)).toMatchObject({ state: 'failed', sip_status: 486 })
    talk.say(loadClip('bot-answer'))
    talk.send({ type: 'mark', mark: { name: 'still here' } })
    expect(await talk.next('mark')).toMatchObject({ mark: { name: 'still here', status: 'played' } })
    talk.send({ type: 'session.hangup' })
    await (
      await placed.call()
    ).ended
  })
})
