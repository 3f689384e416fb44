/** How loud a frame is: the level for silence decisions and for a simple voice detector. No state, no thresholds. */
import { DECODE } from './g711.ts'
import type { Law } from './flow.ts'

/** Level of digital silence, dBFS: what is reported for a frame of zeros. */
export const FLOOR_DB = -96

// Mean squares: µ-law's 256 values squared once per law, so that a frame costs one lookup and one add a sample.
const squares = (law: Law): Float64Array => Float64Array.from(DECODE[law], (s) => s * s)
const SQUARES: Readonly<Record<Law, Float64Array>> = { pcmu: squares('pcmu'), pcma: squares('pcma') }

const FULL_SCALE_SQUARED = 32_768 * 32_768

const toDb = (meanSquare: number): number =>
  meanSquare < 1 ? FLOOR_DB : Math.max(FLOOR_DB, 10 * Math.log10(meanSquare / FULL_SCALE_SQUARED))

/** Mean square of `frame[from, to)`; compare with `meanSquareOf(db)` to spare the logarithm. */
export function meanSquare(frame: Uint8Array, law: Law, from = 0, to = frame.length): number {
  const table = SQUARES[law]
  let sum = 0
  for (let i = from; i < to; i++) sum += table[frame[i]]
  return to > from ? sum / (to - from) : 0
}

export const meanSquareOf = (db: number): number => FULL_SCALE_SQUARED * 10 ** (db / 10)

/** Level of a G.711 frame in dB relative to full scale (a full-scale square wave is 0, a full-scale sine −3). */
export const levelDb = (frame: Uint8Array, law: Law): number => toDb(meanSquare(frame, law))

/** Level of PCM16. */
export function levelDbPcm(pcm: Int16Array): number {
  let sum = 0
  for (let i = 0; i < pcm.length; i++) sum += pcm[i] * pcm[i]
  return toDb(pcm.length ? sum / pcm.length : 0)
}

export interface VoiceOptions {
  /** Louder than this counts as voice. */
  thresholdDb?: number
  /** Voice must last so long to be believed, ms. */
  startMs?: number
  /** Silence must last so long to end it, ms. */
  endMs?: number
  frameMs?: number
}

/** A plain energy voice detector with hangover: for the demo, the load generator and silence policy, not for turn taking. */
export class EnergyVad {
  readonly #threshold: number
  readonly #startFrames: number
  readonly #endFrames: number
  #run = 0
  #speaking = false

  constructor(options: VoiceOptions = {}) {
    const frameMs = options.frameMs ?? 20
    this.#threshold = options.thresholdDb ?? -45
    this.#startFrames = Math.max(1, Math.round((options.startMs ?? 60) / frameMs))
    this.#endFrames = Math.max(1, Math.round((options.endMs ?? 500) / frameMs))
  }

  get speaking(): boolean {
    return this.#speaking
  }

  /** @returns what changed with this frame, if anything */
  push(db: number): 'started' | 'stopped' | undefined {
    const loud = db > this.#threshold
    this.#run = loud === this.#speaking ? 0 : this.#run + 1
    if (this.#run < (this.#speaking ? this.#endFrames : this.#startFrames)) return undefined
    this.#run = 0
    this.#speaking = loud
    return loud ? 'started' : 'stopped'
  }
}
