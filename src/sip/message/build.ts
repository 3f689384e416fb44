/** Responses built from their request (RFC 3261 §8.2.6). */
import { Headers, EMPTY_BODY, type SipRequest, type SipResponse } from './message.ts'
import { isToken, tagOf } from './headers.ts'

const REASONS: Record<number, string> = {
  100: 'Trying', 180: 'Ringing', 181: 'Call Is Being Forwarded', 182: 'Queued', 183: 'Session Progress', 200: 'OK',
  202: 'Accepted', 300: 'Multiple Choices', 301: 'Moved Permanently', 302: 'Moved Temporarily', 305: 'Use Proxy',
  380: 'Alternative Service', 400: 'Bad Request', 401: 'Unauthorized', 402: 'Payment Required', 403: 'Forbidden',
  404: 'Not Found', 405: 'Method Not Allowed', 406: 'Not Acceptable', 407: 'Proxy Authentication Required',
  408: 'Request Timeout', 410: 'Gone', 412: 'Conditional Request Failed', 413: 'Request Entity Too Large',
  414: 'Request-URI Too Long', 415: 'Unsupported Media Type', 416: 'Unsupported URI Scheme', 420: 'Bad Extension',
  421: 'Extension Required', 422: 'Session Interval Too Small', 423: 'Interval Too Brief', 429: 'Provide Referrer Identity',
  430: 'Flow Failed', 433: 'Anonymity Disallowed', 480: 'Temporarily Unavailable', 481: 'Call/Transaction Does Not Exist',
  482: 'Loop Detected', 483: 'Too Many Hops', 484: 'Address Incomplete', 485: 'Ambiguous', 486: 'Busy Here',
  487: 'Request Terminated', 488: 'Not Acceptable Here', 489: 'Bad Event', 491: 'Request Pending', 493: 'Undecipherable',
  500: 'Server Internal Error', 501: 'Not Implemented', 502: 'Bad Gateway', 503: 'Service Unavailable',
  504: 'Server Time-out', 505: 'Version Not Supported', 513: 'Message Too Large', 600: 'Busy Everywhere',
  603: 'Decline', 604: 'Does Not Exist Anywhere', 606: 'Not Acceptable',
} // prettier-ignore

const CLASSES = ['', 'Trying', 'OK', 'Multiple Choices', 'Bad Request', 'Server Internal Error', 'Busy Everywhere']

/** RFC 3261 §21; an unknown code gets the phrase of its class. */
export const reasonPhrase = (status: number): string => REASONS[status] ?? CLASSES[Math.floor(status / 100)] ?? ''

export interface ResponseExtras {
  /** Added to To when the request has none there. Never on 100. */
  toTag?: string
  headers?: [string, string][]
  body?: Buffer
  /** Default for a body: application/sdp. */
  contentType?: string
}

const DIALOG_FORMING = new Set(['INVITE', 'SUBSCRIBE', 'REFER', 'NOTIFY'])

export function buildResponse(
  request: SipRequest,
  status: number,
  reason?: string,
  more: ResponseExtras = {},
): SipResponse {
  const headers = new Headers()
  const from = request.headers
  for (const via of from.all('Via')) headers.add('Via', via)
  // §12.1.1: answers that may make a dialog carry the route back, in the same order.
  if (status > 100 && status < 300 && DIALOG_FORMING.has(request.method))
    for (const route of from.all('Record-Route')) headers.add('Record-Route', route)
  for (const name of ['From', 'To', 'Call-ID', 'CSeq']) {
    let value = from.get(name)
    if (value === undefined) continue
    if (name === 'To' && more.toTag && status > 100 && !tagOf(value)) value = withTag(value, more.toTag)
    headers.add(name, value)
  }
  // §8.2.6.1: a 100 carries the request's Timestamp.
  const timestamp = status === 100 ? from.get('Timestamp') : undefined
  if (timestamp !== undefined) headers.add('Timestamp', timestamp)
  for (const [name, value] of more.headers ?? []) headers.add(name, value)
  const body = more.body ?? EMPTY_BODY
  if (body.length && !headers.has('Content-Type')) headers.add('Content-Type', more.contentType ?? 'application/sdp')
  return { kind: 'response', status, reason: reason ?? reasonPhrase(status), headers, body }
}

const withTag = (address: string, tag: string): string => (isToken(tag) ? `${address};tag=${tag}` : address)
