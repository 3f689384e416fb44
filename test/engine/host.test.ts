import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { BotPlan, MediaEvent } from '../../src/calls/ports.ts'
import { ENCODE } from '../../src/audio/g711.ts'
import { dtmfTones } from '../../src/audio/tone.ts'
import { EngineHost } from '../../src/engine/host.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeBot, type FakeBotOptions, type Json } from '../fakes/bot.ts'
import { planOf as basePlan } from '../fakes/plan.ts'
import { until } from '../helpers/until.ts'
import { Phone, speech } from './phone.ts'

const STOP = { reason: 'caller_hangup', sipStatus: 200, q850: 16 }
// Below the ephemeral range, where other programs' sockets come and go.
let nextBase = 10_000 + (process.pid % 50) * 100

async function engineOf(workers: number) {
  const recordingsDir = mkdtempSync(join(tmpdir(), 'trunkline-engine-'))
  const first = nextBase
  nextBase += 200
  const host = new EngineHost({
    clock: systemClock,
    log: silentLog,
    workers,
    rtp: { host: '127.0.0.1', advertisedHost: '127.0.0.1', first, last: first + 199, quarantineMs: 0 },
    recordingsDir,
    promptsDir: recordingsDir,
    egress: { allowInsecure: true },
  })
  const events: MediaEvent[] = []
  const waiting: (() => void)[] = []
  host.onEvent((e) => {
    events.push(e)
    for (const w of waiting.splice(0)) w()
  })
  await host.start()
  onTestFinished(async () => {
    await host.shutdown()
    rmSync(recordingsDir, { recursive: true })
  })
  const next = async (what: (e: MediaEvent) => boolean): Promise<MediaEvent> => {
    for (;;) {
      const found = events.find(what)
      if (found) return found
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }
  const on = (name: MediaEvent['on'], legId?: string): Promise<MediaEvent> =>
    next((e) => e.on === name && (legId === undefined || e.legId === legId))
  return { host, events, next, on, recordingsDir }
}

async function phone(): Promise<Phone> {
  const p = await Phone.open()
  onTestFinished(() => p.close())
  return p
}

async function botOf(options: FakeBotOptions = {}): Promise<FakeBot> {
  const bot = await FakeBot.listen(options)
  onTestFinished(() => bot.close())
  return bot
}

function planOf(url: string, transport: 'json' | 'binary' = 'json', more: Partial<BotPlan> = {}): BotPlan {
  const format = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 } as const
  return basePlan(url, { audio: { input: format, output: format, transport }, ...more })
}

/** Which frames of `said` were heard, in the order in which they came, and how many that nobody said. */
function inOrder(heard: Buffer, said: Uint8Array): { order: number[]; strangers: number } {
  const order: number[] = []
  let strangers = 0
  for (let at = 0; at < heard.length; at += 160) {
    let n = 0
    while (
      n * 160 < said.length &&
      Buffer.compare(heard.subarray(at, at + 160), said.subarray(n * 160, n * 160 + 160)) !== 0
    )
      n++
    if (n * 160 < said.length) order.push(n)
    else strangers++
  }
  return { order, strangers }
}

describe.each([
  ['inline', 0],
  ['in a worker thread', 1],
])('the engine %s', (_name, workers) => {
  it.each(['json', 'binary'] as const)(
    'carries audio to an echo bot and back, byte for byte (%s)',
    async (transport) => {
      const { host, on } = await engineOf(workers)
      const bot = await botOf({ echo: true })
      const caller = await phone()
      const { port } = await host.open('c1.1')
      host.connect('c1.1', caller.remote())
      host.callAnswered('c1.1')
      host.attachBot('c1.1', planOf(bot.url, transport))
      await on('bot')
      const said = speech(50)
      caller.talk(port, said)
      await on('firstPacket')
      await caller.until(() => caller.heard().includes(Buffer.from(said.subarray(-160))))
      const heard = inOrder(caller.heard(), said)
      const talk = await bot.conversation()
      host.close('c1.1', STOP)
      expect(await talk.ended()).toEqual({ code: 1000, reason: 'caller_hangup' })
      const closed = await on('closed')
      expect(closed).toMatchObject({ stats: { rxLost: 0, firstBotAudioMs: expect.any(Number) as number } })
      expect(heard.order).toEqual(Array.from({ length: 50 }, (_, i) => i))
      // A machine that stalls makes packets late, and lateness is bridged by concealment: that alone may stand in between.
      expect(heard.strangers).toBeLessThanOrEqual(
        (closed as unknown as { stats: { concealedFrames: number } }).stats.concealedFrames,
      )
    },
  )

  it('tells keys that a peer without telephone-event presses as tones, and no key twice', async () => {
    const { host, on } = await engineOf(workers)
    const bot = await botOf()
    const caller = await phone()
    const { port } = await host.open('c1.1')
    host.connect('c1.1', caller.remote({ dtmfPayloadType: undefined }))
    host.callAnswered('c1.1')
    host.attachBot('c1.1', planOf(bot.url))
    await on('bot')
    const talk = await bot.conversation()
    caller.talk(
      port,
      Uint8Array.from(dtmfTones('4711#', 80, 80), (sample) => ENCODE.pcmu[sample & 0xffff]),
    )
    await talk.next('dtmf', 5)
    expect(talk.of('dtmf').map((m) => (m.dtmf as Json).digit)).toEqual([...'4711#'])
    expect(talk.of('dtmf')[0]).toMatchObject({ dtmf: { method: 'inband' } })
  })

  it('stops within one packet of clear, and answers mark and clear with what went out', async () => {
    const { host, on } = await engineOf(workers)
    const bot = await botOf()
    const caller = await phone()
    await host.open('c1.1')
    host.connect('c1.1', caller.remote())
    host.callAnswered('c1.1')
    host.attachBot('c1.1', planOf(bot.url))
    await on('bot')
    const talk = await bot.conversation()
    talk.say(speech(5))
    talk.send({ type: 'mark', mark: { name: 'five' } })
    talk.say(speech(500, 2))
    talk.send({ type: 'mark', mark: { name: 'far' } })
    await talk.next('mark')
    await caller.until(() => caller.heard().length >= 10 * 160)
    talk.send({ type: 'clear' })
    const cleared = (await talk.next('cleared')) as { played_ms: number; discarded_ms: number }
    expect(cleared.played_ms + cleared.discarded_ms).toBe(505 * 20)
    expect(talk.of('mark').map((m) => (m.mark as Json).status)).toEqual(['played', 'cleared'])
    expect((talk.of('mark')[0].mark as Json).played_ms).toBe(100)
    // Ten silent packets later, what was heard is what the bot was told.
    const sent = caller.packets.length
    await caller.until(() => caller.packets.length >= sent + 10)
    expect(caller.heard().length / 8).toBe(cleared.played_ms)
  })

  it('holds opening audio while the phone rings and starts it with the first packet after the answer', async () => {
    const { host, on } = await engineOf(workers)
    const bot = await botOf()
    const caller = await phone()
    await host.open('c1.1')
    host.attachBot('c1.1', planOf(bot.url, 'json', { start: { direction: 'outbound' } }))
    await on('bot')
    const talk = await bot.conversation()
    expect(await talk.next('start')).toMatchObject({ state: 'ringing', call_id: 'c1' })
    host.callProgress('c1.1', 180)
    await talk.next('call.progress')
    const opening = speech(10)
    talk.say(opening)
    talk.send({ type: 'ping' })
    await talk.next('pong')
    host.connect('c1.1', caller.remote())
    host.callAnswered('c1.1')
    await talk.next('call.answered')
    await caller.until(() => caller.heard().length >= opening.length)
    expect(Buffer.compare(caller.heard(), opening)).toBe(0)
    // Between connect and answer at most a packet of silence was due.
    expect(caller.packets.findIndex((p) => p.payload.some((b) => b !== 0xff))).toBeLessThanOrEqual(1)
  })

  it('tells digits once, by whichever method they came, and sends those of the bot', async () => {
    const { host, on, events } = await engineOf(workers)
    const bot = await botOf()
    const caller = await phone()
    const { port } = await host.open('c1.1')
    host.connect('c1.1', caller.remote())
    host.callAnswered('c1.1')
    host.attachBot('c1.1', planOf(bot.url))
    await on('bot')
    const talk = await bot.conversation()
    caller.talk(port, speech(5))
    await on('firstPacket')
    caller.press(port, 5)
    await talk.next('dtmf')
    host.digit('c1.1', '5', 100)
    host.digit('c1.1', '7', 100)
    await talk.next('dtmf', 2)
    expect(talk.of('dtmf').map((m) => m.dtmf)).toMatchObject([
      { digit: '5', method: 'rfc4733' },
      { digit: '7', method: 'info' },
    ])
    expect(events.filter((e) => e.on === 'digit').length).toBe(2)
    talk.send({ type: 'dtmf.send', digits: '3', duration_ms: 100 })
    await caller.until(() => caller.packets.some((p) => p.payloadType === 101 && (p.payload[1] & 0x80) !== 0))
    expect(caller.packets.find((p) => p.payloadType === 101)?.payload[0]).toBe(3)
    talk.send({ type: 'dtmf.send', digits: '9', method: 'info' })
    expect(await on('botRequest')).toMatchObject({ request: { ask: 'infoDigits', digits: '9' } })
  })

  it('records, and tells captured before closed', async () => {
    const { host, on, events, recordingsDir } = await engineOf(workers)
    const caller = await phone()
    const { port } = await host.open('c1.1')
    host.connect('c1.1', caller.remote())
    host.record('c1.1', { recordingId: 'rec1' })
    caller.talk(port, speech(10))
    await caller.until(() => caller.packets.length >= 12)
    expect((await host.stats()).recordings).toBe(1)
    host.close('c1.1', STOP)
    await on('closed')
    expect(events.map((e) => e.on).filter((n) => n !== 'firstPacket')).toEqual(['captured', 'closed'])
    expect(readdirSync(recordingsDir).some((f) => f.includes('rec1'))).toBe(true)
    expect((await host.stats()).recordings).toBe(0)
  })

  it('bridges two legs untouched, parts the bot meanwhile and gives it back', async () => {
    const { host, on } = await engineOf(workers)
    const bot = await botOf()
    const [a, b] = [await phone(), await phone()]
    const legA = await host.open('c1.1')
    const legB = await host.open('c1.2', 'c1.1')
    host.connect('c1.1', a.remote())
    host.connect('c1.2', b.remote())
    host.callAnswered('c1.1')
    host.attachBot('c1.1', planOf(bot.url))
    await on('bot')
    const talk = await bot.conversation()
    host.bridge('c1.1', 'c1.2')
    a.talk(legA.port, speech(40, 1))
    b.talk(legB.port, speech(40, 2))
    await a.until(() => inOrder(a.heard(), speech(40, 2)).order.length > 0)
    // A frame or two may have gone to the bot before the bridge stood; from now on none does.
    const before = talk.of('media').length
    for (const [who, said] of [
      [a, speech(40, 2)],
      [b, speech(40, 1)],
    ] as const) {
      await who.until(() => inOrder(who.heard(), said).order.length >= 30)
      const { order } = inOrder(who.heard(), said)
      expect(order).toEqual(order.toSorted((x, y) => x - y))
    }
    expect(talk.of('media').length).toBe(before)
    a.press(legA.port, 4)
    await b.until(() => b.packets.some((p) => p.payloadType === 101 && p.payload[0] === 4))
    host.unbridge('c1.1')
    await talk.next('media')
    talk.say(speech(3, 3))
    await a.until(() => a.heard().includes(Buffer.from(speech(1, 3))))
  })

  it('leaves no leg, socket, port or recording behind', async () => {
    const { host, on, next } = await engineOf(workers)
    const bot = await botOf()
    for (let i = 0; i < 20; i++) {
      const legId = `c${i}.1`
      await host.open(legId)
      host.attachBot(legId, planOf(bot.url))
      await next((e) => e.on === 'bot' && e.legId === legId)
      host.close(legId, STOP)
      await on('closed', legId)
    }
    await Promise.all(bot.conversations.map((t) => t.ended()))
    // The sockets' own `close` follows the last byte by a turn of the loop.
    const stats = await until(async () => {
      const now = await host.stats()
      return now.botSockets === 0 && now.workers[0].ports.used === 0 && now
    })
    expect(stats).toMatchObject({ legs: 0, botSockets: 0, recordings: 0 })
  })

  it('ends one leg by a fault of its own and lets the others go on', async () => {
    const { host, on, events } = await engineOf(workers)
    const caller = await phone()
    const bad = await host.open('c1.1')
    await host.open('c2.1')
    host.connect('c2.1', caller.remote())
    expect(bad.port).toBeGreaterThan(0)
    // A plan that no checked caller would send: the bot session throws while it is made.
    host.attachBot('c1.1', { url: 'ws://x/' } as unknown as BotPlan)
    await on('crashed', 'c1.1')
    await on('closed', 'c1.1')
    const before = caller.packets.length
    await caller.until(() => caller.packets.length >= before + 5)
    expect(events.some((e) => e.legId === 'c2.1')).toBe(false)
    expect(await host.stats()).toMatchObject({ legs: 1, botSockets: 0 })
  })

  it('refuses a leg when the ports are used up, and an unknown leg is nobody', async () => {
    const { host } = await engineOf(workers)
    let opened = 0
    const fill = async (): Promise<never> => {
      for (;;) await host.open(`c${opened}.1`).then(() => opened++)
    }
    await expect(fill()).rejects.toMatchObject({ code: 'CAPACITY' })
    // A hundred pairs, less what other programs hold.
    expect(opened).toBeGreaterThan(80)
    await expect(host.open('c1.1')).rejects.toMatchObject({ code: 'CONFLICT' })
    host.callAnswered('nobody.1')
    host.close('nobody.1', STOP)
    expect((await host.stats()).legs).toBe(opened)
  })
})

describe('the death of a worker', () => {
  it('is told for each of its legs, rejects what was asked of it by name, and another takes its place', async () => {
    const { host, on, events } = await engineOf(2)
    await host.open('c1.1')
    await host.open('c2.1')
    await host.open('c1.2', 'c1.1')
    host.crash(0)
    const pending = host.open('c3.1', 'c1.1').catch((err: unknown) => err)
    await on('crashed', 'c1.1')
    await on('crashed', 'c1.2')
    expect(await pending).toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('media worker 0') as string,
    })
    expect(events.some((e) => e.legId === 'c2.1')).toBe(false)
    await expect(host.open('c1.1')).resolves.toMatchObject({ host: '127.0.0.1' })
    await until(async () => (await host.stats()).workers.length === 2)
    host.close('c2.1', STOP)
    await on('closed', 'c2.1')
  })
})
