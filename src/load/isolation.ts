/**
 * Whether the media stay what they are while the rest of the server is in trouble: one set of calls, measured quiet and
 * then under each disturbance. Watchers of live events join when there are such events.
 *
 *   history ─▶ ramp ─▶ settle ─▶ quiet, twice ─▶ (disturb ─▶ measure ─▶ end ─▶ recover), one by one ─▶ hang up
 */
import { cpus } from 'node:os'
import { newKeyText } from '../accounts/key-text.ts'
import { sleep } from '../lib/clock.ts'
import { BotServer } from './bot-server.ts'
import { Bridge } from './bridge.ts'
import { grownBy } from './budget-report.ts'
import { disturb, DISTURBANCES, KEYS, type Stage } from './disturbances.ts'
import { echoBot, echoCounts } from './echo-bot.ts'
import { faultsOf, type Disturbed, type IsolationReport, type Phase } from './isolation-report.ts'
import type { LoadOptions, Progress } from './options.ts'
import { Pacer } from './pacer.ts'
import { Phone } from './phone.ts'
import { Probe } from './probe.ts'
import { loopDelayMs } from './readings.ts'
import { Tally } from './report.ts'
import { measured } from './slow.ts'
import { LatencyHistogram } from './stats.ts'
import { answered, callerNumber, hangupAll, ramp } from './steady.ts'

/** Calls that have been, so that a list is a full page. */
const HISTORY = 100
const HISTORY_CPS = 25
const SETTLE_MS = 4000
/** What only its start costs does not count. */
const LEAD_MS = 1000
const RECOVER_MS = 3000

export async function isolationRun(o: LoadOptions, say: Progress): Promise<IsolationReport> {
  const { clock, log, calls } = o
  const probe = new Probe(calls)
  const pacer = new Pacer(clock)
  const counts = echoCounts()
  const problems = new Tally()
  const keys = Array.from({ length: KEYS }, newKeyText)
  const bots = await BotServer.listen((socket) => echoBot(socket, clock, counts, probe))
  const phone = await Phone.start({ clock, log, pacer, codecs: ['pcmu'] })
  let bridge: Bridge | undefined
  try {
    say('starting the bridge')
    bridge = await Bridge.start({
      ...o,
      botUrl: bots.url,
      maxCalls: calls + HISTORY,
      apiKey: keys,
      program: 'blockable-server.ts',
      core: o.pin ? 0 : undefined,
    })
    const server = bridge
    o.onStop(() => void server.stop())
    say(`${HISTORY} calls come and go, for the lists`)
    await history(o, server, phone, problems)
    say(`placing ${calls} calls`)
    const up = await answered(await ramp(o, server, phone, probe, new LatencyHistogram()), problems)
    await sleep(clock, SETTLE_MS)
    const stage: Stage = {
      clock,
      bridge,
      keys,
      callIds: await liveCalls(server, keys[0]),
      onStop: (fn) => o.onStop(fn),
    }

    say(`quiet: measuring for ${o.seconds} s, twice`)
    const first = await phase(o, server, probe, pacer)
    const quiet = await phase(o, server, probe, pacer)
    const disturbed: Disturbed[] = []
    for (const name of DISTURBANCES) {
      say(`${name}: measuring for ${o.seconds} s`)
      const end = disturb(name, stage)
      await sleep(clock, LEAD_MS)
      const during = await phase(o, server, probe, pacer)
      const found: Disturbed = { name, during, p99GrowthMs: grownBy(quiet, during), asked: await end() }
      for (const fault of faultsOf(found)) problems.add(fault)
      disturbed.push(found)
      await sleep(clock, RECOVER_MS)
    }

    for (const call of up) if (call.end) problems.add(`ended early: ${call.end.sipStatus} ${call.end.text}`)
    if (counts.errors) problems.add(`bot got errors: ${counts.lastError}`)
    await hangupAll(o, up, problems)
    return {
      mode: 'isolation',
      calls,
      failures: Object.values(problems.counts).reduce((a, b) => a + b, 0),
      seconds: o.seconds,
      dialect: o.dialect,
      workers: o.workers ?? null,
      quiet,
      p99NoiseMs: grownBy(first, quiet),
      disturbed,
      problems: problems.counts,
    }
  } finally {
    await bridge?.stop()
    await phone.close()
    await bots.close()
  }
}

async function phase(o: LoadOptions, bridge: Bridge, probe: Probe, pacer: Pacer): Promise<Phase> {
  // Both figures are of the time since the last scrape.
  await bridge.metrics()
  const startMs = o.clock.now()
  const before = othersCpuMs(bridge)
  const ways = await measured(o, probe, pacer)
  const after = othersCpuMs(bridge)
  const lastedMs = o.clock.now() - startMs
  const metrics = await bridge.metrics()
  const control = metrics.get('nodejs_eventloop_lag_max_seconds')
  return {
    ...ways,
    controlLateMs: control === undefined ? null : control * 1000,
    mediaLateMs: loopDelayMs(metrics).media,
    othersCpuPercent: before === undefined || after === undefined ? null : ((after - before) / lastedMs) * 100,
  }
}

/** What the machine has spent on neither the bridge nor this process. */
function othersCpuMs(bridge: Bridge): number | undefined {
  const server = bridge.usage()
  if (!server) return undefined
  const { user, system } = process.cpuUsage()
  const busyMs = cpus().reduce((ms, { times: t }) => ms + t.user + t.nice + t.sys + t.irq, 0)
  return busyMs - server.cpuSeconds * 1000 - (user + system) / 1000
}

async function history(o: LoadOptions, bridge: Bridge, phone: Phone, problems: Tally): Promise<void> {
  const placed = []
  for (let i = 0; i < HISTORY; i++) {
    const call = await phone.call({ target: bridge.target, from: callerNumber(i), ringTimeoutMs: SETTLE_MS })
    placed.push(call)
    void call.answered.then(
      () => call.hangup(),
      () => undefined, // told below
    )
    await sleep(o.clock, 1000 / HISTORY_CPS)
  }
  await hangupAll(o, await answered(placed, problems), problems)
}

/** The ids of what goes on, by the API: they are what status reads are about. */
async function liveCalls(bridge: Bridge, key: string): Promise<string[]> {
  const reply = await fetch(`http://127.0.0.1:${bridge.httpPort}/v1/calls?state=bridged&limit=50`, {
    headers: { authorization: `Bearer ${key}` },
  })
  const { calls = [] } = (await reply.json()) as { calls?: { id: string }[] }
  if (calls.length === 0) throw new Error(`no live calls in the API's list: ${reply.status}`)
  return calls.map(({ id }) => id)
}
