import { describe, expect, it } from 'vitest'
import { loadSettings, UsageError, type LoadOptions } from '../../src/load/options.ts'
import type { LoadReport } from '../../src/load/report.ts'
import { seriesRun, seriesSteps, seriesTable } from '../../src/load/series.ts'
import { createLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../fakes/clock.ts'
import { loadReport } from './reports.ts'

const options = (...args: string[]): LoadOptions => ({
  ...loadSettings(args),
  clock: new FakeClock(),
  log: createLog('fatal'),
  onStop: () => undefined,
})

/** Stands in for the steady run; tells what it was asked for. */
function recorder(answer: (o: LoadOptions) => Partial<LoadReport> = () => ({})) {
  const asked: Pick<LoadOptions, 'calls' | 'workers' | 'floor'>[] = []
  const run = (o: LoadOptions): Promise<LoadReport> => {
    asked.push({ calls: o.calls, workers: o.workers, floor: o.floor })
    return Promise.resolve(loadReport({ calls: o.calls, workers: o.workers ?? null, ...answer(o) }))
  }
  return { asked, run }
}

describe('the options of a series', () => {
  it('are lists of calls and of workers', () => {
    expect(loadSettings(['--series', '10, 50,100', '--workers', '1,2', '--page', 'out.html'])).toMatchObject({
      mode: 'steady', series: { calls: [10, 50, 100], workers: [1, 2] }, workers: undefined, page: 'out.html',
    }) // prettier-ignore
    expect(loadSettings(['--series', '5']).series).toEqual({ calls: [5], workers: [undefined] })
  })

  it('are refused when they make no sense', () => {
    for (const [args, why] of [
      [['--series', '10,,20'], '--series must be a whole number'],
      [['--series', '0'], '--series must be a whole number from 1'],
      [['--series', '10,10'], 'each once'],
      [['--series', '1,2,3,4,5,6,7,8,9,10,11,12,13'], 'at most 12'],
      [['--series', '10', '--workers', '1,2,3,4,5'], 'at most 4'],
      [['--series', '10', '--calls', '5'], '--series is for the steady run alone'],
      [['--series', '10', '--total', '5'], '--series is for the steady run alone'],
      [['--page', 'out.html'], '--page goes with --series'],
      [['--workers', '1,2'], '--workers must be a whole number'],
    ] as const) {
      expect(() => loadSettings([...args])).toThrow(why)
      expect(() => loadSettings([...args])).toThrow(UsageError)
    }
  })
})

describe('a series', () => {
  it('makes one steady run for each number of calls and of workers, in that order', async () => {
    const { asked, run } = recorder()
    const o = options('--series', '5,10', '--workers', '1,2')
    const seen: number[] = []
    const result = await seriesRun(o, () => undefined, { run, onRuns: (runs) => seen.push(runs.length) })
    expect(asked.map(({ calls, workers }) => [calls, workers])).toEqual([[5, 1], [5, 2], [10, 1], [10, 2]]) // prettier-ignore
    expect(asked.every(({ floor }) => !floor)).toBe(true)
    expect(result.runs.map((r) => [r.calls, r.workers])).toEqual([[5, 1], [5, 2], [10, 1], [10, 2]]) // prettier-ignore
    expect(result.stopped).toBeUndefined()
    expect(seen).toEqual([1, 2, 3, 4])
  })

  it('measures the floor once for each number of calls and quotes every ratio to it', async () => {
    const { asked, run } = recorder((o) => ({
      cpuPercentPerCall: o.workers === 2 ? 0.6 : 0.3,
      floor: o.floor ? { node: 0.2, c: o.calls === 5 ? 0.1 : 0.15 } : { node: null, c: null },
      ratioToFloor: o.floor ? 3 : null,
    }))
    const { runs } = await seriesRun(options('--series', '5,10', '--workers', '1,2', '--floor'), () => undefined, {
      run,
    })
    expect(asked.map(({ floor }) => floor)).toEqual([true, false, true, false])
    expect(runs.map((r) => r.floor.c)).toEqual([0.1, 0.1, 0.15, 0.15])
    expect(runs[1].ratioToFloor).toBeCloseTo(6)
    expect(runs[3].ratioToFloor).toBeCloseTo(4)
  })

  it('keeps what was measured when a run can not be made', async () => {
    const { run } = recorder((o) => {
      if (o.calls === 10) throw new Error('the server did not become ready')
      return {}
    })
    const { runs, stopped } = await seriesRun(options('--series', '5,10,20'), () => undefined, {
      run: async (o) => run(o),
    })
    expect(runs.map((r) => r.calls)).toEqual([5])
    expect(stopped).toBe('2 of 3: 10 calls, media workers default: the server did not become ready')
  })

  it('starts no further run once it is cut off', async () => {
    const hooks: (() => void)[] = []
    const { asked, run } = recorder(() => {
      for (const stop of hooks) stop()
      return {}
    })
    const o = { ...options('--series', '5,10'), onStop: (fn: () => void) => void hooks.push(fn) }
    const { runs, stopped } = await seriesRun(o, () => undefined, { run })
    expect([asked.length, runs.length]).toEqual([1, 1])
    expect(stopped).toBe('cut off before 2 of 2: 10 calls, media workers default')
  })

  it('is one step where no series is asked for', () => {
    expect(seriesSteps(loadSettings(['--calls', '7', '--workers', '2']))).toEqual([{ calls: 7, workers: 2 }])
  })
})

describe('the table of a series', () => {
  it('has a line for each run under one head, and the ratio to each floor', () => {
    const lines = seriesTable([
      loadReport({ calls: 5, workers: 1 }),
      loadReport({ calls: 100, workers: null, floor: { node: null, c: null }, downMs: null, lostFrames: null }),
    ]).split('\n')
    expect(lines).toHaveLength(3)
    expect(new Set(lines.map((line) => line.length)).size).toBe(1)
    expect(lines[1]).toMatch(/^ +5 +1 +0 +0\.310 +0\.110 \+ 0\.200 +1\.55 +3\.10 +8\.00 \/ 20\.0 \/ 30\.0 /)
    expect(lines[2]).toMatch(/^ +100 +default +0 +0\.310 .* +- +- /)
  })

  it('says below it why calls failed', () => {
    expect(
      seriesTable([loadReport({ calls: 5, workers: 1, failures: 2, problems: { '486 Busy Here': 2 } })]),
    ).toContain('5 calls, 1 workers: 2 x 486 Busy Here')
  })
})
