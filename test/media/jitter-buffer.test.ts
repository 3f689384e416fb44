import { describe, expect, it } from 'vitest'
import { seqAdd, tsAdd } from '../../src/lib/seq16.ts'
import { JitterBuffer, type Put } from '../../src/media/jitter-buffer.ts'
import { seeded } from '../helpers/rtp.ts'

/** Plays packets into a buffer in virtual time; slots stand at phase + n · 20 ms from the first packet on. */
class Bench {
  readonly buffer = new JitterBuffer()
  readonly out: number[] = []
  readonly lost: number[] = []
  nowMs = 0
  nextTakeMs = Infinity
  readonly #frame = new Uint8Array(160)

  put(seq: number, rtpTs: number, payload: Uint8Array, ssrc = 1): Put {
    const put = this.buffer.put(seq, rtpTs >>> 0, ssrc, payload, 0, payload.length, 'pcmu', this.nowMs, this.nextTakeMs)
    if (put === 'started' && this.nextTakeMs === Infinity) this.nextTakeMs = this.nowMs + this.buffer.startDelayMs
    return put
  }

  until(ms: number): void {
    while (this.nextTakeMs <= ms) {
      this.nowMs = this.nextTakeMs
      this.lost.push(this.buffer.takeInto(this.#frame))
      this.out.push(...this.#frame)
      this.buffer.trim()
      this.nextTakeMs += 20
    }
    this.nowMs = ms
  }

  has(bytes: Uint8Array): boolean {
    return Buffer.from(this.out).includes(Buffer.from(bytes))
  }
}

const noise = (frames: number, seed = 1): Uint8Array => {
  const random = seeded(seed)
  return Uint8Array.from({ length: frames * 160 }, () => Math.floor(random() * 255))
}
const cut = (bytes: Uint8Array, i: number): Uint8Array => bytes.subarray(i * 160, (i + 1) * 160)

describe('JitterBuffer', () => {
  it.each([
    ['in the middle', 1000, 8000],
    ['over the wrap of the sequence', 65_500, 8000],
    ['over the wrap of the timestamp', 1000, 0xffff_f800],
    ['over both', 65_530, 0xffff_ff00],
  ])('gives every byte back in order, %s, reordered and with duplicates', (_, seq, ts) => {
    const b = new Bench()
    const bytes = noise(100)
    const put = (i: number): Put => b.put(seqAdd(seq, i), tsAdd(ts, i * 160), cut(bytes, i))
    // The buffer has learnt some jitter: every third packet comes 15 ms late, after a first one that waited.
    b.nowMs = 5
    put(0)
    for (let i = 1; i < 100; i++) {
      b.until(i * 20 + (i % 3 === 0 ? 3 : 0))
      put(i)
      if (i % 7 === 0) put(i)
    }
    b.until(2100)
    expect(b.has(bytes)).toBe(true)
    expect(b.buffer.stats).toMatchObject({ received: 100, duplicates: 14, late: 0 })
    expect(b.buffer.expected).toBe(100)
  })

  it('conceals a lost packet with a fade, and keeps the place of what follows', () => {
    const b = new Bench()
    const bytes = noise(20)
    for (let i = 0; i < 20; i++) {
      b.until(i * 20)
      if (i !== 8) b.put(i, i * 160, cut(bytes, i))
    }
    b.until(440)
    const at = Buffer.from(b.out).indexOf(Buffer.from(cut(bytes, 7)))
    expect(Buffer.from(b.out).indexOf(Buffer.from(bytes.subarray(9 * 160)))).toBe(at + 320)
    expect(b.lost.slice(0, 20)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    expect(b.buffer.expected - b.buffer.stats.received).toBe(1)
  })

  it('falls silent after 60 ms without packets', () => {
    const b = new Bench()
    b.put(0, 0, new Uint8Array(160).fill(0x10))
    b.until(200)
    const frames = b.out.length / 160
    expect(b.out.slice(160, 320).some((x) => x !== 0xff)).toBe(true)
    expect(b.out.slice(5 * 160, frames * 160).every((x) => x === 0xff)).toBe(true)
  })

  it('takes a timestamp jump without a sequence gap for DTX: silence, no loss', () => {
    const b = new Bench()
    const bytes = noise(30)
    for (let i = 0; i < 10; i++) {
      b.until(i * 20)
      b.put(i, i * 160, cut(bytes, i))
    }
    // Comfort noise, then nothing for 400 ms.
    b.until(200)
    b.buffer.quiet(10, 1, b.nowMs)
    for (let i = 30; i < 40; i++) {
      b.until(i * 20)
      b.put(i - 19, i * 160, cut(bytes, i - 20))
    }
    b.until(900)
    const heard = b.lost.slice(0, 39)
    expect(heard.every((ms) => ms === 0)).toBe(true)
    const start = Buffer.from(b.out).indexOf(Buffer.from(cut(bytes, 9)))
    expect(Buffer.from(b.out).indexOf(Buffer.from(bytes.subarray(10 * 160, 20 * 160)))).toBe(start + 21 * 160)
    expect(b.buffer.expected - b.buffer.stats.received - b.buffer.quietPackets).toBe(0)
  })

  it('starts anew after a jump of more than a second, forward or backward, but not for one odd packet', () => {
    const b = new Bench()
    const bytes = noise(60)
    let odd: Put = 'kept'
    for (let i = 0; i < 20; i++) {
      b.until(i * 20)
      b.put(i, i * 160, cut(bytes, i))
      if (i === 10) odd = b.put(11_000, 5_000_000, cut(bytes, 0))
    }
    expect(odd).toBe('dropped')
    for (let i = 20; i < 40; i++) {
      b.until(i * 20)
      b.put(i, 7_000_000 + i * 160, cut(bytes, i))
    }
    for (let i = 40; i < 60; i++) {
      b.until(i * 20)
      b.put(i, 1000 + i * 160, cut(bytes, i))
    }
    b.until(1300)
    expect(b.has(bytes.subarray(0, 20 * 160))).toBe(true)
    expect(b.has(bytes.subarray(22 * 160, 40 * 160))).toBe(true)
    expect(b.has(bytes.subarray(42 * 160, 60 * 160))).toBe(true)
  })

  it('waits no longer than it must at rest, stretches for a late packet, and takes the delay back in silence', () => {
    const b = new Bench()
    const silence = new Uint8Array(160).fill(0xff)
    let i = 0
    const run = (n: number, payload: Uint8Array): void => {
      for (const end = i + n; i < end; i++) {
        b.until(i * 20)
        b.put(i, i * 160, payload)
      }
    }
    run(50, new Uint8Array(160).fill(0x22))
    expect(b.buffer.delayMs).toBeLessThanOrEqual(8)
    // 50 ms late, then on time again.
    b.until(i * 20 + 50)
    b.put(i, i * 160, new Uint8Array(160).fill(0x22))
    i++
    run(40, new Uint8Array(160).fill(0x22))
    expect(b.buffer.delayMs).toBeGreaterThan(40)
    expect(b.buffer.stats.late).toBe(0)
    run(200, silence)
    expect(b.buffer.delayMs).toBeLessThanOrEqual(20)
  })

  it('takes back a queue of 150 ms within about 2 s of speech', () => {
    const b = new Bench()
    const random = seeded(4)
    const loud = (): Uint8Array => Uint8Array.from({ length: 160 }, () => Math.floor(random() * 30))
    for (let i = 0; i < 50; i++) {
      b.until(i * 20)
      b.put(i, i * 160, loud())
    }
    // The network holds everything for 150 ms and then delivers at once.
    b.until(50 * 20 + 150)
    for (let i = 50; i < 58; i++) b.put(i, i * 160, loud())
    let settledMs = 0
    for (let i = 58; i < 300; i++) {
      b.until(i * 20)
      b.put(i, i * 160, loud())
      if (settledMs === 0 && i > 60 && b.buffer.bufferedMs <= 60) settledMs = i * 20 - 1150
    }
    expect(settledMs).toBeGreaterThan(0)
    expect(settledMs).toBeLessThan(3000)
    expect(b.buffer.stats.droppedSamples).toBe(0)
  })

  it.each([
    ['fast', 1.002],
    ['slow', 0.998],
  ])('follows a %s far clock by adding or dropping time in silence, without losing speech', (_, rate) => {
    const b = new Bench()
    const speech = noise(1, 3)
    const frames = 6000
    let spoken = 0
    for (let i = 0; i < frames; i++) {
      b.until((i * 20) / rate)
      const speaking = i % 100 < 60
      if (speaking) spoken++
      b.put(i & 0xffff, i * 160, speaking ? speech : new Uint8Array(160).fill(0xff))
    }
    b.until((frames * 20) / rate + 200)
    const heard = Buffer.from(b.out)
    let found = 0
    for (let at = heard.indexOf(speech); at >= 0; at = heard.indexOf(speech, at + 160)) found++
    expect(found / spoken).toBeGreaterThan(0.98)
    expect(b.buffer.delayMs).toBeLessThan(60)
    expect(b.buffer.stats.late).toBe(0)
  })

  it('goes with a stream whose delay has grown for good by more than it can stretch', () => {
    const b = new Bench()
    const bytes = noise(120)
    for (let i = 0; i < 40; i++) {
      b.until(i * 20)
      b.put(i, i * 160, cut(bytes, i))
    }
    for (let i = 40; i < 120; i++) {
      b.until(i * 20 + 400)
      b.put(i, i * 160, cut(bytes, i))
    }
    b.until(120 * 20 + 500)
    expect(b.has(bytes.subarray(60 * 160))).toBe(true)
  })

  it('cuts what is over its cap of 200 ms', () => {
    const b = new Bench()
    const bytes = noise(40)
    for (let i = 0; i < 20; i++) b.put(i, i * 160, cut(bytes, i))
    b.until(100)
    expect(b.buffer.bufferedMs).toBeLessThanOrEqual(100)
    expect(b.buffer.stats.droppedSamples).toBeGreaterThan(0)
  })

  it('refuses payloads of no or absurd length', () => {
    const b = new Bench()
    expect(b.put(1, 1, new Uint8Array(0))).toBe('dropped')
    expect(b.put(1, 1, new Uint8Array(5000))).toBe('dropped')
    expect(b.buffer.started).toBe(false)
  })

  it('survives any order of anything', () => {
    const random = seeded(11)
    for (let round = 0; round < 30; round++) {
      const b = new Bench()
      for (let i = 0; i < 500; i++) {
        b.until(b.nowMs + random() * 30)
        const payload = new Uint8Array(1 + Math.floor(random() * 600)).fill(i)
        b.put(
          Math.floor(random() * 65_536),
          Math.floor(random() < 0.7 ? i * 160 : random() * 2 ** 32),
          payload,
          random() < 0.9 ? 1 : 2,
        )
        if (random() < 0.05) b.buffer.setLaw(random() < 0.5 ? 'pcma' : 'pcmu')
      }
      if (b.nextTakeMs !== Infinity) expect(b.out.length).toBe(b.lost.length * 160)
      expect(b.buffer.bufferedMs).toBeLessThan(1100)
    }
  })
})
