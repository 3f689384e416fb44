import { describe, expect, it } from 'vitest'
import { mos, rating } from '../../src/media/quality.ts'

describe('the estimate of quality', () => {
  // G.107, 7-27, by hand: no echo, all else at its default.
  it.each([
    [0, 93.2],
    [100, 93.2],
    [150, 93.0],
    [200, 90.2],
    [300, 78.4],
    [400, 69.1],
  ])('a delay of %i ms has the rating %d', (delayMs, r) => {
    expect(Math.abs(rating(0, delayMs, 0) - r)).toBeLessThan(0.3)
  })

  // G.107, annex B: R to MOS.
  it('gives a clear call 4.41', () => {
    expect(mos(0, 0, 0)).toBeCloseTo(4.41, 2)
    expect(mos(0, 80, 5)).toBeCloseTo(4.41, 2)
  })

  // 7-29 with Bpl 25.1, then annex B, by hand.
  it.each([
    [0.01, 4.33],
    [0.02, 4.24],
    [0.05, 3.92],
    [0.1, 3.41],
    [0.2, 2.63],
  ])('loss of %d gives %d', (loss, score) => {
    expect(Math.abs(mos(loss, 20, 2) - score)).toBeLessThan(0.01)
  })

  it('falls with each of the three and stays within 1 to 4.5', () => {
    let before = 5
    for (const step of [0, 1, 2, 3, 4, 5]) {
      const score = mos(step * 0.03, 100 + step * 60, step * 10)
      expect(score).toBeLessThan(before)
      before = score
    }
    for (const loss of [0, 0.5, 1, 7])
      for (const delay of [0, 1e3, 1e9])
        for (const jitter of [0, 1e3, 1e9]) {
          expect(mos(loss, delay, jitter)).toBeGreaterThanOrEqual(1)
          expect(mos(loss, delay, jitter)).toBeLessThanOrEqual(4.5)
        }
  })

  it('takes figures that make no sense for none', () => {
    expect(mos(NaN, NaN, NaN)).toBe(mos(0, 0, 0))
    expect(mos(-1, -5, -Infinity)).toBe(mos(0, 0, 0))
    expect(mos(0, Infinity, 0)).toBe(mos(0, 0, 0))
  })
})
