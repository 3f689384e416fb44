/**
 * Lone tones that sound for a while: a voicemail's beep, a fax's calling tone. Fed with what Vad knows of each frame.
 * A tone is told when it has been followed by a tenth of a second of quiet; one that runs into speech or music is dropped.
 *
 *   ────▆▆▆▆▆▆▆▆▆▆▆▆▆─────
 *                    ▲    └─ told here
 *                    endedMs
 */
import { FRAME_MS } from './flow.ts'
import { meanSquareOf } from './energy.ts'
import type { Vad } from './vad.ts'

const MIN_HZ = 400
const MAX_HZ = 2200
const MIN_MS = 90
const MAX_MS = 3050
/** The frames at both ends of a tone are none by themselves. */
const MIN_TONE_FRAMES = 3
/** A tone keeps its pitch so well, and this many of its frames may be spoilt in one go (noise, phase reversals of a fax). */
const DRIFT = 0.02
const SPOILT_FRAMES = 2
const QUIET_FRAMES = 5
/** So far below the tone (12 dB) is quiet. */
const QUIET_SHARE = 0.06
const LEAST_LEVEL = meanSquareOf(-48)

/** How much of a frame a tone fills, by its power; near enough to the whole is the whole. */
const filled = (share: number): number => (share > 0.85 ? 1 : share)

export class ToneFinder {
  #hz = 0
  #frames = 0
  #level = 0
  #startMs = 0
  #lastMs = 0
  #partMs = 0
  #quiet = 0
  #spoilt = 0
  #before = 0
  #beforeThat = 0
  /** Of the tone told last, or of the one that sounds. */
  get hz(): number {
    return this.#hz
  }

  /** How long the tone sounds by now; 0: none does. */
  get soundingMs(): number {
    return this.#frames < MIN_TONE_FRAMES ? 0 : this.#lastMs - this.#startMs
  }

  durationMs = 0
  endedMs = 0

  /** After `vad` has taken a frame. @returns true when a tone is over, of which hz, durationMs and endedMs tell */
  frame(vad: Vad): boolean {
    const { level, hz } = vad.shape
    const isTone = vad.tone === 'one' && level > LEAST_LEVEL && hz >= MIN_HZ && hz <= MAX_HZ
    const told = this.#frames > 0 && this.#go(isTone && Math.abs(hz / this.#hz - 1) < DRIFT, level, hz, vad.nowMs)
    if (this.#frames === 0 && isTone) this.#begin(level, hz, vad.nowMs)
    this.#beforeThat = this.#before
    this.#before = level
    return told
  }

  #begin(level: number, hz: number, nowMs: number): void {
    this.#hz = hz
    this.#frames = 1
    this.#level = level
    this.#lastMs = nowMs
    this.#quiet = this.#spoilt = this.#partMs = 0
    // The tone began within the frame before, or the one before that: their power tells how far in.
    const part = filled(this.#before / level)
    const earlier = part === 1 ? filled(this.#beforeThat / level) : 0
    this.#startMs = nowMs - FRAME_MS * (1 + part + earlier)
  }

  #go(same: boolean, level: number, hz: number, nowMs: number): boolean {
    if (same) {
      this.#frames++
      this.#hz += (hz - this.#hz) / this.#frames
      const part = filled(level / this.#level)
      if (part === 1) this.#level += (level - this.#level) / this.#frames
      this.#lastMs = nowMs - FRAME_MS * (1 - part)
      this.#quiet = this.#spoilt = this.#partMs = 0
      return false
    }
    if (level < this.#level * QUIET_SHARE) return ++this.#quiet >= QUIET_FRAMES && this.#end()
    // The last frame of the tone is not filled.
    if (this.#quiet === 0) this.#partMs += FRAME_MS * filled(level / this.#level)
    if (++this.#spoilt > SPOILT_FRAMES) this.#frames = 0
    return false
  }

  #end(): boolean {
    this.endedMs = Math.round(this.#lastMs + this.#partMs)
    this.durationMs = Math.round(this.endedMs - this.#startMs)
    const enough = this.#frames >= MIN_TONE_FRAMES
    this.#frames = 0
    return enough && this.durationMs >= MIN_MS && this.durationMs <= MAX_MS
  }
}
