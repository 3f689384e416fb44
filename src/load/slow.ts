/**
 * Slow bots beside good ones, in one process and on the same calls: first every bot is good, then the last N stop
 * reading. What counts is the latency of the others, which must not notice.
 *
 *   ramp ─▶ settle ─▶ measure twice ─▶ N bots stop reading ─▶ nothing more is sent to them ─▶ measure ─▶ dialled anew?
 */
import { loadavg } from 'node:os'
import { sleep } from '../lib/clock.ts'
import { BotServer } from './bot-server.ts'
import { Bridge } from './bridge.ts'
import { grownBy, type SlowReport, type Ways } from './budget-report.ts'
import { echoBot, echoCounts } from './echo-bot.ts'
import type { LoadOptions, Progress } from './options.ts'
import { Pacer } from './pacer.ts'
import { Phone } from './phone.ts'
import { Probe } from './probe.ts'
import { sum } from './readings.ts'
import { latency, Tally } from './report.ts'
import { StallingBot } from './stalling-bot.ts'
import { LatencyHistogram } from './stats.ts'
import { answered, hangupAll, ramp } from './steady.ts'

const SETTLE_MS = 4000
/** The bridge sends no more to a bot that is 5 s behind (bot/uplink.ts): from there on it costs what it costs. */
const BEHIND_MS = 6000
const TRAIL_MS = 1000
/** The bridge gives a bot up that has read nothing for 10 s (BOT-PROTOCOL §4), then dials it within a quarter. */
const REDIAL_MS = 20_000
/** The figure of the dropped audio is written when a call ends. */
const WRITTEN_MS = 500

export async function slowRun(o: LoadOptions, say: Progress): Promise<SlowReport> {
  const { clock, log, calls, slowBots } = o
  const probe = new Probe(calls)
  const pacer = new Pacer(clock)
  const counts = echoCounts()
  const problems = new Tally()
  const current = new Map<number, StallingBot>()
  /** By call: when its bot was dialled anew. */
  const redialledAt = new Map<number, number>()
  const stalled = new Set<StallingBot>()
  const recognised = (call: number, bot: StallingBot): void => {
    const before = current.get(call)
    if (before && stalled.has(before) && !redialledAt.has(call)) redialledAt.set(call, clock.now())
    current.set(call, bot)
  }
  const bots: BotServer = await BotServer.listen(
    (socket) =>
      new StallingBot(socket, {
        clock,
        probe,
        echo: echoBot(socket, clock, counts, probe),
        recognised,
      }),
  )
  const phone = await Phone.start({ clock, log, pacer, codecs: ['pcmu'] })
  let bridge: Bridge | undefined
  try {
    say('starting the bridge')
    bridge = await Bridge.start({ ...o, botUrl: bots.url, maxCalls: calls + 10, core: o.pin ? 0 : undefined })
    o.onStop(() => void bridge?.stop())
    say(`placing ${calls} calls`)
    const up = await answered(await ramp(o, bridge, phone, probe, new LatencyHistogram()), problems)
    await sleep(clock, SETTLE_MS)
    const slow = Array.from({ length: slowBots }, (_, i) => calls - 1 - i)
    for (const call of slow) probe.ignore(call)

    say(`every bot reads: measuring for ${o.seconds} s, twice`)
    const first = await measured(o, probe, pacer)
    const before = await measured(o, probe, pacer)
    say(`${slowBots} bots stop reading`)
    const stalledAtMs = clock.now()
    for (const call of slow) {
      const bot = current.get(call)
      if (!bot) {
        problems.add('a slow bot has no call')
        continue
      }
      stalled.add(bot)
      bot.stall()
    }
    await sleep(clock, BEHIND_MS)
    say(`measuring for ${o.seconds} s`)
    const during = await measured(o, probe, pacer)
    say('waiting for the bridge to give them up')
    while (redialledAt.size < stalled.size && clock.now() < stalledAtMs + REDIAL_MS) await sleep(clock, 100)
    await sleep(clock, TRAIL_MS)

    const slowCalls = new Set(up.slice(calls - slowBots))
    for (const call of up)
      if (call.end && !slowCalls.has(call)) problems.add(`ended early: ${call.end.sipStatus} ${call.end.text}`)
    const callsUp = [...slowCalls].filter((call) => !call.end).length
    await hangupAll(o, up, problems)
    await sleep(clock, WRITTEN_MS)
    const waits = [...redialledAt.values()].map((atMs) => atMs - stalledAtMs)
    return {
      mode: 'slow-bots',
      calls,
      failures: Object.values(problems.counts).reduce((a, b) => a + b, 0),
      seconds: o.seconds,
      dialect: o.dialect,
      slowBots,
      before,
      during,
      p99GrowthMs: grownBy(before, during),
      p99NoiseMs: grownBy(first, before),
      slow: {
        redialled: redialledAt.size,
        redialMs: waits.length ? { least: Math.min(...waits), most: Math.max(...waits) } : null,
        callsUp,
        droppedMs: sum(await bridge.metrics(), 'trunkline_bot_dropped_ms_total'),
      },
      problems: problems.counts,
    }
  } finally {
    await bridge?.stop()
    await phone.close()
    await bots.close()
  }
}

/** The calls of one phase: both ways over so many seconds. */
export async function measured({ clock, seconds }: LoadOptions, probe: Probe, pacer: Pacer): Promise<Ways> {
  probe.reset()
  pacer.resetHealth()
  probe.startMeasuring()
  await sleep(clock, seconds * 1000)
  probe.stopMeasuring()
  const { worstLateMs } = pacer.health
  await sleep(clock, TRAIL_MS)
  return {
    upMs: latency(probe.up),
    downMs: latency(probe.down),
    upBeyondMs: latency(probe.upBeyond),
    downBeyondMs: latency(probe.downBeyond),
    lostFrames: probe.counts.sent - probe.counts.returned,
    worstLateMs,
    loadAverage: loadavg()[0],
  }
}
