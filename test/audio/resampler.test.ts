import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Resampler, type RateHz } from '../../src/audio/resampler.ts'
import { readWav } from '../../src/audio/wav.ts'
import { seeded, speechLike } from '../helpers/rtp.ts'

const HIGH = [16_000, 24_000] as const
const BOTH: [RateHz, RateHz][] = HIGH.flatMap((hz): [RateHz, RateHz][] => [
  [8000, hz],
  [hz, 8000],
])

const sine = (hz: number, rateHz: number, seconds = 0.5, amplitude = 20_000): Int16Array =>
  Int16Array.from({ length: rateHz * seconds }, (_, i) =>
    Math.round(amplitude * Math.sin((2 * Math.PI * hz * i) / rateHz + 0.7)),
  )

function resample(fromHz: RateHz, toHz: RateHz, pcm: Int16Array): Int16Array {
  const resampler = new Resampler(fromHz, toHz)
  const out = new Int16Array(resampler.outputsOf(pcm.length) + resampler.delay)
  const n = resampler.process(pcm, pcm.length, out)
  expect(n).toBe(out.length - resampler.delay)
  const tail = new Int16Array(resampler.delay)
  expect(resampler.flush(tail)).toBe(tail.length)
  out.set(tail, n)
  return out.subarray(resampler.delay)
}

const db = (ratio: number): number => 10 * Math.log10(ratio)
const power = (pcm: Int16Array): number => pcm.reduce((sum, s) => sum + s * s, 0) / pcm.length

/** `out` against `reference`, but for the edges, where what stands before and after the cut is missing. */
function snrDb(out: Int16Array, reference: Int16Array): number {
  let error = 0
  let signal = 0
  for (let i = 100; i < reference.length - 100; i++) {
    error += (out[i] - reference[i]) ** 2
    signal += reference[i] ** 2
  }
  return db(signal / error)
}

/** Power of one frequency (Hann window). */
function powerAt(pcm: Int16Array, hz: number, rateHz: number): number {
  let re = 0
  let im = 0
  for (let i = 0; i < pcm.length; i++) {
    const w = 1 - Math.cos((2 * Math.PI * i) / pcm.length)
    re += w * pcm[i] * Math.cos((2 * Math.PI * hz * i) / rateHz)
    im += w * pcm[i] * Math.sin((2 * Math.PI * hz * i) / rateHz)
  }
  return (2 * (re * re + im * im)) / pcm.length ** 2
}

/** Only what lies between 300 and 3400 Hz at 8 kHz: what telephones carry. */
function inBand(pcm: Int16Array): Int16Array {
  const taps = 401
  const filter = Float64Array.from({ length: taps }, (_, i) => {
    const t = i - (taps - 1) / 2
    const sinc = (hz: number): number =>
      t === 0 ? (2 * hz) / 8000 : Math.sin((2 * Math.PI * hz * t) / 8000) / (Math.PI * t)
    return (sinc(3350) - sinc(350)) * (0.5 + 0.5 * Math.cos((2 * Math.PI * t) / taps))
  })
  return Int16Array.from(pcm, (_, at) => {
    let sum = 0
    for (let k = 0; k < taps; k++) sum += filter[k] * (pcm[at + k - (taps - 1) / 2] ?? 0)
    return sum
  })
}

describe('resampling for bots', () => {
  it.each(HIGH)('brings tones of the telephone band through 8 kHz → %i → 8 kHz with more than 45 dB', (hz) => {
    for (let f = 300; f <= 3400; f += 50) {
      const pcm = sine(f, 8000)
      expect(snrDb(resample(hz, 8000, resample(8000, hz, pcm)), pcm), `${f} Hz`).toBeGreaterThan(45)
    }
  })

  it.each(HIGH)('brings tones from %i to 8 kHz with more than 45 dB, and back up', (hz) => {
    for (let f = 300; f <= 3400; f += 50) {
      expect(snrDb(resample(hz, 8000, sine(f, hz)), sine(f, 8000)), `${f} Hz down`).toBeGreaterThan(45)
      expect(snrDb(resample(8000, hz, sine(f, 8000)), sine(f, hz)), `${f} Hz up`).toBeGreaterThan(45)
    }
  })

  it.each(HIGH)('brings speech through 8 kHz → %i → 8 kHz with more than 40 dB in band', (hz) => {
    for (const name of ['hello-caller', 'bot-answer']) {
      const speech = inBand(readWav(readFileSync(`fixtures/audio/${name}.wav`)).pcm)
      expect(snrDb(resample(hz, 8000, resample(8000, hz, speech)), speech)).toBeGreaterThan(40)
    }
    const speech = inBand(speechLike(3000, 4))
    expect(snrDb(resample(hz, 8000, resample(8000, hz, speech)), speech)).toBeGreaterThan(40)
  })

  it.each(HIGH)('folds nothing of what lies above 4 kHz at %i back: below -50 dB', (hz) => {
    for (let f = 4000; f <= hz / 2; f += 47) {
      const pcm = sine(f, hz)
      // Not the edges: a tone that starts or stops at once holds every frequency.
      const out = resample(hz, 8000, pcm).subarray(50, -50)
      expect(db(power(out) / power(pcm)), `${f} Hz`).toBeLessThan(-50)
    }
  })

  it.each(HIGH)('leaves no image of the band above 4 kHz at %i: below -50 dB', (hz) => {
    for (let f = 100; f <= 3400; f += 150) {
      const out = resample(8000, hz, sine(f, 8000)).subarray(200)
      const own = powerAt(out, f, hz)
      for (const image of hz === 16_000 ? [8000 - f] : [8000 - f, 8000 + f])
        expect(db(powerAt(out, image, hz) / own), `${f} Hz at ${image}`).toBeLessThan(-50)
    }
  })

  it.each(BOTH)('from %i to %i Hz is no more than 3 ms late, and says by how much', (fromHz, toHz) => {
    const resampler = new Resampler(fromHz, toHz)
    expect((resampler.delay * 1000) / toHz).toBeLessThanOrEqual(3)
    const click = new Int16Array(fromHz / 10)
    click[fromHz / 100] = 30_000
    const out = new Int16Array(resampler.outputsOf(click.length))
    resampler.process(click, click.length, out)
    expect(out.indexOf(out.reduce((most, s) => Math.max(most, s)))).toBe(toHz / 100 + resampler.delay)
  })

  it.each(BOTH)('from %i to %i Hz gives the same samples however they are cut', (fromHz, toHz) => {
    const random = seeded(2)
    const pcm = Int16Array.from({ length: 3000 }, () => random() * 65_535 - 32_768)
    const whole = resample(fromHz, toHz, pcm)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 700 }), { minLength: 1, maxLength: 30 }), (cuts) => {
        const resampler = new Resampler(fromHz, toHz)
        const out: number[] = []
        const piece = new Int16Array(3000 * 3)
        let at = 0
        for (const n of [...cuts, 3000]) {
          const src = pcm.slice(at, at + n)
          const expected = resampler.outputsOf(src.length)
          const written = resampler.process(src, src.length, piece)
          expect(written).toBe(expected)
          out.push(...piece.subarray(0, written))
          at += src.length
        }
        out.push(...piece.subarray(0, resampler.flush(piece)))
        expect(Buffer.compare(Buffer.from(Int16Array.from(out.slice(resampler.delay)).buffer), Buffer.from(Int16Array.from(whole).buffer))).toBe(0) // prettier-ignore
      }),
      { numRuns: 40 },
    )
  })

  it.each(BOTH)('from %i to %i Hz knows how many samples give how many', (fromHz, toHz) => {
    const resampler = new Resampler(fromHz, toHz)
    const piece = new Int16Array(500)
    for (let i = 0; i < 200; i++) {
      const wanted = (i * 7) % 50
      const n = resampler.inputsFor(wanted)
      expect(resampler.outputsOf(n)).toBeLessThanOrEqual(wanted)
      expect(resampler.outputsOf(n + 1)).toBeGreaterThan(wanted)
      resampler.process(piece, i % 5, new Int16Array(20))
    }
  })

  it('clips what overshoots instead of wrapping round', () => {
    const square = Int16Array.from({ length: 1600 }, (_, i) => (i % 40 < 20 ? 32_767 : -32_768))
    for (const hz of HIGH) {
      const out = resample(hz, 8000, resample(8000, hz, square))
      for (let i = 100; i < 1500; i++) if (i % 20 > 3 && i % 20 < 17) expect(out[i] > 0).toBe(square[i] > 0)
    }
  })

  it('starts anew after reset and after a flush, and keeps silence silent', () => {
    for (const [fromHz, toHz] of BOTH) {
      const resampler = new Resampler(fromHz, toHz)
      const out = new Int16Array(3000)
      expect(resampler.pending).toBe(0)
      resampler.process(sine(1000, fromHz).subarray(0, 333), 333, out)
      expect(resampler.pending).toBe(resampler.delay)
      resampler.reset()
      expect(resampler.pending).toBe(0)
      expect(resampler.flush(out)).toBe(0)
      const n = resampler.process(new Int16Array(480), 480, out)
      expect(out.subarray(0, n).every((s) => s === 0)).toBe(true)
    }
  })

  it('knows no other rates', () => {
    expect(() => new Resampler(16_000, 24_000)).toThrow('no resampling from 16000 to 24000 Hz')
    expect(() => new Resampler(8000, 8000)).toThrow()
  })
})
