/**
 * The latency budget: every stretch that a caller or a bot author can feel, each measured from outside on a few calls.
 *
 *   1  echo bots                     caller to bot, bot to caller
 *   2  bots that speak and clear     clear to silence
 *   3  the server calls, the bot connects while it rings and speaks at once     200 to the first sound
 *   4  the server is called, the bot speaks at once                             200 to the first sound
 */
import { loadavg } from 'node:os'
import { newKeyText } from '../accounts/key-text.ts'
import { sleep } from '../lib/clock.ts'
import { ClearFigures, clearingBot, openingBot, type Told } from './budget-bots.ts'
import { stretch, type BudgetReport } from './budget-report.ts'
import { BotServer, type BotConnection } from './bot-server.ts'
import { Bridge } from './bridge.ts'
import { loadClip } from './clips.ts'
import { echoBot, echoCounts } from './echo-bot.ts'
import type { LoadOptions, Progress } from './options.ts'
import { Pacer } from './pacer.ts'
import { Phone, type CallMedia, type PhoneCall } from './phone.ts'
import { Probe } from './probe.ts'
import { Tally } from './report.ts'
import { SoundWatch } from './sound-watch.ts'
import { LatencyHistogram } from './stats.ts'
import { answered, callerNumber, hangupAll, ramp } from './steady.ts'
import type { WebSocket } from 'ws'

const SETTLE_MS = 3000
const TRAIL_MS = 500
/** The bot is connected and has spoken long before that. */
const RING_MS = 400
const FIRST_SOUND_MS = 5000
const ANSWER_MS = 20_000
/** A second call must not start before the first one's sound is in: they would wait for one another. */
const BETWEEN_CALLS_MS = 150

interface World {
  o: LoadOptions
  bridge: Bridge
  phone: Phone
  problems: Tally
  /** What the next bot connection is. */
  bot: (accept: (socket: WebSocket) => BotConnection) => void
}

export async function budgetRun(o: LoadOptions, say: Progress): Promise<BudgetReport> {
  const { clock, log, calls } = o
  const loadBefore = loadavg()[0]
  const pacer = new Pacer(clock)
  const problems = new Tally()
  let accept: (socket: WebSocket) => BotConnection = (socket) => echoBot(socket, clock, echoCounts())
  const bots = await BotServer.listen((socket) => accept(socket))
  const phone = await Phone.start({ clock, log, pacer, codecs: ['pcmu'] })
  let bridge: Bridge | undefined
  try {
    say('starting the bridge')
    const apiKey = newKeyText()
    const server = await Bridge.start({
      ...o,
      botUrl: bots.url,
      maxCalls: calls + 10,
      carrierPort: phone.port,
      apiKey,
      core: o.pin ? 0 : undefined,
    })
    bridge = server
    o.onStop(() => void server.stop())
    const world: World = { o, bridge, phone, problems, bot: (next) => (accept = next) }
    say(`${calls} calls against echo bots`)
    const probe = await echoed(world, pacer)
    say('bots that clear')
    const clear = await cleared(world)
    say('the server calls')
    const outbound = await opened(world, (i, watch) => called(world, i, watch, bots.url, apiKey))
    say('the server is called')
    const inbound = await opened(world, (i, watch) => calling(world, i, watch))
    if (clear.failed > 0) problems.add(`${clear.failed} clears without sound before or silence after`)
    return {
      mode: 'budget',
      calls,
      failures: Object.values(problems.counts).reduce((a, b) => a + b, 0),
      dialect: o.dialect,
      toBotMs: stretch(probe.up),
      toCallerMs: stretch(probe.down),
      lostFrames: probe.counts.sent - probe.counts.returned,
      clearToLastPacketMs: stretch(clear.lastPacket),
      clearToSilenceMs: stretch(clear.silence),
      clearToReplyMs: stretch(clear.reply),
      packetsAfterClear: clear.mostPackets,
      outboundFirstSoundMs: stretch(outbound.firstSound),
      outboundHeld: outbound.beforeAnswer,
      inboundFirstSoundMs: stretch(inbound.firstSound),
      generator: { ...pacer.health },
      loadAverage: { before: loadBefore, after: loadavg()[0] },
      problems: problems.counts,
    }
  } finally {
    await bridge?.stop()
    await phone.close()
    await bots.close()
  }
}

async function echoed({ o, bridge, phone, problems, bot }: World, pacer: Pacer): Promise<Probe> {
  const probe = new Probe(o.calls)
  const counts = echoCounts()
  bot((socket) => echoBot(socket, o.clock, counts, probe))
  const up = await answered(await ramp(o, bridge, phone, probe, new LatencyHistogram()), problems)
  await sleep(o.clock, SETTLE_MS)
  pacer.resetHealth()
  probe.startMeasuring()
  await sleep(o.clock, o.seconds * 1000)
  probe.stopMeasuring()
  await sleep(o.clock, TRAIL_MS)
  if (counts.errors) problems.add(`bot got errors: ${counts.lastError}`)
  await hangupAll(o, up, problems)
  return probe
}

async function cleared({ o, bridge, phone, problems, bot }: World): Promise<ClearFigures> {
  const figures = new ClearFigures()
  const watches = new Map<string, SoundWatch>()
  const speech = repeated(loadClip('tone-440'), 3)
  bot((socket) => clearingBot(socket, o.clock, speech, figures, (from) => watches.get(from)))
  const placed: PhoneCall[] = []
  for (let i = 0; i < o.calls; i++) {
    const watch = new SoundWatch()
    watches.set(callerNumber(i), watch)
    placed.push(
      await phone.call({ target: bridge.target, from: callerNumber(i), ringTimeoutMs: ANSWER_MS, ...ears(watch) }),
    )
    await sleep(o.clock, 1000 / o.cps)
  }
  const up = await answered(placed, problems)
  await sleep(o.clock, o.seconds * 1000)
  await hangupAll(o, up, problems)
  if (figures.silence.count === 0) problems.add('nothing was cleared')
  return figures
}

interface Openings {
  firstSound: LatencyHistogram
  /** Bots that had their `start` before the answer. */
  beforeAnswer: number
}

/** One call after the other. `place` resolves with the call and the moment of its 200, monotonic. */
async function opened(
  { o, problems, bot }: World,
  place: (i: number, watch: SoundWatch) => Promise<{ call: PhoneCall; answeredAtMs: number }>,
): Promise<Openings> {
  const result: Openings = { firstSound: new LatencyHistogram(), beforeAnswer: 0 }
  const speech = repeated(loadClip('tone-440'), 1)
  const connected = ({ state }: Told): void => void (state === 'answered' || result.beforeAnswer++)
  bot((socket) => openingBot(socket, speech, connected))
  for (let i = 0; i < o.calls; i++) {
    const watch = new SoundWatch()
    try {
      const { call, answeredAtMs } = await place(i, watch)
      const untilMs = o.clock.now() + FIRST_SOUND_MS
      while (watch.firstSoundMs < 0 && o.clock.now() < untilMs && !call.end) await sleep(o.clock, 10)
      if (watch.firstSoundMs < 0) problems.add('the opening was not heard')
      else result.firstSound.record(watch.firstSoundMs - answeredAtMs)
      await hangupAll(o, [call], problems)
    } catch (err) {
      problems.add((err as Error).message)
    }
    await sleep(o.clock, BETWEEN_CALLS_MS)
  }
  return result
}

async function called(
  { o, bridge, phone }: World,
  i: number,
  watch: SoundWatch,
  botUrl: string,
  apiKey: string,
): Promise<{ call: PhoneCall; answeredAtMs: number }> {
  const incoming = new Promise<PhoneCall>((resolve) =>
    phone.onCall(() => ({ do: 'answer', ringMs: RING_MS, ...ears(watch) }), resolve),
  )
  await bridge.dial(callerNumber(i), botUrl, apiKey)
  const late = sleep(o.clock, ANSWER_MS).then(() => undefined)
  const call = await Promise.race([incoming, late])
  if (!call) throw new Error('the server did not call')
  await call.answered
  return { call, answeredAtMs: call.startedAtMs + call.times.acceptedMs }
}

async function calling(
  { bridge, phone }: World,
  i: number,
  watch: SoundWatch,
): Promise<{ call: PhoneCall; answeredAtMs: number }> {
  const call = await phone.call({
    target: bridge.target,
    from: callerNumber(i),
    ringTimeoutMs: ANSWER_MS,
    ...ears(watch),
  })
  await call.answered
  return { call, answeredAtMs: call.startedAtMs + call.times.answeredMs }
}

const ears = (watch: SoundWatch): CallMedia => ({ arrived: (payload, nowMs) => watch.arrived(payload, nowMs) })

/** At least so many seconds of a clip. */
function repeated(clip: Buffer, seconds: number): Buffer {
  const times = Math.ceil((seconds * 8000) / clip.length)
  return Buffer.concat(Array.from({ length: times }, () => clip)).subarray(0, seconds * 8000)
}
