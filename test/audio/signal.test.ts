import { describe, expect, it } from 'vitest'
import { correlate, correlationAt } from '../../src/audio/correlate.ts'
import { EnergyVad, FLOOR_DB, levelDb, levelDbPcm } from '../../src/audio/energy.ts'
import { encodeInto } from '../../src/audio/g711.ts'
import { dtmfIn, toneShare } from '../../src/audio/goertzel.ts'
import { clipInto, gainInPlace, mixInto, mixLawInto, sumInto } from '../../src/audio/mix.ts'
import { DTMF_HZ, dtmfTones, ringback, sine } from '../../src/audio/tone.ts'
import { seeded, speechLike } from '../helpers/rtp.ts'

describe('tones and Goertzel', () => {
  it('finds a tone in its own and not in another', () => {
    const a = sine(440, 100)
    expect(toneShare(a, 440)).toBeGreaterThan(0.95)
    expect(toneShare(a, 600)).toBeLessThan(0.05)
    expect(toneShare(new Int16Array(100), 440)).toBe(0)
  })

  it.each(Object.keys(DTMF_HZ))('reads the in-band key %s', (key) => {
    expect(dtmfIn(dtmfTones(key, 40, 0))).toBe(key)
  })

  it('reads no key in speech or silence', () => {
    expect(dtmfIn(new Int16Array(320))).toBeUndefined()
    const speech = speechLike(4000, 5)
    for (let at = 0; at + 320 <= speech.length; at += 320) expect(dtmfIn(speech.subarray(at, at + 320))).toBeUndefined()
  })

  it('rings in the cadence of the region', () => {
    const pcm = ringback('GB', 3000)
    expect(levelDbPcm(pcm.subarray(0, 3200))).toBeGreaterThan(-30)
    expect(levelDbPcm(pcm.subarray(3300, 4700))).toBe(FLOOR_DB)
    expect(levelDbPcm(pcm.subarray(5000, 7800))).toBeGreaterThan(-30)
    expect(pcm.length).toBe(24_000)
  })
})

describe('correlation', () => {
  it('finds a reference at its lag, at another volume and with noise', () => {
    const random = seeded(9)
    const reference = speechLike(1000, 2)
    const signal = new Int16Array(24_000)
    for (let i = 0; i < reference.length; i++) signal[i + 5003] = reference[i] * 0.3
    for (let i = 0; i < signal.length; i++) signal[i] += 100 * (random() - 0.5)
    const match = correlate(signal, reference)
    expect(match.lagSamples).toBe(5003)
    expect(match.correlation).toBeGreaterThan(0.97)
    expect(correlate(signal, speechLike(1000, 77)).correlation).toBeLessThan(0.6)
    expect(correlationAt(signal, reference, 0)).toBeLessThan(0.2)
  })

  it('finds a reference whose beginning was cut off', () => {
    const reference = speechLike(1000, 4)
    expect(correlate(reference.subarray(1000), reference)).toMatchObject({ lagSamples: -1000 })
  })
})

describe('mixing', () => {
  it('saturates instead of wrapping', () => {
    const dst = Int16Array.of(30_000, -30_000, 5)
    mixInto(dst, Int16Array.of(10_000, -10_000, 6))
    expect([...dst]).toEqual([32_767, -32_768, 11])
    gainInPlace(dst, 2)
    expect([...dst]).toEqual([32_767, -32_768, 22])
  })

  it('takes one voice out of a sum that would have clipped', () => {
    const sum = new Int32Array(1)
    for (const s of [30_000, 20_000, -10_000]) sumInto(sum, Int16Array.of(s))
    sumInto(sum, Int16Array.of(30_000), -1)
    const out = new Int16Array(1)
    clipInto(out, sum)
    expect(out[0]).toBe(10_000)
  })

  it('mixing G.711 with silence changes nothing', () => {
    const tone = new Uint8Array(160)
    encodeInto(tone, sine(440, 20), 'pcmu')
    const dst = tone.slice()
    mixLawInto(dst, new Uint8Array(160).fill(0xff), 'pcmu')
    expect(dst).toEqual(tone)
  })
})

describe('energy', () => {
  it('measures levels in dB of full scale', () => {
    const codes = new Uint8Array(1600)
    const tone = sine(400, 200, { levelDb: -20 })
    encodeInto(codes, tone, 'pcma')
    expect(levelDb(codes, 'pcma')).toBeCloseTo(-23, 0)
    expect(levelDbPcm(tone)).toBeCloseTo(-23, 0)
    expect(levelDb(new Uint8Array(160).fill(0xff), 'pcmu')).toBe(FLOOR_DB)
  })

  it('hears speech start after 60 ms and stop after the hangover, and ignores a click', () => {
    const vad = new EnergyVad({ endMs: 100 })
    expect([-20, -90, -90].map((db) => vad.push(db))).toEqual([undefined, undefined, undefined])
    expect([-20, -20, -20].map((db) => vad.push(db))).toEqual([undefined, undefined, 'started'])
    expect([-90, -90, -20, -90, -90, -90, -90, -90].map((db) => vad.push(db)).filter(Boolean)).toEqual(['stopped'])
    expect(vad.speaking).toBe(false)
  })
})
