import { describe, expect, it } from 'vitest'
import { FrameShape } from '../../src/audio/shape.ts'
import { BIN_HZ, powerInto, SPECTRUM_SAMPLES } from '../../src/audio/spectrum.ts'
import { tone } from '../../src/audio/tone.ts'
import { seeded } from '../helpers/rtp.ts'
import { frames, noise } from '../helpers/sound.ts'

describe('the power spectrum', () => {
  it('equals the sum that it is short for', () => {
    const random = seeded(3)
    const x = Float64Array.from({ length: SPECTRUM_SAMPLES + 10 }, () => random() - 0.5)
    const power = new Float64Array(SPECTRUM_SAMPLES / 2 + 1)
    powerInto(power, x, 10)
    for (let k = 0; k < power.length; k++) {
      let re = 0
      let im = 0
      for (let n = 0; n < SPECTRUM_SAMPLES; n++) {
        const turn = (2 * Math.PI * n) / SPECTRUM_SAMPLES
        const s = x[n + 10] * (0.5 - 0.5 * Math.cos(turn))
        re += s * Math.cos(turn * k)
        im += s * Math.sin(turn * k)
      }
      expect(power[k]).toBeCloseTo(re * re + im * im, 9)
    }
  })

  it('has the peak of a sine in its bin', () => {
    const x = Float64Array.from({ length: SPECTRUM_SAMPLES }, (_, i) => Math.sin((2 * Math.PI * 1000 * i) / 8000))
    const power = new Float64Array(SPECTRUM_SAMPLES / 2 + 1)
    powerInto(power, x)
    expect(power.indexOf(Math.max(...power))).toBe(1000 / BIN_HZ)
    expect(power[1000 / BIN_HZ]).toBeCloseTo(64 * 64, 3)
  })
})

describe('the shape of a frame', () => {
  const shapeOf = (pcm: Int16Array): FrameShape => {
    const shape = new FrameShape()
    for (const frame of frames(pcm)) shape.take(frame, 'pcmu')
    return shape
  }

  it.each([300, 425, 697, 1000, 1100, 1633, 2100, 3000])('tells a tone of %i Hz within 2 Hz', (hz) => {
    const shape = shapeOf(tone([hz], 60))
    expect(shape.tone()).toBe('one')
    expect(Math.abs(shape.hz - hz)).toBeLessThan(2)
    expect(shape.share).toBeGreaterThan(0.98)
  })

  it('tells two tones, but not two partials of a voice', () => {
    expect(shapeOf(tone([770, 1336], 60)).tone()).toBe('two')
    expect(shapeOf(tone([480, 620], 60)).tone()).toBe('two')
    expect(shapeOf(tone([400, 800], 60)).tone()).toBeUndefined()
  })

  it('finds a pitch in a voice and none in noise', () => {
    for (const hz of [80, 125, 200, 310])
      expect(shapeOf(tone([hz, 2 * hz, 3 * hz, 4 * hz], 60, { levelDb: -20 })).periodicity()).toBeGreaterThan(0.8)
    for (let seed = 1; seed <= 20; seed++) {
      expect(shapeOf(noise(60, -30, 'white', seed)).periodicity()).toBeLessThan(0.6)
    }
    expect(new FrameShape().periodicity()).toBe(0)
    expect(new FrameShape().tone()).toBeUndefined()
  })
})
