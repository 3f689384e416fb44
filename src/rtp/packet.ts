/**
 * RTP packets (RFC 3550 §5.1). Reads into one reused header object and writes into a caller's buffer: nothing is
 * allocated per packet. No payload formats, no sockets.
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   |V=2|P|X|  CC   |M|     PT      |       sequence number         |
 *   |                           timestamp                           |
 *   |                             SSRC                              |
 *   |                 CSRC list (CC × 32 bits) …                    |
 *   |   X: profile word  |  length, 32-bit words  |  extension …    |
 *   |                  payload … | padding … | pad count (if P)     |
 */
export const RTP_HEADER_BYTES = 12

export class RtpHeader {
  payloadType = 0
  marker = false
  seq = 0
  /** As they stand in the packet, signed: V8 passes those on as they are, and puts numbers from 2^31 on into an object. */
  ts32 = 0
  ssrc32 = 0
  /** The payload is `data[payloadAt, payloadEnd)`. */
  payloadAt = 0
  payloadEnd = 0

  get rtpTs(): number {
    return this.ts32 >>> 0
  }
  set rtpTs(rtpTs: number) {
    this.ts32 = rtpTs | 0
  }
  get ssrc(): number {
    return this.ssrc32 >>> 0
  }
  set ssrc(ssrc: number) {
    this.ssrc32 = ssrc | 0
  }
}

/**
 * Fills `header` from the datagram.
 * @returns false when it is no RTP packet: too short, another version, or a length that lies. `header` is then undefined
 */
export function readRtp(header: RtpHeader, data: Uint8Array, length = data.length): boolean {
  if (length < RTP_HEADER_BYTES || data[0] >> 6 !== 2) return false
  let at = RTP_HEADER_BYTES + (data[0] & 0x0f) * 4
  if (data[0] & 0x10) {
    if (at + 4 > length) return false
    at += 4 + ((data[at + 2] << 8) | data[at + 3]) * 4
  }
  let end = length
  if (data[0] & 0x20) {
    const padding = data[length - 1]
    // RFC 3550 §5.1: the count includes itself, so 0 is a lie.
    if (padding === 0) return false
    end -= padding
  }
  if (at > end) return false
  header.marker = data[1] >> 7 === 1
  header.payloadType = data[1] & 0x7f
  header.seq = (data[2] << 8) | data[3]
  header.ts32 = (data[4] << 24) | (data[5] << 16) | (data[6] << 8) | data[7]
  header.ssrc32 = (data[8] << 24) | (data[9] << 16) | (data[10] << 8) | data[11]
  header.payloadAt = at
  header.payloadEnd = end
  return true
}

/** Writes the 12 bytes at the start of `dst`: no CSRC, extension or padding. */
export function writeRtp(
  dst: Uint8Array,
  payloadType: number,
  marker: boolean,
  seq: number,
  rtpTs: number,
  ssrc: number,
): void {
  dst[0] = 0x80
  dst[1] = (marker ? 0x80 : 0) | payloadType
  dst[2] = seq >> 8
  dst[3] = seq
  dst[4] = rtpTs >>> 24
  dst[5] = rtpTs >>> 16
  dst[6] = rtpTs >>> 8
  dst[7] = rtpTs
  dst[8] = ssrc >>> 24
  dst[9] = ssrc >>> 16
  dst[10] = ssrc >>> 8
  dst[11] = ssrc
}

/** RFC 5761 §4: with RTP and RTCP on one port, second bytes 192-223 are RTCP packet types. */
export const looksLikeRtcp = (data: Uint8Array): boolean => data.length >= 4 && data[1] >= 192 && data[1] <= 223
