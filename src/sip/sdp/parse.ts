/**
 * SDP reader for audio calls (RFC 8866), tolerant of what carriers send: any line ending, no final newline, static
 * payload types without rtpmap, names in any case, session-level connection and direction. Typed output, never throws.
 * Not a general SDP library: unknown lines are skipped, order of lines is not checked.
 */

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive'

export interface RtpMap {
  /** Upper case. */
  name: string
  clockRate: number
}

export interface SdpMedia {
  /** Lower case: audio, video, image … */
  type: string
  /** 0 = refused or switched off. */
  port: number
  /** Upper case: RTP/AVP, RTP/SAVP, UDP/TLS/RTP/SAVPF … */
  protocol: string
  /** As written, in order of preference. */
  formats: string[]
  /** From its own c= line, else the session's. */
  host: string | undefined
  addressType: 'IP4' | 'IP6'
  /** By payload type; static types of ours are filled in where no rtpmap came. */
  rtpmap: Map<number, RtpMap>
  fmtp: Map<number, string>
  ptimeMs: number | undefined
  maxptimeMs: number | undefined
  direction: Direction
  rtcpPort: number | undefined
  rtcpMux: boolean
}

export interface SdpSession {
  /** From o=: who describes, and which version. */
  sessionId: string
  version: string
  media: SdpMedia[]
}

// A trunk's SDP has 15 to 40 lines; what is past these bounds is somebody's joke and is not read.
const MAX_LINES = 400
const MAX_MEDIA = 16
const MAX_FORMATS = 64

const DIRECTIONS = new Set(['sendrecv', 'sendonly', 'recvonly', 'inactive'])

// RFC 3551 §6: the static types that a G.711 endpoint may meet without rtpmap.
const STATIC: Record<number, RtpMap> = {
  0: { name: 'PCMU', clockRate: 8000 },
  3: { name: 'GSM', clockRate: 8000 },
  4: { name: 'G723', clockRate: 8000 },
  8: { name: 'PCMA', clockRate: 8000 },
  9: { name: 'G722', clockRate: 8000 },
  13: { name: 'CN', clockRate: 8000 },
  18: { name: 'G729', clockRate: 8000 },
}

/** Returns undefined when the text has no m= line at all: then it is no session description. */
export function parseSdp(text: string): SdpSession | undefined {
  const session: SdpSession = { sessionId: '', version: '', media: [] }
  let host: string | undefined
  let addressType: 'IP4' | 'IP6' = 'IP4'
  let direction: Direction = 'sendrecv'
  let current: SdpMedia | undefined
  let skipping = false

  const lines = text.split(/\r\n|\n|\r/, MAX_LINES)
  for (const raw of lines) {
    const line = raw.trim()
    if (line[1] !== '=') continue
    const kind = line[0].toLowerCase()
    const value = line.slice(2).trim()
    if (kind === 'm') {
      current = session.media.length < MAX_MEDIA ? parseMediaLine(value, host, addressType, direction) : undefined
      skipping = !current
      if (current) session.media.push(current)
    } else if (skipping) {
      continue
    } else if (kind === 'o') {
      const fields = value.split(/\s+/)
      session.sessionId = fields[1] ?? ''
      session.version = fields[2] ?? ''
    } else if (kind === 'c') {
      const c = parseConnection(value)
      if (!c) continue
      if (current) {
        current.host = c.host
        current.addressType = c.addressType
      } else {
        host = c.host
        addressType = c.addressType
      }
    } else if (kind === 'a') {
      const colon = value.indexOf(':')
      const name = (colon < 0 ? value : value.slice(0, colon)).trim().toLowerCase()
      const argument = colon < 0 ? '' : value.slice(colon + 1).trim()
      if (DIRECTIONS.has(name)) {
        if (current) current.direction = name as Direction
        else direction = name as Direction
      } else if (current) applyAttribute(current, name, argument)
    }
  }
  for (const m of session.media)
    for (const format of m.formats) {
      const pt = payloadTypeOf(format)
      if (pt !== undefined && STATIC[pt] && !m.rtpmap.has(pt)) m.rtpmap.set(pt, STATIC[pt])
    }
  return session.media.length ? session : undefined
}

export function payloadTypeOf(format: string): number | undefined {
  if (!/^\d{1,3}$/.test(format)) return undefined
  const pt = Number(format)
  return pt <= 127 ? pt : undefined
}

/** RFC 3264 §8.4 and RFC 2543: an address of zeroes asks us not to send. */
export const isNullAddress = (host: string): boolean =>
  host === '0.0.0.0' || host === '::' || host === '0:0:0:0:0:0:0:0'

// m=audio 49170/2 RTP/AVP 0 8 101
function parseMediaLine(
  value: string,
  host: string | undefined,
  addressType: 'IP4' | 'IP6',
  direction: Direction,
): SdpMedia | undefined {
  const [type, portText, protocol, ...formats] = value.split(/\s+/)
  const port = Number(/^\d{1,5}/.exec(portText ?? '')?.[0])
  if (!type || !protocol || !(port <= 65535)) return undefined
  return {
    type: type.toLowerCase(),
    port,
    protocol: protocol.toUpperCase(),
    formats: formats.slice(0, MAX_FORMATS),
    host,
    addressType,
    rtpmap: new Map(),
    fmtp: new Map(),
    ptimeMs: undefined,
    maxptimeMs: undefined,
    direction,
    rtcpPort: undefined,
    rtcpMux: false,
  }
}

// c=IN IP4 203.0.113.7 (a multicast TTL after a slash is dropped)
function parseConnection(value: string): { host: string; addressType: 'IP4' | 'IP6' } | undefined {
  const [, type, address] = value.split(/\s+/)
  const host = address?.split('/')[0]
  if (!host || host.length > 255) return undefined
  return { host, addressType: type?.toUpperCase() === 'IP6' || host.includes(':') ? 'IP6' : 'IP4' }
}

function applyAttribute(media: SdpMedia, name: string, argument: string): void {
  switch (name) {
    case 'rtpmap': {
      // "8 PCMA/8000/1"; the blank after the number is what tells the two apart, more blanks are forgiven.
      const m = /^(\d{1,3})\s+([^\s/]+)\s*(?:\/\s*(\d+))?/.exec(argument)
      if (m && Number(m[1]) <= 127) {
        media.rtpmap.set(Number(m[1]), { name: m[2].toUpperCase(), clockRate: m[3] ? Number(m[3]) : 8000 })
      }
      return
    }
    case 'fmtp': {
      const m = /^(\d{1,3})\s+(.*)$/.exec(argument)
      if (m) media.fmtp.set(Number(m[1]), m[2])
      return
    }
    case 'ptime':
      media.ptimeMs = milliseconds(argument) ?? media.ptimeMs
      return
    case 'maxptime':
      media.maxptimeMs = milliseconds(argument) ?? media.maxptimeMs
      return
    case 'rtcp': {
      // RFC 3605: "53020" or "53020 IN IP4 126.16.64.4"; another host for RTCP is not followed.
      const port = Number(/^\d{1,5}/.exec(argument)?.[0])
      if (port > 0 && port <= 65535) media.rtcpPort = port
      return
    }
    case 'rtcp-mux':
      media.rtcpMux = true
      return
    default:
  }
}

function milliseconds(text: string): number | undefined {
  const n = Number(/^\d{1,4}(\.\d+)?/.exec(text)?.[0])
  return n > 0 ? n : undefined
}
