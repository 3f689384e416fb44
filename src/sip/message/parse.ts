/**
 * Bytes to messages (RFC 3261 §7, §25). Never throws, linear in the message, bounded in headers. Strict about what could
 * be read in two ways (bare CR or LF, NUL, repeated single headers, lengths), tolerant about the rest. Does not judge
 * what a message means: 420, 483 and the like are the core's.
 */
import { isAscii, isUtf8 } from 'node:buffer'
import { EMPTY_BODY, Headers, canonicalName, type SipMessage, type SipRequest } from './message.ts'
import { isToken, parseCSeq, parseNameAddr, parseVia } from './headers.ts'
import { parseUri } from './uri.ts'

export type ParseResult =
  | { ok: true; message: SipMessage }
  | { ok: false; status: number; reason: string; /** Enough of the request to answer it. */ partial?: SipRequest }

export const MOST_MESSAGE_BYTES = 65_535
/** Header lines, and values once lists are split. */
export const MOST_HEADERS = 256
const LONGEST_NAME = 128

// RFC 3261 §7.3.1: headers whose values may be joined by commas (those we ever look into).
const LISTS = new Set([
  'Via', 'Route', 'Record-Route', 'Contact', 'Path', 'Service-Route', 'Allow', 'Supported', 'Require', 'Proxy-Require',
  'Unsupported', 'Accept', 'Accept-Encoding', 'Accept-Language', 'Allow-Events', 'In-Reply-To', 'Alert-Info', 'Call-Info',
  'Error-Info', 'Warning', 'Reason', 'Diversion', 'History-Info', 'P-Asserted-Identity', 'P-Preferred-Identity',
  'Remote-Party-ID',
]) // prettier-ignore

/** RELIABILITY S5: two of these could be read differently by two elements on the path. */
const SINGLES = new Set(['Call-ID', 'CSeq', 'From', 'To', 'Max-Forwards', 'Content-Length'])

/** Lists whose elements are addresses: an empty or unreadable element makes the message malformed. */
const ADDRESS_LISTS = new Set(['Contact', 'Route', 'Record-Route'])

const BLANK_LINE = Buffer.from('\r\n\r\n')
// NUL, a CR without LF, an LF without CR.
const TORN = /\0|\r(?!\n)|(?<!\r)\n/

class Malformed {
  readonly status: number
  readonly reason: string
  constructor(status: number, reason: string) {
    this.status = status
    this.reason = reason
  }
}

/**
 * Reads one datagram, or one message cut out of a stream. Bytes after Content-Length are ignored (§18.3); a
 * Content-Length beyond the end is a 400. The body is a view of `data`.
 */
export function parseMessage(data: Buffer): ParseResult {
  if (data.length > MOST_MESSAGE_BYTES) return { ok: false, status: 513, reason: 'Message Too Large' }
  // §7.5: ignore CRLF before the start line.
  let start = 0
  while (start < data.length && (data[start] === 0x0d || data[start] === 0x0a)) start++
  if (start === data.length) return { ok: false, status: 400, reason: 'Empty' }
  // Both start lines begin with a token: noise costs nothing more than this.
  if (data[start] <= 0x20 || data[start] >= 0x7f) return { ok: false, status: 400, reason: 'Not SIP' }
  const blank = data.indexOf(BLANK_LINE, start)
  const head = readText(data, start, blank < 0 ? data.length : blank)
  const bodyAt = blank < 0 ? data.length : blank + 4

  const lineEnd = head.indexOf('\r\n')
  const startLine = lineEnd < 0 ? head : head.slice(0, lineEnd)
  const headers = new Headers()
  const isResponse = /^SIP\//i.test(startLine)
  // The first thing found wrong; reading goes on so that an answer can carry Via and the rest.
  let wrong: Malformed | undefined
  if (TORN.test(head)) wrong = new Malformed(400, 'Bad Line Ending')
  wrong = readHeaders(lineEnd < 0 ? '' : head.slice(lineEnd + 2), headers) ?? wrong
  if (blank < 0) wrong ??= new Malformed(400, 'No End of Headers')

  const message = isResponse ? readStatusLine(startLine, headers) : readRequestLine(startLine, headers)
  if (message instanceof Malformed) return fail(message, isResponse ? undefined : looseRequest(startLine, headers))
  wrong ??= checkHeaders(message) ?? readBody(message, data, bodyAt)
  if (wrong) return fail(wrong, message.kind === 'request' ? message : undefined)
  return { ok: true, message }
}

/** SIP is UTF-8 (§7); old PBXs write Latin-1 names, which are read as such rather than refused. */
function readText(data: Buffer, start: number, end: number): string {
  const bytes = data.subarray(start, end)
  return bytes.toString(isAscii(bytes) || !isUtf8(bytes) ? 'latin1' : 'utf8')
}

function readRequestLine(line: string, headers: Headers): SipRequest | Malformed {
  // §7.1: exactly one space between the three.
  const m = /^(\S{1,64}) (\S+) (\S+)[ \t]*$/.exec(line)
  if (!m || !isToken(m[1])) return new Malformed(400, 'Bad Request-Line')
  if (!/^SIP\/2\.0$/i.test(m[3])) {
    return /^SIP\/\d{1,10}\.\d{1,10}$/i.test(m[3])
      ? new Malformed(505, 'Version Not Supported')
      : new Malformed(400, 'Bad Request-Line')
  }
  const uri = m[2]
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(uri)?.[1].toLowerCase()
  if (!scheme) return new Malformed(400, 'Bad Request-URI')
  if (scheme !== 'sip' && scheme !== 'sips' && scheme !== 'tel') return new Malformed(416, 'Unsupported URI Scheme')
  const parsed = parseUri(uri)
  // §19.1.1 table 1: a Request-URI holds no headers.
  if (!parsed || parsed.headers !== undefined) return new Malformed(400, 'Bad Request-URI')
  return { kind: 'request', method: m[1], uri, headers, body: EMPTY_BODY }
}

/** What can be answered of a request whose first line is wrong. */
function looseRequest(line: string, headers: Headers): SipRequest | undefined {
  const method = /^\s{0,8}(\S{1,64})\s/.exec(line)?.[1]
  return method && isToken(method) ? { kind: 'request', method, uri: '', headers, body: EMPTY_BODY } : undefined
}

function readStatusLine(line: string, headers: Headers): SipMessage | Malformed {
  const m = /^SIP\/2\.0 ([1-6]\d\d)(?: (.*))?$/i.exec(line)
  if (!m) return new Malformed(400, 'Bad Status-Line')
  return { kind: 'response', status: Number(m[1]), reason: (m[2] ?? '').trim(), headers, body: EMPTY_BODY }
}

function readHeaders(text: string, headers: Headers): Malformed | undefined {
  let wrong: Malformed | undefined
  let count = 0
  let at = 0
  const seen = new Set<string>()
  while (at < text.length) {
    let end = text.indexOf('\r\n', at)
    if (end < 0) end = text.length
    let line = text.slice(at, end)
    at = end + 2
    // §7.3.1: a line that begins with white space continues the one before.
    if (isSpace(text.charCodeAt(at))) {
      const parts = [line.trimEnd()]
      while (isSpace(text.charCodeAt(at))) {
        end = text.indexOf('\r\n', at)
        if (end < 0) end = text.length
        parts.push(text.slice(at, end).trim())
        at = end + 2
      }
      line = parts.join(' ')
    }
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon)).trimEnd()
    if (!name || name.length > LONGEST_NAME || !isToken(name)) {
      wrong ??= new Malformed(400, 'Bad Header')
      continue
    }
    const canonical = canonicalName(name)
    const value = line.slice(colon + 1).trim()
    if (SINGLES.has(canonical)) {
      if (seen.has(canonical)) {
        wrong ??= new Malformed(400, `Repeated ${canonical}`)
        continue
      }
      seen.add(canonical)
    }
    const isList = LISTS.has(canonical) && value.includes(',')
    count += isList ? addList(headers, canonical, value, MOST_HEADERS + 1 - count) : addOne(headers, canonical, value)
    if (count > MOST_HEADERS) return wrong ?? new Malformed(400, 'Too Many Headers')
  }
  return wrong
}

const isSpace = (code: number): boolean => code === 0x20 || code === 0x09

function addOne(headers: Headers, name: string, value: string): number {
  // An empty list of option tags or methods holds nothing.
  if (value || !LISTS.has(name) || ADDRESS_LISTS.has(name) || name === 'Via') headers.add(name, value)
  return 1
}

/** Splits at commas outside quotes and angle brackets. Returns how many values were added. */
function addList(headers: Headers, name: string, value: string, most: number): number {
  let start = 0
  let count = 0
  let quoted = false
  let angled = false
  for (let i = 0; i <= value.length && count < most; i++) {
    const c = i < value.length ? value.charCodeAt(i) : 0x2c
    if (quoted && i < value.length) {
      if (c === 0x5c) i++
      else if (c === 0x22) quoted = false
    } else if (c === 0x22) quoted = !angled
    else if (c === 0x3c) angled = true
    else if (c === 0x3e) angled = false
    else if (c === 0x2c && (!angled || i >= value.length)) {
      addOne(headers, name, value.slice(start, i).trim())
      count++
      start = i + 1
    }
  }
  return count
}

/** The headers that everything above leans on (§8.1.1, §20), with enough syntax checked to lean on them. */
function checkHeaders(message: SipMessage): Malformed | undefined {
  const { headers } = message
  let vias = 0
  for (const [name, value] of headers.entries()) {
    if (name === 'Via') {
      vias++
      if (!parseVia(value)) return new Malformed(400, 'Bad Via')
    } else if (name === 'From' || name === 'To' || ADDRESS_LISTS.has(name)) {
      if (!(value === '*' && name === 'Contact') && !parseNameAddr(value)) return new Malformed(400, `Bad ${name}`)
    }
  }
  if (!vias) return new Malformed(400, 'Missing Via')
  for (const name of ['From', 'To', 'Call-ID', 'CSeq'])
    if (!headers.get(name)) return new Malformed(400, `Missing ${name}`)
  const cseq = parseCSeq(headers.get('CSeq') ?? '')
  if (!cseq) return new Malformed(400, 'Bad CSeq')
  if (message.kind === 'request' && cseq.method !== message.method) return new Malformed(400, 'CSeq Method Mismatch')
  const maxForwards = headers.get('Max-Forwards')
  if (maxForwards !== undefined && !(/^\d{1,9}$/.test(maxForwards) && Number(maxForwards) <= 255))
    return new Malformed(400, 'Bad Max-Forwards')
  return undefined
}

function readBody(message: SipMessage, data: Buffer, at: number): Malformed | undefined {
  const text = message.headers.get('Content-Length')
  const there = data.length - at
  let length = there
  if (text !== undefined) {
    if (!/^\d{1,9}$/.test(text)) return new Malformed(400, 'Bad Content-Length')
    length = Number(text)
    if (length > there) return new Malformed(400, 'Content-Length Too Large')
  }
  message.body = length ? data.subarray(at, at + length) : EMPTY_BODY
  return undefined
}

/** A request is only answerable with a Via that says where to (§8.2.6.2); the rest is copied as far as it is there. */
function fail(wrong: Malformed, request: SipRequest | undefined): ParseResult {
  const via = request?.headers.get('Via')
  const answerable = request && via !== undefined && parseVia(via) && request.method !== 'ACK'
  return { ok: false, status: wrong.status, reason: wrong.reason, partial: answerable ? partialOf(request) : undefined }
}

function partialOf(request: SipRequest): SipRequest {
  const headers = new Headers()
  for (const [name, value] of request.headers.entries())
    if (name === 'Via' || name === 'From' || name === 'To' || name === 'Call-ID' || name === 'CSeq')
      headers.add(name, value)
  return { ...request, headers, body: EMPTY_BODY }
}
