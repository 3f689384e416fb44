import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toneShare } from '../../src/audio/goertzel.ts'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { RealtimeServer } from '../fakes/realtime-server.ts'
import { startExample, type RealBot } from '../helpers/real-bots.ts'
import { DIDS, startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

/** The examples as they stand there, each a process of its own, take real calls. */
const HUMAN = '+914911000001'
const CUSTOMER = '09876543210'
const TONE = loadClip('tone-440')
const GREETING = loadClip('bot-greeting')

let model: RealtimeServer
let bots: Record<'echo' | 'menu' | 'transfer' | 'realtime', RealBot>
let t: TestServer
/** Calls that the server has placed. */
let placed: PhoneCall[] = []
let humanIsBusy = false

beforeAll(async () => {
  model = await RealtimeServer.listen({
    onEvent(event, conversation) {
      if (event.type !== 'response.create') return
      conversation.respond()
      conversation.speak(Buffer.concat([GREETING, GREETING]))
      conversation.finish()
    },
  })
  const [echo, menu, transfer, realtime] = await Promise.all([
    startExample('echo.ts'),
    startExample('dtmf-menu.ts'),
    startExample('transfer-to-human.ts', { TRANSFER_TO: HUMAN }),
    startExample('realtime.ts', { OPENAI_REALTIME_URL: model.url, OPENAI_API_KEY: 'sk-test' }),
  ])
  bots = { echo, menu, transfer, realtime }
  t = await startTestServer({
    bots: { echo: { url: echo.url }, talk: { url: menu.url }, asks: { url: transfer.url } },
  })
  t.carrier.onCall(
    (session) =>
      humanIsBusy && session.request.uri.includes(HUMAN.slice(1))
        ? { do: 'refuse', status: 486 }
        : { do: 'answer', captureMs: 20_000 },
    (call) => placed.push(call),
  )
})

afterAll(async () => {
  await t?.close()
  await Promise.all(Object.values(bots ?? {}).map((bot) => bot[Symbol.asyncDispose]()))
  await model?.close()
})

async function call(did: string, from: string): Promise<PhoneCall> {
  placed = []
  const made = await t.carrier.call({ target: t.target(did), from, captureMs: 20_000 })
  await made.answered
  return made
}

/** How much of this tone has been heard, from that sample on, in steps of 25 ms. */
function toneMs({ media }: PhoneCall, hz: number, fromSample = 0): number {
  const pcm = pcmOf(media.heard())
  let ms = 0
  for (let at = fromSample; at + 400 <= pcm.length; at += 200)
    if (toneShare(pcm, hz, 8000, at, at + 400) > 0.9) ms += 25
  return ms
}

const heardTone = (call: PhoneCall, hz: number, fromSample = 0): boolean => toneMs(call, hz, fromSample) > 0

describe('echo.ts', () => {
  it('says back what the caller says, and hangs up at #', async () => {
    const made = await call(DIDS.echo, '+919876501001')
    await made.media.play(TONE.subarray(0, 8000))
    await until(() => heardTone(made, 440))
    await made.media.press('#')
    expect((await made.ended).by).toBe('peer')
    await until(() => bots.echo.said().includes('ended: bot_hangup'))
    expect(bots.echo.said()).toContain('call from +919876501001')
  })
})

describe('dtmf-menu.ts', () => {
  it('says its menu, which a key interrupts, then what was asked for, and goodbye at #', async () => {
    const made = await call(DIDS.talk, '+919876501002')
    await until(() => heardTone(made, 440))
    await made.media.press('2')
    await until(() => heardTone(made, 900))
    // The end of the menu was thrown away.
    expect(toneMs(made, 660)).toBeLessThan(500)
    const atHash = made.media.heard().length
    await made.media.press('#')
    await until(() => heardTone(made, 660, atHash))
    expect((await made.ended).by).toBe('peer')
    expect(bots.menu.said()).toMatch(/key 2: two\n[^]*key #: goodbye/)
  })
})

describe('transfer-to-human.ts', () => {
  it('joins the caller to the person at 0', async () => {
    const made = await call(DIDS.asks, '+919876501003')
    await made.media.press('0')
    const human = await until(() => placed[0])
    await human.answered
    await until(() => bots.transfer.said().includes('ended: transferred'))
    expect(heardTone(made, 660)).toBe(true)
    await made.media.play(TONE)
    await until(() => heardTone(human, 440))
    human.hangup()
    await made.ended
  })

  it('keeps the caller when the line is busy', async () => {
    humanIsBusy = true
    const made = await call(DIDS.asks, '+919876501004')
    await made.media.press('0')
    await until(() => bots.transfer.said().includes('transfer: failed 486'))
    await until(() => heardTone(made, 300))
    expect(made.end).toBeUndefined()
    made.hangup()
    await until(() => bots.transfer.said().includes('ended: caller_hangup'))
  })
})

describe('realtime.ts', () => {
  it('joins the caller to the model, which learns what was heard when the caller speaks, and may end the call', async () => {
    placed = []
    const { status } = await t.api('POST', '/api/dial_by_aivoicebot', {
      customer_no: CUSTOMER,
      wss_url: bots.realtime.url,
    })
    expect(status).toBe(200)
    const made = await until(() => placed[0])
    const talk = await until(() => model.conversations[0])
    expect(model.requests[0].headers.authorization).toBe('Bearer sk-test')
    await until(() => made.media.heard().includes(GREETING.subarray(4000, 4160)))
    expect(talk.session).toMatchObject({ type: 'realtime', audio: { input: { format: { type: 'audio/pcmu' } } } })

    await made.media.play(TONE.subarray(0, 8000))
    await until(() => talk.heard.includes(TONE.subarray(800, 1600)))
    talk.speechStarted()
    const truncate = await until(() => talk.of('conversation.item.truncate')[0])
    expect(truncate.audio_end_ms).toBeGreaterThan(500)
    expect(truncate.audio_end_ms).toBeLessThan((2 * GREETING.length) / 8)

    talk.respond()
    talk.call('end_call', {})
    talk.finish()
    expect((await made.ended).by).toBe('peer')
    expect(talk.complaints).toEqual([])
    expect(bots.realtime.said()).not.toMatch(/model:|bridge:/)
  })
})
