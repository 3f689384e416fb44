/**
 * Turns one inbound RTP stream, as the network delivers it, into 20 ms frames, one per slot (RFC 3550; the counters are
 * in reception.ts). Packets of any length are placed by TIMESTAMP (timeline.ts); frames are taken in order.
 *
 *   packets ─▶ placing ─▶ Timeline ─▶ taking, delay ─▶ frames      missing samples: concealment.ts
 *                  └ lead of each packet: lead.ts ─┘
 *
 * Delay: at rest a packet waits REST_LEAD_MS for its slot, no more. A late packet finds its slot played: the missing
 * audio is stretched in (read stays), which makes everything after it wait longer. When all packets have been early for
 * a while, 10 ms pieces are dropped again: in silence first, in speech with a cross-fade when the excess is large. What
 * comes late again and again is waited for, however well it went for a moment. Untouched bytes pass untouched.
 */
import { DECODE, ENCODE } from '../audio/g711.ts'
import { FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type Law } from '../audio/flow.ts'
import { Concealer } from './concealment.ts'
import { LeadStats } from './lead.ts'
import { Reception } from './reception.ts'
import { RING_SAMPLES, Timeline, type StreamTap } from './timeline.ts'

/** How long before its slot a packet arrives at rest. */
export const REST_LEAD_MS = 6

/** A packet further from the stream than this starts it anew (SIP.md 2.3). */
const JUMP_SAMPLES = 1000 * SAMPLES_PER_MS
const MAX_STRETCH_SAMPLES = 100 * SAMPLES_PER_MS
const MAX_DELAY_MS = 120
const CAP_SAMPLES = 200 * SAMPLES_PER_MS
const STEP_MS = 10
const STEP = STEP_MS * SAMPLES_PER_MS
/** Speech is cut only when even the slowest packet is this early. */
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
  readonly #line: Timeline
  readonly #reception = new Reception()
  readonly #concealer = new Concealer()
  readonly #leads = new LeadStats()

  #started = false
  /** Signed, as all timestamps here (rtp/packet.ts tells why). */
  #ssrc = 0
  #packetSamples = FRAME_SAMPLES
  #lastPutMs = 0
  /** Samples played from nowhere since the buffer ran dry: the next packet settles them. */
  #debt = 0
  /** Nothing is expected now: CN, telephone-event, hold. */
  #quiet = false
  /** When the newest packets began to come too late, in a row; −1: they do not. */
  #lateSinceMs = -1
  #afterStray = false
  #strayTs = 0
  #framesSinceCut = Infinity
  /** Doubles when taking delay back has proved wrong. */
  #patience = PATIENCE

  /** When the packet that is put has come. */
  nowMs = 0
  nextTakeMs = 0
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
    this.#line = new Timeline(law)
    this.#concealer.reset(law)
  }

  get law(): Law {
    return this.#line.law
  }

  /** Takes every sample of the stream at its place on the stream's time line (a recorder). */
  setTap(tap: StreamTap | undefined): void {
    this.#line.tap = tap
  }

  /** The leg's codec changed by re-INVITE: what waits is converted. */
  setLaw(law: Law): void {
    if (law === this.#line.law) return
    this.#line.setLaw(law)
    this.#concealer.reset(law)
  }

  get started(): boolean {
    return this.#started
  }

  get ssrc(): number {
    return this.#ssrc >>> 0
  }

  get bufferedMs(): number {
    return Math.max(0, this.#line.ahead) / SAMPLES_PER_MS
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
   * Places one packet. Timestamp and SSRC may be signed or not.
   * @param data        payload is `data[from, to)`, in `law`
   * @param nowMs       absent: the field holds. V8 puts a fraction that is handed over into an object
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
    nowMs?: number,
    nextTakeMs?: number,
  ): Put {
    if (nowMs !== undefined) this.nowMs = nowMs
    if (nextTakeMs !== undefined) this.nextTakeMs = nextTakeMs
    const samples = to - from
    if (samples <= 0 || samples > RING_SAMPLES / 4) return this.#stray()
    if (!this.#started || (ssrc | 0) !== this.#ssrc) {
      if (this.#started && this.#alive()) return this.#stray()
      this.#start(seq, rtpTs, ssrc, samples)
      this.#line.store(this.#line.end, data, from, to, law)
      this.#accept(seq, rtpTs, samples)
      return 'started'
    }
    if (this.#reception.isDuplicate(seq)) {
      this.stats.duplicates++
      return 'dropped'
    }
    const ahead = this.#reception.ahead(seq)
    const line = this.#line
    const jump = line.beyondEnd(rtpTs)
    let at = line.end + jump
    if (jump > JUMP_SAMPLES || jump < -JUMP_SAMPLES || at + samples - line.read > RING_SAMPLES) {
      // One odd packet is dropped; a second in a row, or any when nothing is waiting, moves the stream there.
      if ((line.ahead > 0 || ahead <= 0) && !(this.#afterStray && this.#strayTs === (rtpTs | 0))) {
        this.#afterStray = true
        this.#strayTs = (rtpTs + samples) | 0
        return this.#stray()
      }
      this.#resync(rtpTs)
      at = line.end
    }
    this.#afterStray = false
    if (at + samples <= line.read && !(ahead > 0 && this.#behindForLong())) {
      this.stats.late++
      this.#measure(at)
      this.#accept(seq, rtpTs, samples)
      return 'dropped'
    }
    if (at + samples <= line.read) {
      // The whole stream has become later than the playout: go with it.
      this.#resync(rtpTs)
      at = line.end
    }
    this.#lateSinceMs = -1
    this.#settle(at)
    if (at > line.end && ahead === 1) line.silence(Math.max(line.end, line.read), at)
    line.store(at, data, from, to, law)
    this.#measure(at)
    this.#accept(seq, rtpTs, samples)
    this.#quiet = false
    return 'kept'
  }

  /** A packet of the stream without audio (CN, telephone-event): its number counts, and no audio is expected for now. */
  quiet(seq: number, ssrc: number, nowMs: number): void {
    if (!this.#started || (ssrc | 0) !== this.#ssrc || this.#reception.isDuplicate(seq)) return
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
      dst.fill(SILENCE[this.#line.law])
      return 0
    }
    this.#framesSinceCut++
    if (this.#line.ahead < FRAME_SAMPLES) return this.#dryInto(dst)
    const lostMs = this.#adaptInto(dst)
    return lostMs === NONE ? this.#frameInto(dst) : lostMs
  }

  /** Over the cap: cuts down to one frame. Not called while the leg is catching up with a stall of ours. */
  trim(): void {
    const line = this.#line
    if (line.ahead <= CAP_SAMPLES) return
    const over = line.ahead - Math.max(FRAME_SAMPLES, this.#packetSamples)
    this.stats.droppedSamples += over
    line.pass(over)
    this.#leads.shift(-over / SAMPLES_PER_MS)
  }

  // ── Placing ───────────────────────────────────────────────────────────────────────────────────────────────────

  #start(seq: number, rtpTs: number, ssrc: number, samples: number): void {
    if (this.started) this.stats.restarts++
    this.#reception.start(seq)
    this.#started = true
    this.#ssrc = ssrc | 0
    this.#line.restart(rtpTs)
    this.#packetSamples = samples
    this.#debt = 0
    this.#quiet = false
    this.#lateSinceMs = -1
    this.#afterStray = false
    this.#leads.reset()
  }

  // Same stream, another place on its time line. The slot stays: as many whole frames are put in front as it takes for
  // the packet to be as early as a first packet.
  #resync(rtpTs: number): void {
    this.stats.restarts++
    const waitMs = Math.max(0, this.startDelayMs - Math.max(0, this.nextTakeMs - this.nowMs))
    const frames = Math.min(3, Math.ceil(waitMs / FRAME_MS))
    this.#line.restart(rtpTs, frames * FRAME_SAMPLES)
    this.#debt = 0
    this.#lateSinceMs = -1
    this.#leads.reset()
  }

  // Is the present stream still being received? Only then is another SSRC noise (RTP bleed, a forger).
  #alive(): boolean {
    return this.nowMs - this.#lastPutMs < Math.max(45, (1.5 * this.#packetSamples) / SAMPLES_PER_MS + 10)
  }

  #behindForLong(): boolean {
    if (this.#lateSinceMs < 0) this.#lateSinceMs = this.nowMs
    return this.nowMs - this.#lateSinceMs >= 60
  }

  // What was played while dry stands for what is now known to be missing; only the rest is a stretch.
  #settle(at: number): void {
    if (this.#debt === 0) return
    const line = this.#line
    line.settleHeld(at)
    const missing = at > Math.max(line.end, line.read) ? Math.min(this.#debt, at - line.read) : 0
    line.pass(missing)
    const stretchedMs = (this.#debt - missing) / SAMPLES_PER_MS
    if (stretchedMs > MAX_DELAY_MS) this.#leads.reset()
    else if (stretchedMs > 0) this.#leads.shift(stretchedMs)
    this.#debt = 0
  }

  // ── Counting ──────────────────────────────────────────────────────────────────────────────────────────────────

  #stray(): Put {
    this.stats.stray++
    return 'dropped'
  }

  #accept(seq: number, rtpTs: number, samples: number): void {
    this.stats.received++
    this.#reception.count(seq)
    this.#reception.arrived(rtpTs, this.nowMs)
    this.#packetSamples = samples
    this.#lastPutMs = this.nowMs
  }

  #measure(at: number): void {
    // Our own loop is late: that says nothing about the packet.
    const { nowMs, nextTakeMs } = this
    if (nextTakeMs < nowMs - 2) return
    const frames = Math.floor((at - this.#line.read) / FRAME_SAMPLES)
    this.#leads.push(nextTakeMs - nowMs + frames * FRAME_MS, nowMs)
  }

  // ── Taking ────────────────────────────────────────────────────────────────────────────────────────────────────

  #dryInto(dst: Uint8Array): number {
    const line = this.#line
    if (this.#quiet) {
      dst.fill(SILENCE[line.law])
      const rest = Math.max(0, line.ahead)
      for (let i = 0; i < rest; i++) if (line.has(line.read + i)) dst[i] = line.at(line.read + i)
      line.pass(rest)
      this.#debt += FRAME_SAMPLES - rest
      return 0
    }
    if (this.#debt < MAX_STRETCH_SAMPLES) {
      if (this.#debt === 0) this.#ranDry()
      this.#concealer.concealInto(dst, line.law)
      line.holdConcealed(dst)
      this.#debt += FRAME_SAMPLES
    } else {
      // Long enough: the far end has stopped or its delay has grown for good. Time goes on without it.
      line.takeInto(dst, this.#concealer)
    }
    this.stats.concealedFrames++
    return FRAME_MS
  }

  // Ran dry soon after delay had been taken back: be slower to take it back.
  #ranDry(): void {
    this.#patience = this.#framesSinceCut < HASTY_FRAMES ? Math.min(MAX_PATIENCE, this.#patience * 2) : PATIENCE
  }

  #frameInto(dst: Uint8Array): number {
    if (this.#line.takeInto(dst, this.#concealer) === 0) {
      this.#concealer.good(dst, this.#line.law)
      return 0
    }
    this.stats.concealedFrames++
    return FRAME_MS
  }

  // ── Delay ─────────────────────────────────────────────────────────────────────────────────────────────────────

  // Returns the lost ms of the frame when it has filled `dst` itself, else NONE.
  #adaptInto(dst: Uint8Array): number {
    const line = this.#line
    const leads = this.#leads
    leads.look(LATELY, this.#patience)
    const least = Math.min(leads.latelyMs, leads.usualMs)
    if (least < 2 && this.#leads.max() < MAX_DELAY_MS) return this.#insertInto(dst, least)
    const earlyMs = Math.min(leads.patientMs, leads.usualMs)
    if (earlyMs + this.#leadOfStep(-STEP) < REST_LEAD_MS || line.ahead < FRAME_SAMPLES + STEP) return NONE
    if (line.silentAhead(FRAME_SAMPLES + STEP)) {
      this.#cut(STEP)
      return NONE
    }
    if (earlyMs < MUCH_TOO_EARLY_MS || this.#framesSinceCut < SPEECH_CUT_FRAMES) return NONE
    return this.#fadeCutInto(dst)
  }

  /** Lead beyond the rest that even the latest packets of late had, ms: frames could be taken so much sooner. */
  get spareLeadMs(): number {
    const leads = this.#leads
    leads.look(LATELY, this.#patience)
    return Math.min(leads.patientMs, leads.usualMs) - REST_LEAD_MS
  }

  /** Frames are taken `ms` sooner from now on. */
  takenSooner(ms: number): void {
    this.#leads.shift(-ms)
  }

  // Packets come at the last moment or after: 10 ms more, in silence, or where a packet is missing anyway.
  #insertInto(dst: Uint8Array, least: number): number {
    const line = this.#line
    if (line.silentAhead(FRAME_SAMPLES)) {
      for (let i = 0; i < STEP; i++) dst[i] = dst[i + STEP] = line.at(line.read + i)
      this.#leads.shift(this.#leadOfStep(STEP))
      line.pass(STEP)
      this.stats.inserted++
      return 0
    }
    if (least < 0 && !line.has(line.read)) {
      this.#concealer.concealInto(dst, line.law)
      this.#leads.shift(FRAME_MS)
      this.stats.inserted++
      this.stats.concealedFrames++
      return FRAME_MS
    }
    return NONE
  }

  /**
   * What leads gain (or lose) by a step. The slot that plays the first half of a packet must have all of it: when packets
   * and frames are 10 ms apart, half of a step has been paid already.
   */
  #leadOfStep(samples: number): number {
    if (this.#packetSamples % FRAME_SAMPLES !== 0) return samples / SAMPLES_PER_MS
    const ahead = this.#line.ahead
    return FRAME_MS * (Math.floor((ahead + samples) / FRAME_SAMPLES) - Math.floor(ahead / FRAME_SAMPLES))
  }

  #cut(samples: number): void {
    this.#leads.shift(this.#leadOfStep(-samples))
    this.#line.pass(samples)
    this.#framesSinceCut = 0
    this.stats.removed++
  }

  // 30 ms become 20: the first 10 ms fade into the second.
  #fadeCutInto(dst: Uint8Array): number {
    const line = this.#line
    for (let i = 0; i < FRAME_SAMPLES + STEP; i++) if (!line.has(line.read + i)) return NONE
    const decode = DECODE[line.law]
    const encode = ENCODE[line.law]
    for (let i = 0; i < STEP; i++) {
      const a = decode[line.at(line.read + i)]
      const b = decode[line.at(line.read + STEP + i)]
      dst[i] = encode[(a + ((b - a) * i) / STEP) & 0xffff]
      dst[STEP + i] = line.at(line.read + 2 * STEP + i)
    }
    this.#cut(STEP)
    line.pass(FRAME_SAMPLES)
    return 0
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
