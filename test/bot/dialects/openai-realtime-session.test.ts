import { describe, expect, it, onTestFinished } from 'vitest'
import { DECODE } from '../../../src/audio/g711.ts'
import { openaiRealtime } from '../../../src/bot/dialects/openai-realtime.ts'
import { BotSession } from '../../../src/bot/session.ts'
import type { BotRequest } from '../../../src/calls/ports.ts'
import { checkEgress } from '../../../src/egress/egress.ts'
import { systemClock } from '../../../src/lib/clock.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { planOf } from '../../fakes/plan.ts'
import { RealtimeServer, type Json, type RealtimeConversation, type Script } from '../../fakes/realtime-server.ts'
import { until } from '../../helpers/until.ts'

/** A session as a leg has it, its bot being the scripted server behind a real socket. */
async function joined(script: Script = {}, text?: string) {
  const server = await RealtimeServer.listen(script)
  onTestFinished(() => server.close())
  const requests: BotRequest[] = []
  const session = new BotSession({
    plan: planOf(server.url, { dialect: 'openai-realtime', headers: { Authorization: 'Bearer k' }, start: { text } }),
    kind: openaiRealtime,
    callId: 'c1',
    streamId: 'c1.1.1',
    law: 'pcmu',
    state: 'answered',
    clock: systemClock,
    log: silentLog,
    resolve: (url) => checkEgress(url, 'bot', { allowInsecure: true }),
    owner: {
      opened: () => undefined,
      away: () => undefined,
      lost: () => undefined,
      request: (request) => void requests.push(request),
      sendDigits: (digits) => digits !== '0',
      wake: () => undefined,
      untilTakenMs: () => 20,
      sooner: () => 0,
      quality: () => ({ rxLoss: 0, rxJitterMs: 0, mos: 4 }),
      fault: (err) => {
        throw err
      },
      ended: () => undefined,
    },
  })
  onTestFinished(() => session.stop({ reason: 'caller_hangup', sipStatus: 200, q850: 16 }))
  const model: RealtimeConversation = await until(() => server.conversations[0])
  await until(() => model.session !== undefined)
  const frame = new Uint8Array(160)
  return {
    model,
    session,
    requests,
    hear: (value: number) => session.sink.frame(new Uint8Array(160).fill(value), 'pcmu', 0),
    /** What the phone line takes, slot by slot, until nothing is queued or so many slots are over. */
    play: (slots = Infinity): Buffer => {
      const out: Buffer[] = []
      // Twice nothing: one slot of grace is part of the queue's manners.
      for (let idle = 0; idle < 2 && out.length < slots;)
        if (session.source.frameInto(frame, 'pcmu')) {
          out.push(Buffer.from(frame))
          idle = 0
        } else idle++
      return Buffer.concat(out)
    },
  }
}

const outputs = (model: RealtimeConversation): Json[] =>
  model
    .of('conversation.item.create')
    .map((e) => e.item as Json)
    .filter((item) => item.type === 'function_call_output')

describe('a session with a realtime model', () => {
  it('plays in full what comes faster than real time', async () => {
    const { model, play, session } = await joined()
    const speech = new Uint8Array(60 * 8000).map((_, i) => (i * 7) & 255)
    model.respond()
    model.speak(speech, { deltaMs: 2500 })
    model.finish()
    const heard: Buffer[] = []
    await until(() => {
      heard.push(play())
      return session.stats.fromBotMs === 60_000
    })
    expect(Buffer.concat(heard).equals(speech)).toBe(true)
  })

  it('tells the model what was heard when the caller interrupts, and plays no more of it', async () => {
    const { model, play } = await joined()
    model.respond()
    const item = model.speak(new Uint8Array(3 * 8000).fill(9))
    expect(await until(() => play(1).length > 0)).toBe(true)
    expect(play(49)).toHaveLength(49 * 160)
    model.speechStarted()
    await until(() => model.of('conversation.item.truncate').length === 1)
    expect(model.of('conversation.item.truncate')[0]).toMatchObject({ item_id: item, audio_end_ms: 1000 })
    expect(play()).toHaveLength(0)
    expect(model.complaints).toEqual([])
  })

  it('goes over to 24 kHz both ways where the server does, and cuts by what was heard there, too', async () => {
    const { model, play, hear } = await joined({ laws: 'replaced' }, 'Hello')
    await until(() => model.of('response.create').length === 1)
    for (let i = 0; i < 10; i++) hear(0x20)
    await until(() => model.heard.length === 10 * 960)
    expect(model.heard.readInt16LE(5 * 960) / DECODE.pcmu[0x20]).toBeCloseTo(1, 2)
    model.respond()
    const item = model.speak(new Uint8Array(new Int16Array(2 * 24_000).fill(4000).buffer))
    await until(() => play(1).length > 0)
    const heard = play(24)
    expect(DECODE.pcmu[heard[heard.length - 1]] / 4000).toBeCloseTo(1, 1)
    model.speechStarted()
    const [cut] = await until(() => model.of('conversation.item.truncate').length > 0 && model.of('conversation.item.truncate')) // prettier-ignore
    expect(cut.item_id).toBe(item)
    expect(Math.abs(Number(cut.audio_end_ms) - 500)).toBeLessThan(4)
    expect(model.complaints).toEqual([])
  })

  it('hangs up after the goodbye has been played, and not before', async () => {
    const { model, play, requests } = await joined()
    model.respond()
    model.speak(new Uint8Array(8000).fill(9))
    model.call('end_call', { reason: 'done' })
    model.finish()
    await until(() => outputs(model).length === 1)
    expect(requests).toEqual([])
    play()
    expect(requests).toMatchObject([{ ask: 'hangup', reason: 'done' }])
    expect(model.complaints).toEqual([])
  })

  it('carries transfers and digits, and brings back what came of them', async () => {
    const { model, requests, session } = await joined()
    model.respond()
    const transfer = model.call('transfer_call', { target: '+919812345678' })
    const sent = model.call('send_dtmf', { digits: '12#' })
    const refused = model.call('send_dtmf', { digits: '0' })
    model.finish()
    await until(() => outputs(model).length === 2)
    expect(requests).toMatchObject([{ ask: 'transfer', target: '+919812345678', mode: 'bridge', onFail: 'resume' }])
    session.transferStatus({ ref: transfer, state: 'failed', sipStatus: 486, reason: 'busy' })
    await until(() => outputs(model).length === 3)
    const said = new Map(outputs(model).map((o) => [o.call_id, JSON.parse(String(o.output)) as Json]))
    expect(said.get(sent)).toEqual({ ok: true })
    expect(said.get(refused)).toMatchObject({ ok: false })
    expect(said.get(transfer)).toMatchObject({ ok: false, error: 'The transfer failed: busy.' })
    expect(model.complaints).toEqual([])
  })
})
