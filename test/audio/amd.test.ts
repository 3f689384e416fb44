import { describe, expect, it } from 'vitest'
import { Amd, type AmdVerdict } from '../../src/audio/amd.ts'
import { ringback, sine } from '../../src/audio/tone.ts'
import { ToneFinder } from '../../src/audio/tone-finder.ts'
import { Vad } from '../../src/audio/vad.ts'
import { atLevel, fixture, frames, mixed, noise, sequence, silence } from '../helpers/sound.ts'

/** All verdicts: there must be one at most. */
function judge(pcm: Int16Array): AmdVerdict[] {
  const vad = new Vad()
  const tones = new ToneFinder()
  const amd = new Amd()
  const verdicts: AmdVerdict[] = []
  for (const frame of frames(pcm)) {
    const change = vad.frame(frame, 'pcmu')
    const verdict = amd.frame(vad, change, tones, tones.frame(vad))
    if (verdict) verdicts.push(verdict)
  }
  return verdicts
}

const beep = (hz: number, ms: number): Int16Array => sine(hz, ms, { levelDb: -14, fadeMs: 5 })
const answered = (pcm: Int16Array, dbov = -24): Int16Array => sequence(silence(500), atLevel(pcm, dbov), silence(6000))

/** A fax that answers by V.8: 2100 Hz, a reversal each 450 ms, 15 Hz of amplitude modulation. */
const ansam = sine(2100, 3300, { levelDb: -14 }).map(
  (s, i) => (s / 1.2) * (1 + 0.2 * Math.sin((2 * Math.PI * 15 * i) / 8000)) * (Math.floor(i / 3600) % 2 ? -1 : 1),
)

describe('who picked up', () => {
  it.each([
    ['greet-hello', 'human', 0.9],
    ['greet-name', 'human', 0.6],
    ['greet-voicemail', 'machine', 0.75],
    ['greet-mailbox', 'machine', 0.75],
  ])('%s is a %s, at any level and in noise', (name, result, confidence) => {
    for (const dbov of [-18, -26, -36]) {
      const clean = answered(fixture(name), dbov)
      for (const pcm of [clean, mixed(clean, noise(4000, dbov - 15)), mixed(clean, noise(4000, dbov - 12, 'brown'))]) {
        const verdicts = judge(pcm)
        expect(verdicts).toHaveLength(1)
        expect(verdicts[0].result).toBe(result)
        expect(verdicts[0].confidence).toBeGreaterThanOrEqual(confidence)
      }
    }
  })

  it('tells a person 0.8 s after the greeting, and a machine 2.4 s into it', () => {
    const [human] = judge(answered(fixture('greet-hello')))
    expect(human.atMs).toBeGreaterThan(500 + 464 + 780)
    expect(human.atMs).toBeLessThan(500 + 464 + 900)
    const [machine] = judge(answered(fixture('greet-voicemail')))
    expect(machine.atMs).toBeGreaterThan(2000)
    expect(machine.atMs).toBeLessThan(3300)
  })

  it.each([0.8, 1.25, 1.5])('judges other voices alike (%d times as fast and high)', (rate) => {
    expect(judge(answered(fixture('greet-hello', rate)))).toMatchObject([{ result: 'human' }])
    expect(judge(answered(fixture('greet-voicemail', rate)))).toMatchObject([{ result: 'machine' }])
  })

  it('takes a short greeting that ends in a beep for a machine', () => {
    const pcm = sequence(silence(300), fixture('greet-hello'), silence(200), beep(1000, 400), silence(3000))
    expect(judge(pcm)).toMatchObject([{ result: 'machine', confidence: 0.95 }])
  })

  it('takes a beep without a word for a machine, with less confidence', () => {
    expect(judge(sequence(silence(500), beep(1000, 600), silence(5000)))).toMatchObject([
      { result: 'machine', confidence: 0.7 },
    ])
  })

  it.each<[string, Int16Array]>([
    ['CNG', sequence(silence(700), beep(1100, 500), silence(3000), beep(1100, 500), silence(3000))],
    ['CED', sequence(silence(300), beep(2100, 3000), silence(3000))],
    ['ANSam', sequence(silence(300), ansam, silence(3000))],
  ])('knows a fax by its %s', (_, pcm) => {
    expect(judge(pcm)).toMatchObject([{ result: 'fax', confidence: 0.95 }])
  })

  it.each<[string, Int16Array]>([
    ['silence', silence(9000)],
    ['noise', noise(9000, -35)],
    ['low noise', noise(9000, -35, 'brown')],
    ['more ringing (US)', ringback('US', 9000)],
    ['more ringing (DE)', ringback('DE', 9000)],
    ['more ringing (IN)', ringback('IN', 9000)],
  ])('does not know of %s', (_, pcm) => {
    expect(judge(pcm)).toEqual([{ result: 'unknown', confidence: 0.5, atMs: 3500 }])
  })

  it('has a verdict within 5 s whatever comes', () => {
    const word = fixture('greet-hello', 1.6)
    for (const gap of [200, 400, 600, 750])
      for (const lead of [0, 1000, 3000]) {
        const parts = Array.from({ length: 30 }, () => [word, silence(gap)]).flat()
        const verdicts = judge(sequence(silence(lead), ...parts))
        expect(verdicts).toHaveLength(1)
        expect(verdicts[0].atMs).toBeLessThanOrEqual(5000)
      }
  })

  it('is told as late as the call is answered', () => {
    const vad = new Vad()
    const tones = new ToneFinder()
    let amd: Amd | undefined
    for (const frame of frames(sequence(ringback('US', 6000), answered(fixture('greet-hello'))))) {
      const change = vad.frame(frame, 'pcmu')
      if (vad.nowMs <= 6000) continue
      amd ??= new Amd(6000)
      amd.frame(vad, change, tones, tones.frame(vad))
    }
    expect(amd?.verdict).toMatchObject({ result: 'human', confidence: 0.9 })
    expect(amd?.verdict?.atMs).toBeGreaterThan(7700)
    expect(amd?.verdict?.atMs).toBeLessThan(7900)
  })
})
