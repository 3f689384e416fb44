import { describe, expect, it } from 'vitest'
import { Asker, type Ask, type Asking } from '../../src/load/asker.ts'
import { bootstrapFile } from '../../src/load/bootstrap.ts'
import { grownBy } from '../../src/load/budget-report.ts'
import { DISTURBANCES, KEYS, listAsks, statusAsks } from '../../src/load/disturbances.ts'
import {
  faultsOf,
  isolationTable,
  type Disturbed,
  type IsolationReport,
  type Phase,
} from '../../src/load/isolation-report.ts'
import { loadSettings } from '../../src/load/options.ts'
import { FakeClock } from '../fakes/clock.ts'

const settled = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve()
}

describe('the isolation option', () => {
  it('makes a run of its own with few calls', () => {
    expect(loadSettings(['--isolation'])).toMatchObject({ mode: 'isolation', calls: 20, seconds: 10 })
    expect(loadSettings(['--isolation', '--calls', '5', '--seconds', '3', '--json'])).toMatchObject({
      mode: 'isolation', calls: 5, seconds: 3, json: true,
    }) // prettier-ignore
  })

  it('goes with no other kind of run, and not with bots whose audio has no tags', () => {
    expect(() => loadSettings(['--isolation', '--budget'])).toThrow('nor --isolation')
    expect(() => loadSettings(['--isolation', '--total', '9'])).toThrow('nor --isolation')
    expect(() => loadSettings(['--isolation', '--slow-bots', '2'])).toThrow('--slow-bots is for neither')
    expect(() => loadSettings(['--isolation', '--series', '10,20'])).toThrow('--series is for the steady run alone')
    expect(() => loadSettings(['--isolation', '--rate', '16000'])).toThrow('need a native dialect')
  })
})

describe('Asker', () => {
  const start = (asking: Partial<Asking>) => {
    const clock = new FakeClock()
    const sent: { ask: Ask; answer: (status: number) => void; fail: () => void }[] = []
    const asks: Ask[] = ['/a', '/b', '/c'].map((path) => ({ method: 'GET', path }))
    const asker = new Asker(
      clock,
      { port: 1, asks, lanes: 4, ...asking },
      (ask) => new Promise((answer, reject) => sent.push({ ask, answer, fail: () => reject(new Error('gone')) })),
    )
    asker.start()
    return { clock, sent, asker }
  }

  it('asks at its rate whatever the timer does, in turn', async () => {
    const { clock, sent, asker } = start({ perSecond: 100, lanes: 1000 })
    for (let i = 0; i < 200; i++) clock.advance(7)
    expect(sent).toHaveLength(140)
    expect(sent.slice(0, 4).map(({ ask }) => ask.path)).toEqual(['/a', '/b', '/c', '/a'])
    for (const { answer } of sent) answer(200)
    await settled()
    expect(asker.stop()).toMatchObject({ perSecond: 100, byStatus: { 200: 140 } })
  })

  it('without a rate keeps its lanes full, and tells what came and what did not', async () => {
    const { clock, sent, asker } = start({})
    expect(sent).toHaveLength(4)
    clock.advance(8)
    sent[0].answer(200)
    sent[1].answer(404)
    sent[2].fail()
    await settled()
    expect(sent).toHaveLength(7)
    clock.advance(992)
    const told = asker.stop()
    expect(told).toMatchObject({ perSecond: 7, byStatus: { 200: 1, 404: 1, none: 1 } })
    expect(told.answerMs.p99).toBeCloseTo(8, 1)
  })

  it('asks no more once it is stopped', async () => {
    const { clock, sent, asker } = start({ perSecond: 50 })
    clock.advance(100)
    const before = sent.length
    asker.stop()
    for (const { answer } of [...sent]) answer(200)
    clock.advance(1000)
    await settled()
    expect(sent).toHaveLength(before)
    expect(asker.stop().byStatus).toEqual({})
  })
})

describe('what is asked', () => {
  const keys = Array.from({ length: KEYS }, (_, i) => `tl_${String(i).padStart(12, '0')}_${'x'.repeat(32)}`)

  it('reads how calls stand, three of ten wrongly, spread over the keys', () => {
    const asks = statusAsks(['one', 'two', 'three'], keys)
    expect(asks).toHaveLength(10 * KEYS)
    const good = asks.filter(({ path, key = '' }) => /\/(one|two|three)$/.test(path) && keys.includes(key))
    expect(good).toHaveLength(7 * KEYS)
    expect(new Set(good.map(({ path }) => path)).size).toBe(3)
    expect(new Set(good.map(({ key }) => key)).size).toBe(KEYS)
    expect(asks.filter(({ method }) => method === 'POST')).toHaveLength(KEYS)
  })

  it('lists full pages, by every filter, a key no oftener than the others', () => {
    const asks = listAsks(keys)
    expect(asks.every(({ path }) => path.includes('limit=50'))).toBe(true)
    expect(new Set(asks.slice(0, KEYS).map(({ key }) => key)).size).toBe(KEYS)
  })

  it('is allowed by an installation with as many keys', () => {
    const file = bootstrapFile({ botUrl: 'ws://b/', dialect: 'native-binary', recording: false, maxCalls: 1, apiKey: keys })
    expect((file.accounts as { keys: unknown[] }[])[0].keys).toHaveLength(KEYS)
  }) // prettier-ignore
})

describe('the isolation report', () => {
  const way = { p50: 8, p99: 20, p999: 30 }
  const quiet: Phase = {
    upMs: way, downMs: way, upBeyondMs: { ...way, p99: 3 }, downBeyondMs: null, lostFrames: 0, worstLateMs: 2,
    loadAverage: 1, controlLateMs: 4, mediaLateMs: 1.5, othersCpuPercent: 12,
  } // prettier-ignore
  const asked = { perSecond: 99.6, byStatus: { 200: 700, 404: 100 }, answerMs: { p50: 2, p99: 9 } }
  const found = (name: Disturbed['name'], more: Partial<Phase>, what: Disturbed['asked']): Disturbed => {
    const during = { ...quiet, ...more }
    return { name, during, p99GrowthMs: grownBy(quiet, during), asked: what }
  }

  it('sets each disturbance beside the quiet phase', () => {
    const report: IsolationReport = {
      mode: 'isolation', calls: 20, failures: 0, seconds: 10, dialect: 'native-binary', workers: null, quiet,
      p99NoiseMs: grownBy(quiet, quiet),
      disturbed: [
        found('control thread blocked', { controlLateMs: 101, upMs: { ...way, p99: 21.5 } }, null),
        found('REST requests', { downMs: { ...way, p99: 19 } }, asked),
      ],
      problems: { odd: 1 },
    } // prettier-ignore
    const text = isolationTable(report)
    expect(text).toMatch(/quiet .*20\.0 ms \(\+0\.00 ms\) +3\.00 ms \(\+0\.00 ms\) +20\.0 ms \(\+0\.00 ms\) +- \(-\)/)
    expect(text).toMatch(/control thread blocked +21\.5 ms \(\+1\.50 ms\)/)
    expect(text).toMatch(/control thread blocked +101\.0 ms +1\.5 ms/)
    expect(text).toMatch(/REST requests .* 19\.0 ms \(-1\.00 ms\)/)
    expect(text).toMatch(/asked: REST requests +100 a second, .*700 x 200, 100 x 404/)
    expect(text).toContain('1 x odd')
  })

  it('finds fault with a disturbance that did not take place', () => {
    const [blocked, rest, database] = DISTURBANCES
    expect(faultsOf(found(blocked, { controlLateMs: 100.4 }, null))).toEqual([])
    expect(faultsOf(found(blocked, { controlLateMs: null }, null))).toEqual([])
    expect(faultsOf(found(blocked, { controlLateMs: 12 }, null))).toEqual(['control thread blocked: it was not'])
    expect(faultsOf(found(rest, {}, asked))).toEqual([])
    expect(faultsOf(found(rest, {}, { ...asked, perSecond: 60 }))).toEqual(['REST requests: only 60 a second'])
    expect(faultsOf(found(database, {}, { ...asked, byStatus: { 429: 5, 500: 2, none: 1 } }))).toEqual([
      'database queries: none was answered with 200',
      'database queries: 2 answered 500',
      'database queries: 1 answered none',
    ])
  })
})
