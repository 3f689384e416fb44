/**
 * The far end's RTP stream: which packets count (source, version, payload type, rate), and to where: audio into the
 * jitter buffer, telephone-events to the digit reader. RFC 3550, 3551, 3389, 4733. Believes nothing in a packet.
 *
 *   datagram ─▶ from our peer? ─▶ RTP? ─▶ type ─┬─ 0, 8, codec ─▶ JitterBuffer
 *                  │ stranger       │ malformed  ├─ 13 (CN) ─────▶ quiet
 *                  ▼                ▼            └─ event ───────▶ EventReader ─▶ onDigit
 */
import type { Law } from '../audio/flow.ts'
import { looksLikeRtcp, readRtp, RtpHeader } from '../rtp/packet.ts'
import { EVENT_BYTES, EventReader } from '../rtp/telephone-event.ts'
import { JitterBuffer, type Put } from './jitter-buffer.ts'
import { Latch } from './latch.ts'

const PCMU = 0
const PCMA = 8
const COMFORT_NOISE = 13
const FIRST_DYNAMIC = 96
/** RELIABILITY S10: three times the packets of 10 ms audio. */
const MAX_PACKETS_PER_SECOND = 300

export interface ReceiverEvents {
  onDigit(digit: string, durationMs: number): void
  /** The source of the stream is another than before: send there. */
  onMoved(host: string, port: number): void
  /** A new stream began: align the playout with it. */
  onStarted(nowMs: number): void
  /** RTCP came on the RTP port (RFC 5761). */
  onRtcp(data: Buffer, address: string): void
}

export class Receiver {
  readonly buffer = new JitterBuffer()
  readonly latch = new Latch()
  readonly #reader = new EventReader()
  readonly #header = new RtpHeader()
  readonly #events: ReceiverEvents
  #law: Law = 'pcmu'
  #payloadType = PCMU
  #dtmfPayloadType = -1
  #budget = MAX_PACKETS_PER_SECOND
  /** Monotonic time of the last valid packet, RTP or RTCP. */
  lastLifeMs = 0

  readonly stats = { packets: 0, strangers: 0, malformed: 0, unknownType: 0, overRate: 0 }

  constructor(events: ReceiverEvents) {
    this.#events = events
  }

  configure(law: Law, payloadType: number, dtmfPayloadType: number | undefined): void {
    this.#law = law
    this.#payloadType = payloadType
    this.#dtmfPayloadType = dtmfPayloadType ?? -1
    this.buffer.setLaw(law)
  }

  /** Once a second. */
  refillBudget(): void {
    this.#budget = MAX_PACKETS_PER_SECOND
  }

  /** One datagram, that came at `buffer.nowMs`. */
  receive(data: Buffer, address: string, port: number): void {
    const locked = this.latch.isLockedOn(address, port)
    // The cheap test first: a flood from elsewhere costs one comparison a packet.
    if (!locked && this.latch.locked) {
      this.stats.strangers++
      return
    }
    if (looksLikeRtcp(data)) {
      this.#events.onRtcp(data, address)
      return
    }
    const header = this.#header
    if (!readRtp(header, data)) {
      this.stats.malformed++
      return
    }
    const kind = this.#kind(header.payloadType, header.payloadEnd - header.payloadAt)
    if (kind === 'unknown') {
      this.stats.unknownType++
      return
    }
    if (!locked) {
      const verdict = this.latch.see(address, port, this.buffer.nowMs)
      if (verdict === 'stranger') {
        this.stats.strangers++
        return
      }
      if (verdict === 'moved') this.#events.onMoved(address, port)
    }
    if (this.#budget-- <= 0) {
      this.stats.overRate++
      return
    }
    this.lastLifeMs = this.buffer.nowMs
    this.stats.packets++
    if (kind === 'event') this.#event(data)
    else if (kind === 'noise') this.buffer.quiet(header.seq, header.ssrc32, this.buffer.nowMs)
    else if (this.#audio(data, kind) === 'started') this.#events.onStarted(this.buffer.nowMs)
  }

  // Both laws by their static types at any moment, whatever was negotiated.
  #kind(payloadType: number, payloadBytes: number): Law | 'event' | 'noise' | 'unknown' {
    if (payloadType === this.#payloadType) return this.#law
    if (payloadType === PCMU) return 'pcmu'
    if (payloadType === PCMA) return 'pcma'
    if (payloadType === COMFORT_NOISE) return 'noise'
    if (payloadType === this.#dtmfPayloadType) return payloadBytes >= EVENT_BYTES ? 'event' : 'unknown'
    // The peer's own number for telephone-event may differ from the one agreed (pjproject#3700).
    return payloadType >= FIRST_DYNAMIC && payloadBytes === EVENT_BYTES ? 'event' : 'unknown'
  }

  #audio(data: Buffer, law: Law): Put {
    const h = this.#header
    return this.buffer.put(h.seq, h.ts32, h.ssrc32, data, h.payloadAt, h.payloadEnd, law)
  }

  #event(data: Buffer): void {
    const h = this.#header
    // Some send events as a stream of their own (sipp's DTMF captures): no audio comes meanwhile either.
    if (h.ssrc === this.buffer.ssrc) this.buffer.quiet(h.seq, h.ssrc, this.buffer.nowMs)
    else this.buffer.expectNothing()
    const seen = this.#reader.read(data, h.payloadAt, h.payloadEnd, h.rtpTs, h.ssrc)
    if (seen) this.#events.onDigit(seen.digit, seen.durationMs)
  }
}
