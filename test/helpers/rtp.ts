import { RtpHeader, readRtp, writeRtp } from '../../src/rtp/packet.ts'
import { seqAdd, tsAdd } from '../../src/lib/seq16.ts'

/** mulberry32: a small seeded generator, so that a "random" network is the same in every run. */
export function seeded(seed: number): () => number {
  let a = seed
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

export function rtpPacket(
  payloadType: number,
  seq: number,
  rtpTs: number,
  ssrc: number,
  payload: Uint8Array,
  marker = false,
): Buffer {
  const packet = Buffer.alloc(12 + payload.length)
  writeRtp(packet, payloadType, marker, seq, rtpTs, ssrc)
  packet.set(payload, 12)
  return packet
}

/** A far end's sender: audio and events on one sequence and timestamp line. */
export class RtpStream {
  seq: number
  rtpTs: number
  ssrc: number
  payloadType: number

  constructor(options: { seq?: number; rtpTs?: number; ssrc?: number; payloadType?: number } = {}) {
    this.seq = options.seq ?? 1000
    this.rtpTs = options.rtpTs ?? 50_000
    this.ssrc = options.ssrc ?? 0x1234_5678
    this.payloadType = options.payloadType ?? 0
  }

  audio(payload: Uint8Array): Buffer {
    const packet = rtpPacket(this.payloadType, this.seq, this.rtpTs, this.ssrc, payload)
    this.seq = seqAdd(this.seq, 1)
    this.rtpTs = tsAdd(this.rtpTs, payload.length)
    return packet
  }

  /** Time passes without a packet (DTX). */
  pause(samples: number): void {
    this.rtpTs = tsAdd(this.rtpTs, samples)
  }

  event(event: number, duration: number, end: boolean, payloadType = 101, marker = false): Buffer {
    const packet = rtpPacket(
      payloadType,
      this.seq,
      this.rtpTs,
      this.ssrc,
      Uint8Array.of(event, (end ? 0x80 : 0) | 10, duration >> 8, duration & 0xff),
      marker,
    )
    this.seq = seqAdd(this.seq, 1)
    return packet
  }
}

export interface ParsedRtp {
  payloadType: number
  marker: boolean
  seq: number
  rtpTs: number
  ssrc: number
  payload: Buffer
}

export function parseRtp(data: Buffer): ParsedRtp {
  const h = new RtpHeader()
  if (!readRtp(h, data)) throw new Error('not RTP')
  return {
    payloadType: h.payloadType,
    marker: h.marker,
    seq: h.seq,
    rtpTs: h.rtpTs,
    ssrc: h.ssrc,
    payload: data.subarray(h.payloadAt, h.payloadEnd),
  }
}

/** Speech-like noise: voiced bursts with pauses between, so that silence, pitch and change all occur. */
export function speechLike(durationMs: number, seed = 1): Int16Array {
  const random = seeded(seed)
  const pcm = new Int16Array(durationMs * 8)
  let at = 0
  while (at < pcm.length) {
    const spoken = 1600 + Math.floor(random() * 3200)
    const pitch = 90 + random() * 120
    const formant = 500 + random() * 1500
    for (let i = 0; i < spoken && at < pcm.length; i++, at++) {
      const t = i / 8000
      const envelope = Math.sin((Math.PI * i) / spoken)
      const wobble = 1 + 0.1 * Math.sin(2 * Math.PI * 5 * t)
      pcm[at] =
        envelope *
        (5000 * Math.sin(2 * Math.PI * pitch * wobble * t) +
          3000 * Math.sin(2 * Math.PI * formant * t) +
          1200 * (random() - 0.5))
    }
    at += 800 + Math.floor(random() * 1600)
  }
  return pcm
}
