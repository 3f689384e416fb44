import { describe, expect, it } from 'vitest'
import { FRAME_SAMPLES, type Law } from '../../src/audio/flow.ts'
import { levelDbPcm } from '../../src/audio/energy.ts'
import { DECODE } from '../../src/audio/g711.ts'
import { toneShare } from '../../src/audio/goertzel.ts'
import { Comfort } from '../../src/bot/comfort.ts'

function play(comfort: Comfort, ms: number, law: Law): Int16Array {
  const pcm = new Int16Array(ms * 8)
  const frame = new Uint8Array(FRAME_SAMPLES)
  for (let at = 0; at < pcm.length; at += FRAME_SAMPLES) {
    expect(comfort.frameInto(frame, law)).toBe(true)
    pcm.set(
      Array.from(frame, (b) => DECODE[law][b]),
      at,
    )
  }
  return pcm
}

const between = (pcm: Int16Array, fromMs: number, toMs: number): Int16Array => pcm.subarray(fromMs * 8, toMs * 8)
/** A full-scale square wave is 0 dBov; 0 dBm0 lies 6.2 dB below it. */
const dbm0 = (pcm: Int16Array): number => levelDbPcm(pcm) + 6.18

describe.each<Law>(['pcmu', 'pcma'])('comfort audio in %s', (law) => {
  it('is faint noise with a soft tone each 3 s, the first after 1.5 s', () => {
    const pcm = play(new Comfort(), 9000, law)
    for (const atMs of [0, 3000, 6000]) {
      expect(dbm0(between(pcm, atMs, atMs + 1500))).toBeCloseTo(-50, 0)
      expect(dbm0(between(pcm, atMs + 1540, atMs + 1660))).toBeCloseTo(-24, 0)
      expect(toneShare(between(pcm, atMs + 1540, atMs + 1660), 425)).toBeGreaterThan(0.98)
      expect(dbm0(between(pcm, atMs + 1700, atMs + 3000))).toBeCloseTo(-50, 0)
    }
  })

  it('has no clicks at the edges of the tone or of the loop', () => {
    const pcm = play(new Comfort(), 6100, law)
    let most = 0
    for (let i = 1; i < pcm.length; i++) most = Math.max(most, Math.abs(pcm[i] - pcm[i - 1]))
    // The steepest slope of the tone itself, and the noise.
    const peak = 32_124 * 10 ** (-27.17 / 20)
    expect(most).toBeLessThan(peak * 2 * Math.sin((Math.PI * 425) / 8000) + 400)
  })

  it('begins again when told to', () => {
    const comfort = new Comfort()
    const first = play(comfort, 1700, law)
    comfort.reset()
    expect(play(comfort, 1700, law)).toEqual(first)
  })

  it('keeps its beat over slots that it was not asked for', () => {
    const whole = play(new Comfort(), 6000, law)
    const comfort = new Comfort()
    play(comfort, 400, law)
    comfort.skipped(200)
    expect(play(comfort, 600, law)).toEqual(between(whole, 4400, 5000))
  })
})
