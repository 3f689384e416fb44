/** The options of a load run, from the command line. */
import { parseArgs } from 'node:util'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { Dialect } from './report.ts'

export interface LoadSettings {
  mode: 'steady' | 'churn'
  calls: number
  seconds: number
  dialect: Dialect
  recording: boolean
  workers?: number
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
  --dialect D      native-json or native-binary (native-binary)
  --recording      record every call
  --workers N      media workers of the bridge (its default)
  --cps N          calls placed each second (25)
  --total N        churn: place and end N calls in all, then look for what was left behind
  --hold-ms N      churn: how long each call lasts (500)
  --floor          measure a bare relay too, and quote the ratio
  --pin            bridge on core 0, callers and bots on the others (needs taskset)
  --json           print one JSON object`

export class UsageError extends Error {}

export function loadSettings(args: string[]): LoadSettings {
  const { values } = parse(args)
  const whole = (name: string, text: string | undefined, fallback: number, min: number, max: number): number => {
    const n = text === undefined ? fallback : Number(text)
    if (!Number.isInteger(n) || n < min || n > max)
      throw new UsageError(`--${name} must be a whole number from ${min} to ${max}`)
    return n
  }
  const dialect = values.dialect ?? 'native-binary'
  if (dialect !== 'native-json' && dialect !== 'native-binary')
    throw new UsageError('--dialect must be native-json or native-binary')
  return {
    mode: values.total === undefined ? 'steady' : 'churn',
    calls: whole('calls', values.calls, 100, 1, 5000),
    seconds: whole('seconds', values.seconds, 20, 1, 3600),
    dialect,
    recording: values.recording ?? false,
    workers: values.workers === undefined ? undefined : whole('workers', values.workers, 1, 0, 64),
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
