/**
 * The steady run for several numbers of calls (and of media workers), one after the other: does cost grow straight?
 * The floor knows no workers, so it is measured once for each number of calls and set beside all of them.
 */
import { errorText } from '../lib/errors.ts'
import type { LoadOptions, LoadSettings, Progress } from './options.ts'
import { orDash, type Latency, type LoadReport } from './report.ts'
import { steadyRun } from './steady.ts'

export interface SeriesResult {
  runs: LoadReport[]
  /** Why there are no more of them; what was measured before stands. */
  stopped?: string
}

export interface SeriesHooks {
  /** One run; a parameter for tests. */
  run?: (options: LoadOptions, say: Progress) => Promise<LoadReport>
  /** After each run: everything so far. */
  onRuns?: (runs: LoadReport[]) => void
}

export async function seriesRun(o: LoadOptions, say: Progress, hooks: SeriesHooks = {}): Promise<SeriesResult> {
  const { run = steadyRun, onRuns } = hooks
  const steps = seriesSteps(o)
  const runs: LoadReport[] = []
  let floorRun: LoadReport | undefined
  let cutOff = false
  // What a run has started is ended by its own hook; none may start after it.
  o.onStop(() => (cutOff = true))
  for (const [i, { calls, workers }] of steps.entries()) {
    const step = `${i + 1} of ${steps.length}: ${calls} calls, media workers ${workers ?? 'default'}`
    if (cutOff) return { runs, stopped: `cut off before ${step}` }
    say(step)
    const known = floorRun?.calls === calls ? floorRun : undefined
    let report: LoadReport
    try {
      report = await run({ ...o, mode: 'steady', calls, workers, floor: o.floor && !known }, say)
    } catch (err) {
      return { runs, stopped: `${step}: ${errorText(err)}` }
    }
    if (known) report = { ...report, floor: known.floor, ratioToFloor: ratioToFloor(report, known.floor) }
    else if (o.floor) floorRun = report
    runs.push(report)
    onRuns?.(runs)
  }
  return { runs }
}

/** By calls, then by workers: runs that are compared stand next to each other in time. */
export function seriesSteps({ series, calls, workers }: LoadSettings): { calls: number; workers?: number }[] {
  if (!series) return [{ calls, workers }]
  return series.calls.flatMap((n) => series.workers.map((w) => ({ calls: n, workers: w })))
}

const ratioToFloor = (r: LoadReport, floor: LoadReport['floor']): number | null =>
  ratio(r.cpuPercentPerCall, floor.c ?? floor.node)

const ratio = (value: number | null, base: number | null): number | null =>
  value !== null && base ? value / base : null

/** A column of the table, in text and on the page. */
interface Column {
  name: string
  of: (r: LoadReport) => string
}

const short = (value: number): string => value.toFixed(value < 10 ? 2 : 1)
const quantiles = (l: Latency | null, ...which: (keyof Latency)[]): string =>
  l ? which.map((q) => short(l[q])).join(' / ') : '-'

export const COLUMNS: readonly Column[] = [
  { name: 'calls', of: (r) => String(r.calls) },
  { name: 'workers', of: (r) => String(r.workers ?? 'default') },
  { name: 'failed', of: (r) => String(r.failures) },
  { name: 'CPU %/call', of: (r) => orDash(r.cpuPercentPerCall, '', 3) },
  {
    name: 'user + system',
    of: (r) => `${orDash(r.cpuUserPercentPerCall, '', 3)} + ${orDash(r.cpuSystemPercentPerCall, '', 3)}`,
  },
  { name: 'x Node', of: (r) => orDash(ratio(r.cpuPercentPerCall, r.floor.node), '', 2) },
  { name: 'x C', of: (r) => orDash(ratio(r.cpuPercentPerCall, r.floor.c), '', 2) },
  { name: 'up ms p50/99/99.9', of: (r) => quantiles(r.upMs, 'p50', 'p99', 'p999') },
  { name: 'down ms p50/99/99.9', of: (r) => quantiles(r.downMs, 'p50', 'p99', 'p999') },
  { name: 'off 20 ms p99/99.9', of: (r) => quantiles(r.interArrivalMs, 'p99', 'p999') },
  { name: 'lost', of: (r) => orDash(r.lostFrames, '', 0) },
  { name: 'RSS MB', of: (r) => orDash(r.rssMb, '', 0) },
  // Late callers make late frames: latencies of a run with a large figure here are not the bridge's.
  { name: 'callers late ms', of: (r) => short(r.generator.worstLateMs) },
]

export function seriesTable(runs: LoadReport[]): string {
  const lines = [COLUMNS.map((c) => c.name), ...runs.map((r) => COLUMNS.map((c) => c.of(r)))]
  const widths = COLUMNS.map((_, i) => Math.max(...lines.map((line) => line[i].length)))
  return [
    ...lines.map((line) => line.map((cell, i) => cell.padStart(widths[i])).join('  ')),
    ...problemLines(runs),
  ].join('\n')
}

/** Why calls failed, by run. */
export const problemLines = (runs: LoadReport[]): string[] =>
  runs.flatMap((r) =>
    Object.entries(r.problems)
      .sort((a, b) => b[1] - a[1])
      .slice(0, 5)
      .map(([why, n]) => `${r.calls} calls, ${r.workers ?? 'default'} workers: ${n} x ${why}`),
  )
