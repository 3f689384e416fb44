/**
 * Latency figures in fixed memory: a histogram with logarithmic buckets, so that a run of an hour and a run of ten
 * seconds cost the same. Not exact: a percentile is right to about 1 % of itself.
 */

// 64 buckets for each doubling: a bucket is 2^(1/64) = 1.1 % wide.
const PER_DOUBLING = 64
const LEAST_MS = 0.001
const DOUBLINGS = 26 // 1 µs to 67 s
const BUCKETS = PER_DOUBLING * DOUBLINGS + 1

export interface Percentiles {
  p50: number
  p95: number
  p99: number
  p999: number
}

export class LatencyHistogram {
  readonly #counts = new Uint32Array(BUCKETS)
  #count = 0
  #sumMs = 0
  #maxMs = 0
  #minMs = Infinity

  /** Negative values (two clocks, rounding) count as the smallest. */
  record(ms: number): void {
    this.#counts[bucketOf(ms)]++
    this.#count++
    this.#sumMs += ms
    if (ms > this.#maxMs) this.#maxMs = ms
    if (ms < this.#minMs) this.#minMs = ms
  }

  get count(): number {
    return this.#count
  }

  get maxMs(): number {
    return this.#maxMs
  }

  get minMs(): number {
    return this.#count ? this.#minMs : 0
  }

  get meanMs(): number {
    return this.#count ? this.#sumMs / this.#count : 0
  }

  /** The value below which `share` (0..1) of all lie; 0 when nothing was recorded. */
  percentile(share: number): number {
    if (this.#count === 0) return 0
    const wanted = Math.max(1, Math.ceil(share * this.#count))
    let seen = 0
    for (let i = 0; i < BUCKETS; i++) {
      seen += this.#counts[i]
      // The bucket's middle can lie outside of what was seen; the true extremes cannot.
      if (seen >= wanted)
        return Math.min(this.#maxMs, Math.max(this.#minMs, LEAST_MS * 2 ** ((i + 0.5) / PER_DOUBLING)))
    }
    return this.#maxMs
  }

  /** The usual four, rounded to µs; null when nothing was recorded. */
  percentiles(): Percentiles | null {
    if (this.#count === 0) return null
    const at = (share: number): number => Math.round(this.percentile(share) * 1000) / 1000
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999) }
  }

  merge(other: LatencyHistogram): void {
    for (let i = 0; i < BUCKETS; i++) this.#counts[i] += other.#counts[i]
    this.#count += other.#count
    this.#sumMs += other.#sumMs
    this.#maxMs = Math.max(this.#maxMs, other.#maxMs)
    this.#minMs = Math.min(this.#minMs, other.#minMs)
  }

  reset(): void {
    this.#counts.fill(0)
    this.#count = 0
    this.#sumMs = 0
    this.#maxMs = 0
    this.#minMs = Infinity
  }
}

function bucketOf(ms: number): number {
  if (!(ms > LEAST_MS)) return 0
  const i = Math.floor(Math.log2(ms / LEAST_MS) * PER_DOUBLING)
  return i < BUCKETS ? i : BUCKETS - 1
}

/** The middle value; of an even number, the lower of the two. */
export function median(values: readonly number[]): number {
  if (values.length === 0) return 0
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1]
}
