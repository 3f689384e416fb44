/** What the user agent gives its sessions: the layers below, its own identity, and the table that routes requests to them. */
import type { Clock } from '../../lib/clock.ts'
import type { Log } from '../../telemetry/log.ts'
import type { ServerTransaction, TransactionLayer } from '../transaction/layer.ts'
import type { Flow, Protocol, Transports } from '../transport/transport.ts'
import type { SipRequest } from '../message/message.ts'

/** A session as the user agent's request routing sees it. */
export interface Addressee {
  receive(request: SipRequest, transaction: ServerTransaction, flow: Flow): void
  ack(ack: SipRequest, flow: Flow): void
}

/** The network as sessions use it. */
export type Reach = Pick<Transports, 'flowTo' | 'resolver' | 'sentBy'>

export interface SessionCore {
  readonly clock: Clock
  readonly log: Log
  readonly layer: TransactionLayer
  readonly transports: Reach
  /** For User-Agent and Server; absent: no such header. */
  readonly product: string | undefined
  /** 0 ≤ x < 1, for the glare wait. */
  random(): number
  contact(protocol: Protocol): string
  /** In-dialog requests of this Call-ID and local tag go to `addressee` from now on. */
  register(callId: string, localTag: string, addressee: Addressee): void
  unregister(callId: string, localTag: string): void
}

/** What we take inside and outside dialogs. */
export const ALLOW = 'INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, NOTIFY'
export const ACCEPT = 'application/sdp, application/dtmf-relay, application/dtmf'
/** Option tags that may stand in Require towards us as UAS. */
export const REQUIRABLE = new Set(['timer'])
/** Supported on our INVITEs: as UAC we also know how to PRACK. */
export const SUPPORTED_UAC = 'timer, 100rel'
export const SUPPORTED_UAS = 'timer'

/** RFC 3261 §8.2.2.3: option tags in Require that we do not know. */
export function unsupported(request: SipRequest): string[] {
  return request.headers
    .all('Require')
    .flatMap((v) => v.split(','))
    .map((tag) => tag.trim().toLowerCase())
    .filter((tag) => tag && !REQUIRABLE.has(tag))
}

/**
 * The SDP of a message: its text, undefined when there is no body, null when the body is something else (415).
 * Of multipart/mixed (ISUP beside SDP, from switches) the SDP part is taken.
 */
export function sdpOf(message: { headers: SipRequest['headers']; body: Buffer }): string | undefined | null {
  if (message.body.length === 0) return undefined
  const encoding = message.headers.get('Content-Encoding')?.trim().toLowerCase()
  if (encoding && encoding !== 'identity') return null
  const type = message.headers.get('Content-Type') ?? 'application/sdp'
  const essence = type.split(';')[0].trim().toLowerCase()
  const text = message.body.toString('latin1')
  if (essence === 'application/sdp') return text
  if (essence !== 'multipart/mixed' && essence !== 'multipart/alternative') return null
  const boundary = /boundary\s*=\s*(?:"([^"]{1,70})"|([^\s;"]{1,70}))/i.exec(type)
  if (!boundary) return null
  const parts = text.split(`--${boundary[1] ?? boundary[2]}`, 9)
  for (const part of parts.slice(1)) {
    const blank = part.indexOf('\r\n\r\n')
    if (blank >= 0 && /^content-type\s*:\s*application\/sdp/im.test(part.slice(0, blank))) return part.slice(blank + 4)
  }
  return null
}
