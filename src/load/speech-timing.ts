/**
 * Latency of real speech through a bit-exact path: each 20 ms frame of a clip is known by its own bytes, so nothing has
 * to be added to the audio. Frames that occur more than once (silence) are not used.
 */
import { FRAME_MS, FRAME_SAMPLES } from '../audio/flow.ts'
import { LatencyHistogram } from './stats.ts'

const keyOf = (frame: Uint8Array): string =>
  Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength).toString('latin1')

/** Frames of the caller: from the moment that each was sent to the moment that it was heard. */
export class FrameTiming {
  readonly latency = new LatencyHistogram()
  readonly #sentAt = new Map<string, number>()
  readonly #repeated = new Set<string>()
  readonly #distinct: Set<string>

  constructor(clips: readonly Uint8Array[]) {
    this.#distinct = distinctFrames(clips)
  }

  sent(frame: Uint8Array, nowMs: number): void {
    const key = keyOf(frame)
    if (!this.#distinct.has(key)) return
    // Said twice (a second call on the same clip): no longer clear which one was heard.
    if (this.#sentAt.has(key)) this.#repeated.add(key)
    else this.#sentAt.set(key, nowMs)
  }

  heard(frame: Uint8Array, nowMs: number): void {
    const key = keyOf(frame)
    const sentAtMs = this.#sentAt.get(key)
    if (sentAtMs === undefined || this.#repeated.has(key)) return
    this.#repeated.add(key)
    this.latency.record(nowMs - sentAtMs)
  }
}

/**
 * Clips of the bot, which come faster than real time: frame n is due n·20 ms after its clip could start, and what counts
 * is how much later it was heard. A clip can start when it was sent, or when the one before it has ended.
 */
export class PlayoutTiming {
  readonly latency = new LatencyHistogram()
  readonly #places = new Map<string, { clip: string; index: number }>()
  readonly #startMs = new Map<string, number>()
  readonly #frames = new Map<string, number>()
  #busyUntilMs = 0

  constructor(clips: Readonly<Record<string, Uint8Array>>) {
    const distinct = distinctFrames(Object.values(clips))
    for (const [clip, audio] of Object.entries(clips)) {
      this.#frames.set(clip, Math.ceil(audio.length / FRAME_SAMPLES))
      for (let i = 0; i * FRAME_SAMPLES < audio.length; i++) {
        const key = keyOf(audio.subarray(i * FRAME_SAMPLES, (i + 1) * FRAME_SAMPLES))
        if (distinct.has(key)) this.#places.set(key, { clip, index: i })
      }
    }
  }

  said(clip: string, nowMs: number): void {
    const startMs = Math.max(nowMs, this.#busyUntilMs)
    this.#startMs.set(clip, startMs)
    this.#busyUntilMs = startMs + (this.#frames.get(clip) ?? 0) * FRAME_MS
  }

  heard(frame: Uint8Array, nowMs: number): void {
    const place = this.#places.get(keyOf(frame))
    if (!place) return
    const startMs = this.#startMs.get(place.clip)
    if (startMs !== undefined) this.latency.record(nowMs - startMs - place.index * FRAME_MS)
  }
}

/** Keys of the frames that occur exactly once in all clips. */
function distinctFrames(clips: readonly Uint8Array[]): Set<string> {
  const seen = new Map<string, number>()
  for (const clip of clips)
    for (let at = 0; at < clip.length; at += FRAME_SAMPLES) {
      const key = keyOf(clip.subarray(at, at + FRAME_SAMPLES))
      seen.set(key, (seen.get(key) ?? 0) + 1)
    }
  return new Set([...seen].filter(([, count]) => count === 1).map(([key]) => key))
}
