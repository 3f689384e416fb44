import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import type { RemoteMedia } from '../../src/calls/ports.ts'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { every, systemClock, type Timer } from '../../src/lib/clock.ts'
import { RTP_HEADER_BYTES, RtpHeader, readRtp, writeRtp } from '../../src/rtp/packet.ts'

export interface Received {
  atMs: number
  payloadType: number
  marker: boolean
  seq: number
  rtpTs: number
  payload: Buffer
}

/** The far end of a leg: a real UDP socket that talks RTP, 20 ms at a time. */
export class Phone {
  readonly #socket: Socket
  readonly packets: Received[] = []
  #seq = 100
  #rtpTs = 5000
  #pace: Timer | undefined
  #waiting: { check: () => boolean; resolve: () => void }[] = []

  private constructor(socket: Socket) {
    this.#socket = socket
    const header = new RtpHeader()
    socket.on('message', (data: Buffer) => {
      if (!readRtp(header, data)) return
      const { payloadType, marker, seq, rtpTs } = header
      this.packets.push({
        atMs: systemClock.now(),
        payloadType,
        marker,
        seq,
        rtpTs,
        payload: Buffer.from(data.subarray(header.payloadAt, header.payloadEnd)),
      })
      const waiting = this.#waiting
      this.#waiting = []
      for (const w of waiting)
        if (w.check()) w.resolve()
        else this.#waiting.push(w)
    })
  }

  static async open(): Promise<Phone> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    return new Phone(socket)
  }

  remote(more: Partial<RemoteMedia> = {}): RemoteMedia {
    const port = this.#socket.address().port
    return {
      host: '127.0.0.1', port, rtcpPort: port + 1, codec: 'pcmu', payloadType: 0, dtmfPayloadType: 101, ptimeMs: 20, direction: 'sendrecv',
      source: 'strict', timeoutBeforeMs: 30_000, timeoutAfterMs: 15_000, dtmfMode: 'rfc4733', ...more,
    } // prettier-ignore
  }

  /** Sends `audio` to `port` in real time, a frame each 20 ms, then `fill` frames until stopped. */
  talk(port: number, audio: Uint8Array, payloadType = 0, fill = 0xff): void {
    let at = 0
    const frame = Buffer.alloc(RTP_HEADER_BYTES + FRAME_SAMPLES)
    const send = (): void => {
      const part = audio.subarray(at, (at += FRAME_SAMPLES))
      writeRtp(
        frame,
        payloadType,
        at === FRAME_SAMPLES,
        (this.#seq = (this.#seq + 1) & 0xffff),
        (this.#rtpTs += FRAME_SAMPLES),
        77,
      )
      frame.fill(fill, RTP_HEADER_BYTES)
      frame.set(part, RTP_HEADER_BYTES)
      this.#socket.send(Buffer.from(frame), port, '127.0.0.1')
    }
    const startMs = systemClock.now()
    let sent = 0
    this.#pace = every(systemClock, 5, () => {
      while (sent * 20 <= systemClock.now() - startMs) {
        send()
        sent++
      }
    })
  }

  /** One telephone-event: start, and its end three times (RFC 4733 §2.5.1). */
  press(port: number, digit: number): void {
    const ts = this.#rtpTs
    const send = (durationTs: number, end: boolean, marker: boolean): void => {
      const packet = Buffer.alloc(RTP_HEADER_BYTES + 4)
      writeRtp(packet, 101, marker, (this.#seq = (this.#seq + 1) & 0xffff), ts, 77)
      packet[RTP_HEADER_BYTES] = digit
      packet[RTP_HEADER_BYTES + 1] = (end ? 0x80 : 0) | 10
      packet.writeUInt16BE(durationTs, RTP_HEADER_BYTES + 2)
      this.#socket.send(packet, port, '127.0.0.1')
    }
    send(160, false, true)
    for (let i = 0; i < 3; i++) send(800, true, false)
  }

  /** What was heard, without packets that are nothing but `silence`. */
  heard(silence = 0xff): Buffer {
    return Buffer.concat(
      this.packets.filter((p) => p.payloadType !== 101 && p.payload.some((b) => b !== silence)).map((p) => p.payload),
    )
  }

  until(check: () => boolean): Promise<void> {
    if (check()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ check, resolve }))
  }

  async close(): Promise<void> {
    this.#pace?.cancel()
    this.#socket.close()
    await once(this.#socket, 'close')
  }
}

/** Bytes that are never silence, no two frames alike. */
export const speech = (frames: number, seed = 1): Uint8Array =>
  Uint8Array.from(
    { length: frames * FRAME_SAMPLES },
    (_, i) => 1 + ((i * 7 + Math.floor(i / FRAME_SAMPLES) * 13 + seed * 101) % 120),
  )
