import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { describe, expect, it } from 'vitest'
import { niceStep, seriesPage } from '../../src/load/page.ts'
import { loadReport } from './reports.ts'

const FACTS = { measured: 'Measured 2026-11-21 16:30 UTC', machine: 'a machine, 2 cores' }
const RUNS = [5, 10, 100].flatMap((calls) => [1, 2].map((workers) => loadReport({ calls, workers })))

const drawings = (page: string): string[] => page.match(/<svg viewBox[\s\S]*?<\/svg>/g) ?? []
const count = (text: string, what: RegExp): number => text.match(what)?.length ?? 0

describe('the page of a series', () => {
  const page = seriesPage(RUNS, FACTS)

  it('needs nothing from elsewhere and runs no script', () => {
    expect(page).not.toMatch(/https?:|<script|\bsrc=|@import|url\(/)
    expect(page).toContain("default-src 'none'")
  })

  it('draws well-formed pictures without a figure that is none', () => {
    expect(drawings(page)).toHaveLength(3)
    for (const drawing of drawings(page)) {
      expect(XMLValidator.validate(drawing)).toBe(true)
      expect(drawing).not.toMatch(/NaN|Infinity|undefined|null/)
    }
  })

  it('sets bars of the bridge beside those of both floors, and a line each for p50 and p99', () => {
    const [cpu, up, down] = drawings(page)
    // For each number of calls: two bridges of two parts, two floors.
    expect(count(cpu, /<rect /g)).toBe(3 * (2 * 2 + 2))
    expect(cpu).toContain('bridge, 2 workers, 10 calls: 0.110 + 0.200 %')
    for (const plot of [up, down]) {
      expect(count(plot, /<polyline /g)).toBe(4)
      expect(count(plot, /<circle /g)).toBe(12)
    }
  })

  it('keeps every mark inside its picture', () => {
    for (const drawing of drawings(page)) {
      const [, width, height] = /viewBox="0 0 (\d+) (\d+)"/.exec(drawing)!.map(Number)
      for (const [, x, y] of drawing.matchAll(/ (?:x|cx)="([-\d.]+)" (?:y|cy)="([-\d.]+)"/g)) {
        expect(Number(x)).toBeGreaterThanOrEqual(0)
        expect(Number(x)).toBeLessThanOrEqual(width)
        expect(Number(y)).toBeGreaterThanOrEqual(0)
        expect(Number(y)).toBeLessThanOrEqual(height)
      }
    }
  })

  it('has the table with one row for each run', () => {
    const html = new XMLParser({ ignoreAttributes: true }).parse(/<table>[\s\S]*<\/table>/.exec(page)![0]) as {
      table: { tbody: { tr: unknown[] } }
    }
    expect(html.table.tbody.tr).toHaveLength(6)
  })

  it('shows what failed as text, whatever it says', () => {
    const failed = seriesPage(
      [loadReport({ failures: 1, problems: { '<img src=x onerror=alert(1)>': 1 } })],
      { ...FACTS, stopped: 'the server said "no" & left' },
    ) // prettier-ignore
    expect(failed).not.toContain('<img')
    expect(failed).toContain('1 x &lt;img src=x onerror=alert(1)&gt;')
    expect(failed).toContain('the server said &quot;no&quot; &amp; left')
  })

  it('says so where nothing was measured', () => {
    const bare = loadReport({
      cpuPercentPerCall: null, cpuUserPercentPerCall: null, cpuSystemPercentPerCall: null,
      floor: { c: null, node: null }, upMs: null, downMs: null,
    }) // prettier-ignore
    expect(count(seriesPage([bare], FACTS), /Not measured/g)).toBe(3)
    expect(seriesPage([], FACTS)).toContain('No run has come to its end yet')
  })
})

describe('the steps of an axis', () => {
  it('are round numbers, a handful of them', () => {
    expect([0.31, 0.9, 1, 24, 100, 167].map(niceStep)).toEqual([0.1, 0.2, 0.2, 5, 20, 50])
    expect([0, NaN, Infinity].map(niceStep)).toEqual([1, 1, 1])
  })
})
