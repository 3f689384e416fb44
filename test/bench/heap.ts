/**
 * Who allocates on the audio path: one whole leg (engine, media, bot, `ws`) without the kernel, a million frames each way,
 * under V8's sampling heap profiler, which counts what dies young too. Not in the plain `npm run bench`: it takes a minute.
 *
 *   RTP packet ─▶ FakeRtpSocket ─▶ LegSession ─▶ BotSession ─▶ FrameWriter ─▶ socket.write, which is cut off
 *   RTP packet ◀─ FakeRtpSocket ◀─ LegSession ◀─ BotSession ◀─ `ws` ◀─ 'data' with a frame as it comes from a server
 *
 * A function that V8 has inlined counts as the one that it was inlined into. Timestamps, SSRCs and clocks are such as
 * do not fit into a small integer, as half of the real ones: what boxes them shows.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { Session, type HeapProfiler } from 'node:inspector/promises'
import type { Socket } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import type { BotPlan } from '../../src/calls/ports.ts'
import type { LegId } from '../../src/calls/ids.ts'
import { checkEgress } from '../../src/egress/egress.ts'
import { LegSession } from '../../src/engine/leg-session.ts'
import type { Clock, Timer } from '../../src/lib/clock.ts'
import { Playout } from '../../src/media/playout.ts'
import { writeRtp } from '../../src/rtp/packet.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeBot } from '../fakes/bot.ts'
import { planOf } from '../fakes/plan.ts'
import { FakeRtpSocket } from '../fakes/rtp-socket.ts'
import type { Figure } from './measure.ts'

const FRAMES = Number(process.env.BENCH_FRAMES ?? 1_000_000)
const WARM_UP = 60_000
/** Frames between two turns of the event loop, where streams do what they put off. */
const PER_TURN = 500
const SAMPLE_EVERY_BYTES = 2048
const FIRST_TS = 0xa000_0000
const SSRC = 0xf123_4567
const SHOWN_BYTES = 0.05

interface Due extends Timer {
  atMs: number
  fn: () => void
}

/** Time moved by hand. What the playout loop asks for each slot costs nothing: V8 would inline it into our code. */
class BenchClock implements Clock {
  #nowMs = 1000.123
  readonly #timers: Due[] = []
  readonly #slot: Due = { atMs: Infinity, fn: () => undefined, cancel: () => void (this.#slot.atMs = Infinity) }

  now(): number {
    return this.#nowMs
  }
  wallMs(): number {
    return 1_760_000_000_000 + this.#nowMs
  }
  after(delayMs: number, fn: () => void): Timer {
    if (delayMs < 25 && this.#slot.atMs === Infinity) {
      this.#slot.atMs = this.#nowMs + delayMs
      this.#slot.fn = fn
      return this.#slot
    }
    return this.#later(delayMs, fn)
  }
  #later(delayMs: number, fn: () => void): Timer {
    const timers = this.#timers
    const timer = {
      atMs: this.#nowMs + delayMs,
      fn,
      cancel(): void {
        const at = timers.indexOf(timer)
        if (at >= 0) timers.splice(at, 1)
      },
    }
    timers.push(timer)
    return timer
  }
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    for (;;) {
      let next = this.#slot.atMs <= untilMs ? this.#slot : undefined
      for (const t of this.#timers) if (t.atMs <= untilMs && (!next || t.atMs < next.atMs)) next = t
      if (!next) break
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.cancel()
      next.fn()
    }
    this.#nowMs = untilMs
  }
}

/** One frame of the bot's, as a server sends it (RFC 6455 §5.2: not masked). */
function fromServer(opcode: number, payload: Buffer): Buffer {
  const n = payload.length
  const head = n < 126 ? [0x80 | opcode, n] : [0x80 | opcode, 126, n >> 8, n & 255]
  return Buffer.concat([Buffer.from(head), payload])
}

class Rig {
  readonly #clock: BenchClock
  readonly #rtp: FakeRtpSocket
  readonly #net: Socket
  readonly #leg: LegSession
  readonly #bot: FakeBot
  readonly #fromBot: Buffer
  readonly #packet = Buffer.alloc(12 + FRAME_SAMPLES, 0x35)
  #n = 0
  written = 0
  #pings = 0
  #pongs = 0

  private constructor(
    clock: BenchClock,
    rtp: FakeRtpSocket,
    net: Socket,
    leg: LegSession,
    bot: FakeBot,
    frame: Buffer,
  ) {
    this.#clock = clock
    this.#rtp = rtp
    this.#net = net
    this.#leg = leg
    this.#bot = bot
    this.#fromBot = frame
  }

  static async open(more: Partial<BotPlan>, frame: Buffer): Promise<Rig> {
    const bot = await FakeBot.listen()
    const clock = new BenchClock()
    const rtp = new FakeRtpSocket()
    rtp.keep = false
    const playout = new Playout(clock, (err) => {
      throw err
    })
    const fail = (_legId: LegId, err: unknown): void => {
      throw err
    }
    let opened = (): void => undefined
    const open = new Promise<void>((resolve) => (opened = resolve))
    const leg = new LegSession('bench.1', rtp, {
      clock,
      log: silentLog,
      playout,
      recordingsDir: '.',
      promptsDir: '.',
      resolve: (url) => checkEgress(url, 'bot', { allowInsecure: true }),
      emit: (event) => {
        if (event.on === 'bot' && event.state === 'open') opened()
      },
      fault: fail,
      counts: { botSockets: 0, recordings: 0 },
    })
    playout.start()
    leg.connect({
      host: '127.0.0.1',
      port: 4000,
      rtcpPort: 4001,
      codec: 'pcmu',
      payloadType: 0,
      dtmfPayloadType: 101,
      ptimeMs: 20,
      direction: 'sendrecv',
      source: 'strict',
      timeoutBeforeMs: 0,
      timeoutAfterMs: 60_000,
      dtmfMode: 'rfc4733',
    })
    leg.callAnswered()
    let net: Socket | undefined
    const seen = (message: unknown): void => {
      net = (message as { socket: Socket }).socket
    }
    subscribe('net.client.socket', seen)
    leg.attachBot(planOf(bot.url, more))
    await open
    unsubscribe('net.client.socket', seen)
    await (await bot.conversation()).until(() => true)
    const rig = new Rig(clock, rtp, net!, leg, bot, frame)
    // From here on the kernel is out of it.
    net!.write = rig.#sunk
    return rig
  }

  readonly #sunk = (data: Uint8Array): boolean => {
    // `ws` writes a ping's header by itself: so long it is, with the mask; its payload may be any bytes, but not as many.
    if (data[0] === 0x89 && data.length === 6) this.#pings++
    else if (data.length > FRAME_SAMPLES) this.written++
    return true
  }

  frames(count: number): void {
    const packet = this.#packet
    for (let i = 0; i < count; i++) {
      const n = this.#n++
      writeRtp(packet, 0, false, n & 0xffff, (FIRST_TS + n * FRAME_SAMPLES) >>> 0, SSRC)
      this.#rtp.receive(packet, '127.0.0.1', 4000)
      this.#net.emit('data', this.#fromBot)
      this.#clock.advance(20)
      if (this.#pongs < this.#pings) this.#net.emit('data', fromServer(10, Buffer.from(String(this.#pongs++))))
    }
  }

  async run(count: number): Promise<void> {
    for (let done = 0; done < count; done += PER_TURN) {
      this.frames(PER_TURN)
      await turn()
    }
  }

  async close(): Promise<void> {
    Reflect.deleteProperty(this.#net, 'write')
    this.#net.destroy()
    await this.#leg.close({ reason: 'bench', sipStatus: 200, q850: 16 })
    await this.#bot.close()
  }
}

interface Tally {
  ours: Map<string, number>
  ws: number
  node: number
  bench: number
}

function tally(node: HeapProfiler.SamplingHeapProfileNode, into: Tally): Tally {
  const { url, functionName, lineNumber } = node.callFrame
  const src = url.indexOf('/src/')
  if (src >= 0 && !url.includes('node_modules')) {
    const name = `${url.slice(src + 1)}:${lineNumber + 1} ${functionName}`
    into.ours.set(name, (into.ours.get(name) ?? 0) + node.selfSize)
  } else if (url.includes('node_modules/ws/')) into.ws += node.selfSize
  else if (url.includes('/test/')) into.bench += node.selfSize
  else into.node += node.selfSize
  for (const child of node.children) tally(child, into)
  return into
}

async function sampled(name: string, more: Partial<BotPlan>, frame: Buffer): Promise<Figure[]> {
  const rig = await Rig.open(more, frame)
  const inspector = new Session()
  inspector.connect()
  try {
    await rig.run(WARM_UP)
    const writtenBefore = rig.written
    await inspector.post('HeapProfiler.startSampling', {
      samplingInterval: SAMPLE_EVERY_BYTES,
      includeObjectsCollectedByMajorGC: true,
      includeObjectsCollectedByMinorGC: true,
    } as HeapProfiler.StartSamplingParameterType)
    await rig.run(FRAMES)
    const { profile } = await inspector.post('HeapProfiler.stopSampling')
    if (rig.written - writtenBefore !== FRAMES) throw new Error(`${rig.written - writtenBefore} of ${FRAMES} frames were written`) // prettier-ignore
    const { ours, ws, node, bench } = tally(profile.head, { ours: new Map(), ws: 0, node: 0, bench: 0 })
    const figure = (what: string, bytes: number): Figure => ({ name: `${name}: ${what}`, value: bytes / FRAMES, unit: 'bytes/frame' }) // prettier-ignore
    const sum = (all: Iterable<number>): number => [...all].reduce((total, bytes) => total + bytes, 0)
    // No object is smaller than 16 bytes: less than that is not for each frame.
    const eachFrame = [...ours.values()].filter((bytes) => bytes >= 8 * FRAMES)
    return [
      figure('our code, for each frame', sum(eachFrame)),
      figure('our code, now and then (reports, keep-alive, windows)', sum(ours.values()) - sum(eachFrame)),
      ...[...ours]
        .filter(([, bytes]) => bytes / FRAMES >= SHOWN_BYTES)
        .sort(([, a], [, b]) => b - a)
        .map(([where, bytes]) => figure(`  ${where}`, bytes)),
      figure('ws', ws),
      figure("Node's own", node),
      figure('(this bench)', bench),
    ]
  } finally {
    inspector.disconnect()
    await rig.close()
  }
}

export async function bench(): Promise<Figure[]> {
  // A minute of its own: only when it is asked for by name.
  if (!process.argv.includes('heap')) return []
  const audio = Buffer.from(Uint8Array.from({ length: FRAME_SAMPLES }, (_, i) => (i * 7) & 255))
  const payload = audio.toString('base64')
  const text = (message: unknown): Buffer => fromServer(1, Buffer.from(JSON.stringify(message)))
  const side = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 } as const
  const binary: Partial<BotPlan> = { audio: { input: side, output: side, transport: 'binary' } }
  const listening = { vad: true, bargeIn: 'none', amd: false, silenceMs: 0, quality: false } as const
  return [
    ...(await sampled('binary', binary, fromServer(2, audio))),
    ...(await sampled('binary, VAD', { ...binary, listening }, fromServer(2, audio))),
    ...(await sampled('JSON, native', {}, text({ type: 'response.audio.delta', item_id: 'item_1', delta: payload }))),
    ...(await sampled('JSON, twilio', { dialect: 'twilio' }, text({ event: 'media', streamSid: 'MZ0', media: { payload } }))), // prettier-ignore
  ]
}
