/** One bin of a Fourier transform (Goertzel): "how much of this tone is in here", and an in-band DTMF reader on top. */
import { DTMF_HZ, RATE_HZ } from './tone.ts'

/** Power of `hz` in `pcm[from, to)`, relative to the total power: about 1 for a pure tone, near 0 for anything else. */
export function toneShare(pcm: Int16Array, hz: number, rateHz = RATE_HZ, from = 0, to = pcm.length): number {
  const coefficient = 2 * Math.cos((2 * Math.PI * hz) / rateHz)
  let s1 = 0
  let s2 = 0
  let total = 0
  for (let i = from; i < to; i++) {
    const s0 = pcm[i] + coefficient * s1 - s2
    s2 = s1
    s1 = s0
    total += pcm[i] * pcm[i]
  }
  if (total === 0) return 0
  return (2 * (s1 * s1 + s2 * s2 - coefficient * s1 * s2)) / (total * (to - from))
}

/** The DTMF key that sounds in a block of 20 to 50 ms, if any. */
export function dtmfIn(pcm: Int16Array, rateHz = RATE_HZ): string | undefined {
  for (const [key, [row, column]] of Object.entries(DTMF_HZ)) {
    const low = toneShare(pcm, row, rateHz)
    const high = toneShare(pcm, column, rateHz)
    // Each of the two holds half of the power; 6 dB of twist is allowed (ITU-T Q.24).
    if (low + high > 0.75 && low > 0.15 && high > 0.15) return key
  }
  return undefined
}
