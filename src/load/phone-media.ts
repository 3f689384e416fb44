/**
 * The sound of a simulated phone: plain RTP both ways (RFC 3550), digits by RFC 4733, G.711. It has no jitter buffer and
 * conceals nothing, because what it reports is what the wire brought. Sends each 20 ms by the shared Pacer, silence too.
 */
import { FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type Law } from '../audio/flow.ts'
import { transcodeInto } from '../audio/g711.ts'
import type { Clock } from '../lib/clock.ts'
import { seqAdd, seqDiff, tsAdd, tsDiff } from '../lib/seq16.ts'
import { readRtp, RTP_HEADER_BYTES, RtpHeader, writeRtp } from '../rtp/packet.ts'
import { RtpSocket } from '../rtp/socket.ts'
import type { Pacer } from './pacer.ts'
import type { LatencyHistogram } from './stats.ts'

export interface RemoteRtp {
  host: string
  port: number
  codec: Law
  payloadType: number
  dtmfPayloadType?: number
}

export interface PhoneMediaOptions {
  clock: Clock
  pacer: Pacer
  host: string
  /** Keep up to so much of what was heard, placed by timestamp; 0 = keep nothing. */
  captureMs?: number
  /** Takes |inter-arrival - 20 ms| of every consecutive pair of packets. */
  interArrival?: LatencyHistogram
  /** Sees, and may change, each audio frame on its way out. `frameNo` counts from 0. */
  sending?(frame: Uint8Array, frameNo: number, nowMs: number): void
  /** Sees each audio payload that came; borrowed. */
  arrived?(payload: Uint8Array, nowMs: number): void
  digit?(digit: string): void
}

export interface PhoneMediaStats {
  sent: number
  received: number
  /** Gaps in the sequence numbers that were never filled. */
  lost: number
  /** Packets that came more than 10 ms away from 20 ms after the one before. */
  late: number
  /** Datagrams that are not RTP of our stream. */
  strange: number
  sendErrors: number
}

const LATE_MS = 10
const DIGITS = '0123456789*#ABCD'
const DIGIT_MS = 100
const DIGIT_GAP_MS = 100
// RFC 4733 §2.5.1.4: the end is sent three times.
const END_REPEATS = 3
/** -10 dBm0, RFC 4733 §2.3.3. */
const VOLUME = 10
const EVENT_BYTES = 4
const ROTATED = 4

interface Clip {
  audio: Uint8Array
  at: number
  loop: boolean
  done: () => void
}

interface Press {
  event: number
  /** Slots left of sound, then of pause. */
  leftMs: number
  gapLeftMs: number
  heldMs: number
  startTs: number
  done: () => void
}

export class PhoneMedia {
  readonly #o: PhoneMediaOptions
  readonly #port: RtpSocket
  // The kernel may hold a packet for a moment when its queue is full: never write over the one just sent.
  readonly #packets = Array.from({ length: ROTATED }, () => Buffer.alloc(RTP_HEADER_BYTES + FRAME_SAMPLES))
  #turn = 0
  readonly #out = new RtpHeader()
  readonly #in = new RtpHeader()
  #remote: RemoteRtp | undefined
  #leave: (() => void) | undefined
  #paused = false
  #firstSlot = -1
  #frameNo = 0
  #talking = false
  readonly #clips: Clip[] = []
  readonly #presses: Press[] = []
  #capture: Uint8Array | undefined
  #capturedBytes = 0
  #ssrc = -1
  #firstTs = 0
  #highestAhead = 0
  #lastSeq = 0
  #lastArrivalMs = -1
  #lastEventTs = -1
  #firstArrivalMs = -1
  readonly #stats: PhoneMediaStats = { sent: 0, received: 0, lost: 0, late: 0, strange: 0, sendErrors: 0 }

  private constructor(options: PhoneMediaOptions, port: RtpSocket) {
    this.#o = options
    this.#port = port
    this.#out.ssrc = Math.floor(Math.random() * 2 ** 32)
    this.#out.seq = Math.floor(Math.random() * 2 ** 16)
    this.#out.rtpTs = Math.floor(Math.random() * 2 ** 32)
    port.listen(
      (packet) => this.#arrived(packet),
      () => undefined, // RTCP of the bridge: nothing here needs it
    )
  }

  static async open(options: PhoneMediaOptions): Promise<PhoneMedia> {
    return new PhoneMedia(options, await RtpSocket.open(options.host, 0))
  }

  get host(): string {
    return this.#o.host
  }

  get port(): number {
    return this.#port.port
  }

  /** Figures so far; `lost` settles when the stream ends. */
  get stats(): Readonly<PhoneMediaStats> {
    this.#stats.lost = this.#ssrc < 0 ? 0 : Math.max(0, this.#highestAhead + 1 - this.#stats.received)
    this.#stats.sendErrors = this.#port.errors
    return this.#stats
  }

  /** Monotonic time of the first audio packet; -1 = none yet. */
  get firstArrivalMs(): number {
    return this.#firstArrivalMs
  }

  /** Starts sending there, or goes on at another address (re-INVITE). */
  connect(remote: RemoteRtp): void {
    this.#remote = remote
    this.#port.target(remote.host, remote.port, remote.port + 1)
    this.#port.settle()
    this.#leave ??= this.#o.pacer.add((slot) => this.#onSlot(slot))
  }

  /** Queues µ-law audio; resolves when its last frame has left (a loop: when the phone is closed). */
  play(audio: Uint8Array, loop = false): Promise<void> {
    return new Promise((done) => {
      this.#clips.push({ audio, at: 0, loop, done })
    })
  }

  /** Sends digits one after the other; resolves after the last one's pause. */
  async press(digits: string, digitMs = DIGIT_MS, gapMs = DIGIT_GAP_MS): Promise<void> {
    const all = [...digits.toUpperCase()].map((digit) => {
      const event = DIGITS.indexOf(digit)
      if (event < 0) throw new RangeError(`not a telephone key: ${digit}`)
      return new Promise<void>((done) => {
        this.#presses.push({ event, leftMs: digitMs, gapLeftMs: gapMs, heldMs: 0, startTs: -1, done })
      })
    })
    await Promise.all(all)
  }

  /** Sends nothing at all while paused: a network that went away. */
  set paused(paused: boolean) {
    this.#paused = paused
  }

  /** What was heard since the first packet, in the call's law, gaps as silence. */
  heard(): Buffer {
    return Buffer.from(this.#capture?.subarray(0, this.#capturedBytes) ?? [])
  }

  async close(): Promise<void> {
    this.#leave?.()
    this.#leave = undefined
    for (const waiting of [...this.#clips.splice(0), ...this.#presses.splice(0)]) waiting.done()
    await this.#port.close()
  }

  #onSlot(slot: number): void {
    const remote = this.#remote
    if (!remote) return
    if (this.#firstSlot >= 0) {
      // The timestamp follows time, also over slots that a stall made us skip; the sequence follows packets.
      this.#out.rtpTs = tsAdd(this.#out.rtpTs, (slot - this.#firstSlot) * FRAME_SAMPLES)
      this.#out.seq = seqAdd(this.#out.seq, 1)
    }
    this.#firstSlot = slot
    const press = this.#presses[0]
    if (press && remote.dtmfPayloadType !== undefined) this.#sendEvent(press, remote, remote.dtmfPayloadType)
    else this.#sendAudio(remote)
  }

  #sendAudio(remote: RemoteRtp): void {
    const packet = this.#nextPacket()
    const frame = packet.subarray(RTP_HEADER_BYTES)
    const spoke = this.#fill(frame, remote.codec)
    this.#out.payloadType = remote.payloadType
    // RFC 3551 §4.1: the marker is on the first packet of a talk spurt.
    this.#out.marker = spoke && !this.#talking
    this.#talking = spoke
    this.#o.sending?.(frame, this.#frameNo, this.#o.clock.now())
    this.#frameNo++
    this.#send(packet, packet.length)
  }

  #nextPacket(): Buffer {
    this.#turn = (this.#turn + 1) % ROTATED
    return this.#packets[this.#turn]
  }

  /** Fills the frame with the next 20 ms of what is queued; false: silence. */
  #fill(frame: Uint8Array, law: Law): boolean {
    const clip = this.#clips[0]
    if (!clip) {
      frame.fill(SILENCE[law])
      return false
    }
    const piece = clip.audio.subarray(clip.at, clip.at + FRAME_SAMPLES)
    transcodeInto(frame, piece, 'pcmu', law)
    if (piece.length < FRAME_SAMPLES) frame.fill(SILENCE[law], piece.length)
    clip.at += FRAME_SAMPLES
    if (clip.at < clip.audio.length) return true
    if (clip.loop) clip.at = 0
    else {
      this.#clips.shift()
      clip.done()
    }
    return true
  }

  /**
   * One slot of a key press (RFC 4733 §2.5):  |M ts=t d=160|ts=t d=320| … |E E E ts=t|   pause: audio again
   */
  #sendEvent(press: Press, remote: RemoteRtp, payloadType: number): void {
    if (press.leftMs <= 0) {
      press.gapLeftMs -= FRAME_MS
      if (press.gapLeftMs <= 0) {
        this.#presses.shift()
        press.done()
      }
      this.#sendAudio(remote)
      return
    }
    const first = press.startTs < 0
    const now = this.#out.rtpTs
    if (first) press.startTs = now
    press.heldMs += FRAME_MS
    press.leftMs -= FRAME_MS
    const ends = press.leftMs <= 0
    this.#out.payloadType = payloadType
    this.#out.marker = first
    this.#out.rtpTs = press.startTs
    this.#talking = false
    for (let i = 0; i < (ends ? END_REPEATS : 1); i++) {
      if (i > 0) this.#out.seq = seqAdd(this.#out.seq, 1)
      const packet = this.#nextPacket()
      packet[RTP_HEADER_BYTES] = press.event
      packet[RTP_HEADER_BYTES + 1] = (ends ? 0x80 : 0) | VOLUME
      packet.writeUInt16BE(Math.min(0xffff, press.heldMs * SAMPLES_PER_MS), RTP_HEADER_BYTES + 2)
      this.#send(packet, RTP_HEADER_BYTES + EVENT_BYTES)
    }
    this.#out.rtpTs = now
  }

  #send(packet: Buffer, length: number): void {
    if (this.#paused) return
    const { payloadType, marker, seq, rtpTs, ssrc } = this.#out
    writeRtp(packet, payloadType, marker, seq, rtpTs, ssrc)
    this.#port.sendRtp(packet, length)
    this.#stats.sent++
  }

  #arrived(packet: Buffer): void {
    const nowMs = this.#o.clock.now()
    const header = this.#in
    const remote = this.#remote
    if (!remote || !readRtp(header, packet)) {
      this.#stats.strange++
      return
    }
    // Our own side announced the same numbers as the far end listens for: 0, 8 and 101 (sdp/negotiate.ts).
    const isEvent = header.payloadType === remote.dtmfPayloadType
    if (!isEvent && header.payloadType !== remote.payloadType) {
      this.#stats.strange++
      return
    }
    this.#countArrival(nowMs, isEvent)
    const payload = packet.subarray(header.payloadAt, header.payloadEnd)
    if (isEvent) {
      // A key is known by its timestamp: reported once, at the first packet seen.
      if (header.rtpTs !== this.#lastEventTs && payload.length >= 4 && payload[0] < DIGITS.length) {
        this.#lastEventTs = header.rtpTs
        this.#o.digit?.(DIGITS[payload[0]])
      }
      return
    }
    if (this.#firstArrivalMs < 0) this.#firstArrivalMs = nowMs
    this.#keep(payload)
    this.#o.arrived?.(payload, nowMs)
  }

  #countArrival(nowMs: number, isEvent: boolean): void {
    const { ssrc, seq, rtpTs } = this.#in
    if (ssrc !== this.#ssrc) {
      this.#ssrc = ssrc
      this.#firstTs = rtpTs
      this.#highestAhead = 0
      this.#stats.received = 0
      this.#lastArrivalMs = -1
    } else {
      const step = seqDiff(seq, this.#lastSeq)
      if (step > 0) this.#highestAhead += step
      if (step === 1 && !isEvent && this.#lastArrivalMs >= 0) {
        const deviationMs = Math.abs(nowMs - this.#lastArrivalMs - FRAME_MS)
        this.#o.interArrival?.record(deviationMs)
        if (deviationMs > LATE_MS) this.#stats.late++
      }
      if (step <= 0) {
        this.#stats.received++
        return
      }
    }
    this.#lastSeq = seq
    this.#lastArrivalMs = isEvent ? -1 : nowMs
    this.#stats.received++
  }

  #keep(payload: Uint8Array): void {
    const captureMs = this.#o.captureMs ?? 0
    if (captureMs === 0) return
    this.#capture ??= new Uint8Array(captureMs * SAMPLES_PER_MS).fill(SILENCE[this.#remote?.codec ?? 'pcmu'])
    const at = tsDiff(this.#in.rtpTs, this.#firstTs)
    if (at < 0 || at + payload.length > this.#capture.length) return
    this.#capture.set(payload, at)
    this.#capturedBytes = Math.max(this.#capturedBytes, at + payload.length)
  }
}
