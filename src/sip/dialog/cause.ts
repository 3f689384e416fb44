/** Causes of a session's end to and from the wire: SIP status, Q.850 (RFC 3398 §8.2.6.1) and Reason (RFC 3326). */
import { formatReason, parseReason } from '../message/headers.ts'
import type { Headers } from '../message/message.ts'
import type { SessionCause } from './session.ts'

const Q850_OF_STATUS: Record<number, number> = {
  400: 41, 401: 21, 402: 21, 403: 21, 404: 1, 405: 63, 406: 79, 407: 21, 408: 102, 410: 22, 413: 127, 414: 127, 415: 79,
  416: 127, 420: 127, 421: 127, 423: 127, 480: 18, 481: 41, 482: 25, 483: 25, 484: 28, 485: 1, 486: 17, 487: 16, 488: 65,
  500: 41, 501: 79, 502: 38, 503: 41, 504: 102, 505: 127, 513: 127, 600: 17, 603: 21, 604: 1, 606: 65, 607: 21, 608: 21,
} // prettier-ignore

/** 0 (a BYE) and 2xx are normal clearing. */
export function q850OfStatus(status: number): number {
  if (status < 300) return 16
  return Q850_OF_STATUS[status] ?? (status < 500 ? 31 : 41)
}

// Providers put anything into Reason: other protocols, no cause, no text (livekit/sip PR 782).
/** What Reason headers say, Q.850 before SIP; undefined when nothing usable is there. */
export function readReason(headers: Headers): { q850?: number; sipStatus?: number; text?: string } | undefined {
  let found: { q850?: number; sipStatus?: number; text?: string } | undefined
  for (const value of headers.all('Reason').slice(0, 8)) {
    const reason = parseReason(value)
    if (!reason) continue
    const protocol = reason.protocol.toUpperCase()
    found ??= {}
    if (protocol === 'Q.850' && reason.cause !== undefined && reason.cause <= 127) {
      found.q850 ??= reason.cause
      found.text = reason.text ?? found.text
    } else if (protocol === 'SIP' && reason.cause !== undefined && reason.cause >= 200 && reason.cause < 700) {
      found.sipStatus ??= reason.cause
      found.text ??= reason.text
    } else found.text ??= reason.text
  }
  return found
}

/** Reason headers for a BYE, CANCEL or refusal of ours. */
export function writeReason(cause: SessionCause): [string, string][] {
  const text = cause.text.slice(0, 128)
  const out: [string, string][] = [['Reason', formatReason({ protocol: 'Q.850', cause: cause.q850, text })]]
  if (cause.sipStatus >= 300) out.push(['Reason', formatReason({ protocol: 'SIP', cause: cause.sipStatus, text })])
  return out
}
