/** What the bridge's own /metrics tells about it. Missing samples give null. */

/** Longest garbage collection so far: the upper edge of the highest bucket that holds one, ms. */
export function gcMaxMs(metrics: Map<string, number>): number | null {
  let least: number | null = null
  // Buckets are cumulative: the longest is in the first one that counts as many as +Inf.
  const kinds = new Set<string>()
  for (const name of metrics.keys()) {
    const kind = /^nodejs_gc_duration_seconds_bucket\{.*kind="([^"]+)"/.exec(name)?.[1]
    if (kind) kinds.add(kind)
  }
  for (const kind of kinds) {
    const edges: [number, number][] = []
    for (const [name, count] of metrics) {
      if (!name.startsWith('nodejs_gc_duration_seconds_bucket{') || !name.includes(`kind="${kind}"`)) continue
      const edge = /le="([^"]+)"/.exec(name)?.[1]
      if (edge) edges.push([edge === '+Inf' ? Infinity : Number(edge), count])
    }
    edges.sort((a, b) => a[0] - b[0])
    const total = edges.at(-1)?.[1] ?? 0
    if (total === 0) continue
    const edge = edges.find(([, count]) => count === total)?.[0] ?? 0
    if (Number.isFinite(edge)) least = Math.max(least ?? 0, edge * 1000)
  }
  return least
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
