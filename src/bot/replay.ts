/**
 * The last seconds of caller audio, kept for a bot that was away: after a reconnect it may ask for them again. G.711 as
 * it came; encoded for the bot only when asked for.
 */
import { FRAME_MS, FRAME_SAMPLES, type FrameSink, type Law } from '../audio/flow.ts'

const MOST_MS = 10_000
const SLOTS = MOST_MS / FRAME_MS

export class Replay {
  readonly #bytes = new Uint8Array(SLOTS * FRAME_SAMPLES)
  readonly #laws: Law[] = new Array<Law>(SLOTS).fill('pcmu')
  readonly #frame = new Uint8Array(FRAME_SAMPLES)
  /** Frames ever kept, and the next one to be given again; -1: nothing is asked for. */
  #kept = 0
  #next = -1
  #last = -1

  keep(frame: Uint8Array, law: Law): void {
    const slot = this.#kept++ % SLOTS
    this.#laws[slot] = law
    const at = slot * FRAME_SAMPLES
    for (let i = 0; i < FRAME_SAMPLES; i++) this.#bytes[at + i] = frame[i]
  }

  /**
   * From now on `giveTo` gives the last `ms` up to this moment.
   * @returns how long before now the first of them began, ms; 0 when there is nothing
   */
  ask(ms: number): number {
    const frames = Math.min(Math.ceil(ms / FRAME_MS), this.#kept, SLOTS)
    this.#next = frames > 0 ? this.#kept - frames : -1
    this.#last = this.#kept
    return frames * FRAME_MS
  }

  get asked(): boolean {
    return this.#next >= 0
  }

  /** Up to `frames` frames of what was asked for; what has been overwritten meanwhile is left out. */
  giveTo(sink: FrameSink, frames: number): void {
    for (let n = 0; n < frames && this.#next >= 0; n++) {
      if (this.#next < this.#kept - SLOTS) this.#next = this.#kept - SLOTS
      const slot = this.#next % SLOTS
      const at = slot * FRAME_SAMPLES
      for (let i = 0; i < FRAME_SAMPLES; i++) this.#frame[i] = this.#bytes[at + i]
      sink.frame(this.#frame, this.#laws[slot], 0)
      if (++this.#next >= this.#last) this.#next = -1
    }
  }
}
