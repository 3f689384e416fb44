/**
 * What is played where audio is missing: the last pitch period again and again, fading out over 60 ms, then silence.
 * After ITU-T G.711 Appendix I in spirit, without its overlap-add. Not a decision about what is missing.
 *
 *   good ……│ lost 20 │ lost 20 │ lost 20 │ lost …
 *   gain 1 │ 1 ↘ ⅔   │ ⅔ ↘ ⅓   │ ⅓ ↘ 0   │ silence
 */
import { DECODE, ENCODE } from '../audio/g711.ts'
import { FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type Law } from '../audio/flow.ts'

const FADE_SAMPLES = 60 * SAMPLES_PER_MS
const HISTORY = 2 * FRAME_SAMPLES
// 50 to 200 Hz: the pitch of speech; one frame back is the longest period that fits the comparison below.
const MIN_PERIOD = 40
const MAX_PERIOD = FRAME_SAMPLES

export class Concealer {
  /** The last 40 ms that were good, oldest first, in `#law`. */
  readonly #history = new Uint8Array(HISTORY)
  readonly #pcm = new Int16Array(HISTORY)
  #law: Law = 'pcmu'
  #period = 0
  /** Samples concealed since the last good one. */
  #run = 0

  constructor() {
    this.reset('pcmu')
  }

  reset(law: Law): void {
    this.#law = law
    this.#history.fill(SILENCE[law])
    this.#run = FADE_SAMPLES
  }

  /** Remembers a whole good frame. */
  good(frame: Uint8Array, law: Law): void {
    this.#law = law
    this.#history.copyWithin(0, FRAME_SAMPLES)
    this.#history.set(frame, FRAME_SAMPLES)
    this.#run = 0
  }

  /** Fills `dst[from, to)`; calls in a row continue one another. */
  concealInto(dst: Uint8Array, law: Law, from = 0, to = dst.length): void {
    if (this.#run >= FADE_SAMPLES) {
      dst.fill(SILENCE[law], from, to)
      return
    }
    if (this.#run === 0) this.#findPeriod()
    const encode = ENCODE[law]
    for (let i = from; i < to; i++) {
      const gain = 1 - this.#run / FADE_SAMPLES
      const sample = gain > 0 ? this.#pcm[HISTORY - this.#period + (this.#run % this.#period)] * gain : 0
      dst[i] = encode[sample & 0xffff]
      this.#run++
    }
  }

  // The shift at which the last 20 ms resemble what came before most: coarse over all shifts, then its neighbours.
  #findPeriod(): void {
    const decode = DECODE[this.#law]
    for (let i = 0; i < HISTORY; i++) this.#pcm[i] = decode[this.#history[i]]
    let best = -1
    let coarse = MAX_PERIOD
    for (let period = MIN_PERIOD; period <= MAX_PERIOD; period += 2) {
      const score = this.#likeness(period, 4)
      // A multiple of the true period scores as well: the shorter one wins unless clearly beaten.
      if (score <= best * 1.02) continue
      best = score
      coarse = period
    }
    best = -1
    for (let period = Math.max(MIN_PERIOD, coarse - 1); period <= Math.min(MAX_PERIOD, coarse + 1); period++) {
      const score = this.#likeness(period, 1)
      if (score <= best) continue
      best = score
      this.#period = period
    }
  }

  #likeness(period: number, stride: number): number {
    const pcm = this.#pcm
    let cross = 0
    let energy = 1
    for (let i = HISTORY - FRAME_SAMPLES; i < HISTORY; i += stride) {
      const before = pcm[i - period]
      cross += pcm[i] * before
      energy += before * before
    }
    return cross > 0 ? (cross * cross) / energy : 0
  }
}
