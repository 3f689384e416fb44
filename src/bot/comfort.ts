/**
 * What a caller hears while the bot is being dialled again, or holds: the line is alive, somebody is there. Faint noise
 * and a soft short tone; no music, which would tell nothing and cost a licence.
 *
 *   noise ░░░░░░░░░░░░▂▂░░░░░░░░░░░░░░░░░░░░░░░░▂▂░░░░░   −50 dBm0
 *   0              1.5 s                     4.5 s         tone: 425 Hz, 200 ms, −24 dBm0
 */
import { FRAME_SAMPLES, SAMPLES_PER_MS, type FrameSource, type Law } from '../audio/flow.ts'
import { encodeInto } from '../audio/g711.ts'

const LOOP_MS = 3000
const LOOP_SAMPLES = LOOP_MS * SAMPLES_PER_MS
const TONE_AT_MS = 1500
const TONE_MS = 200
const TONE_HZ = 425
/** Rise and fall, against clicks. */
const EDGE_MS = 20
const TONE_DBM0 = -24
const NOISE_DBM0 = -50

/** Peak of a full-scale sine as PCM16, and its level (ITU-T G.711: 3.17 dBm0 for µ-law, 3.14 for A-law). */
const PEAK = 32_124
const PEAK_DBM0 = 3.17
const peakOf = (dbm0: number): number => PEAK * 10 ** ((dbm0 - PEAK_DBM0) / 20)

/** White noise without the hiss: each sample the mean of three, of a generator that gives the same in each run. */
function noise(): Int16Array {
  let state = 0x2545_f491
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    return state / 0x8000_0000
  }
  const smooth = new Float64Array(LOOP_SAMPLES)
  const raw = Float64Array.from(smooth, next)
  // Round the end of the loop as well: its seam is not heard.
  for (let i = 0; i < raw.length; i++) smooth[i] = raw[i] + raw[(i + 1) % raw.length] + raw[(i + 2) % raw.length]
  const rms = Math.sqrt(smooth.reduce((sum, s) => sum + s * s, 0) / smooth.length)
  const gain = peakOf(NOISE_DBM0) / Math.SQRT2 / rms
  return Int16Array.from(smooth, (s) => Math.round(s * gain))
}

function loop(): Int16Array {
  const pcm = noise()
  const samples = TONE_MS * SAMPLES_PER_MS
  const edge = EDGE_MS * SAMPLES_PER_MS
  for (let i = 0; i < samples; i++) {
    const inEdge = Math.min(1, (i + 0.5) / edge, (samples - i - 0.5) / edge)
    const window = (1 - Math.cos(Math.PI * inEdge)) / 2
    const at = TONE_AT_MS * SAMPLES_PER_MS + i
    pcm[at] += Math.round(window * peakOf(TONE_DBM0) * Math.sin((2 * Math.PI * TONE_HZ * i) / (1000 * SAMPLES_PER_MS)))
  }
  return pcm
}

/** Made when the first caller waits, then shared by all. */
const tables: Partial<Record<Law, Uint8Array>> = {}
function table(law: Law): Uint8Array {
  const made = tables[law]
  if (made) return made
  const bytes = new Uint8Array(LOOP_SAMPLES)
  encodeInto(bytes, loop(), law)
  return (tables[law] = bytes)
}

export class Comfort implements FrameSource {
  #at = 0

  /** From the beginning: the first tone comes after 1.5 s. */
  reset(): void {
    this.#at = 0
  }

  frameInto(dst: Uint8Array, law: Law): boolean {
    const bytes = table(law)
    const at = this.#at
    for (let i = 0; i < FRAME_SAMPLES; i++) dst[i] = bytes[at + i]
    this.skipped(1)
    return true
  }

  skipped(slots: number): void {
    this.#at = (this.#at + slots * FRAME_SAMPLES) % LOOP_SAMPLES
  }
}
