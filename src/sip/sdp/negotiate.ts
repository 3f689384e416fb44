/**
 * Offer/answer for one G.711 stream (RFC 3264, RFC 6337): what we offer, how we answer, what both sides agreed on.
 * Pure: dialog/offer-answer.ts keeps the state, this decides one exchange. No SRTP: a SAVP-only offer gets no answer.
 */
import { buildSdp, type MediaSection, type SdpIdentity } from './build.ts'
import { isNullAddress, parseSdp, payloadTypeOf, type Direction, type SdpMedia } from './parse.ts'

/** Where we receive: goes into our c= and m= lines. RTCP is port + 1. */
export interface MediaEndpoint {
  host: string
  port: number
}

export type Codec = 'pcmu' | 'pcma'

export interface MediaPreferences {
  /** In order of preference; as answerer the offerer's order wins. */
  codecs: Codec[]
  ptimeMs: number
  /** Offer and accept telephone-event/8000 (RFC 4733). */
  dtmf: boolean
}

export const DEFAULT_PREFERENCES: MediaPreferences = { codecs: ['pcmu', 'pcma'], ptimeMs: 20, dtmf: true }

/** Where and how the far end wants its media. */
export interface NegotiatedMedia {
  host: string
  port: number
  rtcpPort: number
  codec: Codec
  /** Payload type of `codec` that the far end listens for. */
  payloadType: number
  /** The far end's telephone-event payload type; absent when it has none. */
  dtmfPayloadType?: number
  /** Packet time that the far end asks for: a multiple of 10, 10 to 60. */
  ptimeMs: number
  /** As seen from us, after both sides' wishes. */
  direction: Direction
}

const PAYLOAD_TYPE = { pcmu: 0, pcma: 8 } as const
const NAME = { pcmu: 'PCMU', pcma: 'PCMA' } as const
// sipp's captures and half of the carriers have it fixed at 101.
const OUR_DTMF = 101

export function makeOffer(
  identity: SdpIdentity,
  local: MediaEndpoint,
  prefs: MediaPreferences,
  direction: Direction = 'sendrecv',
  previous?: SdpMedia[],
): string {
  const ours: MediaSection = {
    audio: {
      ...local,
      codecs: prefs.codecs.map((c) => ({ payloadType: PAYLOAD_TYPE[c], name: NAME[c] })),
      dtmfPayloadType: prefs.dtmf ? OUR_DTMF : undefined,
      ptimeMs: prefs.ptimeMs,
      direction,
    },
  }
  // RFC 3264 §8: m= lines of a session never go away or change places; those that we refused stay refused.
  const audioAt = previous ? Math.max(0, previous.findIndex(usableAudio)) : 0
  const sections = previous?.map((m, i): MediaSection => (i === audioAt ? ours : { refuse: m })) ?? [ours]
  return buildSdp(identity, local.host, sections)
}

export interface Answered {
  sdp: string
  media: NegotiatedMedia
  /** The offer's own wish, for telling hold from normal. */
  peerDirection: Direction
  /** Its m= lines, to keep count and order in later offers of ours. */
  lines: SdpMedia[]
}

/** Answers an offer. Undefined: nothing in it is for us (no audio, no codec of ours, SRTP only) and 488 is due. */
export function answerOffer(
  identity: SdpIdentity,
  offer: string,
  local: MediaEndpoint,
  prefs: MediaPreferences,
  wish: Direction = 'sendrecv',
): Answered | undefined {
  const session = parseSdp(offer)
  if (!session) return undefined
  const audioAt = session.media.findIndex((m) => usableAudio(m) && chooseCodec(m, prefs.codecs) !== undefined)
  if (audioAt < 0) return undefined
  const audio = session.media[audioAt]
  const media = negotiated(audio, prefs, wish)
  if (!media) return undefined
  const sections = session.media.map((m, i): MediaSection => {
    if (i !== audioAt) return { refuse: m }
    return {
      audio: {
        ...local,
        codecs: [{ payloadType: media.payloadType, name: NAME[media.codec] }],
        // RFC 3264 §6.1: the offer's number is kept, so that both directions agree.
        dtmfPayloadType: prefs.dtmf ? media.dtmfPayloadType : undefined,
        ptimeMs: media.ptimeMs,
        direction: media.direction,
      },
    }
  })
  return {
    sdp: buildSdp(identity, local.host, sections),
    media,
    peerDirection: peerDirectionOf(audio),
    lines: session.media,
  }
}

/** Reads the answer to an offer of ours. Undefined: the peer took nothing of it. */
export function applyAnswer(
  answer: string,
  prefs: MediaPreferences,
  wish: Direction = 'sendrecv',
): { media: NegotiatedMedia; peerDirection: Direction; lines: SdpMedia[] } | undefined {
  const session = parseSdp(answer)
  const audio = session?.media.find(usableAudio)
  if (!session || !audio) return undefined
  const media = negotiated(audio, prefs, wish)
  return media && { media, peerDirection: peerDirectionOf(audio), lines: session.media }
}

/** The law that an offer would be answered with: for deciding before there is a port. */
export function codecOfOffer(offer: string, codecs: Codec[]): Codec | undefined {
  for (const m of parseSdp(offer)?.media ?? []) {
    const choice = usableAudio(m) ? chooseCodec(m, codecs) : undefined
    if (choice) return choice.codec
  }
  return undefined
}

// Plain RTP only. AVPF is answered as AVP: feedback messages are optional for audio (RFC 4585 §3.1).
const usableAudio = (m: SdpMedia): boolean =>
  m.type === 'audio' && m.port > 0 && m.host !== undefined && (m.protocol === 'RTP/AVP' || m.protocol === 'RTP/AVPF')

function chooseCodec(m: SdpMedia, codecs: Codec[]): { codec: Codec; payloadType: number } | undefined {
  for (const format of m.formats) {
    const pt = payloadTypeOf(format)
    const map = pt === undefined ? undefined : m.rtpmap.get(pt)
    if (pt === undefined || !map || map.clockRate !== 8000) continue
    const codec = codecs.find((c) => NAME[c] === map.name)
    if (codec) return { codec, payloadType: pt }
  }
  return undefined
}

function negotiated(m: SdpMedia, prefs: MediaPreferences, wish: Direction): NegotiatedMedia | undefined {
  const choice = chooseCodec(m, prefs.codecs)
  if (!choice || m.host === undefined) return undefined
  const dtmf = prefs.dtmf ? dtmfPayloadTypeOf(m) : undefined
  return {
    host: m.host,
    port: m.port,
    // RFC 3605; without a=rtcp the next port up. rtcp-mux is never accepted by us, so it does not apply.
    rtcpPort: m.rtcpPort ?? Math.min(m.port + 1, 65535),
    codec: choice.codec,
    payloadType: choice.payloadType,
    ...(dtmf === undefined ? {} : { dtmfPayloadType: dtmf }),
    ptimeMs: ptimeOf(m, prefs.ptimeMs),
    direction: combine(peerDirectionOf(m), wish),
  }
}

// Browsers and some SBCs list telephone-event at 48, 32 and 16 kHz too; only the 8 kHz one goes with G.711.
function dtmfPayloadTypeOf(m: SdpMedia): number | undefined {
  for (const format of m.formats) {
    const pt = payloadTypeOf(format)
    const map = pt === undefined ? undefined : m.rtpmap.get(pt)
    if (map?.name === 'TELEPHONE-EVENT' && map.clockRate === 8000) return pt
  }
  return undefined
}

function ptimeOf(m: SdpMedia, fallbackMs: number): number {
  const wanted = Math.min(m.ptimeMs ?? fallbackMs, m.maxptimeMs ?? 60, 60)
  return Math.max(10, Math.floor(wanted / 10) * 10)
}

function peerDirectionOf(m: SdpMedia): Direction {
  if (m.host === undefined || !isNullAddress(m.host)) return m.direction
  // RFC 3264 §8.4: hold as before 2002. The peer may still talk, but hears nothing.
  return m.direction === 'recvonly' || m.direction === 'inactive' ? 'inactive' : 'sendonly'
}

/** The direction as seen from us, given the peer's own and what we want (RFC 3264 §6.1). */
export function combine(peer: Direction, wish: Direction): Direction {
  const weSend = wish !== 'recvonly' && wish !== 'inactive' && (peer === 'sendrecv' || peer === 'recvonly')
  const weHear = wish !== 'sendonly' && wish !== 'inactive' && (peer === 'sendrecv' || peer === 'sendonly')
  return weSend ? (weHear ? 'sendrecv' : 'sendonly') : weHear ? 'recvonly' : 'inactive'
}
