/**
 * A series of load runs as one HTML page that needs nothing else: plots drawn here as inline SVG, the table below them.
 * No script and no address in it; colours are variables, so that it reads in light and in dark.
 */
import type { Latency, LoadReport } from './report.ts'
import { COLUMNS, problemLines } from './series.ts'

export interface PageFacts {
  /** When and on what it was measured, for people. */
  measured: string
  machine: string
  /** Set when the series did not come to its end. */
  stopped?: string
}

export function seriesPage(runs: LoadReport[], facts: PageFacts): string {
  const about = runs.length > 0 ? `${bots(runs[0])}. ` : ''
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>Load series</title>
<style>${STYLE}</style>
<main>
<h1>Load by number of calls</h1>
<p>${text(about + facts.measured)}. ${text(facts.machine)}.</p>
${facts.stopped ? `<p class="bad">Stopped early: ${text(facts.stopped)}</p>\n` : ''}${runs.length > 0 ? body(runs) : '<p>No run has come to its end yet.</p>'}
</main>
</html>
`
}

const bots = (r: LoadReport): string =>
  `${r.dialect}, ${r.rate ? `pcm16 ${r.rate} Hz` : 'pcmu'}, recording ${r.recording ? 'on' : 'off'}, ${Math.round(r.seconds)} s each`

function body(runs: LoadReport[]): string {
  const problems = problemLines(runs)
  return `<figure>
<figcaption>CPU per call, % of one core (bridge: full colour is the program, pale the kernel)</figcaption>
${cpuBars(runs)}
</figure>
<div class="pair">
${latencyPlot(runs, 'Caller to bot, ms: p99, dashed p50', (r) => r.upMs)}
${latencyPlot(runs, 'Bot to caller, ms: p99, dashed p50', (r) => r.downMs)}
</div>
<div class="wide"><table>
<thead><tr>${COLUMNS.map((c) => `<th>${text(c.name)}</th>`).join('')}</tr></thead>
<tbody>
${runs.map((r) => `<tr${r.failures > 0 ? ' class="bad"' : ''}>${COLUMNS.map((c) => `<td>${text(c.of(r))}</td>`).join('')}</tr>`).join('\n')}
</tbody>
</table></div>
${problems.length > 0 ? `<h2>What failed</h2>\n<ul>${problems.map((p) => `<li>${text(p)}</li>`).join('')}</ul>` : ''}`
}

// ---- Bars: for each number of calls the bridge by workers, then the floors. ----

interface Bar {
  label: string
  colour: string
  /** From the ground up. */
  parts: { value: number; pale: boolean }[]
  total: number | null
}

function cpuBars(runs: LoadReport[]): string {
  const workers = distinct(runs.map((r) => r.workers))
  const groups = callsOf(runs).map((calls) => {
    const here = runs.filter((r) => r.calls === calls)
    const bars = here.map((r) => bridgeBar(r, colourOf(workers, r.workers)))
    const { node, c } = here.find((r) => r.floor.node !== null || r.floor.c !== null)?.floor ?? { node: null, c: null }
    if (node !== null) bars.push(plainBar('bare Node relay', 'var(--node)', node))
    if (c !== null) bars.push(plainBar('bare C relay', 'var(--c)', c))
    return { calls, bars }
  })
  const shown = groups.flatMap((g) => g.bars)
  if (shown.every((bar) => bar.total === null)) return NOTHING
  const legend = [...new Map(shown.map((bar) => [bar.label, bar.colour]))]
  const a = area(960, Math.max(...shown.map((bar) => bar.total ?? 0)))
  const slot = a.width / groups.length
  const barWidth = Math.min(46, (slot * 0.8) / Math.max(...groups.map((g) => g.bars.length)))
  const drawn = groups.map(({ calls, bars }, g) => {
    const middle = a.left + slot * (g + 0.5)
    const first = middle - (bars.length * barWidth) / 2
    return `${label(middle, a.bottom + 18, String(calls))}\n${bars
      .map((bar, i) => drawBar(bar, first + i * barWidth + 1.5, barWidth - 3, a, calls))
      .join('\n')}`
  })
  return `${legendOf(legend.map(([name, colour]) => ({ name, colour })))}
${svg(a, 'CPU per call by number of calls', drawn)}`
}

function bridgeBar(r: LoadReport, colour: string): Bar {
  const [total, user, system] = [r.cpuPercentPerCall, r.cpuUserPercentPerCall, r.cpuSystemPercentPerCall]
  const parts =
    user === null || system === null
      ? [{ value: total ?? 0, pale: false }]
      : [
          { value: user, pale: false },
          { value: system, pale: true },
        ]
  return { label: bridgeName(r.workers), colour, parts, total }
}

const plainBar = (name: string, colour: string, total: number): Bar => ({
  label: name,
  colour,
  parts: [{ value: total, pale: false }],
  total,
})

function drawBar(bar: Bar, x: number, width: number, a: Area, calls: number): string {
  if (bar.total === null) return ''
  let ground = a.bottom
  const rects = bar.parts.map(({ value, pale }) => {
    const height = (value / a.top) * a.height
    ground -= height
    return `<rect x="${px(x)}" y="${px(ground)}" width="${px(width)}" height="${px(height)}" fill="${pale ? `color-mix(in srgb, ${bar.colour} 50%, var(--page))` : bar.colour}"/>`
  })
  const said = `${bar.label}, ${calls} calls: ${bar.parts.map((p) => p.value.toFixed(3)).join(' + ')} %`
  const figure = width >= 24 ? label(x + width / 2, ground - 5, bar.total.toFixed(2), 'figure') : ''
  return `<g><title>${text(said)}</title>${rects.join('')}${figure}</g>`
}

// ---- Lines: p50 and p99 over the number of calls, one colour for each number of workers. ----

function latencyPlot(runs: LoadReport[], caption: string, of: (r: LoadReport) => Latency | null): string {
  const head = `<figure>\n<figcaption>${text(caption)}</figcaption>\n`
  const seen = runs.flatMap((r) => of(r) ?? [])
  if (seen.length === 0) return `${head}${NOTHING}\n</figure>`
  const workers = distinct(runs.map((r) => r.workers))
  const calls = callsOf(runs)
  const a = area(470, Math.max(...seen.map((l) => l.p99)))
  const most = calls[calls.length - 1]
  const x = (n: number): number => a.left + (n / most) * a.width
  const y = (value: number): number => a.bottom - (value / a.top) * a.height
  const lines = workers.flatMap((w) =>
    (['p50', 'p99'] as const).map((q) => {
      const colour = colourOf(workers, w)
      const points = runs
        .filter((r) => r.workers === w)
        .sort((r, s) => r.calls - s.calls)
        .flatMap((r) => {
          const value = of(r)?.[q]
          return value === undefined ? [] : [{ calls: r.calls, value }]
        })
      const path = points.map((p) => `${px(x(p.calls))},${px(y(p.value))}`).join(' ')
      const dots = points.map(
        (p) =>
          `<circle cx="${px(x(p.calls))}" cy="${px(y(p.value))}" r="4" fill="${colour}"><title>${text(`${bridgeName(w)}, ${p.calls} calls: ${q} ${p.value.toFixed(1)} ms`)}</title></circle>`,
      )
      return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"${q === 'p50' ? ' stroke-dasharray="5 4"' : ''}/>${dots.join('')}`
    }),
  )
  // From the right, so that the largest number is always written; those too near to the next are not.
  let free = Infinity
  const names = calls.toReversed().map((n) => {
    if (free - x(n) < 28) return ''
    free = x(n)
    return label(x(n), a.bottom + 18, String(n))
  })
  const legend = workers.map((w) => ({ name: bridgeName(w), colour: colourOf(workers, w) }))
  return `${head}${legendOf(legend)}\n${svg(a, caption, [...names, ...lines])}\n</figure>`
}

// ---- What both kinds are drawn on. ----

interface Area {
  left: number
  bottom: number
  width: number
  height: number
  /** The value at the upper edge, and the step of the lines below it. */
  top: number
  step: number
  outerWidth: number
}

const OUTER_HEIGHT = 300

function area(outerWidth: number, most: number): Area {
  const step = niceStep(most)
  const top = Math.max(1, Math.ceil(most / step)) * step
  // Above the upper edge is room for a figure over a bar, below the lower one for two rows of words.
  return {
    left: 48,
    bottom: OUTER_HEIGHT - 44,
    width: outerWidth - 60,
    height: OUTER_HEIGHT - 68,
    top,
    step,
    outerWidth,
  }
}

/** 1, 2 or 5 times a power of ten, four or five of them up to `most`. */
export function niceStep(most: number): number {
  if (!(most > 0) || !Number.isFinite(most)) return 1
  const power = 10 ** Math.floor(Math.log10(most / 4))
  return power * ([1, 2, 5].find((n) => n * power >= most / 5) ?? 10)
}

function svg(a: Area, name: string, drawn: string[]): string {
  const digits = Math.max(0, -Math.floor(Math.log10(a.step) + 1e-9))
  const grid = Array.from({ length: Math.round(a.top / a.step) + 1 }, (_, i) => {
    const y = px(a.bottom - ((i * a.step) / a.top) * a.height)
    return `<line class="grid" x1="${a.left}" x2="${a.left + a.width}" y1="${y}" y2="${y}"/><text x="${a.left - 8}" y="${y}" dy=".35em" text-anchor="end">${(i * a.step).toFixed(digits)}</text>`
  })
  return `<svg viewBox="0 0 ${a.outerWidth} ${OUTER_HEIGHT}" role="img" aria-label="${text(name)}">
${grid.join('\n')}
${label(a.left + a.width / 2, OUTER_HEIGHT - 6, 'calls at once')}
${drawn.filter(Boolean).join('\n')}
</svg>`
}

const legendOf = (entries: { name: string; colour: string }[]): string =>
  `<ul class="legend">${entries
    .map(
      ({ name, colour }) =>
        `<li><svg width="14" height="10" aria-hidden="true"><rect width="14" height="10" fill="${colour}"/></svg> ${text(name)}</li>`,
    )
    .join('')}</ul>`

const label = (x: number, y: number, words: string, kind = ''): string =>
  `<text x="${px(x)}" y="${px(y)}" text-anchor="middle"${kind && ` class="${kind}"`}>${text(words)}</text>`

const bridgeName = (workers: number | null): string =>
  workers === null ? 'bridge' : `bridge, ${workers} worker${workers === 1 ? '' : 's'}`

const COLOURS = 4
const colourOf = (workers: (number | null)[], one: number | null): string =>
  `var(--bridge${workers.indexOf(one) % COLOURS})`

const callsOf = (runs: LoadReport[]): number[] => distinct(runs.map((r) => r.calls)).sort((a, b) => a - b)
const distinct = <T>(list: T[]): T[] => [...new Set(list)]
const px = (value: number): string => String(Math.round(value * 10) / 10)

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const text = (words: string): string => words.replace(/[&<>"']/g, (c) => ESCAPES[c])

const NOTHING = '<p class="none">Not measured.</p>'

const STYLE = `
:root { color-scheme: light dark; --page: #fff; --ink: #1c2126; --soft: #59636e; --grid: #dde1e6; --bad: #b3261e;
  --bridge0: #1f6feb; --bridge1: #b35900; --bridge2: #8250df; --bridge3: #0a7d55; --node: #8c959f; --c: #57606a }
@media (prefers-color-scheme: dark) { :root { --page: #14181d; --ink: #e6e9ec; --soft: #9aa4af; --grid: #2d343c; --bad: #ff8a80;
  --bridge0: #58a6ff; --bridge1: #f0883e; --bridge2: #bc8cff; --bridge3: #3fb98b; --node: #7d8794; --c: #b6bec8 } }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif }
main { max-width: 1040px; margin: 0 auto; padding: 24px }
h1 { font-size: 22px; margin: 0 0 4px } h2 { font-size: 17px }
p { margin: 0 0 8px; color: var(--soft) } .bad, .bad td { color: var(--bad) }
figure { margin: 24px 0; min-width: 0 } figcaption { font-weight: 600 }
figure > svg { display: block; width: 100%; height: auto }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(400px, 100%), 1fr)); gap: 0 24px }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; margin: 4px 0; padding: 0; color: var(--soft) }
text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums } .figure { fill: var(--ink); paint-order: stroke; stroke: var(--page); stroke-width: 4px }
.grid { stroke: var(--grid) }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
th, td { padding: 5px 8px; text-align: right; border-bottom: 1px solid var(--grid); white-space: nowrap }
th { color: var(--soft); font-weight: 600; white-space: normal; vertical-align: bottom }
`
