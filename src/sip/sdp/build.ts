/** SDP writer: strict order and CRLF of RFC 8866 §5, only the lines that a G.711 call needs. */
import type { Direction, SdpMedia } from './parse.ts'

/** One end's view of itself over the life of a session: o= stays, its version rises only when something changed. */
export interface SdpIdentity {
  /** Numeric, unique per session. */
  sessionId: string
  version: number
  /** What was sent last, without the o= line. */
  sent: string
}

export interface AudioLine {
  host: string
  port: number
  /** In order of preference. */
  codecs: { payloadType: number; name: 'PCMU' | 'PCMA' }[]
  dtmfPayloadType: number | undefined
  ptimeMs: number
  direction: Direction
}

/** One m= section: ours, or somebody else's that we refuse. */
export type MediaSection = { audio: AudioLine } | { refuse: SdpMedia }

export const newIdentity = (sessionId: string): SdpIdentity => ({ sessionId, version: 0, sent: '' })

// RFC 3264 §8: the version of o= goes up by one with every change, and only then. Carriers compare (freeswitch#1638).
export function buildSdp(identity: SdpIdentity, host: string, sections: MediaSection[]): string {
  const type = host.includes(':') ? 'IP6' : 'IP4'
  const rest = `s=-\r\nc=IN ${type} ${host}\r\nt=0 0\r\n` + sections.map(section).join('')
  const key = `${host}\n${rest}`
  if (key !== identity.sent) {
    identity.version++
    identity.sent = key
  }
  return `v=0\r\no=- ${identity.sessionId} ${identity.version} IN ${type} ${host}\r\n${rest}`
}

function section(s: MediaSection): string {
  if ('refuse' in s) {
    // RFC 3264 §6: refused by port 0, with a format of the offer so that the line stays well-formed.
    return `m=${token(s.refuse.type)} 0 ${token(s.refuse.protocol)} ${token(s.refuse.formats[0] ?? '0')}\r\n`
  }
  const a = s.audio
  const formats = [
    ...a.codecs.map((c) => c.payloadType),
    ...(a.dtmfPayloadType === undefined ? [] : [a.dtmfPayloadType]),
  ]
  const lines = [
    `m=audio ${a.port} RTP/AVP ${formats.join(' ')}`,
    ...a.codecs.map((c) => `a=rtpmap:${c.payloadType} ${c.name}/8000`),
    ...(a.dtmfPayloadType === undefined
      ? []
      : [`a=rtpmap:${a.dtmfPayloadType} telephone-event/8000`, `a=fmtp:${a.dtmfPayloadType} 0-15`]),
    `a=ptime:${a.ptimeMs}`,
    // More than 60 upsets carriers (FreePBX#294).
    'a=maxptime:60',
    `a=${a.direction}`,
  ]
  return lines.join('\r\n') + '\r\n'
}

// What we echo of the peer's m= line must stay a token: nothing of it may start a line of its own.
const token = (text: string): string => text.replace(/[^\x21-\x7e]/g, '').slice(0, 64) || '0'
