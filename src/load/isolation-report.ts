/** What the isolation run found: each disturbance beside the quiet phase of the same calls. */
import { signed, type Growth, type Ways } from './budget-report.ts'
import type { Asked } from './asker.ts'
import { BLOCK_MS, REST_PER_SECOND, type DisturbanceName } from './disturbances.ts'
import { ms, orDash, problemRows, table, type Dialect, type Latency } from './report.ts'

export interface Phase extends Ways {
  /** The worst that the server's threads were late in this phase, by its own /metrics. */
  controlLateMs: number | null
  mediaLateMs: number | null
  /** CPU, % of one core, of all but server and phones: other work on the machine, and the process that asks. */
  othersCpuPercent: number | null
}

export interface Disturbed {
  name: DisturbanceName
  during: Phase
  /** p99 during less p99 when quiet. */
  p99GrowthMs: Growth
  asked: Asked | null
}

export interface IsolationReport {
  mode: 'isolation'
  calls: number
  failures: number
  seconds: number
  dialect: Dialect
  workers: number | null
  quiet: Phase
  /** Between two quiet phases: growth below it says nothing. */
  p99NoiseMs: Growth
  disturbed: Disturbed[]
  problems: Record<string, number>
}

/** Shares of what was meant: a run whose disturbance did not take place shows nothing. */
const ENOUGH = 0.9

export function faultsOf({ name, during, asked }: Disturbed): string[] {
  if (name === 'control thread blocked')
    return during.controlLateMs !== null && during.controlLateMs < ENOUGH * BLOCK_MS ? [`${name}: it was not`] : []
  const faults: string[] = []
  const { perSecond = 0, byStatus = {} } = asked ?? {}
  if (!byStatus['200']) faults.push(`${name}: none was answered with 200`)
  if (name === 'REST requests' && perSecond < ENOUGH * REST_PER_SECOND)
    faults.push(`${name}: only ${perSecond} a second`)
  for (const [status, count] of Object.entries(byStatus))
    if (status === 'none' || status.startsWith('5')) faults.push(`${name}: ${count} answered ${status}`)
  return faults
}

const WIDTH = 22
const cells = (texts: string[]): string => texts.map((text) => text.padEnd(WIDTH)).join('').trimEnd() // prettier-ignore

const WAYS = [
  ['upMs', 'up'],
  ['upBeyondMs', 'upBeyond'],
  ['downMs', 'down'],
  ['downBeyondMs', 'downBeyond'],
] as const satisfies [keyof Ways, keyof Growth][]

const p99 = (l: Latency | null): string => (l ? ms(l.p99) : '-')
const phaseCells = (phase: Phase, grown: Growth): string =>
  cells(WAYS.map(([way, growth]) => `${p99(phase[way])} (${signed(grown[growth])})`))

export function isolationTable(r: IsolationReport): string {
  const phases: [string, Phase][] = [['quiet', r.quiet], ...r.disturbed.map((d): [string, Phase] => [d.name, d.during])]
  return table([
    [
      'calls',
      `${r.calls}, ${r.failures} failures; phases of ${r.seconds} s, ${r.dialect}, media workers ${r.workers ?? 'default'}`,
    ],
    ['p99 (growth)', cells(['caller to bot', '  beyond standing', 'bot to caller', '  beyond standing'])],
    ['quiet (against an earlier quiet phase)', phaseCells(r.quiet, r.p99NoiseMs)],
    ...r.disturbed.map((d): [string, string] => [d.name, phaseCells(d.during, d.p99GrowthMs)]),
    ['', cells(['control late, worst', 'media late, worst', 'generator late', 'frames lost', 'CPU of others'])],
    ...phases.map(([name, p]): [string, string] => [
      name,
      cells([
        orDash(p.controlLateMs, ' ms'),
        orDash(p.mediaLateMs, ' ms'),
        ms(p.worstLateMs),
        String(p.lostFrames),
        `${orDash(p.othersCpuPercent, ' %', 0)}, load ${p.loadAverage.toFixed(1)}`,
      ]),
    ]),
    ...r.disturbed.flatMap(({ name, asked }): [string, string][] => (asked ? [[`asked: ${name}`, told(asked)]] : [])),
    ...problemRows(r.problems),
  ])
}

const told = ({ perSecond, byStatus, answerMs }: Asked): string =>
  `${perSecond.toFixed(0)} a second, answered in ${ms(answerMs.p50)} / ${ms(answerMs.p99)} (p50 / p99): ` +
  Object.entries(byStatus)
    .map(([status, count]) => `${count} x ${status}`)
    .join(', ')
