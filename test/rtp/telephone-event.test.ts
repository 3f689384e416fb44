import { describe, expect, it } from 'vitest'
import { EventReader, EventWriter } from '../../src/rtp/telephone-event.ts'

const payload = (event: number, duration: number, end = false): Uint8Array =>
  Uint8Array.of(event, (end ? 0x80 : 0) | 10, duration >> 8, duration & 0xff)

/** [event, duration, end, timestamp, ssrc] per packet; returns the digits told. */
function heard(packets: [number, number, boolean, number, number?][]): string {
  const reader = new EventReader()
  return packets
    .map(
      ([event, duration, end, ts, ssrc]) =>
        reader.read(payload(event, duration, end), 0, 4, ts, ssrc ?? 1)?.digit ?? '',
    )
    .join('')
}

describe('EventReader', () => {
  it.each<[string, string, [number, number, boolean, number, number?][]]>([
    [
      'reports at the first packet, once',
      '1',
      [
        [1, 160, false, 10],
        [1, 320, false, 10],
        [1, 480, true, 10],
        [1, 480, true, 10],
        [1, 480, true, 10],
      ],
    ],
    ['accepts an end alone', '9', [[9, 800, true, 10]]],
    [
      'accepts a first packet of duration 0',
      '#',
      [
        [11, 0, false, 10],
        [11, 160, true, 10],
      ],
    ],
    [
      'hears the same key twice by its timestamp',
      '55',
      [
        [5, 160, false, 10],
        [5, 160, true, 10],
        [5, 160, false, 2000],
        [5, 160, true, 2000],
      ],
    ],
    [
      'ignores a late repeat of an earlier key',
      '12',
      [
        [1, 160, true, 10],
        [2, 160, false, 2000],
        [1, 160, true, 10],
        [2, 320, true, 2000],
      ],
    ],
    [
      'ignores flash and tones',
      '',
      [
        [16, 160, false, 10],
        [32, 160, false, 10],
        [255, 0, true, 99],
      ],
    ],
    [
      'hears A to D and *',
      'ABCD*',
      [
        [12, 1, true, 1],
        [13, 1, true, 2],
        [14, 1, true, 3],
        [15, 1, true, 4],
        [10, 1, true, 5],
      ],
    ],
    [
      'takes segments of a long press for one',
      '4',
      [
        [4, 65_000, false, 10],
        [4, 0xffff, false, 10],
        [4, 160, false, 10 + 0xffff],
        [4, 320, true, 10 + 0xffff],
      ],
    ],
    [
      'knows segments over the wrap of the timestamp',
      '4',
      [
        [4, 0xffff, false, 0xffff_fff0],
        [4, 160, true, (0xffff_fff0 + 0xffff) >>> 0],
      ],
    ],
    [
      'tells apart two streams with the same timestamp',
      '33',
      [
        [3, 160, true, 10, 1],
        [3, 160, true, 10, 2],
      ],
    ],
  ])('%s', (_, digits, packets) => {
    expect(heard(packets)).toBe(digits)
  })

  it('refuses a payload of 3 bytes', () => {
    expect(new EventReader().read(new Uint8Array(3), 0, 3, 1, 1)).toBeUndefined()
  })
})

describe('EventWriter', () => {
  const run = (writer: EventWriter): string[] => {
    const dst = new Uint8Array(4)
    const out: string[] = []
    for (let slot = 0; writer.busy && slot < 2000; slot++) {
      const kind = writer.slotInto(dst, 0, slot * 160)
      out.push(kind === 'event' ? `${dst[0]}${dst[1] & 0x80 ? 'E' : writer.marker ? 'M' : '.'}` : kind[0])
    }
    return out
  }

  it('writes start, middle and three ends, then the gap', () => {
    const writer = new EventWriter()
    writer.queue('1', 80, 100)
    expect(run(writer)).toEqual(['1M', '1.', '1.', '1E', '1E', '1E', 's', 's', 's'])
  })

  it('pauses 500 ms at w', () => {
    const writer = new EventWriter()
    writer.queue('1w2', 40, 40)
    const slots = run(writer)
    expect(slots.filter((s) => s === 's').length).toBeGreaterThanOrEqual(25)
    expect(slots.filter((s) => s === '2E').length).toBe(3)
  })

  it('bounds its queue and its durations', () => {
    const writer = new EventWriter()
    expect(writer.queue('1'.repeat(1000), Number.NaN, Infinity)).toBe(128)
    writer.clear()
    expect(writer.busy).toBe(false)
    writer.queue('5', 1e9, 0)
    expect(run(writer).length).toBe(403)
  })
})
