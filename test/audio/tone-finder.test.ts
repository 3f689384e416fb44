import { describe, expect, it } from 'vitest'
import { sine, tone } from '../../src/audio/tone.ts'
import { ToneFinder } from '../../src/audio/tone-finder.ts'
import { Vad } from '../../src/audio/vad.ts'
import { atLevel, fixture, frames, mixed, noise, sequence, silence } from '../helpers/sound.ts'

interface Found {
  hz: number
  durationMs: number
  endedMs: number
  toldMs: number
}

function find(pcm: Int16Array): Found[] {
  const vad = new Vad()
  const finder = new ToneFinder()
  const found: Found[] = []
  for (const frame of frames(pcm)) {
    vad.frame(frame, 'pcmu')
    if (!finder.frame(vad)) continue
    const { hz, durationMs, endedMs } = finder
    found.push({ hz, durationMs, endedMs, toldMs: vad.nowMs })
  }
  return found
}

const beep = (hz: number, ms: number): Int16Array => sine(hz, ms, { levelDb: -14, fadeMs: 5 })

describe('the tone finder', () => {
  it.each([
    [440, 1000],
    [600, 100],
    [800, 120],
    [1000, 500],
    [1400, 250],
    [2000, 300],
    [2150, 3000],
  ])('finds %i Hz of %i ms behind speech, clean and in noise', (hz, ms) => {
    const before = sequence(silence(313), atLevel(fixture('greet-name'), -22), silence(350))
    const clean = sequence(before, beep(hz, ms), silence(1000))
    const endMs = before.length / 8 + ms
    for (const pcm of [clean, mixed(clean, noise(3000, -38))]) {
      const found = find(pcm)
      expect(found).toHaveLength(1)
      expect(Math.abs(found[0].hz - hz)).toBeLessThan(hz * 0.01)
      expect(Math.abs(found[0].durationMs - ms)).toBeLessThanOrEqual(20)
      expect(Math.abs(found[0].endedMs - endMs)).toBeLessThanOrEqual(20)
      expect(found[0].toldMs - endMs).toBeLessThanOrEqual(140)
    }
  })

  it('finds it wherever it lies between the frames', () => {
    for (let samples = 0; samples < 160; samples += 11) {
      const found = find(sequence(silence(500), new Int16Array(samples), beep(1000, 100), silence(500)))
      expect(found).toHaveLength(1)
      expect(Math.abs(found[0].endedMs - (600 + samples / 8))).toBeLessThanOrEqual(10)
    }
  })

  it('finds each of several', () => {
    expect(find(sequence(beep(800, 200), silence(400), beep(1200, 200), silence(400)))).toHaveLength(2)
  })

  it.each<[string, Int16Array]>([
    [
      'speech',
      sequence(...['hello-caller', 'greet-voicemail', 'greet-mailbox', 'bot-greeting'].map((n) => fixture(n))),
    ],
    ['fast, high speech', fixture('hello-caller', 1.5)],
    ['noise', noise(5000, -30)],
    ['a tone too short', beep(1000, 60)],
    ['a tone too long', beep(1000, 3500)],
    ['a tone too low', beep(350, 500)],
    ['a tone too high', beep(2400, 500)],
    ['two tones at once', tone([480, 620], 500)],
    ['a faint tone', sine(1000, 500, { levelDb: -50 })],
    ['a tone that runs into speech', sequence(beep(1000, 300), fixture('greet-name'))],
    ['a rising whistle', Int16Array.from({ length: 8000 }, (_, i) => 8000 * Math.sin((i / 8000) * (2000 + i / 2)))],
  ])('finds none in %s', (_, pcm) => {
    expect(find(sequence(silence(500), pcm, silence(500)))).toEqual([])
  })
})
