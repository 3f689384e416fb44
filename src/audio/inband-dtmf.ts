/**
 * Key presses as tones in the audio (ITU-T Q.23), for peers that send no telephone-event. Goertzel at the eight
 * frequencies, frame by frame; twist, dominance and purity after ITU-T Q.24, so that speech makes no digits. Owns no
 * audio: tones stay in what the bot hears.
 *
 *   frames   │·· 5 5 5 5 ··│·· 5 5 5 ··│     one sure frame and one beside it with the same key: a press
 *   told          ▲               ▲          a frame without any tone between: the next press
 */
import { DECODE } from './g711.ts'
import { meanSquareOf } from './energy.ts'
import { FRAME_SAMPLES, type Law } from './flow.ts'

const KEYS = '123A456B789C*0#D'
const HZ = [697, 770, 852, 941, 1209, 1336, 1477, 1633]
const COEFFICIENTS = Float64Array.from(HZ, (hz) => 2 * Math.cos((2 * Math.PI * hz) / 8000))

/** Each tone down to −36 dBm0 or so. */
const LEAST_LEVEL = meanSquareOf(-38)
/** Share of the frame's power in the two tones: in a whole frame, and in one that a tone fills by half. */
const SURE = 0.76
const LIKELY = 0.42
/** Twist: the column may be 6 dB louder than the row, or 10 dB softer, as lines damp the higher tone. */
const MAX_COLUMN_TO_ROW = 4
const MAX_ROW_TO_COLUMN = 10
/** Any other of the same group must be 8 dB below; in a frame filled by half the hills are broader. */
const SURE_DOMINANCE = 6.3
const LIKELY_DOMINANCE = 2.5
/** A frame so far below the press (10 dB) is the gap behind it; so are this many frames that only look different. */
const GAP_SHARE = 0.1
const GAP_FRAMES = 2

const NONE = -1

export class InbandDtmf {
  readonly #x = new Float64Array(FRAME_SAMPLES)
  readonly #power = new Float64Array(HZ.length)
  /** Key of the frame before, if it looked like one, and whether it was sure. */
  #last = NONE
  #lastSure = false
  /** The press that has been told and still sounds. */
  #held = NONE
  #heldLevel = 0
  #others = 0
  #sure = false

  /** Takes the next 20 ms. @returns the key, once per press, 40 ms after its beginning */
  frame(frame: Uint8Array, law: Law): string | undefined {
    const level = this.#decode(frame, law)
    const key = level > LEAST_LEVEL ? this.#keyIn(level) : NONE
    if (this.#held !== NONE) this.#release(key, level)
    const pair = key !== NONE && key === this.#last && (this.#sure || this.#lastSure)
    this.#last = key
    this.#lastSure = key !== NONE && this.#sure
    if (!pair || this.#held === key) return undefined
    this.#held = key
    this.#heldLevel = level
    this.#others = 0
    return KEYS[key]
  }

  #release(key: number, level: number): void {
    if (key === this.#held) {
      this.#others = 0
      this.#heldLevel = Math.max(level, this.#heldLevel)
      return
    }
    if (level < this.#heldLevel * GAP_SHARE || ++this.#others >= GAP_FRAMES) this.#held = NONE
  }

  #decode(frame: Uint8Array, law: Law): number {
    const table = DECODE[law]
    const n = Math.min(frame.length, FRAME_SAMPLES)
    let sum = 0
    for (let i = 0; i < n; i++) {
      const s = table[frame[i]]
      this.#x[i] = s
      sum += s * s
    }
    this.#x.fill(0, n)
    return sum / FRAME_SAMPLES
  }

  /** Index into KEYS, or NONE; sets #sure. */
  #keyIn(level: number): number {
    const power = this.#power
    for (let f = 0; f < HZ.length; f++) power[f] = this.#share(COEFFICIENTS[f], level)
    const row = this.#highest(0)
    const column = this.#highest(4)
    const low = power[row]
    const high = power[column]
    const both = low + high
    if (both < LIKELY || high > low * MAX_COLUMN_TO_ROW || low > high * MAX_ROW_TO_COLUMN) return NONE
    const dominance = Math.min(low / this.#second(0, row), high / this.#second(4, column))
    if (dominance < LIKELY_DOMINANCE) return NONE
    this.#sure = both > SURE && dominance > SURE_DOMINANCE
    return row * 4 + column - 4
  }

  /** Share of the frame's power at one frequency: 1 for a tone that fills it. */
  #share(coefficient: number, level: number): number {
    const x = this.#x
    let s1 = 0
    let s2 = 0
    for (let i = 0; i < FRAME_SAMPLES; i++) {
      const s0 = x[i] + coefficient * s1 - s2
      s2 = s1
      s1 = s0
    }
    return (2 * (s1 * s1 + s2 * s2 - coefficient * s1 * s2)) / (level * FRAME_SAMPLES * FRAME_SAMPLES)
  }

  #highest(from: number): number {
    let best = from
    for (let f = from + 1; f < from + 4; f++) if (this.#power[f] > this.#power[best]) best = f
    return best
  }

  #second(from: number, best: number): number {
    let most = 1e-9
    for (let f = from; f < from + 4; f++) if (f !== best && this.#power[f] > most) most = this.#power[f]
    return most
  }
}
