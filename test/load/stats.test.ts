import { describe, expect, it } from 'vitest'
import { LatencyHistogram, median } from '../../src/load/stats.ts'

describe('LatencyHistogram', () => {
  it('gives percentiles within 2 % of the exact ones', () => {
    const h = new LatencyHistogram()
    for (let i = 1; i <= 10_000; i++) h.record(i / 100)
    expect(h.percentile(0.5)).toBeGreaterThan(49)
    expect(h.percentile(0.5)).toBeLessThan(51)
    expect(h.percentile(0.99)).toBeGreaterThan(97)
    expect(h.percentile(0.99)).toBeLessThan(100.01)
    expect(h.percentile(1)).toBeLessThanOrEqual(100)
    expect(h.maxMs).toBe(100)
    expect(h.meanMs).toBeCloseTo(50.005, 3)
  })

  it('never reports a percentile outside of what was recorded', () => {
    const h = new LatencyHistogram()
    h.record(3)
    expect(h.percentiles()).toEqual({ p50: 3, p95: 3, p99: 3, p999: 3 })
  })

  it('reports null, not zero, when nothing was recorded', () => {
    expect(new LatencyHistogram().percentiles()).toBeNull()
    expect(new LatencyHistogram().percentile(0.99)).toBe(0)
  })

  it('takes zero, negative and huge values without leaving its buckets', () => {
    const h = new LatencyHistogram()
    for (const ms of [0, -1, 1e9, NaN]) h.record(ms)
    expect(h.count).toBe(4)
    expect(h.percentile(0.01)).toBeLessThanOrEqual(0.002)
  })

  it('merges as if all had been recorded in one', () => {
    const [a, b, both] = [new LatencyHistogram(), new LatencyHistogram(), new LatencyHistogram()]
    for (let i = 0; i < 1000; i++) {
      const ms = (i * 7919) % 997
      ;(i % 3 ? a : b).record(ms)
      both.record(ms)
    }
    a.merge(b)
    expect(a.percentiles()).toEqual(both.percentiles())
    expect([a.count, a.minMs, a.maxMs]).toEqual([both.count, both.minMs, both.maxMs])
    a.reset()
    expect(a.percentiles()).toBeNull()
  })
})

describe('median', () => {
  it('is the middle value, and 0 of nothing', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([4, 1, 2, 3])).toBe(2)
    expect(median([])).toBe(0)
  })
})
