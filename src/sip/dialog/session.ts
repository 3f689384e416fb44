/**
 * What a user of the SIP stack sees of one INVITE session: states, events, commands. Types only; the two machines
 * behind it are outgoing-session.ts (UAC) and incoming-session.ts (UAS), RFC 3261 §13.
 *
 *   outgoing:  calling ──1xx──▶ early ──2xx──▶ established ──▶ ended
 *   incoming:  incoming ─18x─▶ early ─accept─▶ answered ──ACK──▶ established ──▶ ended
 */
import type { SipRequest } from '../message/message.ts'
import type { MediaEndpoint, MediaPreferences, NegotiatedMedia } from '../sdp/negotiate.ts'
import type { ReferOrder, ReferProgress } from './refer.ts'

export type SessionState = 'calling' | 'incoming' | 'early' | 'answered' | 'established' | 'ended'

/** How a session ended or shall end. `sipStatus` 0: by BYE, no final answer was involved. */
export interface SessionCause {
  sipStatus: number
  /** ITU-T Q.850, 16 = normal clearing. */
  q850: number
  /** For logs and the Reason header (RFC 3326). */
  text: string
}

export interface SessionEnd extends SessionCause {
  by: 'peer' | 'us' | 'timeout' | 'network'
}

export type SessionEvents = {
  /** 18x to our INVITE. `early`: it carried SDP, a `media` event came just before. */
  progress: { status: number; reason: string; early: boolean }
  /** Offer/answer done: the first time, and again only when something changed. */
  media: NegotiatedMedia
  /** Our INVITE got its 2xx and was ACKed; or the ACK to our 2xx came. */
  established: undefined
  /** A digit by INFO. */
  digit: { digit: string; durationMs: number }
  /** The peer put us on hold by re-INVITE or UPDATE, and took us back. */
  held: undefined
  resumed: undefined
  /** How our REFER goes. */
  refer: ReferProgress
  /** Exactly once, nothing follows. */
  ended: SessionEnd
}

export interface SessionTimerWish {
  /** Session-Expires that we offer and insist on as a maximum, s. */
  expiresS: number
  /** Smallest interval that we accept, s; never below 90 (RFC 4028 §4). */
  minS: number
}

export interface Credentials {
  username: string
  password: string
  /** Only challenges for this realm are answered, when set. */
  realm?: string
}

/** Settings of one session that a trunk may differ in. */
export interface SessionSettings {
  /** Codecs, ptime and whether telephone-event is offered. */
  prefs?: Partial<MediaPreferences>
  credentials?: Credentials
  timer?: SessionTimerWish
  t1Ms?: number
  t2Ms?: number
  /** Whether in-dialog requests go to where packets come from ('always') or where Contact/Route say ('never'). */
  nat?: 'auto' | 'always' | 'never'
  /** Sources that may speak in this dialog; others get 481. Absent: anyone who knows the tags. */
  sourceAllowed?: (host: string) => boolean
}

export interface InviteOptions extends SessionSettings {
  /** Request-URI. */
  target: string
  /** From header without tag: `"Name" <sip:user@domain>`. */
  from: string
  /** To header; default `<target>`. */
  to?: string
  /** Where the INVITE is sent; default: host, port and transport parameter of `target`. */
  nextHop?: { protocol: 'udp' | 'tcp'; host: string; port: number }
  media: MediaEndpoint
  /** Send no SDP: the peer offers in its 2xx, we answer in the ACK. */
  delayedOffer?: boolean
  /** Extra headers, in order. Values with CR, LF or NUL are dropped and logged. */
  headers?: [string, string][]
  /** CANCEL and `ended` (408, by timeout) when there is no final answer by then. */
  ringTimeoutMs?: number
  /** Default 70. */
  maxForwards?: number
}

/** An established dialog as a third party names it (RFC 3891). */
export interface DialogAtPeer {
  /** The peer's Contact. */
  uri: string
  callId: string
  localTag: string
  remoteTag: string
}

export interface InviteSession {
  /** Unique in the process. */
  readonly id: string
  readonly direction: 'incoming' | 'outgoing'
  readonly state: SessionState
  readonly callId: string
  /** The INVITE as received or first sent. */
  readonly request: SipRequest
  /** Result of the last offer/answer. */
  readonly media: NegotiatedMedia | undefined
  /** The peer's last SDP as text. */
  readonly remoteSdp: string | undefined
  /** Address that the session's messages came from or go to. */
  readonly remote: { protocol: 'udp' | 'tcp'; host: string; port: number }
  /** Undefined unless established. */
  readonly dialogAtPeer: DialogAtPeer | undefined

  on<K extends keyof SessionEvents>(event: K, listener: (value: SessionEvents[K]) => void): () => void
  /** Changes settings of an incoming session before it is answered (the trunk's, once it is known). */
  configure(settings: SessionSettings): void

  /** 180 on an incoming session. */
  ring(): void
  /** 183 with SDP on an incoming session. */
  progress(media: MediaEndpoint): void
  /** 200 on an incoming session; 488 when its offer has no codec of ours. */
  accept(media: MediaEndpoint): void
  /** Final refusal of an incoming session. */
  reject(status: number, reason?: string, headers?: [string, string][]): void
  /** Ends the session in whatever state: CANCEL, BYE or a refusal. `ended` comes at once; the wire follows. */
  hangup(cause?: Partial<SessionCause>): void
  /** re-INVITE with sendonly, and back to sendrecv. */
  hold(): void
  resume(): void
  /** re-INVITE with a new address of ours (or the same: a refresh). `withoutSdp`: delayed offer. */
  reinvite(media?: MediaEndpoint, withoutSdp?: boolean): void
  /** A digit by INFO application/dtmf-relay. */
  info(digit: string, durationMs: number): void
  /** REFER, in an established session; `refer` events follow. One at a time. */
  refer(order: ReferOrder): void
}
