/**
 * Our RTP stream to one far end: frames in, packets of the peer's ptime out, DTMF events between, all on one timestamp
 * line that follows time. SSRC and sequence live as long as the leg, through hold and re-INVITE (RFC 3550 §5.1).
 *
 *   20 ms frames   ├──1──┤├──2──┤├──3──┤├──4──┤
 *   ptime 30       ·········├───1───┤·····├───2───┤     sent 30 ms apart, on the 10 ms half slots too
 */
import { randomBytes } from 'node:crypto'
import { FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type FrameSource, type Law } from '../audio/flow.ts'
import { seqAdd, tsAdd } from '../lib/seq16.ts'
import { RTP_HEADER_BYTES, writeRtp } from '../rtp/packet.ts'
import type { RtpTransport } from '../rtp/socket.ts'
import { EVENT_BYTES, EventWriter } from '../rtp/telephone-event.ts'

const MAX_PTIME_MS = 60
// A packet that the kernel could not take at once is read by it later: its buffer must stay untouched until then.
const BUFFERS = 8

/** What went out in a slot. */
export type Sent = 'nothing' | 'silence' | 'source'

export class Sender {
  readonly ssrc = randomBytes(4).readUInt32BE()
  readonly #ssrc32 = this.ssrc | 0
  readonly events = new EventWriter()
  /** The 20 ms of the last slot, in `law`; what a recorder takes. */
  readonly frame = new Uint8Array(FRAME_SAMPLES)
  packets = 0
  payloadBytes = 0
  /** Samples on the time line since the first slot. */
  positionSamples = 0

  readonly #socket: RtpTransport
  readonly #slab = Buffer.alloc(BUFFERS * (RTP_HEADER_BYTES + MAX_PTIME_MS * SAMPLES_PER_MS))
  readonly #eventPackets = Array.from({ length: BUFFERS }, () => Buffer.alloc(RTP_HEADER_BYTES + EVENT_BYTES))
  #packetViews: Buffer[] = []
  #nextView = 0
  readonly #pending = new Uint8Array((MAX_PTIME_MS + 2 * FRAME_MS) * SAMPLES_PER_MS)
  #pendingLength = 0
  /** Timestamp of the next frame; random start (RFC 3550 §5.1). Signed: V8 keeps 32 bits so without an object. */
  #frameTs = randomBytes(4).readInt32BE()
  #seq = randomBytes(2).readUInt16BE()
  #marker = true
  #sinceSentMs = 0

  law: Law = 'pcmu'
  #payloadType = 0
  #dtmfPayloadType = -1
  #ptimeMs = FRAME_MS
  #stepMs = FRAME_MS

  constructor(socket: RtpTransport) {
    this.#socket = socket
    this.configure('pcmu', 0, undefined, FRAME_MS)
  }

  /** Timestamp that the audio of this moment carries (for sender reports). */
  get rtpTs(): number {
    return this.#frameTs >>> 0
  }

  get ptimeMs(): number {
    return this.#ptimeMs
  }

  /** Packets are due between slots too. */
  get needsHalfSlots(): boolean {
    return this.#ptimeMs % FRAME_MS !== 0
  }

  get canSendEvents(): boolean {
    return this.#dtmfPayloadType >= 0
  }

  configure(law: Law, payloadType: number, dtmfPayloadType: number | undefined, ptimeMs: number): void {
    this.law = law
    this.#payloadType = payloadType
    this.#dtmfPayloadType = dtmfPayloadType ?? -1
    this.#ptimeMs = Math.min(MAX_PTIME_MS, Math.max(10, Math.round(ptimeMs / 10) * 10 || FRAME_MS))
    this.#stepMs = this.needsHalfSlots ? 10 : FRAME_MS
    this.#pendingLength = 0
    // Due at once.
    this.#sinceSentMs = this.#ptimeMs
    const bytes = RTP_HEADER_BYTES + this.#ptimeMs * SAMPLES_PER_MS
    const room = RTP_HEADER_BYTES + MAX_PTIME_MS * SAMPLES_PER_MS
    this.#packetViews = Array.from({ length: BUFFERS }, (_, i) => this.#slab.subarray(i * room, i * room + bytes))
  }

  /** Time passes without sending (hold): the next packet starts a new talk spurt. */
  skip(turns: number, source: FrameSource | undefined): void {
    source?.skipped?.(turns)
    this.#pendingLength = 0
    this.#marker = true
    this.#elapse(turns)
  }

  /** One 20 ms slot; `turns` > 1 after a stall: the slots between are skipped, their time is not. */
  slot(turns: number, source: FrameSource | undefined): Sent {
    if (turns > 1) {
      this.#pendingLength = 0
      this.#elapse(turns - 1)
      source?.skipped?.(turns - 1)
    }
    let sent: Sent = 'silence'
    if (this.events.busy) {
      const packet = this.#eventPackets[this.#nextView]
      const kind = this.events.slotInto(packet, RTP_HEADER_BYTES, this.#frameTs)
      if (kind === 'event') {
        this.frame.fill(SILENCE[this.law])
        this.#pendingLength = 0
        this.#send(packet, this.#dtmfPayloadType, this.events.marker, this.events.rtpTs)
        this.#elapse(1)
        source?.skipped?.(1)
        return 'silence'
      }
    }
    if (this.events.busy) {
      this.frame.fill(SILENCE[this.law])
      source?.skipped?.(1)
    } else if (!source?.frameInto(this.frame, this.law)) this.frame.fill(SILENCE[this.law])
    else sent = 'source'
    this.#sinceSentMs += this.#stepMs
    this.#packetize()
    this.#elapse(1)
    return sent
  }

  /** Half a slot (10 ms) later, when `needsHalfSlots`. */
  half(): void {
    this.#sinceSentMs += this.#stepMs
    this.#sendDue()
  }

  #elapse(turns: number): void {
    this.#frameTs = (this.#frameTs + turns * FRAME_SAMPLES) | 0
    this.positionSamples += turns * FRAME_SAMPLES
  }

  #packetize(): void {
    if (this.#ptimeMs === FRAME_MS) {
      const packet = this.#packetViews[this.#nextView]
      packet.set(this.frame, RTP_HEADER_BYTES)
      this.#send(packet, this.#payloadType, this.#marker, this.#frameTs)
      this.#marker = false
      return
    }
    this.#pending.set(this.frame, this.#pendingLength)
    this.#pendingLength += FRAME_SAMPLES
    // `frameTs` is the time of the frame just added: the pending bytes end FRAME_SAMPLES later.
    this.#pendingEndTs = (this.#frameTs + FRAME_SAMPLES) | 0
    this.#sendDue()
  }

  #pendingEndTs = 0

  #sendDue(): void {
    const bytes = this.#ptimeMs * SAMPLES_PER_MS
    if (this.#pendingLength < bytes || this.#sinceSentMs < this.#ptimeMs) return
    const packet = this.#packetViews[this.#nextView]
    for (let i = 0; i < bytes; i++) packet[RTP_HEADER_BYTES + i] = this.#pending[i]
    this.#send(packet, this.#payloadType, this.#marker, tsAdd(this.#pendingEndTs, -this.#pendingLength))
    this.#marker = false
    this.#pending.copyWithin(0, bytes, this.#pendingLength)
    this.#pendingLength -= bytes
    this.#sinceSentMs = 0
  }

  #send(packet: Buffer, payloadType: number, marker: boolean, rtpTs: number): void {
    writeRtp(packet, payloadType, marker, this.#seq, rtpTs, this.#ssrc32)
    this.#seq = seqAdd(this.#seq, 1)
    this.#nextView = (this.#nextView + 1) % BUFFERS
    this.packets++
    this.payloadBytes += packet.length - RTP_HEADER_BYTES
    this.#socket.sendRtp(packet, packet.length)
  }
}
