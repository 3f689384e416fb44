/** The leak run: many short calls made and ended, then a look at what the bridge did not give back. */
import { sleep } from '../lib/clock.ts'
import { BotServer } from './bot-server.ts'
import { Bridge } from './bridge.ts'
import { loadClip } from './clips.ts'
import { echoBot, echoCounts } from './echo-bot.ts'
import type { LoadOptions, Progress } from './options.ts'
import { Pacer } from './pacer.ts'
import { Phone } from './phone.ts'
import { sum } from './readings.ts'
import { setup, Tally, type ChurnReport, type Leaks } from './report.ts'
import { LatencyHistogram } from './stats.ts'
import { callerNumber } from './steady.ts'

const WARM_UP_CALLS = 20
const QUARANTINE_MS = 500
const ANSWER_MS = 20_000
/** SIP transactions linger 32 s after a call (64*T1); then all must be gone. */
const CALM_MS = 45_000
const LINGER_MS = 34_000
/**
 * Pools and caches that fill once, and timers that happen to be armed at the moment of the look. Memory is told and not
 * judged: the heap and the allocator keep what they once had, only a long soak says whether it grows.
 */
const TOLERANCE: Record<Exclude<keyof Leaks, 'rssMb'>, number> = {
  openFiles: 6,
  sockets: 4,
  udpSockets: 0,
  rtpPorts: 0,
  callsActive: 0,
  timers: 4,
  handles: 4,
}

export async function churnRun(o: LoadOptions, say: Progress): Promise<ChurnReport> {
  const { clock, log } = o
  const pacer = new Pacer(clock)
  const bots = await BotServer.listen((socket) => echoBot(socket, clock, echoCounts()))
  const phone = await Phone.start({ clock, log, pacer, codecs: ['pcmu'] })
  let bridge: Bridge | undefined
  try {
    say('starting the bridge')
    bridge = await Bridge.start({
      ...o,
      botUrl: bots.url,
      maxCalls: 5000,
      quarantineMs: QUARANTINE_MS,
      core: o.pin ? 0 : undefined,
    })
    const server = bridge
    o.onStop(() => void server.stop())
    const warmUp = new Tally()
    await manyCalls(o, server, phone, WARM_UP_CALLS, warmUp)
    await calm(o, () => bots.open === 0)
    say('waiting until nothing of the warm-up lingers')
    await sleep(clock, LINGER_MS)
    const before = await leaks(server)

    say(`${o.total} calls, ${o.cps} a second`)
    const problems = new Tally()
    const startMs = clock.now()
    const setupMs = await manyCalls(o, server, phone, o.total, problems)
    const seconds = (clock.now() - startMs) / 1000
    say('waiting for everything to be given back')
    let after = await leaks(server)
    const untilMs = clock.now() + CALM_MS
    while (grown(before, after).length > 0 && clock.now() < untilMs) {
      await sleep(clock, 500)
      after = await leaks(server)
    }
    const left = grown(before, after)
    if (bots.open > 0) left.push('bot sockets')
    return {
      mode: 'churn',
      calls: o.total,
      failures: Object.values(problems.counts).reduce((a, b) => a + b, 0),
      seconds,
      callsPerSecond: o.total / seconds,
      setupMs: setup(setupMs),
      before,
      after,
      leaks: left,
      problems: problems.counts,
    }
  } finally {
    await bridge?.stop()
    await phone.close()
    await bots.close()
  }
}

async function manyCalls(
  o: LoadOptions,
  bridge: Bridge,
  phone: Phone,
  count: number,
  problems: Tally,
): Promise<LatencyHistogram> {
  const setupMs = new LatencyHistogram()
  const speech = loadClip('hello-caller')
  const running: Promise<void>[] = []
  const t0Ms = o.clock.now()
  const one = async (i: number): Promise<void> => {
    const call = await phone.call({ target: bridge.target, from: callerNumber(i), ringTimeoutMs: ANSWER_MS })
    try {
      await call.answered
      setupMs.record(call.times.answeredMs)
      void call.media.play(speech, true)
      await sleep(o.clock, o.holdMs)
      if (call.end) problems.add(`ended early: ${call.end.sipStatus} ${call.end.text}`)
      else if (o.holdMs >= 300 && call.media.stats.received === 0) problems.add('no audio came back')
    } catch (err) {
      problems.add((err as Error).message)
    }
    call.hangup()
    await call.ended
  }
  for (let i = 0; i < count; i++) {
    const waitMs = t0Ms + (i * 1000) / o.cps - o.clock.now()
    if (waitMs > 1) await sleep(o.clock, waitMs)
    running.push(one(i).catch((err: unknown) => problems.add(String(err))))
  }
  await Promise.all(running)
  return setupMs
}

async function calm(o: LoadOptions, done: () => boolean): Promise<void> {
  const untilMs = o.clock.now() + 10_000
  while (!done() && o.clock.now() < untilMs) await sleep(o.clock, 100)
}

async function leaks(bridge: Bridge): Promise<Leaks> {
  const files = bridge.openFiles()
  const metrics = await bridge.metrics()
  return {
    openFiles: files?.total ?? null,
    sockets: files?.sockets ?? null,
    udpSockets: files?.udp ?? null,
    rtpPorts: sum(metrics, 'trunkline_rtp_ports_in_use'),
    callsActive: sum(metrics, 'trunkline_calls_active'),
    timers: metrics.get('nodejs_active_resources{type="Timeout"}') ?? null,
    handles: sum(metrics, 'nodejs_active_handles'),
    rssMb: bridge.usage()?.rssMb ?? null,
  }
}

/** What is more than it was, beyond its tolerance. */
export function grown(before: Leaks, after: Leaks): string[] {
  return (Object.keys(TOLERANCE) as (keyof typeof TOLERANCE)[]).filter((key) => {
    const [a, b] = [before[key], after[key]]
    return a !== null && b !== null && b > a + TOLERANCE[key]
  })
}
