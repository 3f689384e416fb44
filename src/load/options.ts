/** The options of a load run, from the command line. */
import { parseArgs } from 'node:util'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { DIALECTS, type Dialect, type Rate } from './report.ts'

/** The steady run, once for each of these. */
export interface Series {
  calls: number[]
  /** undefined: the server's default. */
  workers: (number | undefined)[]
}

export interface LoadSettings {
  mode: 'steady' | 'churn' | 'budget' | 'isolation'
  calls: number
  seconds: number
  dialect: Dialect
  /** The bots' audio is pcm16 at this rate; absent: µ-law. */
  rate?: Rate
  /** Steady: so many of the bots stop reading in a second phase, which is set beside the first. */
  slowBots: number
  recording: boolean
  workers?: number
  series?: Series
  /** Series: where the page with the plots goes. */
  page?: string
  cps: number
  /** Churn: calls in all, and how long each lasts. */
  total: number
  holdMs: number
  floor: boolean
  /** Bridge on core 0, this process on the others. */
  pin: boolean
  json: boolean
}

export interface LoadOptions extends LoadSettings {
  clock: Clock
  log: Log
  /** Called when the run is cut off from outside. */
  onStop(fn: () => void): void
}

/** Tells people how far the run is. */
export type Progress = (text: string) => void

export const USAGE = `npm run load -- [options]
  --calls N        calls at once (100)
  --seconds N      how long to measure (20)
  --dialect D      native-json, native-binary or twilio (native-binary)
  --rate R         pcm16 at 16000 or 24000 to and from the bots: what resampling costs (native only; no latencies)
  --budget         each stretch of the latency budget instead: caller to bot, bot to caller, clear to silence,
                   answer to the bot's first sound (10 calls, 5 s each)
  --isolation      what a blocked control thread, REST requests and database queries do to the calls' sound, each
                   beside a quiet phase (20 calls, 10 s each)
  --slow-bots N    N of the bots stop reading half-way: what that does to the other calls
  --series LIST    the steady run for each number of calls, e.g. 10,50,100,200, one after the other; one table.
                   With it --workers takes a list too, and with --json it is an array
  --page FILE      series: a page with plots as well, one HTML file, written anew after each run
  --recording      record every call
  --workers N      media workers of the bridge (its default)
  --cps N          calls placed each second (25)
  --total N        churn: place and end N calls in all, then look for what was left behind
  --hold-ms N      churn: how long each call lasts (500)
  --floor          measure a bare relay too, and quote the ratio
  --pin            bridge on core 0, callers and bots on the others (needs taskset)
  --json           print one JSON object`

/** What a plot can show: groups of bars, and colours. */
const MOST_SERIES = 12
const MOST_WORKERS = 4
const RATES = [16_000, 24_000] as const satisfies Rate[]

/** Calls and seconds, where they are not given. */
const USUAL = {
  steady: { calls: 100, seconds: 20 },
  churn: { calls: 100, seconds: 20 },
  budget: { calls: 10, seconds: 5 },
  isolation: { calls: 20, seconds: 10 },
} as const satisfies Record<LoadSettings['mode'], { calls: number; seconds: number }>

export class UsageError extends Error {}

export function loadSettings(args: string[]): LoadSettings {
  const { values } = parse(args)
  const whole = (name: string, text: string | undefined, fallback: number, min: number, max: number): number => {
    const n = text === undefined ? fallback : Number(text)
    if (!Number.isInteger(n) || n < min || n > max)
      throw new UsageError(`--${name} must be a whole number from ${min} to ${max}`)
    return n
  }
  const { budget = false, isolation = false } = values
  if (Number(budget) + Number(isolation) + Number(values.total !== undefined) > 1)
    throw new UsageError('--budget and --total do not go together, nor --isolation with either')
  const mode = budget ? 'budget' : isolation ? 'isolation' : values.total === undefined ? 'steady' : 'churn'
  const usual = USUAL[mode]
  const dialect = DIALECTS.find((name) => name === (values.dialect ?? 'native-binary'))
  if (!dialect) throw new UsageError(`--dialect must be one of ${DIALECTS.join(', ')}`)
  const rate = RATES.find((hz) => String(hz) === values.rate)
  if (values.rate !== undefined && !rate) throw new UsageError('--rate must be 16000 or 24000')
  if (rate && dialect === 'twilio') throw new UsageError('--rate is for the native dialects: twilio has µ-law only')
  const calls = whole('calls', values.calls, usual.calls, 1, 5000)
  const slowBots = whole('slow-bots', values['slow-bots'], 0, 0, calls - 1)
  const plain = rate === undefined && dialect !== 'twilio'
  if ((budget || isolation || slowBots > 0) && !plain)
    throw new UsageError('--budget, --isolation and --slow-bots need a native dialect, without --rate')
  if (slowBots > 0 && mode !== 'steady')
    throw new UsageError('--slow-bots is for neither --budget, --isolation nor --total')
  const numbers = (name: string, text: string, min: number, max: number, most: number): number[] => {
    const list = text.split(',').map((part) => whole(name, part.trim() || 'none', 0, min, max))
    if (list.length > most || new Set(list).size < list.length)
      throw new UsageError(`--${name} takes at most ${most} numbers, each once`)
    return list
  }
  const { page } = values
  if (values.series === undefined && page !== undefined) throw new UsageError('--page goes with --series')
  const series =
    values.series === undefined
      ? undefined
      : {
          calls: numbers('series', values.series, 1, 5000, MOST_SERIES),
          workers: values.workers === undefined ? [undefined] : numbers('workers', values.workers, 0, 64, MOST_WORKERS),
        }
  if (series && (mode !== 'steady' || slowBots > 0 || values.calls !== undefined))
    throw new UsageError('--series is for the steady run alone, and says how many calls itself')
  return {
    mode,
    calls,
    seconds: whole('seconds', values.seconds, usual.seconds, 1, 3600),
    dialect,
    rate,
    slowBots,
    recording: values.recording ?? false,
    workers: series || values.workers === undefined ? undefined : whole('workers', values.workers, 1, 0, 64),
    series,
    page,
    cps: whole('cps', values.cps, 25, 1, 500),
    total: whole('total', values.total, 1000, 1, 1_000_000),
    holdMs: whole('hold-ms', values['hold-ms'], 500, 0, 60_000),
    floor: values.floor ?? false,
    pin: values.pin ?? false,
    json: values.json ?? false,
  }
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      strict: true,
      options: {
        calls: { type: 'string' },
        seconds: { type: 'string' },
        dialect: { type: 'string' },
        rate: { type: 'string' },
        budget: { type: 'boolean' },
        isolation: { type: 'boolean' },
        'slow-bots': { type: 'string' },
        series: { type: 'string' },
        page: { type: 'string' },
        recording: { type: 'boolean' },
        workers: { type: 'string' },
        cps: { type: 'string' },
        total: { type: 'string' },
        'hold-ms': { type: 'string' },
        floor: { type: 'boolean' },
        pin: { type: 'boolean' },
        json: { type: 'boolean' },
      },
    })
  } catch (err) {
    throw new UsageError((err as Error).message)
  }
}
