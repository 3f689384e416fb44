/**
 * Turns one inbound RTP stream, as the network delivers it, into 20 ms frames, one per slot (RFC 3550; the counters are
 * in reception.ts). Packets of any length are placed by TIMESTAMP into a ring of samples; frames are taken in order.
 *
 *            read ├─ frame ─┤             end
 *              ▼            ▼              ▼
 *   ring  ░░░░░█████████████░░░░░██████████░░░░░░     █ present   ░ missing (have = 0)
 *                           └ lost, or DTX (sequence without a gap: silence, no loss)
 *
 * Delay: at rest a packet waits REST_LEAD_MS for its slot, no more. A late packet finds its slot played: the missing
 * audio is stretched in (read stays), which makes everything after it wait longer. When all packets have been early for
 * a while, 10 ms pieces are dropped again: in silence first, in speech with a cross-fade when the excess is large.
 * Untouched bytes pass untouched. Owns its slab; allocates nothing after the constructor.
 */
import { crossTable, DECODE, ENCODE } from '../audio/g711.ts'
import { meanSquare, meanSquareOf } from '../audio/energy.ts'
import { FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type Law } from '../audio/flow.ts'
import { tsAdd, tsDiff } from '../lib/seq16.ts'
import { Concealer } from './concealment.ts'
import { LeadStats } from './lead.ts'
import { Reception } from './reception.ts'

/** How long before its slot a packet arrives at rest. */
export const REST_LEAD_MS = 6

const RING = 8192
const MASK = RING - 1
/** A packet further from the stream than this starts it anew (SIP.md 2.3). */
const JUMP_SAMPLES = 1000 * SAMPLES_PER_MS
const MAX_STRETCH_SAMPLES = 100 * SAMPLES_PER_MS
const MAX_DELAY_MS = 120
const CAP_SAMPLES = 200 * SAMPLES_PER_MS
const STEP_MS = 10
const STEP = STEP_MS * SAMPLES_PER_MS
/** Frames below this are silence: there, time may be added or taken away unheard. */
const SILENT = meanSquareOf(-50)
const EARLY_MS = REST_LEAD_MS + STEP_MS + 4
const MUCH_TOO_EARLY_MS = REST_LEAD_MS + 3 * STEP_MS
/** Frames between two cuts in speech. */
const SPEECH_CUT_FRAMES = 3
/** Windows of 0.5 s without a late packet before delay is taken back, at first and at most. */
const PATIENCE = 3
const MAX_PATIENCE = 12
/** Windows in which one packet without time to spare is reason enough for more delay. */
const LATELY = 3
/** Running dry within 10 s of taking delay back: it was taken too soon. */
const HASTY_FRAMES = 500
const NONE = -1

/** What put() did: the leg re-aligns its slot to a new stream. */
export type Put = 'kept' | 'started' | 'dropped'

export class JitterBuffer {
  readonly #ring = new Uint8Array(RING)
  readonly #have = new Uint8Array(RING)
  readonly #reception = new Reception()
  readonly #concealer = new Concealer()
  readonly #leads = new LeadStats()
  #law: Law

  #ssrc = NONE
  /** Sample positions count up from the start of the leg; `#end` is one past the newest sample and stands for `#endTs`. */
  #read = 0
  #end = 0
  #endTs = 0
  #packetSamples = FRAME_SAMPLES
  #lastPutMs = 0
  /** Samples played from nowhere since the buffer ran dry: the next packet settles them. */
  #debt = 0
  /** Nothing is expected now: CN, telephone-event, hold. */
  #quiet = false
  /** When the newest packets began to come too late, in a row; −1: they do not. */
  #lateSinceMs = -1
  #strayTs = NONE
  #framesSinceCut = Infinity
  /** Doubles when taking delay back has proved wrong. */
  #patience = PATIENCE

  /** Packets of the stream without audio: expected by number, never put. */
  quietPackets = 0

  readonly stats = {
    /** Packets taken in, duplicates not counted. */
    received: 0,
    duplicates: 0,
    /** Arrived after their slot. */
    late: 0,
    /** Another SSRC while the stream was alive, or a time far off. */
    stray: 0,
    /** Cut because the buffer was over its cap. */
    droppedSamples: 0,
    concealedFrames: 0,
    /** 10 or 20 ms pieces put in and taken out. */
    inserted: 0,
    removed: 0,
    restarts: 0,
  }

  constructor(law: Law = 'pcmu') {
    this.#law = law
    this.#concealer.reset(law)
  }

  get law(): Law {
    return this.#law
  }

  /** The leg's codec changed by re-INVITE: what waits is converted. */
  setLaw(law: Law): void {
    const table = crossTable(this.#law, law)
    if (!table) return
    for (let i = 0; i < RING; i++) this.#ring[i] = table[this.#ring[i]]
    this.#law = law
    this.#concealer.reset(law)
  }

  get started(): boolean {
    return this.#ssrc !== NONE
  }

  get ssrc(): number {
    return this.#ssrc
  }

  get bufferedMs(): number {
    return Math.max(0, this.#end - this.#read) / SAMPLES_PER_MS
  }

  /** What the buffer adds to the fastest packets, ms. */
  get delayMs(): number {
    return this.#leads.max()
  }

  get jitterMs(): number {
    return this.#reception.jitterMs
  }

  /** Extended highest sequence number, for receiver reports. */
  get extendedSeq(): number {
    return this.#reception.extendedSeq
  }

  /** Packets that should have come so far, over all streams of the leg. */
  get expected(): number {
    return this.#reception.expected
  }

  /** How long after the first packet of a stream its first frame should be taken. */
  get startDelayMs(): number {
    return REST_LEAD_MS + Math.min(40, 2 * this.#reception.usualJitterMs) + frameLagMs(this.#packetSamples)
  }

  /**
   * Places one packet.
   * @param data        payload is `data[from, to)`, in `law`
   * @param nextTakeMs  when the next frame will be taken, on the clock of `nowMs`
   */
  put(
    seq: number,
    rtpTs: number,
    ssrc: number,
    data: Uint8Array,
    from: number,
    to: number,
    law: Law,
    nowMs: number,
    nextTakeMs: number,
  ): Put {
    const samples = to - from
    if (samples <= 0 || samples > RING / 4) return this.#stray()
    if (ssrc !== this.#ssrc) {
      if (this.started && this.#alive(nowMs)) return this.#stray()
      this.#start(seq, rtpTs, ssrc, samples)
      this.#store(this.#end, data, from, to, law)
      this.#accept(seq, rtpTs, samples, nowMs)
      return 'started'
    }
    if (this.#reception.isDuplicate(seq)) {
      this.stats.duplicates++
      return 'dropped'
    }
    const ahead = this.#reception.ahead(seq)
    const jump = tsDiff(rtpTs, this.#endTs)
    const dry = this.#end <= this.#read
    let at = this.#end + jump
    if (jump > JUMP_SAMPLES || jump < -JUMP_SAMPLES || at + samples - this.#read > RING) {
      // One odd packet is dropped; a second in a row, or any when nothing is waiting, moves the stream there.
      if ((!dry || ahead <= 0) && this.#strayTs !== rtpTs) {
        this.#strayTs = tsAdd(rtpTs, samples)
        return this.#stray()
      }
      this.#resync(rtpTs, nowMs, nextTakeMs)
      at = this.#end
    }
    this.#strayTs = NONE
    if (at + samples <= this.#read && !(ahead > 0 && this.#behindForLong(nowMs))) {
      this.stats.late++
      this.#measure(at, nowMs, nextTakeMs)
      this.#accept(seq, rtpTs, samples, nowMs)
      return 'dropped'
    }
    if (at + samples <= this.#read) {
      // The whole stream has become later than the playout: go with it.
      this.#resync(rtpTs, nowMs, nextTakeMs)
      at = this.#end
    }
    this.#lateSinceMs = -1
    this.#settle(at)
    if (at > this.#end && ahead === 1) this.#silence(Math.max(this.#end, this.#read), at)
    this.#store(at, data, from, to, law)
    this.#measure(at, nowMs, nextTakeMs)
    this.#accept(seq, rtpTs, samples, nowMs)
    this.#quiet = false
    return 'kept'
  }

  /** A packet of the stream without audio (CN, telephone-event): its number counts, and no audio is expected for now. */
  quiet(seq: number, ssrc: number, nowMs: number): void {
    if (ssrc !== this.#ssrc || this.#reception.isDuplicate(seq)) return
    this.#quiet = true
    this.quietPackets++
    this.#reception.count(seq)
    this.#lastPutMs = nowMs
  }

  /** The far end is on hold: silence is no loss until the next packet. */
  expectNothing(): void {
    this.#quiet = true
  }

  /**
   * The next 20 ms, in the leg's law; always fills `dst`.
   * @returns milliseconds that were concealed or filled: 0 or FRAME_MS
   */
  takeInto(dst: Uint8Array): number {
    if (!this.started) {
      dst.fill(SILENCE[this.#law])
      return 0
    }
    this.#framesSinceCut++
    if (this.#end - this.#read < FRAME_SAMPLES) return this.#dryInto(dst)
    const lostMs = this.#adaptInto(dst)
    return lostMs === NONE ? this.#frameInto(dst) : lostMs
  }

  /** Over the cap: cuts down to one frame. Not called while the leg is catching up with a stall of ours. */
  trim(): void {
    const over = this.#end - this.#read - Math.max(FRAME_SAMPLES, this.#packetSamples)
    if (this.#end - this.#read <= CAP_SAMPLES) return
    this.stats.droppedSamples += over
    this.#advance(over)
    this.#leads.shift(-over / SAMPLES_PER_MS)
  }

  // ── Placing ───────────────────────────────────────────────────────────────────────────────────────────────────

  #start(seq: number, rtpTs: number, ssrc: number, samples: number): void {
    if (this.started) this.stats.restarts++
    this.#reception.start(seq)
    this.#ssrc = ssrc
    this.#advance(Math.max(0, this.#end - this.#read))
    this.#end = this.#read
    this.#endTs = rtpTs
    this.#packetSamples = samples
    this.#debt = 0
    this.#quiet = false
    this.#lateSinceMs = -1
    this.#strayTs = NONE
    this.#leads.reset()
  }

  // Same stream, another place on its time line. The slot stays: as many whole frames are put in front as it takes for
  // the packet to be as early as a first packet.
  #resync(rtpTs: number, nowMs: number, nextTakeMs: number): void {
    this.stats.restarts++
    this.#advance(Math.max(0, this.#end - this.#read))
    const waitMs = Math.max(0, this.startDelayMs - Math.max(0, nextTakeMs - nowMs))
    const frames = Math.min(3, Math.ceil(waitMs / FRAME_MS))
    this.#end = this.#read
    this.#silence(this.#read, this.#read + frames * FRAME_SAMPLES)
    this.#endTs = rtpTs
    this.#debt = 0
    this.#lateSinceMs = -1
    this.#leads.reset()
  }

  // Is the present stream still being received? Only then is another SSRC noise (RTP bleed, a forger).
  #alive(nowMs: number): boolean {
    return nowMs - this.#lastPutMs < Math.max(45, (1.5 * this.#packetSamples) / SAMPLES_PER_MS + 10)
  }

  #behindForLong(nowMs: number): boolean {
    if (this.#lateSinceMs < 0) this.#lateSinceMs = nowMs
    return nowMs - this.#lateSinceMs >= 60
  }

  // What was played while dry stands for what is now known to be missing; only the rest is a stretch.
  #settle(at: number): void {
    if (this.#debt === 0) return
    const missing = at > Math.max(this.#end, this.#read) ? Math.min(this.#debt, at - this.#read) : 0
    this.#advance(missing)
    const stretchedMs = (this.#debt - missing) / SAMPLES_PER_MS
    if (stretchedMs > MAX_DELAY_MS) this.#leads.reset()
    else if (stretchedMs > 0) this.#leads.shift(stretchedMs)
    this.#debt = 0
  }

  #store(at: number, data: Uint8Array, from: number, to: number, law: Law): void {
    const table = crossTable(law, this.#law)
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

  #silence(from: number, to: number): void {
    const byte = SILENCE[this.#law]
    for (let pos = from; pos < to; pos++) {
      const slot = pos & MASK
      this.#ring[slot] = byte
      this.#have[slot] = 1
    }
    this.#grow(to)
  }

  #grow(end: number): void {
    if (end <= this.#end) return
    this.#endTs = tsAdd(this.#endTs, end - this.#end)
    this.#end = end
  }

  #advance(samples: number): void {
    const n = Math.min(samples, RING)
    const from = this.#read & MASK
    if (from + n <= RING) this.#have.fill(0, from, from + n)
    else {
      this.#have.fill(0, from)
      this.#have.fill(0, 0, from + n - RING)
    }
    this.#read += samples
  }

  // ── Counting ──────────────────────────────────────────────────────────────────────────────────────────────────

  #stray(): Put {
    this.stats.stray++
    return 'dropped'
  }

  #accept(seq: number, rtpTs: number, samples: number, nowMs: number): void {
    this.stats.received++
    this.#reception.count(seq)
    this.#reception.arrived(rtpTs, nowMs)
    this.#packetSamples = samples
    this.#lastPutMs = nowMs
  }

  #measure(at: number, nowMs: number, nextTakeMs: number): void {
    // Our own loop is late: that says nothing about the packet.
    if (nextTakeMs < nowMs - 2) return
    const frames = Math.floor((at - this.#read) / FRAME_SAMPLES)
    this.#leads.push(nextTakeMs - nowMs + frames * FRAME_MS, nowMs)
  }

  // ── Taking ────────────────────────────────────────────────────────────────────────────────────────────────────

  #dryInto(dst: Uint8Array): number {
    if (this.#quiet) {
      dst.fill(SILENCE[this.#law])
      const rest = Math.max(0, this.#end - this.#read)
      for (let i = 0; i < rest; i++)
        if (this.#have[(this.#read + i) & MASK]) dst[i] = this.#ring[(this.#read + i) & MASK]
      this.#advance(rest)
      this.#debt += FRAME_SAMPLES - rest
      return 0
    }
    if (this.#debt < MAX_STRETCH_SAMPLES) {
      if (this.#debt === 0) this.#ranDry()
      this.#concealer.concealInto(dst, this.#law)
      this.#debt += FRAME_SAMPLES
    } else {
      // Long enough: the far end has stopped or its delay has grown for good. Time goes on without it.
      this.#copyInto(dst)
      this.#advance(FRAME_SAMPLES)
    }
    this.stats.concealedFrames++
    return FRAME_MS
  }

  // Ran dry soon after delay had been taken back: be slower to take it back.
  #ranDry(): void {
    this.#patience = this.#framesSinceCut < HASTY_FRAMES ? Math.min(MAX_PATIENCE, this.#patience * 2) : PATIENCE
  }

  #frameInto(dst: Uint8Array): number {
    const missing = this.#copyInto(dst)
    this.#advance(FRAME_SAMPLES)
    if (missing === 0) {
      this.#concealer.good(dst, this.#law)
      return 0
    }
    this.stats.concealedFrames++
    return FRAME_MS
  }

  // Copies the frame at `read`, conceals what is not there. Returns the number of concealed samples.
  #copyInto(dst: Uint8Array): number {
    let missing = 0
    for (let i = 0; i < FRAME_SAMPLES;) {
      const slot = (this.#read + i) & MASK
      if (this.#have[slot]) {
        dst[i++] = this.#ring[slot]
        continue
      }
      const from = i
      while (i < FRAME_SAMPLES && !this.#have[(this.#read + i) & MASK]) i++
      this.#concealer.concealInto(dst, this.#law, from, i)
      missing += i - from
    }
    return missing
  }

  // ── Delay ─────────────────────────────────────────────────────────────────────────────────────────────────────

  // Returns the lost ms of the frame when it has filled `dst` itself, else NONE.
  #adaptInto(dst: Uint8Array): number {
    const usual = this.#leads.usualMin()
    const least = Math.min(this.#leads.min(LATELY), usual)
    if (least < 2 && this.#leads.max() < MAX_DELAY_MS) return this.#insertInto(dst, least)
    const longMin = this.#leads.min(this.#patience, true)
    if (longMin < EARLY_MS || usual < EARLY_MS || this.#end - this.#read < FRAME_SAMPLES + STEP) return NONE
    if (this.#silentAhead(FRAME_SAMPLES + STEP)) {
      this.#cut(STEP)
      return NONE
    }
    if (longMin < MUCH_TOO_EARLY_MS || this.#framesSinceCut < SPEECH_CUT_FRAMES) return NONE
    return this.#fadeCutInto(dst)
  }

  // Packets come at the last moment or after: 10 ms more, in silence, or where a packet is missing anyway.
  #insertInto(dst: Uint8Array, least: number): number {
    if (this.#silentAhead(FRAME_SAMPLES)) {
      for (let i = 0; i < STEP; i++) dst[i] = dst[i + STEP] = this.#ring[(this.#read + i) & MASK]
      this.#advance(STEP)
      this.#leads.shift(STEP_MS)
      this.stats.inserted++
      return 0
    }
    if (least < 0 && this.#have[this.#read & MASK] === 0) {
      this.#concealer.concealInto(dst, this.#law)
      this.#leads.shift(FRAME_MS)
      this.stats.inserted++
      this.stats.concealedFrames++
      return FRAME_MS
    }
    return NONE
  }

  #cut(samples: number): void {
    this.#advance(samples)
    this.#leads.shift(-samples / SAMPLES_PER_MS)
    this.#framesSinceCut = 0
    this.stats.removed++
  }

  // 30 ms become 20: the first 10 ms fade into the second.
  #fadeCutInto(dst: Uint8Array): number {
    for (let i = 0; i < FRAME_SAMPLES + STEP; i++) if (!this.#have[(this.#read + i) & MASK]) return NONE
    const decode = DECODE[this.#law]
    const encode = ENCODE[this.#law]
    for (let i = 0; i < STEP; i++) {
      const a = decode[this.#ring[(this.#read + i) & MASK]]
      const b = decode[this.#ring[(this.#read + STEP + i) & MASK]]
      dst[i] = encode[(a + ((b - a) * i) / STEP) & 0xffff]
      dst[STEP + i] = this.#ring[(this.#read + 2 * STEP + i) & MASK]
    }
    this.#cut(FRAME_SAMPLES + STEP)
    // Only 10 of the 30 ms were taken away from the time line.
    this.#leads.shift(FRAME_MS)
    return 0
  }

  readonly #look = new Uint8Array(2 * FRAME_SAMPLES)

  #silentAhead(samples: number): boolean {
    for (let i = 0; i < samples; i++) {
      const slot = (this.#read + i) & MASK
      if (!this.#have[slot]) return false
      this.#look[i] = this.#ring[slot]
    }
    return meanSquare(this.#look, this.#law, 0, samples) < SILENT
  }
}

// With packets that are no multiple of a frame the first frame must wait for its last sample: 10 ms for packets of 10,
// 30 and 50 ms.
function frameLagMs(packetSamples: number): number {
  let a = packetSamples
  let b = FRAME_SAMPLES
  while (b > 0) [a, b] = [b, a % b]
  return (FRAME_SAMPLES - a) / SAMPLES_PER_MS
}
