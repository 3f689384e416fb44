/**
 * RTCP of one leg (RFC 3550 §6): a report each 5 s with a random start, BYE at the end, and what the far end reports of
 * us. For quality figures and as a sign of life; never moves media.
 */
import { randomInt } from 'node:crypto'
import { hexToken } from '../lib/ids.ts'
import type { Clock } from '../lib/clock.ts'
import { SAMPLES_PER_MS } from '../audio/flow.ts'
import { readRtcp, RtcpReport, rttMs, writeRtcp, type ReceptionReport } from '../rtp/rtcp.ts'
import type { RtpTransport } from '../rtp/socket.ts'
import type { Receiver } from './receiver.ts'
import type { Sender } from './sender.ts'

const INTERVAL_S = 5
const MAX_RTCP_PER_SECOND = 20

export class Control {
  readonly #socket: RtpTransport
  readonly #clock: Clock
  readonly #sender: Sender
  readonly #receiver: Receiver
  readonly #packet = Buffer.alloc(256)
  readonly #report = new RtcpReport()
  readonly #cname = hexToken()
  #secondsLeft = randomInt(1, INTERVAL_S + 1)
  #budget = MAX_RTCP_PER_SECOND
  #sentBefore = 0
  #expectedBefore = 0
  #receivedBefore = 0
  #lastSr = 0
  #lastSrAtMs = 0
  rttMs: number | undefined
  remoteLossRatio: number | undefined

  constructor(socket: RtpTransport, clock: Clock, sender: Sender, receiver: Receiver) {
    this.#socket = socket
    this.#clock = clock
    this.#sender = sender
    this.#receiver = receiver
  }

  /** Once a second. */
  second(): void {
    this.#budget = MAX_RTCP_PER_SECOND
    if (--this.#secondsLeft > 0) return
    this.#secondsLeft = INTERVAL_S
    this.send(false)
  }

  send(bye: boolean): void {
    const { packets, payloadBytes, ssrc, rtpTs } = this.#sender
    const wallMs = this.#clock.wallMs()
    // RFC 3550 §6.4: SR only from who has sent since the last report.
    const sender = packets > this.#sentBefore ? { wallMs, rtpTs, packets, payloadBytes } : undefined
    this.#sentBefore = packets
    this.#socket.sendRtcp(this.#packet, writeRtcp(this.#packet, ssrc, this.#cname, sender, this.#reception(), bye))
  }

  /** @returns whether it was RTCP from the far end: a sign of life */
  receive(data: Buffer, address: string): boolean {
    if (!this.#receiver.latch.isFrom(address)) {
      this.#receiver.stats.strangers++
      return false
    }
    if (this.#budget-- <= 0) {
      this.#receiver.stats.overRate++
      return false
    }
    const report = this.#report
    if (!readRtcp(report, data, this.#sender.ssrc)) {
      this.#receiver.stats.malformed++
      return false
    }
    if (report.srMiddle !== 0) {
      this.#lastSr = report.srMiddle
      this.#lastSrAtMs = this.#clock.now()
    }
    if (report.aboutUs) {
      this.remoteLossRatio = report.fractionLost / 256
      this.rttMs = rttMs(report, this.#clock.wallMs()) ?? this.rttMs
    }
    return true
  }

  #reception(): ReceptionReport | undefined {
    const { buffer } = this.#receiver
    if (!buffer.started) return undefined
    const { expected } = buffer
    const received = buffer.stats.received + buffer.quietPackets
    const expectedNow = expected - this.#expectedBefore
    const lostNow = expectedNow - (received - this.#receivedBefore)
    this.#expectedBefore = expected
    this.#receivedBefore = received
    return {
      ssrc: buffer.ssrc,
      fractionLost: expectedNow > 0 && lostNow > 0 ? Math.min(255, Math.floor((lostNow * 256) / expectedNow)) : 0,
      cumulativeLost: expected - received,
      extendedSeq: buffer.extendedSeq,
      jitter: buffer.jitterMs * SAMPLES_PER_MS,
      lastSr: this.#lastSr,
      sinceLastSr: this.#lastSr
        ? Math.min(0xffff_ffff, Math.round(((this.#clock.now() - this.#lastSrAtMs) * 65_536) / 1000))
        : 0,
    }
  }
}
