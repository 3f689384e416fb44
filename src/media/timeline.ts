/**
 * The samples of one inbound stream on its own time line: a ring addressed by position, with a flag for each sample that
 * is there. Positions count up from the start of the leg and follow RTP timestamps within a stream. Decides nothing.
 *
 *            read ├─ frame ─┤             end ≙ endTs
 *              ▼            ▼              ▼
 *   ring  ░░░░░█████████████░░░░░██████████░░░░░░     █ present   ░ missing (have = 0)
 *                           └ lost, or DTX (sequence without a gap: silence, no loss)
 *
 * Owns its slab; allocates nothing after the constructor. A tap (the recorder) gets every sample once, at its position,
 * however the time between two frames was stretched or cut.
 */
import { crossTable } from '../audio/g711.ts'
import { meanSquare, meanSquareOf } from '../audio/energy.ts'
import { FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type Law } from '../audio/flow.ts'
import { tsDiff } from '../lib/seq16.ts'
import type { Concealer } from './concealment.ts'

export const RING_SAMPLES = 8192
const MASK = RING_SAMPLES - 1
/** Frames below this are silence: there, time may be added or taken away unheard. */
const SILENT = meanSquareOf(-50)
/** Concealment fades out over 60 ms: what comes after is silence, and silence need not be kept. */
const HELD_SAMPLES = 60 * SAMPLES_PER_MS

/** Takes the samples of a stream by position. Bytes are borrowed for the call. */
export interface StreamTap {
  /** The time line was cut: positions before and after have nothing to do with each other. */
  restarted(): void
  /** The frame that is being taken begins at `position`; `silent` only where it was asked for. */
  playing(position: number, silent: boolean): void
  readonly wantsSilence: boolean
  samples(position: number, bytes: Uint8Array, from: number, to: number, law: Law): void
}

export class Timeline {
  law: Law
  tap: StreamTap | undefined
  #read = 0
  #end = 0
  /** Signed: rtp/packet.ts tells why. */
  #endTs = 0
  readonly #ring = new Uint8Array(RING_SAMPLES)
  readonly #have = new Uint8Array(RING_SAMPLES)
  readonly #look = new Uint8Array(2 * FRAME_SAMPLES)
  /** What was played from `end` on while the ring was dry, for the tap: it may turn out to be what was lost there. */
  readonly #held = new Uint8Array(HELD_SAMPLES)
  #heldLength = 0

  constructor(law: Law) {
    this.law = law
  }

  /** Position of the next sample to be taken. */
  get read(): number {
    return this.#read
  }

  /** One past the newest sample. */
  get end(): number {
    return this.#end
  }

  /** Samples from `read` to `end`; negative when time has gone on without the stream. */
  get ahead(): number {
    return this.#end - this.#read
  }

  setLaw(law: Law): void {
    const table = crossTable(this.law, law)
    if (!table) return
    for (let i = 0; i < RING_SAMPLES; i++) this.#ring[i] = table[this.#ring[i]]
    this.law = law
    this.#heldLength = 0
  }

  /** A new time line begins here with `rtpTs`; what waits is thrown away. Silence may lead in. */
  restart(rtpTs: number, leadSamples = 0): void {
    this.#forget(Math.max(0, this.ahead))
    this.#end = this.#read
    this.silence(this.#read, this.#read + leadSamples)
    this.#endTs = rtpTs | 0
    this.#heldLength = 0
    this.tap?.restarted()
  }

  /** Distance of `rtpTs` from the end of the time line, samples. */
  beyondEnd(rtpTs: number): number {
    return tsDiff(rtpTs, this.#endTs)
  }

  has(position: number): boolean {
    return this.#have[position & MASK] === 1
  }

  at(position: number): number {
    return this.#ring[position & MASK]
  }

  store(at: number, data: Uint8Array, from: number, to: number, law: Law): void {
    const table = crossTable(law, this.law)
    // The beginning may be late already.
    const first = Math.max(at, this.#read)
    const end = at + (to - from)
    for (let pos = first, i = from + (first - at); pos < end; pos++, i++) {
      const slot = pos & MASK
      this.#ring[slot] = table ? table[data[i]] : data[i]
      this.#have[slot] = 1
    }
    this.#grow(end)
  }

  silence(from: number, to: number): void {
    const byte = SILENCE[this.law]
    for (let pos = from; pos < to; pos++) {
      const slot = pos & MASK
      this.#ring[slot] = byte
      this.#have[slot] = 1
    }
    this.#grow(to)
  }

  #grow(end: number): void {
    if (end <= this.#end) return
    this.#endTs = (this.#endTs + end - this.#end) | 0
    this.#end = end
  }

  // ── Taking ────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Takes a frame; what is missing is concealed. Returns the number of concealed samples. */
  takeInto(dst: Uint8Array, concealer: Concealer): number {
    let missing = 0
    for (let i = 0; i < FRAME_SAMPLES;) {
      const slot = (this.#read + i) & MASK
      if (this.#have[slot]) {
        dst[i++] = this.#ring[slot]
        continue
      }
      const from = i
      while (i < FRAME_SAMPLES && !this.#have[(this.#read + i) & MASK]) i++
      concealer.concealInto(dst, this.law, from, i)
      missing += i - from
    }
    this.#tell(dst)
    this.#forget(FRAME_SAMPLES)
    return missing
  }

  #tell(frame: Uint8Array): void {
    const tap = this.tap
    if (!tap) return
    tap.playing(this.#read, tap.wantsSilence && this.silentAhead(FRAME_SAMPLES))
    // Past the end nothing is known yet; what was lost there is told when the next packet settles it.
    const known = Math.min(FRAME_SAMPLES, this.ahead)
    if (known > 0) tap.samples(this.#read, frame, 0, known, this.law)
  }

  /** Goes on by `samples` that are not played as they are; the tap gets those that are there. */
  pass(samples: number): void {
    const tap = this.tap
    if (tap)
      for (let done = 0; done < samples;) {
        const n = this.#runInto(this.#look, done, samples)
        if (n > 0) tap.samples(this.#read + done, this.#look, 0, n, this.law)
        done += Math.max(1, n)
      }
    this.#forget(samples)
  }

  // Copies the samples from `read + done` on that are there in a row; returns how many.
  #runInto(dst: Uint8Array, done: number, samples: number): number {
    const n = Math.min(samples - done, dst.length)
    let i = 0
    for (; i < n && this.has(this.#read + done + i); i++) dst[i] = this.at(this.#read + done + i)
    return i
  }

  #forget(samples: number): void {
    const n = Math.min(samples, RING_SAMPLES)
    const from = this.#read & MASK
    if (from + n <= RING_SAMPLES) this.#have.fill(0, from, from + n)
    else {
      this.#have.fill(0, from)
      this.#have.fill(0, 0, from + n - RING_SAMPLES)
    }
    this.#read += samples
  }

  /** `frame` is played while the ring is dry. */
  holdConcealed(frame: Uint8Array): void {
    if (!this.tap || this.#heldLength + FRAME_SAMPLES > HELD_SAMPLES) return
    this.#held.set(frame, this.#heldLength)
    this.#heldLength += FRAME_SAMPLES
  }

  /** The next samples belong at `at`: what was played from `end` on stands for what is missing up to there, if anything. */
  settleHeld(at: number): void {
    const lost = Math.min(this.#heldLength, at - this.#end)
    this.#heldLength = 0
    if (lost > 0) this.tap?.samples(this.#end, this.#held, 0, lost, this.law)
  }

  /** The next `samples` (two frames at most) are there, and silent. */
  silentAhead(samples: number): boolean {
    for (let i = 0; i < samples; i++) {
      const slot = (this.#read + i) & MASK
      if (!this.#have[slot]) return false
      this.#look[i] = this.#ring[slot]
    }
    return meanSquare(this.#look, this.law, 0, samples) < SILENT
  }
}
