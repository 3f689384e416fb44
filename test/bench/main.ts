/**
 * `npm run bench`: runs `bench()` of every other file in this folder that exports one, and prints one table.
 * Names may be given: `npm run bench -- audio sip-parse`.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

/** One measured figure. */
export interface BenchRow {
  name: string
  value: number
  unit: string
}

const wanted = process.argv.slice(2)
const files = readdirSync(import.meta.dirname)
  .filter((f) => f.endsWith('.ts') && f !== 'main.ts')
  .filter((f) => wanted.length === 0 || wanted.includes(f.replace(/\.ts$/, '')))
  .sort()

const rows: BenchRow[] = []
let failed = 0
for (const file of files) {
  try {
    const module = (await import(pathToFileURL(join(import.meta.dirname, file)).href)) as {
      bench?: () => BenchRow[] | Promise<BenchRow[]>
    }
    if (!module.bench) continue
    process.stderr.write(`${file} …\n`)
    rows.push(...(await module.bench()))
  } catch (err) {
    failed++
    process.stderr.write(`${file}: ${err instanceof Error ? err.stack : String(err)}\n`)
  }
}

const shown = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3))
const width = Math.max(4, ...rows.map((r) => r.name.length))
console.log(`${'name'.padEnd(width)}  ${'value'.padStart(10)}  unit`)
for (const row of rows) console.log(`${row.name.padEnd(width)}  ${shown(row.value).padStart(10)}  ${row.unit}`)
process.exitCode = failed ? 1 : 0
