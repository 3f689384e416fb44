/**
 * The bookkeeping of one inbound stream by sequence number and arrival time: duplicates, extended sequence, expected
 * packets, interarrival jitter (RFC 3550 A.1, A.3, A.8). Knows no audio.
 */
import { SAMPLES_PER_MS } from '../audio/flow.ts'
import { seqDiff } from '../lib/seq16.ts'

const NONE = -1
/** Single steps of transit time beyond this say nothing about the next packet. */
const STEP_CHANGE_MS = 100
/** Steps beyond this are a new time line, not jitter. */
const JUMP_MS = 1000

export class Reception {
  // The last 256 numbers, by their low byte.
  readonly #seen = new Int32Array(256).fill(NONE)
  #started = false
  #baseSeq = 0
  #highSeq = 0
  #cycles = 0
  #expectedBefore = 0
  #lastTransitMs = 0
  #hasTransit = false
  jitterMs = 0
  /** As jitterMs, without the big steps: what the next packet may bring. */
  usualJitterMs = 0

  /** A new stream begins with this packet; what was counted before is kept. */
  start(seq: number): void {
    this.#expectedBefore = this.expected
    this.#started = true
    this.#seen.fill(NONE)
    this.#baseSeq = this.#highSeq = seq
    this.#cycles = 0
    this.#hasTransit = false
  }

  isDuplicate(seq: number): boolean {
    return this.#seen[seq & 255] === seq
  }

  /** Signed distance from the highest sequence number so far. */
  ahead(seq: number): number {
    return seqDiff(seq, this.#highSeq)
  }

  count(seq: number): void {
    this.#seen[seq & 255] = seq
    if (this.ahead(seq) <= 0) return
    if (seq < this.#highSeq) this.#cycles++
    this.#highSeq = seq
  }

  /** RFC 3550 A.8, in ms: differences of transit times, smoothed. Timestamps wrap, so a huge difference is none. */
  arrived(rtpTs: number, nowMs: number): void {
    const transitMs = nowMs - rtpTs / SAMPLES_PER_MS
    const step = Math.abs(transitMs - this.#lastTransitMs)
    if (this.#hasTransit && step < JUMP_MS) this.jitterMs += (step - this.jitterMs) / 16
    if (this.#hasTransit && step < STEP_CHANGE_MS) this.usualJitterMs += (step - this.usualJitterMs) / 16
    this.#lastTransitMs = transitMs
    this.#hasTransit = true
  }

  /** Highest sequence number with its cycles, for receiver reports. */
  get extendedSeq(): number {
    return (this.#cycles * 65_536 + this.#highSeq) >>> 0
  }

  /** Packets that should have come so far, over all streams. */
  get expected(): number {
    return this.#expectedBefore + (this.#started ? this.#cycles * 65_536 + this.#highSeq - this.#baseSeq + 1 : 0)
  }
}
