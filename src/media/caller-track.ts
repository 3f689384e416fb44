/**
 * Places what the far end said in a recording by the stream's own RTP timestamps (SIP.md 2.3), not by when it was played:
 * what the jitter buffer stretches, cuts or drops to keep up with the network leaves no mark on the recording.
 *
 *   stream position ──────┤ shift ├──────▶ time of the recording        heard at ─ placed at = off
 *
 * The first frame of each time line is placed where it is heard, beside what is being sent. Two clocks are never the
 * same: when the stream has moved away from that for a while, it is moved back, in silence.
 */
import { FRAME_MS, SAMPLES_PER_MS, type Law } from '../audio/flow.ts'
import type { Recorder } from './recorder.ts'
import type { StreamTap } from './timeline.ts'

const FAR_OFF_MS = 40
/** More than any jitter buffer delay: something else has happened. */
const TOO_FAR_OFF_MS = 300
const WINDOW_FRAMES = 5000 / FRAME_MS

export class CallerTrack implements StreamTap {
  readonly #recorder: Recorder
  /** When the frame that is being taken is heard, monotonic ms. */
  dueMs = 0
  #shiftMs = NaN
  #frames = 0
  #leastMs = Infinity
  #mostMs = -Infinity
  /** What is left of a move that waits for silence, or goes on in it. */
  #moveMs = 0
  /** Times the stream was moved, by any amount. */
  moves = 0

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  get wantsSilence(): boolean {
    return this.#moveMs !== 0
  }

  restarted(): void {
    this.#anchor(NaN)
  }

  playing(position: number, silent: boolean): void {
    const offMs = this.dueMs - position / SAMPLES_PER_MS - this.#shiftMs
    // Not a number before the first frame.
    if (!(Math.abs(offMs) <= TOO_FAR_OFF_MS)) return this.#anchor(this.dueMs - position / SAMPLES_PER_MS)
    if (silent && this.#moveMs !== 0) this.#move()
    this.#leastMs = Math.min(this.#leastMs, offMs)
    this.#mostMs = Math.max(this.#mostMs, offMs)
    if (++this.#frames >= WINDOW_FRAMES) this.#judge()
  }

  samples(position: number, bytes: Uint8Array, from: number, to: number, law: Law): void {
    if (!Number.isNaN(this.#shiftMs)) this.#recorder.rx(this.#shiftMs + position / SAMPLES_PER_MS, bytes, law, from, to)
  }

  #anchor(shiftMs: number): void {
    this.#shiftMs = shiftMs
    this.#moveMs = 0
    this.#startWindow()
  }

  // Jitter comes and goes; what every frame of the window was off by stays.
  #judge(): void {
    if (this.#leastMs > FAR_OFF_MS) this.#moveMs = this.#leastMs
    else if (this.#mostMs < -FAR_OFF_MS) this.#moveMs = this.#mostMs
    else this.#moveMs = 0
    if (this.#moveMs !== 0) this.moves++
    this.#startWindow()
  }

  // By one silent frame at a time: it is left out, or another is put before it.
  #move(): void {
    const stepMs = Math.max(-FRAME_MS, Math.min(FRAME_MS, this.#moveMs))
    this.#moveMs -= stepMs
    this.#shiftMs += stepMs
    this.#startWindow()
  }

  #startWindow(): void {
    this.#frames = 0
    this.#leastMs = Infinity
    this.#mostMs = -Infinity
  }
}
