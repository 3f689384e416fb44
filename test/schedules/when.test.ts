import { describe, expect, it } from 'vitest'
import { parseScheduleTime } from '../../src/schedules/when.ts'

const NOW = Date.UTC(2026, 0, 1)
const at = (text: string, zone = 'Asia/Kolkata'): string => new Date(parseScheduleTime(text, zone, NOW)).toISOString()

describe('a time for later', () => {
  it('is read in its zone, with or without seconds', () => {
    expect(at('2026-01-02 10:30')).toBe('2026-01-02T05:00:00.000Z')
    expect(at('2026-01-02 10:30:15')).toBe('2026-01-02T05:00:15.000Z')
    expect(at('2026-07-01T12:00', 'Europe/Berlin')).toBe('2026-07-01T10:00:00.000Z')
  })

  it.each([
    ['in the past', '2025-12-31 10:00', 'Asia/Kolkata', 'past'],
    ['right now', '2026-01-01 05:30', 'Asia/Kolkata', 'past'],
    ['more than a year ahead', '2027-01-02 10:00', 'Asia/Kolkata', 'year'],
    ['in an unknown zone', '2026-01-02 10:00', 'Mars/Olympus', 'Mars/Olympus'],
    ['on a day that is none', '2026-02-30 10:00', 'Asia/Kolkata', '2026-02-30'],
    ['in another form', '02.01.2026 10:00', 'Asia/Kolkata', 'YYYY-mm-dd HH:mm'],
    ['that the clocks skip', '2026-03-29 02:30', 'Europe/Berlin', 'does not exist in Europe/Berlin'],
  ])('is refused when it lies %s', (_, text, zone, says) => {
    expect(() => parseScheduleTime(text, zone, NOW)).toThrow(says)
  })

  it('is the first of two when the clocks repeat it', () => {
    expect(at('2026-10-25 02:30', 'Europe/Berlin')).toBe('2026-10-25T00:30:00.000Z')
  })
})
