/** What the runs about single stretches found: the latency budget, and what slow bots do to the other calls. */
import { ms, orDash, problemRows, table, three, type Dialect, type Latency } from './report.ts'
import type { LatencyHistogram } from './stats.ts'

/** A few samples: the worst of all is worth telling. */
export interface Stretch {
  p50: number
  p99: number
  max: number
  count: number
}

export interface BudgetReport {
  mode: 'budget'
  calls: number
  failures: number
  dialect: Dialect
  /** RTP packet sent by the caller to frame at the bot. */
  toBotMs: Stretch | null
  /** Frame sent by the bot to RTP packet at the caller. */
  toCallerMs: Stretch | null
  lostFrames: number
  /** `clear` sent by the bot to the last packet with sound at the caller; 0: none came after it. */
  clearToLastPacketMs: Stretch | null
  /** The same to the end of that packet's 20 ms. */
  clearToSilenceMs: Stretch | null
  /** `clear` to `cleared`, at the bot. */
  clearToReplyMs: Stretch | null
  /** The most packets with sound that a caller got after a `clear` was sent. */
  packetsAfterClear: number
  /** 200 sent by the phone to the first packet of the opening, the bot connected while it rang. */
  outboundFirstSoundMs: Stretch | null
  /** Of the calls out: how many bots were connected before the answer. */
  outboundHeld: number
  /** 200 at the caller to the first packet of the opening. */
  inboundFirstSoundMs: Stretch | null
  generator: { worstLateMs: number; skippedMs: number }
  /** Over one minute. */
  loadAverage: { before: number; after: number }
  problems: Record<string, number>
}

export interface Ways {
  upMs: Latency | null
  downMs: Latency | null
  /** Beyond the least that each call saw in this phase: jitter buffers find another place after each disturbance. */
  upBeyondMs: Latency | null
  downBeyondMs: Latency | null
  lostFrames: number
  /** The phones' own worst lateness. */
  worstLateMs: number
  loadAverage: number
}

/** ms; null: one of the two is missing. */
export interface Growth {
  up: number | null
  down: number | null
  upBeyond: number | null
  downBeyond: number | null
}

export interface SlowReport {
  mode: 'slow-bots'
  calls: number
  failures: number
  seconds: number
  dialect: Dialect
  slowBots: number
  /** The other calls alone, in both phases. */
  before: Ways
  during: Ways
  /** p99 during less p99 before. */
  p99GrowthMs: Growth
  /** The same between two measurements with good bots only: growth below it says nothing. */
  p99NoiseMs: Growth
  slow: {
    /** Bytes that the kernel held for the fullest of them when the bridge could write no more. */
    /** How many were given up by the bridge, and dialled anew. */
    redialled: number
    /** From full to the new connection; the fastest and the slowest. */
    redialMs: { least: number; most: number } | null
    /** Of their calls: how many were still up at the end. */
    callsUp: number
    /** Caller audio that the bridge gave up for them; null: /metrics was silent. */
    droppedMs: number | null
  }
  problems: Record<string, number>
}

export function stretch(h: LatencyHistogram): Stretch | null {
  const p = h.percentiles()
  return p && { p50: p.p50, p99: p.p99, max: Math.round(h.maxMs * 1000) / 1000, count: h.count }
}

const growth = (before: Latency | null, during: Latency | null): number | null =>
  before && during ? Math.round((during.p99 - before.p99) * 1000) / 1000 : null

export const grownBy = (before: Ways, during: Ways): Growth => ({
  up: growth(before.upMs, during.upMs),
  down: growth(before.downMs, during.downMs),
  upBeyond: growth(before.upBeyondMs, during.upBeyondMs),
  downBeyond: growth(before.downBeyondMs, during.downBeyondMs),
})

const shown = (s: Stretch | null): string =>
  s ? `${ms(s.p50)} / ${ms(s.p99)} / ${ms(s.max)}, ${s.count} samples` : '-'

export function budgetTable(r: BudgetReport): string {
  return table([
    ['calls', `${r.calls}, ${r.failures} failures, ${r.dialect}`],
    ['p50 / p99 / worst of', ''],
    ['caller to bot', `${shown(r.toBotMs)}, ${r.lostFrames} frames lost`],
    ['bot to caller', shown(r.toCallerMs)],
    ['clear to the last packet', `${shown(r.clearToLastPacketMs)}; at most ${r.packetsAfterClear} came after it`],
    ['clear to silence', `${shown(r.clearToSilenceMs)} (that packet played)`],
    ['clear to cleared', shown(r.clearToReplyMs)],
    [
      'call out: 200 to first sound',
      `${shown(r.outboundFirstSoundMs)}; ${r.outboundHeld} bots connected before the answer`,
    ],
    ['call in: 200 to first sound', shown(r.inboundFirstSoundMs)],
    ['generator', `worst late ${ms(r.generator.worstLateMs)}, skipped ${ms(r.generator.skippedMs)}`],
    ['load average', `${r.loadAverage.before.toFixed(1)} before, ${r.loadAverage.after.toFixed(1)} after`],
    ...problemRows(r.problems),
  ])
}

export const signed = (value: number | null): string =>
  value === null ? '-' : `${value < 0 ? '-' : '+'}${ms(Math.abs(value))}`

export function slowTable(r: SlowReport): string {
  const { before, during, p99GrowthMs: grown, p99NoiseMs: noise, slow } = r
  const others = r.calls - r.slowBots
  const both = (way: 'upMs' | 'downMs' | 'upBeyondMs' | 'downBeyondMs'): string =>
    `${three(before[way])}  ->  ${three(during[way])}`
  return table([
    [
      'calls',
      `${r.calls}, ${r.slowBots} with bots that stop reading, ${r.failures} failures; two phases of ${r.seconds} s`,
    ],
    [`p50 / p99 / p99.9 of the other ${others}`, 'before  ->  during'],
    ['caller to bot', both('upMs')],
    ['  beyond the standing delay', both('upBeyondMs')],
    ['bot to caller', both('downMs')],
    ['  beyond the standing delay', both('downBeyondMs')],
    ['p99 grew by', `${signed(grown.up)} to the bot, ${signed(grown.down)} to the caller`],
    ['  by itself, without slow bots', `${signed(noise.up)} to the bot, ${signed(noise.down)} to the caller`],
    ['p99 beyond the standing delay grew by', `${signed(grown.upBeyond)} / ${signed(grown.downBeyond)}`],
    ['  by itself, without slow bots', `${signed(noise.upBeyond)} / ${signed(noise.downBeyond)}`],
    ['frames lost', `${before.lostFrames}  ->  ${during.lostFrames}`],
    [
      'slow bots',
      `${slow.redialled} of ${r.slowBots} given up and dialled anew` +
        (slow.redialMs ? `, ${ms(slow.redialMs.least)} to ${ms(slow.redialMs.most)} after they stopped` : ''),
    ],
    ['  their calls', `${slow.callsUp} still up; ${orDash(slow.droppedMs, ' ms', 0)} of caller audio dropped`],
    ['generator late', `${ms(before.worstLateMs)}  ->  ${ms(during.worstLateMs)}`],
    ['load average', `${before.loadAverage.toFixed(1)}  ->  ${during.loadAverage.toFixed(1)}`],
    ...problemRows(r.problems),
  ])
}
