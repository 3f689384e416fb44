import { describe, expect, it } from 'vitest'
import type { Law } from '../../src/audio/flow.ts'
import { InbandDtmf } from '../../src/audio/inband-dtmf.ts'
import { DTMF_HZ, dtmfTones, ringback, tone } from '../../src/audio/tone.ts'
import { atLevel, fixture, frames, mixed, noise, sequence, silence } from '../helpers/sound.ts'

const ALL = '1234567890*#ABCD'

function read(pcm: Int16Array, law: Law = 'pcmu'): string {
  const reader = new InbandDtmf()
  return frames(sequence(pcm, silence(60)), law)
    .map((frame) => reader.frame(frame, law) ?? '')
    .join('')
}

const shifted = (samples: number, pcm: Int16Array): Int16Array => sequence(new Int16Array(samples), pcm)

describe('in-band digits', () => {
  it.each([
    [40, 40],
    [50, 50],
    [70, 80],
    [100, 100],
    [250, 60],
  ])('reads each key once, %i ms on and %i off, wherever it lies between the frames', (onMs, offMs) => {
    for (let samples = 0; samples < 160; samples += 13) {
      const pcm = shifted(samples, dtmfTones(ALL, onMs, offMs, { levelDb: -16 }))
      expect(read(pcm, samples % 2 ? 'pcma' : 'pcmu')).toBe(ALL)
    }
  })

  it('reads one key pressed again and again', () => {
    expect(read(dtmfTones('5555', 60, 40))).toBe('5555')
    expect(read(dtmfTones('5', 5000, 40))).toBe('5')
  })

  it('reads keys in noise 15 dB below', () => {
    for (let samples = 0; samples < 160; samples += 31) {
      const pcm = shifted(samples, dtmfTones(ALL, 60, 60, { levelDb: -16 }))
      expect(read(mixed(pcm, noise(3000, -28)))).toBe(ALL)
    }
  })

  it.each([
    [-14, -20],
    [-20, -15],
    [-13, -22],
    [-34, -36],
    [-6, -6],
  ])('reads keys of unequal loudness: rows at %i dB, columns at %i dB', (row, column) => {
    for (const key of ALL) {
      const [low, high] = DTMF_HZ[key]
      const pcm = mixed(tone([low], 80, { levelDb: row }), tone([high], 80, { levelDb: column }))
      expect(read(pcm)).toBe(key)
    }
  })

  it('bears a drift of 1 % and reads none at 3.5 %', () => {
    const off = (by: number): string => [...ALL].map((key) => read(tone(DTMF_HZ[key].map((hz) => hz * by), 100))).join('') // prettier-ignore
    expect(off(0.99)).toBe(ALL)
    expect(off(1.01)).toBe(ALL)
    expect(off(0.965)).toBe('')
    expect(off(1.035)).toBe('')
  })

  it('reads none that lasts less than 23 ms', () => {
    for (let samples = 0; samples < 160; samples += 13) expect(read(shifted(samples, dtmfTones(ALL, 22, 60)))).toBe('')
  })

  it('bears a lost frame within a press', () => {
    const pcm = dtmfTones('7', 200, 100)
    pcm.copyWithin(640, 480, 640)
    expect(read(pcm)).toBe('7')
  })

  it('reads none in 60 s of speech', () => {
    const clips = ['hello-caller', 'greet-voicemail', 'greet-mailbox', 'bot-answer', 'bot-greeting', 'greet-name']
    let ms = 0
    for (const rate of [0.8, 1, 1.2, 1.45])
      for (const clip of clips) {
        const pcm = atLevel(fixture(clip, rate), -18)
        ms += pcm.length / 8
        expect(read(pcm)).toBe('')
      }
    expect(ms).toBeGreaterThan(60_000)
  })

  it.each<[string, Int16Array]>([
    ['noise', noise(10_000, -20)],
    ['low noise', noise(10_000, -20, 'brown')],
    ['ringing', ringback('US', 6000)],
    ['busy', tone([480, 620], 2000)],
    ['one tone', tone([770], 1000)],
    ['two rows', tone([697, 941], 1000)],
    ['a chord', tone([697, 880, 1209, 1046], 1000, { levelDb: -18 })],
    ['keys too faint', dtmfTones(ALL, 100, 100, { levelDb: -48 })],
  ])('reads none in %s', (_, pcm) => {
    expect(read(pcm)).toBe('')
  })

  it('takes frames of any length', () => {
    const reader = new InbandDtmf()
    for (const length of [0, 1, 80, 161, 4000]) expect(reader.frame(new Uint8Array(length), 'pcma')).toBeUndefined()
  })
})
