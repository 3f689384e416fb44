/** `trunkline bot test wss://…`: the bridge's side of a call against somebody's bot, and a verdict per rule. */
import { parseArgs } from 'node:util'
import { DIALECTS, ENCODINGS, type DialectName, type Encoding, type SampleRate } from '../calls/ports.ts'
import { FULL, QUICK, type Pace } from '../conformance/pace.ts'
import { RULES, seconds, type Report, type Result, type Verdict } from '../conformance/rules.ts'
import { testBot } from '../conformance/run.ts'
import type { Target } from '../conformance/target.ts'
import { parseTarget } from '../egress/egress.ts'
import type { Clock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import { loadClip } from '../load/clips.ts'
import { Terminal, type Colour, type TextOut } from './terminal.ts'

/** What is wrong with the command line. */
export class UsageError extends Error {}

export interface BotTestOptions {
  target: Target
  pace: Pace
  json: boolean
}

export function parseBotTest(args: string[]): BotTestOptions {
  const { values, positionals } = parseArgs({
    args,
    strict: true,
    allowPositionals: true,
    options: {
      dialect: { type: 'string', default: 'native' },
      secret: { type: 'string' },
      insecure: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      header: { type: 'string', multiple: true, default: [] },
      encoding: { type: 'string', default: 'pcmu' },
      rate: { type: 'string', default: '8000' },
      transport: { type: 'string', default: 'json' },
    },
  })
  if (positionals.length !== 1) throw new UsageError('one address is needed: trunkline bot test wss://…')
  const [url] = positionals
  const { secret, insecure, quick, json } = values
  if (/^(ws|http):/i.test(url) && !insecure) throw new UsageError('plain text needs --insecure')
  try {
    parseTarget(url, 'bot', { allowInsecure: insecure })
  } catch (err) {
    throw new UsageError(`${url}: ${errorText(err)}${insecure ? '' : ' (or say --insecure)'}`, { cause: err })
  }
  const encoding = oneOf<Encoding>('--encoding', values.encoding, ENCODINGS)
  const rate = Number(oneOf('--rate', values.rate, encoding === 'pcm16' ? ['8000', '16000', '24000'] : ['8000']))
  return {
    target: {
      url,
      dialect: oneOf<DialectName>('--dialect', values.dialect, DIALECTS),
      secret,
      headers: Object.fromEntries(values.header.map(headerOf)),
      format: { encoding, sampleRate: rate as SampleRate, frameMs: 20 },
      transport: oneOf<'json' | 'binary'>('--transport', values.transport, ['json', 'binary']),
      insecure,
    },
    pace: quick ? QUICK : FULL,
    json,
  }
}

function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((a) => a === value)
  if (found === undefined) throw new UsageError(`${option} ${value}: it must be one of ${allowed.join(', ')}`)
  return found
}

function headerOf(line: string): [string, string] {
  const at = line.indexOf(':')
  if (at < 1) throw new UsageError(`--header ${line}: it must be 'Name: value'`)
  return [line.slice(0, at).trim(), line.slice(at + 1).trim()]
}

/** @returns the exit code: 0 when no rule failed */
export async function runBotTest({ target, pace, json }: BotTestOptions, clock: Clock, out: TextOut): Promise<number> {
  const terminal = new Terminal(clock, out)
  const voice = loadClip('hello-caller')
  if (!json) terminal.print(`${target.url} (${target.dialect})\n`)
  const onResult = json ? undefined : (result: Result) => terminal.print(row(result, terminal))
  const report = await testBot({ target, pace, clock, voice, onResult })
  terminal.print(json ? JSON.stringify(machineView(report), undefined, 2) : `\n${summary(report)}`)
  return report.passed ? 0 : 1
}

const COLOURS: Record<Verdict, Colour> = { pass: 'green', warn: 'yellow', fail: 'red', info: 'dim' }
const TITLE_WIDTH = Math.max(...Object.values(RULES).map((title) => title.length))

const row = ({ rule, verdict, detail }: Result, terminal: Terminal): string =>
  `  ${terminal.colour((verdict === 'fail' ? 'FAIL' : verdict).padEnd(4), COLOURS[verdict])}  ${RULES[rule].padEnd(TITLE_WIDTH)}  ${detail}`

function summary({ results, tookMs }: Report): string {
  const count = (verdict: Verdict): number => results.filter((r) => r.verdict === verdict).length
  const parts = [`${count('pass')} passed`, `${count('fail')} failed`]
  if (count('warn') > 0) parts.push(`${count('warn')} to look at`)
  if (count('info') > 0) parts.push(`${count('info')} not judged`)
  return `${parts.join(', ')}; it took ${seconds(tookMs)}.`
}

const machineView = ({ url, dialect, passed, tookMs, results }: Report): object => ({
  url,
  dialect,
  passed,
  took_ms: Math.round(tookMs),
  rules: results,
})
