/** What the bridge's own /metrics tells about it. Missing samples give null. */

const GC_BUCKET = /^nodejs_gc_duration_seconds_bucket\{.*le="([^"]+)"/

/** Longest garbage collection between two scrapes: the upper edge of the highest bucket that grew, ms. */
export function gcMaxMs(before: Map<string, number>, after: Map<string, number>): number | null {
  let longestS: number | null = null
  // By kind (minor, major …): cumulative counts, so what a bucket holds alone is its growth less that of the one below.
  const grownBelow = new Map<string, number>()
  const buckets: { kind: string; edgeS: number; grown: number }[] = []
  for (const [name, count] of after) {
    const edge = GC_BUCKET.exec(name)?.[1]
    if (edge === undefined) continue
    const kind = /kind="([^"]+)"/.exec(name)?.[1] ?? ''
    buckets.push({ kind, edgeS: edge === '+Inf' ? Infinity : Number(edge), grown: count - (before.get(name) ?? 0) })
  }
  if (buckets.length === 0) return null
  for (const { kind, edgeS, grown } of buckets.sort((a, b) => a.edgeS - b.edgeS)) {
    if (grown > (grownBelow.get(kind) ?? 0) && Number.isFinite(edgeS)) longestS = Math.max(longestS ?? 0, edgeS)
    grownBelow.set(kind, grown)
  }
  return (longestS ?? 0) * 1000
}

/** Control: the event loop's worst lateness by prom-client's monitor; media: the worst worker's since the last scrape. */
export function loopDelayMs(metrics: Map<string, number>): { control: number | null; media: number | null } {
  const control = metrics.get('nodejs_eventloop_lag_p99_seconds')
  const media = sum(metrics, 'trunkline_media_loop_delay_seconds', Math.max)
  return { control: control === undefined ? null : control * 1000, media: media === null ? null : media * 1000 }
}

/** All samples of one metric put together (default: added). */
export function sum(
  metrics: Map<string, number>,
  name: string,
  fold: (a: number, b: number) => number = (a, b) => a + b,
): number | null {
  let result: number | null = null
  for (const [sample, value] of metrics)
    if (sample === name || sample.startsWith(`${name}{`)) result = result === null ? value : fold(result, value)
  return result
}
