/** What a load run found, as one object (`--json`, the shape of docs/performance.md) and as a table for people. */
import type { LatencyHistogram } from './stats.ts'

/** What the bots speak: the native protocol in either transport, or a foreign one. */
export const DIALECTS = ['native-json', 'native-binary', 'twilio'] as const
export type Dialect = (typeof DIALECTS)[number]
export type Rate = 16_000 | 24_000

export interface Latency {
  p50: number
  p99: number
  p999: number
}

/** null = not measured on this machine or in this run. */
export interface LoadReport {
  calls: number
  failures: number
  seconds: number
  dialect: Dialect
  /** pcm16 at this rate; null: µ-law. */
  rate: Rate | null
  recording: boolean
  workers: number | null
  /** Of one core, the bridge process alone, over the steady state. */
  cpuPercentPerCall: number | null
  /** Its two parts: in the program, in the kernel. */
  cpuUserPercentPerCall: number | null
  cpuSystemPercentPerCall: number | null
  /** The same for a relay without SIP, pacing and recording: Node with plain `ws`; C. */
  floor: { c: number | null; node: number | null }
  /** To the C floor where there is one, else to Node's. */
  ratioToFloor: number | null
  /** RTP packet sent by the caller to frame at the bot: jitter buffer and slot included. */
  upMs: Latency | null
  /** Frame sent by the bot to RTP packet at the caller: prefill and slot included. */
  downMs: Latency | null
  /** The same two beyond the least that each call saw: what the bridge's load adds. */
  upBeyondMs: Latency | null
  downBeyondMs: Latency | null
  /** |time between two RTP packets at the caller - 20 ms|. */
  interArrivalMs: Latency | null
  /** Frames that did not make the round; packets more than 10 ms off their 20 ms. */
  lostFrames: number | null
  lateFrames: number
  framesSent: number
  /** What should be 50 each: sent by a caller, heard by its bot, returned to it, per second. */
  packetsPerSecond: { sent: number; heard: number; returned: number }
  setupMs: { p50: number; p95: number; p99: number } | null
  /** INVITE to 180. */
  ringMs: { p50: number; p95: number; p99: number } | null
  rssMb: number | null
  rssBaseMb: number | null
  gcMaxMs: number | null
  loopDelayMs: { control: number | null; media: number | null }
  /** The generator's own worst lateness: figures of a run with a large one are not the bridge's. */
  generator: { worstLateMs: number; skippedMs: number; cpuPercent: number }
  /** Of the machine at the end, over one minute: other work on it shows here. */
  loadAverage: number
  /** Why calls failed, with counts. */
  problems: Record<string, number>
}

export interface ChurnReport {
  mode: 'churn'
  calls: number
  failures: number
  seconds: number
  callsPerSecond: number
  setupMs: { p50: number; p95: number; p99: number } | null
  before: Leaks
  after: Leaks
  /** Names of what did not come back to where it was. */
  leaks: string[]
  problems: Record<string, number>
}

/** What must be the same before and after: null = not measured. */
export interface Leaks {
  openFiles: number | null
  sockets: number | null
  udpSockets: number | null
  rtpPorts: number | null
  callsActive: number | null
  timers: number | null
  /** Of libuv in the control thread. */
  handles: number | null
  rssMb: number | null
}

export const latency = (h: LatencyHistogram): Latency | null => {
  const p = h.percentiles()
  return p && { p50: p.p50, p99: p.p99, p999: p.p999 }
}

export const setup = (h: LatencyHistogram): { p50: number; p95: number; p99: number } | null => {
  const p = h.percentiles()
  return p && { p50: p.p50, p95: p.p95, p99: p.p99 }
}

/** Counts words: how often each reason came. */
export class Tally {
  readonly counts: Record<string, number> = {}
  add(reason: string): void {
    this.counts[reason] = (this.counts[reason] ?? 0) + 1
  }
}

export const ms = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ms`
export const orDash = (value: number | null, unit = '', digits = 1): string =>
  value === null ? '-' : `${value.toFixed(digits)}${unit}`
export const three = (l: Latency | null): string => (l ? `${ms(l.p50)} / ${ms(l.p99)} / ${ms(l.p999)}` : '-')
const threeSetup = (l: { p50: number; p95: number; p99: number } | null): string =>
  l ? `${ms(l.p50)} / ${ms(l.p95)} / ${ms(l.p99)}` : '-'

export const table = (rows: [string, string][]): string => {
  const width = Math.max(...rows.map(([name]) => name.length))
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n')
}

export const problemRows = (problems: Record<string, number>): [string, string][] =>
  Object.entries(problems)
    .sort((a, b) => b[1] - a[1])
    .slice(0, 10)
    .map(([reason, count]) => ['problem', `${count} x ${reason}`])

export function loadTable(r: LoadReport): string {
  return table([
    ['calls', `${r.calls}, ${r.failures} failed, measured for ${r.seconds} s`],
    [
      'bots',
      `${r.dialect}, ${r.rate ? `pcm16 ${r.rate} Hz` : 'pcmu'}, recording ${r.recording ? 'on' : 'off'}, media workers ${r.workers ?? 'default'}`,
    ],
    [
      'CPU per call',
      `${orDash(r.cpuPercentPerCall, ' % of one core', 3)} (bridge process alone): user ${orDash(r.cpuUserPercentPerCall, ' %', 3)}, system ${orDash(r.cpuSystemPercentPerCall, ' %', 3)}`,
    ],
    [
      'floor: node / C',
      `${orDash(r.floor.node, ' %', 3)} / ${orDash(r.floor.c, ' %', 3)}; ratio ${orDash(r.ratioToFloor, '', 2)}`,
    ],
    ['caller to bot, p50 / p99 / p99.9', three(r.upMs)],
    ['  beyond the standing delay', three(r.upBeyondMs)],
    ['bot to caller, p50 / p99 / p99.9', three(r.downMs)],
    ['  beyond the standing delay', three(r.downBeyondMs)],
    ['RTP inter-arrival off 20 ms, p50 / p99 / p99.9', three(r.interArrivalMs)],
    [
      'frames',
      `${r.framesSent} sent, ${orDash(r.lostFrames, '', 0)} lost; ${r.lateFrames} packets more than 10 ms off`,
    ],
    [
      'packets a second and call: sent / heard / returned',
      [r.packetsPerSecond.sent, r.packetsPerSecond.heard, r.packetsPerSecond.returned]
        .map((n) => n.toFixed(2))
        .join(' / '),
    ],
    ['INVITE to 180, p50 / p95 / p99', threeSetup(r.ringMs)],
    ['INVITE to 200, p50 / p95 / p99', threeSetup(r.setupMs)],
    ['memory', `${orDash(r.rssMb, ' MB')} (before the calls ${orDash(r.rssBaseMb, ' MB')})`],
    [
      'longest GC / loop delay control / media',
      `${orDash(r.gcMaxMs, ' ms')} / ${orDash(r.loopDelayMs.control, ' ms')} / ${orDash(r.loopDelayMs.media, ' ms')}`,
    ],
    [
      'generator',
      `worst late ${ms(r.generator.worstLateMs)}, skipped ${ms(r.generator.skippedMs)}, CPU ${r.generator.cpuPercent.toFixed(0)} %; load average ${r.loadAverage.toFixed(1)}`,
    ],
    ...problemRows(r.problems),
  ])
}

export function churnTable(r: ChurnReport): string {
  const both = (key: keyof Leaks): string => `${orDash(r.before[key], '', 0)} -> ${orDash(r.after[key], '', 0)}`
  return table([
    [
      'calls',
      `${r.calls} made and ended in ${r.seconds.toFixed(1)} s (${r.callsPerSecond.toFixed(1)} a second), ${r.failures} failed`,
    ],
    ['INVITE to 200, p50 / p95 / p99', threeSetup(r.setupMs)],
    ['open files', both('openFiles')],
    ['sockets', both('sockets')],
    ['UDP sockets', both('udpSockets')],
    ['RTP ports', both('rtpPorts')],
    ['live calls', both('callsActive')],
    ['timers', both('timers')],
    ['handles', both('handles')],
    ['memory, MB', both('rssMb')],
    ['left behind', r.leaks.length ? r.leaks.join(', ') : 'nothing'],
    ...problemRows(r.problems),
  ])
}
