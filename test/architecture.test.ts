import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

/** The house rules of DESIGN.md section 3, read off the import graph. */
const SRC = resolve(import.meta.dirname, '../src')

/** A row imports only rows above it (and within its own place). First match wins, so files stand before folders. */
const ROWS: RegExp[][] = [
  [/^lib\//],
  [/^config\.ts$/, /^telemetry\//, /^audio\//, /^egress\//],
  [/^rtp\//, /^sip\/(?!gateway)/],
  [/^media\//, /^bot\//],
  [/^calls\//],
  [/^(accounts|numbers|bots|trunks|schedules|recordings)\//],
  [/^sip\/gateway/, /^engine\//, /^storage\//],
  [/^api\//],
  [/^main\.ts$/, /^server\.ts$/],
  [/^load\//],
  [/^conformance\//],
  [/^cli\//],
]

/** Places of one row that may import one another. */
const NEIGHBOURS: [from: RegExp, to: RegExp][] = [
  [/^accounts\//, /^(numbers|bots|trunks)\//], // bootstrap declares all four
  [/^(numbers|bots|trunks|schedules|recordings)\//, /^accounts\/ports/], // whose data it is
  [/^numbers\//, /^(bots|trunks)\//],
  [/^main\.ts$/, /^server\.ts$/],
  [/^sip\/gateway/, /^sip\//],
]

/** Which folders may use a package or a built-in. */
const ONLY_IN: Record<string, RegExp> = {
  fastify: /^api\//,
  '@fastify/*': /^api\//,
  kysely: /^storage\//,
  pg: /^storage\//,
  'pg-boss': /^storage\//,
  '@electric-sql/*': /^storage\//,
  ws: /^(bot|load)\//,
  pino: /^telemetry\//,
  'prom-client': /^telemetry\//,
  alawmulaw: /^audio\//,
  'fast-xml-parser': /^api\//,
  'libphonenumber-js': /^numbers\//,
  luxon: /^(schedules|api)\//,
  'ipaddr.js': /^(sip|egress)\//,
  typebox: /^(api|accounts|numbers|bots|trunks|bot)\//,
  'node:dgram': /^(rtp|sip\/transport)\//,
  'node:net': /^(sip\/transport|storage|egress|bot|load)\//, // outside of transport and storage: types and isIP only
  'node:worker_threads': /^(engine|storage)\//,
}

/** Words of the source text that have one home. */
const WORDS: [what: RegExp, home: RegExp][] = [
  [/\bprocess\.env\b/, /^(config\.ts|main\.ts|cli\/|load\/)/],
  [/\b(Date\.now|performance\.now|new Date\(\)|setTimeout|setInterval|setImmediate)\b/, /^lib\//],
]

const files = readdirSync(SRC, { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile() && e.name.endsWith('.ts'))
  .map((e) => relative(SRC, join(e.parentPath, e.name)))
  .sort()

interface Import {
  from: string
  to: string
  typeOnly: boolean
}

const code = (file: string): string =>
  readFileSync(join(SRC, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')

const imports: Import[] = files.flatMap((from) =>
  [...code(from).matchAll(/^(?:import|export)\s(type\s)?(?:[^'"`;]*?\sfrom\s)?['"]([^'"]+)['"]/gm)].map(
    ([, type, to]) => ({
      from,
      to: to.startsWith('.') ? relative(SRC, resolve(SRC, dirname(from), to)) : to,
      typeOnly: type !== undefined,
    }),
  ),
)
const inner = imports.filter((i) => files.includes(i.to))

const rowOf = (file: string): number => ROWS.findIndex((row) => row.some((r) => r.test(file)))
const placeOf = (file: string): string =>
  /^sip\/gateway/.test(file) ? 'sip/gateway' : file.includes('/') ? file.split('/')[0] : file

/**
 * Adapters may name the ports that they implement, and what those speak of, as types; media and bot what is asked of them
 * in the words of calls/ports.ts.
 */
const isPortType = (i: Import): boolean =>
  i.typeOnly && (rowOf(i.from) === 6 ? rowOf(i.to) <= 5 : /^(media|bot)\//.test(i.from) && i.to === 'calls/ports.ts')

const allowed = (i: Import): boolean => {
  if (placeOf(i.from) === placeOf(i.to)) return true
  if (NEIGHBOURS.some(([from, to]) => from.test(i.from) && to.test(i.to))) return true
  return rowOf(i.to) < rowOf(i.from) || isPortType(i)
}

describe('the house', () => {
  it('has a place for every file', () => {
    expect(files.filter((f) => rowOf(f) < 0)).toEqual([])
  })

  it('lets a row import only rows above it', () => {
    expect(inner.filter((i) => !allowed(i)).map((i) => `${i.from} → ${i.to}`)).toEqual([])
  })

  it('keeps the domain of calls free of everything but lib and telemetry', () => {
    const wrong = inner.filter((i) => i.from.startsWith('calls/') && !/^(calls|lib|telemetry)\//.test(i.to))
    expect(wrong.map((i) => `${i.from} → ${i.to}`)).toEqual([])
  })

  it('keeps facades from importing one another', () => {
    const facade = (f: string): string | undefined => /^api\/([^/]+)\//.exec(f)?.[1]
    const wrong = inner.filter((i) => facade(i.from) && facade(i.to) && facade(i.from) !== facade(i.to))
    expect(wrong.map((i) => `${i.from} → ${i.to}`)).toEqual([])
  })

  it('has no import cycle', () => {
    const edges = new Map<string, string[]>()
    for (const i of inner) if (!i.typeOnly) edges.set(i.from, [...(edges.get(i.from) ?? []), i.to])
    const done = new Set<string>()
    const cycles: string[] = []
    const visit = (file: string, path: string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' → '))
      if (done.has(file) || path.includes(file)) return
      for (const to of edges.get(file) ?? []) visit(to, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
    expect(cycles).toEqual([])
  })

  it('uses each package only in its folder', () => {
    const wrong = imports.filter(({ from, to }) => {
      const key = Object.keys(ONLY_IN).find(
        (k) => to === k || to.startsWith(`${k}/`) || (k.endsWith('/*') && to.startsWith(k.slice(0, -1))),
      )
      return key !== undefined && !ONLY_IN[key].test(from)
    })
    expect(wrong.map((i) => `${i.from} → ${i.to}`)).toEqual([])
  })

  it.each(WORDS)('keeps %s at home', (what, home) => {
    expect(files.filter((f) => !home.test(f) && what.test(code(f)))).toEqual([])
  })

  it('imports only files that exist, by their .ts name', () => {
    const wrong = imports.filter(
      (i) => !i.to.includes(':') && /^[a-z]+\//.test(i.to) && rowOf(i.to) >= 0 && !files.includes(i.to),
    )
    expect(wrong.map((i) => `${i.from} → ${i.to}`)).toEqual([])
  })
})
