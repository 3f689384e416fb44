/** `npm run load`: see options.ts for what it takes and report.ts for what it prints. Exit code 1 when calls failed. */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { availableParallelism, cpus, release, type } from 'node:os'
import { systemClock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import { createLog } from '../telemetry/log.ts'
import { budgetTable, slowTable, type BudgetReport, type SlowReport } from './budget-report.ts'
import { budgetRun } from './budget.ts'
import { churnRun } from './churn.ts'
import { isolationTable, type IsolationReport } from './isolation-report.ts'
import { isolationRun } from './isolation.ts'
import { loadSettings, USAGE, UsageError, type LoadOptions, type Progress } from './options.ts'
import { seriesPage } from './page.ts'
import { churnTable, loadTable, type ChurnReport, type LoadReport } from './report.ts'
import { seriesRun, seriesSteps, seriesTable } from './series.ts'
import { slowRun } from './slow.ts'
import { steadyRun } from './steady.ts'

/** Of each run of a series: start, settle, the floor's settling, end. */
const STEP_MS = 60_000
/** Beyond ramp and measurement: start, settle, end, leak watch. */
const SPARE_MS = 180_000

export async function main(args: string[]): Promise<number> {
  const settings = loadSettings(args)
  const cleanUps: (() => void)[] = []
  const options: LoadOptions = {
    ...settings,
    clock: systemClock,
    log: createLog('fatal'),
    onStop: (fn) => cleanUps.push(fn),
  }
  if (options.pin) pinSelf()
  const cutOff = (why: string): void => {
    process.stderr.write(`${why}\n`)
    for (const fn of cleanUps) fn()
    systemClock.after(3000, () => process.exit(1))
  }
  process.once('SIGINT', () => cutOff('interrupted'))
  process.once('SIGTERM', () => cutOff('terminated'))
  const { mode, total, cps, seconds, floor, holdMs } = options
  const expectedMs =
    mode === 'churn'
      ? (total * 1000) / cps + holdMs
      : sumOf(
          seriesSteps(options),
          ({ calls }) => (calls * 1000) / cps + seconds * 1000 * (mode === 'isolation' ? 5 : floor ? 3 : 1) + STEP_MS,
        )
  const limit = systemClock.after(expectedMs + SPARE_MS, () => cutOff('time is up'))
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  try {
    if (options.series) return await series(options, say)
    const report = await run(options, say)
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    else process.stdout.write(`${tableOf(report)}\n`)
    return report.failures > 0 || ('leaks' in report && report.leaks.length > 0) ? 1 : 0
  } finally {
    limit.cancel()
  }
}

/** Tells what was measured also when the series is cut off or a run of it could not be made. */
async function series(options: LoadOptions, say: Progress): Promise<number> {
  const facts = {
    measured: `Measured ${new Date(options.clock.wallMs()).toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    machine: `${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores, ${type()} ${release()}, Node ${process.versions.node}, bridge ${options.pin ? 'on core 0, callers and bots on the others' : 'not pinned'}`,
  }
  const write = (runs: LoadReport[], stopped?: string): void => {
    if (options.page !== undefined) writeFileSync(options.page, seriesPage(runs, { ...facts, stopped }))
  }
  let done: LoadReport[] = []
  let told = false
  const tell = (stopped?: string): void => {
    if (told) return
    told = true
    write(done, stopped)
    process.stdout.write(`${options.json ? JSON.stringify(done) : seriesTable(done)}\n`)
  }
  write([]) // a place that can't be written is found out before the hour is spent
  options.onStop(() => tell('cut off'))
  const onRuns = (runs: LoadReport[]): void => {
    done = runs
    if (!told) write(runs)
  }
  const { runs, stopped } = await seriesRun(options, say, { onRuns })
  if (stopped !== undefined) say(stopped)
  tell(stopped)
  return stopped !== undefined || runs.some((r) => r.failures > 0) ? 1 : 0
}

type Report = LoadReport | ChurnReport | BudgetReport | SlowReport | IsolationReport

function run(options: LoadOptions, say: Progress): Promise<Report> {
  if (options.mode === 'churn') return churnRun(options, say)
  if (options.mode === 'budget') return budgetRun(options, say)
  if (options.mode === 'isolation') return isolationRun(options, say)
  return options.slowBots > 0 ? slowRun(options, say) : steadyRun(options, say)
}

function tableOf(report: Report): string {
  if (!('mode' in report)) return loadTable(report)
  switch (report.mode) {
    case 'churn':
      return churnTable(report)
    case 'budget':
      return budgetTable(report)
    case 'slow-bots':
      return slowTable(report)
    case 'isolation':
      return isolationTable(report)
  }
}

const sumOf = <T>(list: T[], of: (item: T) => number): number => list.reduce((sum, item) => sum + of(item), 0)

/** This process to every core but the first. */
function pinSelf(): void {
  const last = availableParallelism() - 1
  if (last < 1) return
  spawnSync('taskset', ['-a', '-c', '-p', last === 1 ? '1' : `1-${last}`, String(process.pid)], { stdio: 'ignore' })
}

if (process.argv[1] === import.meta.filename) {
  try {
    // Every socket is closed by now; exit says so also when a straggler is not.
    process.exit(await main(process.argv.slice(2)))
  } catch (err) {
    process.stderr.write(err instanceof UsageError ? `${err.message}\n\n${USAGE}\n` : `load: ${errorText(err)}\n`)
    process.exit(err instanceof UsageError ? 2 : 1)
  }
}
