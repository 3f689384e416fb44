/** `npm run load`: see options.ts for what it takes and report.ts for what it prints. Exit code 1 when calls failed. */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { systemClock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import { createLog } from '../telemetry/log.ts'
import { budgetTable, slowTable, type BudgetReport, type SlowReport } from './budget-report.ts'
import { budgetRun } from './budget.ts'
import { churnRun } from './churn.ts'
import { loadSettings, USAGE, UsageError, type LoadOptions, type Progress } from './options.ts'
import { churnTable, loadTable, type ChurnReport, type LoadReport } from './report.ts'
import { slowRun } from './slow.ts'
import { steadyRun } from './steady.ts'

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
  const { mode, calls, total, cps, seconds, floor, holdMs } = options
  const expectedMs =
    mode === 'churn' ? (total * 1000) / cps + holdMs : (calls * 1000) / cps + seconds * 1000 * (floor ? 3 : 1)
  const limit = systemClock.after(expectedMs + SPARE_MS, () => cutOff('time is up'))
  const say = (text: string): void => void process.stderr.write(`${text}\n`)
  try {
    const report = await run(options, say)
    if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`)
    else process.stdout.write(`${tableOf(report)}\n`)
    return report.failures > 0 || ('leaks' in report && report.leaks.length > 0) ? 1 : 0
  } finally {
    limit.cancel()
  }
}

type Report = LoadReport | ChurnReport | BudgetReport | SlowReport

function run(options: LoadOptions, say: Progress): Promise<Report> {
  if (options.mode === 'churn') return churnRun(options, say)
  if (options.mode === 'budget') return budgetRun(options, say)
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
  }
}

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
