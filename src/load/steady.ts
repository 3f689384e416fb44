/**
 * The load run proper: N calls up, all talking, measured for some seconds, all down. Callers and echo bots are in this
 * process, the bridge is in its own.
 *
 *    ramp (cps) ──▶ settle ──▶ measure ──▶ last frames come back ──▶ hang up
 */
import { loadavg } from 'node:os'
import { sleep } from '../lib/clock.ts'
import { FRAME_SAMPLES } from '../audio/flow.ts'
import { BotServer } from './bot-server.ts'
import { Bridge } from './bridge.ts'
import { loadClip } from './clips.ts'
import { echoBot, echoCounts } from './echo-bot.ts'
import { measureFloor } from './floor.ts'
import { gcMaxMs, loopDelayMs } from './readings.ts'
import { Pacer } from './pacer.ts'
import { Phone, type PhoneCall } from './phone.ts'
import { Probe } from './probe.ts'
import { latency, setup, Tally, type LoadReport } from './report.ts'
import type { LoadOptions, Progress } from './options.ts'
import { LatencyHistogram } from './stats.ts'

const ANSWER_MS = 20_000
const SETTLE_MS = 4_000
const TRAIL_MS = 1_000
const END_MS = 10_000

export async function steadyRun(o: LoadOptions, say: Progress): Promise<LoadReport> {
  const { clock, log, calls } = o
  const probe = new Probe(calls)
  const interArrival = new LatencyHistogram()
  const pacer = new Pacer(clock)
  const counts = echoCounts()
  const bots = await BotServer.listen((socket) => echoBot(socket, clock, counts, probe))
  const phone = await Phone.start({ clock, log, pacer, codecs: ['pcmu'] })
  let bridge: Bridge | undefined
  try {
    say('starting the bridge')
    bridge = await Bridge.start({ ...o, botUrl: bots.url, maxCalls: calls + 10, core: o.pin ? 0 : undefined })
    o.onStop(() => void bridge?.stop())
    const rssBaseMb = bridge.usage()?.rssMb ?? null

    say(`placing ${calls} calls, ${o.cps} a second`)
    const problems = new Tally()
    const placed = await ramp(o, bridge, phone, probe, interArrival)
    const up = await answered(placed, problems)
    const [setupMs, ringMs] = [new LatencyHistogram(), new LatencyHistogram()]
    for (const call of up) {
      setupMs.record(call.times.answeredMs)
      if (call.times.ringingMs >= 0) ringMs.record(call.times.ringingMs)
    }

    say(`${up.length} calls are up; settling`)
    await sleep(clock, SETTLE_MS)
    // Figures of the kind "worst since the last scrape" start here.
    const metrics0 = await bridge.metrics()
    const generator0 = process.cpuUsage()
    const cpu0 = bridge.usage()
    const late0 = sumOf(up, 'late')
    const flow0 = { sent: sumOf(up, 'sent'), heard: counts.framesIn, returned: sumOf(up, 'received') }
    const startMs = clock.now()
    pacer.resetHealth()
    interArrival.reset()
    probe.startMeasuring()
    say(`measuring for ${o.seconds} s`)
    await sleep(clock, o.seconds * 1000)
    probe.stopMeasuring()
    const seconds = (clock.now() - startMs) / 1000
    const cpu1 = bridge.usage()
    const generatorCpu = process.cpuUsage(generator0)
    const interArrivalMs = latency(interArrival)
    const lateFrames = sumOf(up, 'late') - late0
    const rate = (frames: number): number => frames / seconds / Math.max(1, up.length)
    const packetsPerSecond = {
      sent: rate(sumOf(up, 'sent') - flow0.sent),
      heard: rate(counts.framesIn - flow0.heard),
      returned: rate(sumOf(up, 'received') - flow0.returned),
    }
    const generator = {
      ...pacer.health,
      cpuPercent: (generatorCpu.user + generatorCpu.system) / 1e4 / seconds,
    }
    const metrics = await bridge.metrics()
    await sleep(clock, TRAIL_MS)

    for (const call of up) {
      if (call.end) problems.add(`ended early: ${call.end.sipStatus} ${call.end.text}`)
      else if (call.media.stats.received === 0) problems.add('no audio came back')
    }
    if (counts.errors) problems.add(`bot got errors: ${counts.lastError}`)
    say('hanging up')
    await hangupAll(o, up, problems)
    await bridge.stop()
    bridge = undefined
    await phone.close()
    await bots.close()

    const perCall = (part: 'cpuSeconds' | 'userSeconds' | 'systemSeconds'): number | null =>
      cpu0 && cpu1 && up.length > 0 ? ((cpu1[part] - cpu0[part]) / seconds / up.length) * 100 : null
    const cpuPercentPerCall = perCall('cpuSeconds')
    const floor = o.floor ? await measureFloor(o, say) : { c: null, node: null }
    const base = floor.c ?? floor.node
    return {
      calls,
      failures: Object.values(problems.counts).reduce((a, b) => a + b, 0),
      seconds: Math.round(seconds * 10) / 10,
      dialect: o.dialect,
      rate: o.rate ?? null,
      recording: o.recording,
      workers: o.workers ?? null,
      cpuPercentPerCall,
      cpuUserPercentPerCall: perCall('userSeconds'),
      cpuSystemPercentPerCall: perCall('systemSeconds'),
      floor,
      ratioToFloor: base && cpuPercentPerCall !== null ? cpuPercentPerCall / base : null,
      upMs: latency(probe.up),
      downMs: latency(probe.down),
      upBeyondMs: latency(probe.upBeyond),
      downBeyondMs: latency(probe.downBeyond),
      interArrivalMs,
      // Resampled audio has no tags to count.
      lostFrames: o.rate ? null : probe.counts.sent - probe.counts.returned,
      lateFrames,
      framesSent: probe.counts.sent,
      packetsPerSecond,
      setupMs: setup(setupMs),
      ringMs: setup(ringMs),
      rssMb: cpu1?.rssMb ?? null,
      rssBaseMb,
      gcMaxMs: gcMaxMs(metrics0, metrics),
      loopDelayMs: loopDelayMs(metrics),
      generator,
      loadAverage: loadavg()[0],
      problems: problems.counts,
    }
  } finally {
    await bridge?.stop()
    await phone.close()
    await bots.close()
  }
}

/** Places the calls at the asked rate, by deadlines; each plays the fixture for ever. */
export async function ramp(
  o: LoadOptions,
  bridge: Bridge,
  phone: Phone,
  probe: Probe,
  interArrival: LatencyHistogram,
): Promise<PhoneCall[]> {
  const speech = loadClip('hello-caller')
  const placed: PhoneCall[] = []
  const t0Ms = o.clock.now()
  for (let i = 0; i < o.calls; i++) {
    const waitMs = t0Ms + (i * 1000) / o.cps - o.clock.now()
    if (waitMs > 1) await sleep(o.clock, waitMs)
    const call = await phone.call({
      target: bridge.target,
      from: callerNumber(i),
      interArrival,
      sending: (frame, frameNo, nowMs) => probe.sending(frame, i, frameNo, nowMs),
      arrived: (payload, nowMs) => probe.returned(payload, nowMs),
      ringTimeoutMs: ANSWER_MS,
    })
    // Each starts elsewhere in the clip: a hundred equal callers would be a hundred equal pauses.
    const from = ((i * 37) % Math.floor(speech.length / FRAME_SAMPLES)) * FRAME_SAMPLES
    void call.media.play(Buffer.concat([speech.subarray(from), speech.subarray(0, from)]), true)
    placed.push(call)
  }
  return placed
}

export const callerNumber = (i: number): string => `+9198${String(10_000_000 + i).slice(-8)}`

/** Those that were answered; the others' reasons go into `problems`. */
export async function answered(placed: PhoneCall[], problems: Tally): Promise<PhoneCall[]> {
  const up: PhoneCall[] = []
  await Promise.all(
    placed.map(async (call) => {
      try {
        await call.answered
        up.push(call)
      } catch (err) {
        problems.add((err as Error).message)
      }
    }),
  )
  return up
}

export async function hangupAll(o: LoadOptions, up: PhoneCall[], problems: Tally): Promise<void> {
  for (const call of up) call.hangup()
  const all = Promise.all(up.map((call) => call.ended)).then(() => true)
  const inTime = await Promise.race([all, sleep(o.clock, END_MS).then(() => false)])
  if (!inTime) problems.add('calls did not end in time')
}

const sumOf = (calls: PhoneCall[], figure: 'late' | 'sent' | 'received'): number =>
  calls.reduce((sum, call) => sum + call.media.stats[figure], 0)
