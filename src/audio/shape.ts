/**
 * What one frame of a call's audio is like: how loud, whether it is a tone, whether it has a pitch. Loudness is found for
 * each frame; the rest only when asked for, as most frames are silence. Owns its buffers, allocates nothing later.
 *
 *   frame ─▶ decode ─▶ high-pass ─▶ [ last frame | this frame ] ─▶ level · tone() · periodicity()
 */
import { DECODE } from './g711.ts'
import { FRAME_SAMPLES, type Law } from './flow.ts'
import { BIN_HZ, powerInto, SPECTRUM_SAMPLES } from './spectrum.ts'

const SPAN = 2 * FRAME_SAMPLES
/** The high-pass's pole: −3 dB at about 150 Hz, so that mains hum and handling weigh little. */
const POLE = 0.88

/** Where tones are looked for: 250 to 3400 Hz. */
const FIRST_BIN = 8
const LAST_BIN = 109
/** Half the width of a tone's hill under the window, bins. */
const HILL = 2
/** This share of the power in one hill is a tone; in two, two tones. Noise 10 dB below leaves 0.91. */
const ONE_TONE = 0.88
const TWO_TONES = 0.92
const WEAKER_TONE = 0.05

/** Samples are averaged by four for the pitch, which needs no band above 400 Hz. */
const DECIMATION = 4
const LOW_RATE_HZ = 8000 / DECIMATION
const LOW_SAMPLES = SPAN / DECIMATION
const SHORTEST_LAG = LOW_RATE_HZ / 400
const LONGEST_LAG = 32

/** Ratios of a voice's partials (1:2, 2:3 …): two hills that stand so are a vowel rather than two tones. */
const PARTIALS = [2, 3, 4, 1.5, 4 / 3, 5 / 3]
const isPartial = (ratio: number): boolean => {
  for (const r of PARTIALS) if (Math.abs(ratio / r - 1) < 0.025) return true
  return false
}

export class FrameShape {
  readonly #x = new Float64Array(SPAN)
  readonly #low = new Float64Array(LOW_SAMPLES)
  readonly #power = new Float64Array(SPECTRUM_SAMPLES / 2 + 1)
  #lastIn = 0
  #lastOut = 0
  /** Mean square after the high-pass, PCM16 squared. */
  level = 0
  /** Set by tone(): the strongest partial, Hz, and its share of the frame's power. */
  hz = 0
  share = 0

  /** Forgets what came before: the audio has a gap here. */
  reset(): void {
    this.#x.fill(0)
    this.#lastIn = this.#lastOut = this.level = 0
  }

  /** Takes the next frame. @returns its level */
  take(frame: Uint8Array, law: Law): number {
    const x = this.#x
    const table = DECODE[law]
    const n = Math.min(frame.length, FRAME_SAMPLES)
    let lastIn = this.#lastIn
    let y = this.#lastOut
    let sum = 0
    for (let i = 0; i < FRAME_SAMPLES; i++) {
      x[i] = x[i + FRAME_SAMPLES]
      const s = i < n ? table[frame[i]] : 0
      y = s - lastIn + POLE * y
      lastIn = s
      x[i + FRAME_SAMPLES] = y
      sum += y * y
    }
    this.#lastIn = lastIn
    // Denormals cost a hundred times as much as numbers.
    this.#lastOut = Math.abs(y) < 1e-6 ? 0 : y
    return (this.level = sum / FRAME_SAMPLES)
  }

  /** Tones in the last 32 ms: one, or two that are no partials of one voice. */
  tone(): 'one' | 'two' | undefined {
    const power = this.#power
    powerInto(power, this.#x, SPAN - SPECTRUM_SAMPLES)
    let total = 0
    let first = FIRST_BIN
    for (let k = 1; k < power.length; k++) {
      total += power[k]
      if (k >= FIRST_BIN && k <= LAST_BIN && power[k] > power[first]) first = k
    }
    if (total <= 0) return undefined
    this.hz = this.#hzOf(first)
    this.share = this.#hill(first) / total
    if (this.share > ONE_TONE) return 'one'
    let second = -1
    for (let k = FIRST_BIN; k <= LAST_BIN; k++)
      if (Math.abs(k - first) > 2 * HILL - 1 && (second < 0 || power[k] > power[second])) second = k
    const weaker = this.#hill(second) / total
    if (weaker < WEAKER_TONE || this.share + weaker < TWO_TONES) return undefined
    const other = this.#hzOf(second)
    return isPartial(Math.max(this.hz, other) / Math.min(this.hz, other)) ? undefined : 'two'
  }

  #hill(bin: number): number {
    let sum = 0
    for (let k = bin - HILL; k <= bin + HILL; k++) sum += this.#power[k]
    return sum
  }

  /** Between the bins, by the two highest of a hill: exact for a lone tone under a Hann window. */
  #hzOf(bin: number): number {
    const power = this.#power
    const side = power[bin + 1] > power[bin - 1] ? 1 : -1
    const ratio = Math.sqrt(power[bin + side] / power[bin])
    return (bin + (side * (2 * ratio - 1)) / (ratio + 1)) * BIN_HZ
  }

  /** How well the last 40 ms repeat at a pitch of 62 to 400 Hz: near 1 for a voice, below 0.5 for noise. */
  periodicity(): number {
    const low = this.#low
    for (let i = 0, at = 0; i < LOW_SAMPLES; i++, at += DECIMATION)
      low[i] = this.#x[at] + this.#x[at + 1] + this.#x[at + 2] + this.#x[at + 3]
    let now = 0
    let then = 0
    for (let i = LONGEST_LAG; i < LOW_SAMPLES; i++) {
      now += low[i] * low[i]
      then += low[i - SHORTEST_LAG] * low[i - SHORTEST_LAG]
    }
    if (now <= 0) return 0
    let best = 0
    for (let lag = SHORTEST_LAG; ; lag++) {
      let sum = 0
      for (let i = LONGEST_LAG; i < LOW_SAMPLES; i++) sum += low[i] * low[i - lag]
      const match = sum > 0 && then > 0 ? (sum * sum) / (now * then) : 0
      if (match > best) best = match
      if (lag === LONGEST_LAG) break
      // The earlier stretch moves one sample back.
      const enters = low[LONGEST_LAG - lag - 1]
      const leaves = low[LOW_SAMPLES - lag - 1]
      then += enters * enters - leaves * leaves
    }
    return Math.sqrt(best)
  }
}
