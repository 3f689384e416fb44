/**
 * RTCP (RFC 3550 §6): sender and receiver reports, SDES CNAME and BYE, in compound packets. One stream each way, so one
 * report block. Feeds quality figures and counts as a sign of life; it never decides where media goes.
 *
 *   |V=2|P|   RC    |      PT       |   length (32-bit words − 1)   |
 *   |                      SSRC of sender                           |
 *   | SR only: NTP seconds | NTP fraction | RTP ts | packets | bytes |
 *   | block: SSRC | lost fraction, cumulative | ext. seq | jitter | LSR | DLSR |
 */
export const RTCP = { sr: 200, rr: 201, sdes: 202, bye: 203, app: 204 } as const

const NTP_EPOCH_S = 2_208_988_800
const BLOCK_BYTES = 24

/** What we tell about the stream that we receive. */
export interface ReceptionReport {
  ssrc: number
  /** 0 to 255: lost since the last report, of 256. */
  fractionLost: number
  cumulativeLost: number
  extendedSeq: number
  /** RTP ticks. */
  jitter: number
  /** Middle 32 bits of the NTP time of the last SR received, 0 when none, and the time since, 1/65536 s. */
  lastSr: number
  sinceLastSr: number
}

export interface SenderInfo {
  wallMs: number
  rtpTs: number
  packets: number
  payloadBytes: number
}

/** The middle 32 bits of the NTP timestamp of a wall-clock time. */
export function ntpMiddle(wallMs: number): number {
  const seconds = Math.floor(wallMs / 1000) + NTP_EPOCH_S
  const fraction = Math.floor(((wallMs % 1000) / 1000) * 65_536)
  return ((seconds % 65_536) * 65_536 + fraction) >>> 0
}

/**
 * Writes SR (when `sender` is given) or RR, then SDES with the CNAME, then BYE if asked: RFC 3550 §6.1, a compound packet
 * begins with a report and always holds the CNAME.
 * @returns the length
 */
export function writeRtcp(
  dst: Buffer,
  ssrc: number,
  cname: string,
  sender: SenderInfo | undefined,
  report: ReceptionReport | undefined,
  bye = false,
): number {
  let at = 8
  if (sender) {
    dst.writeUInt32BE(Math.floor(sender.wallMs / 1000) + NTP_EPOCH_S, 8)
    dst.writeUInt32BE(Math.floor(((sender.wallMs % 1000) / 1000) * 2 ** 32) >>> 0, 12)
    dst.writeUInt32BE(sender.rtpTs >>> 0, 16)
    dst.writeUInt32BE(sender.packets >>> 0, 20)
    dst.writeUInt32BE(sender.payloadBytes >>> 0, 24)
    at = 28
  }
  if (report) {
    dst.writeUInt32BE(report.ssrc, at)
    dst[at + 4] = report.fractionLost
    const lost = Math.max(-0x80_0000, Math.min(0x7f_ffff, report.cumulativeLost))
    dst.writeUIntBE(lost & 0xff_ffff, at + 5, 3)
    dst.writeUInt32BE(report.extendedSeq >>> 0, at + 8)
    dst.writeUInt32BE(Math.round(report.jitter) >>> 0, at + 12)
    dst.writeUInt32BE(report.lastSr >>> 0, at + 16)
    dst.writeUInt32BE(report.sinceLastSr >>> 0, at + 20)
    at += BLOCK_BYTES
  }
  header(dst, 0, report ? 1 : 0, sender ? RTCP.sr : RTCP.rr, at)
  dst.writeUInt32BE(ssrc, 4)
  at = writeSdes(dst, at, ssrc, cname)
  if (bye) {
    header(dst, at, 1, RTCP.bye, at + 8)
    dst.writeUInt32BE(ssrc, at + 4)
    at += 8
  }
  return at
}

function header(dst: Buffer, at: number, count: number, type: number, end: number): void {
  dst[at] = 0x80 | count
  dst[at + 1] = type
  dst.writeUInt16BE((end - at) / 4 - 1, at + 2)
}

function writeSdes(dst: Buffer, at: number, ssrc: number, cname: string): number {
  dst.writeUInt32BE(ssrc, at + 4)
  dst[at + 8] = 1
  const n = dst.write(cname, at + 10, 64, 'latin1')
  dst[at + 9] = n
  let end = at + 10 + n
  // The item list ends with at least one zero, padded to a word.
  do dst[end++] = 0
  while (end % 4 !== 0)
  header(dst, at, 1, RTCP.sdes, end)
  return end
}

/** What one incoming compound packet said; reused by its reader. */
export class RtcpReport {
  /** 0: no SR in it. */
  srMiddle = 0
  bye = false
  /** A report block about `ourSsrc` was there. */
  aboutUs = false
  fractionLost = 0
  cumulativeLost = 0
  jitter = 0
  lastSr = 0
  sinceLastSr = 0
}

/**
 * Reads a compound packet into `report`. A packet of 4 bytes (an empty RR) is fine.
 * @returns false when it is not RTCP or a length lies; what came before the lie has been read
 */
export function readRtcp(report: RtcpReport, data: Buffer, ourSsrc: number): boolean {
  report.srMiddle = 0
  report.bye = report.aboutUs = false
  if (data.length < 4) return false
  let at = 0
  while (at + 4 <= data.length) {
    const type = data[at + 1]
    const end = at + (data.readUInt16BE(at + 2) + 1) * 4
    if (data[at] >> 6 !== 2 || type < 192 || type > 223 || end > data.length) return false
    const count = data[at] & 0x1f
    if (type === RTCP.sr && end - at >= 28) {
      report.srMiddle = data.readUInt32BE(at + 10)
      readBlocks(report, data, at + 28, count, end, ourSsrc)
    } else if (type === RTCP.rr && end - at >= 8) readBlocks(report, data, at + 8, count, end, ourSsrc)
    else if (type === RTCP.bye) report.bye = true
    at = end
  }
  return true
}

function readBlocks(report: RtcpReport, data: Buffer, from: number, count: number, end: number, ourSsrc: number): void {
  for (let i = 0, at = from; i < count && at + BLOCK_BYTES <= end; i++, at += BLOCK_BYTES) {
    if (data.readUInt32BE(at) !== ourSsrc) continue
    report.aboutUs = true
    report.fractionLost = data[at + 4]
    report.cumulativeLost = data.readIntBE(at + 5, 3)
    report.jitter = data.readUInt32BE(at + 12)
    report.lastSr = data.readUInt32BE(at + 16)
    report.sinceLastSr = data.readUInt32BE(at + 20)
  }
}

/** RFC 3550 §6.4.1: round trip in ms from a report block; undefined when it holds none or the clocks disagree. */
export function rttMs(report: RtcpReport, wallMs: number): number | undefined {
  if (!report.aboutUs || report.lastSr === 0) return undefined
  const units = (ntpMiddle(wallMs) - report.lastSr - report.sinceLastSr) | 0
  return units >= 0 && units < 65_536 * 30 ? (units * 1000) / 65_536 : undefined
}
