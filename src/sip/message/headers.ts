/**
 * Values of structured headers: name-addr, Via, CSeq, Reason, parameters (RFC 3261 §20, §25; RFC 3326). Each parser
 * runs in time linear in its text and returns undefined for what it cannot read; each formatter quotes what needs it.
 */
import { formatHost } from './uri.ts'

export type Params = Map<string, string | undefined>

export interface NameAddr {
  /** Unquoted. */
  display?: string
  /** As it stood between the angle brackets. */
  uri: string
  /** Header parameters: names in lower case, values unquoted. */
  params: Params
}

const TOKEN = /^[A-Za-z0-9\-.!%*_+`'~]+$/

export const isToken = (text: string): boolean => TOKEN.test(text)

/** Index after the closing quote of the string that opens at `start`; -1 when it never closes. */
function quotedEnd(text: string, start: number): number {
  for (let i = start + 1; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x5c) i++
    else if (c === 0x22) return i + 1
  }
  return -1
}

const unquote = (text: string): string => {
  const inner = text.slice(1, -1)
  return inner.includes('\\') ? inner.replace(/\\(.)/gs, '$1') : inner
}

/** A quoted-string without anything that could leave it. */
export const quote = (text: string): string => `"${text.replace(/[\0-\x1f\x7f]/g, ' ').replace(/[\\"]/g, '\\$&')}"`

/** Reads `;name=value;flag`, quotes respected; undefined when malformed. The first of two equal names counts. */
export function parseParams(text: string): Params | undefined {
  const params: Params = new Map()
  let i = 0
  while (i < text.length) {
    const c = text.charCodeAt(i)
    if (c === 0x3b || c === 0x20 || c === 0x09) {
      i++
      continue
    }
    // Every parameter but the first must follow a ';'.
    let end = i
    let open = -1
    while (end < text.length) {
      const at = text.charCodeAt(end)
      if (at === 0x3b) break
      if (at === 0x22) {
        open = end
        end = quotedEnd(text, end)
        if (end < 0) return undefined
      } else end++
    }
    const part = text.slice(i, end)
    const eq = part.indexOf('=')
    const name = (eq < 0 ? part : part.slice(0, eq)).trim().toLowerCase()
    if (!isToken(name)) return undefined
    if (!params.has(name)) params.set(name, eq < 0 ? undefined : readValue(part.slice(eq + 1).trim(), open >= 0))
    i = end
  }
  return params
}

const readValue = (value: string, quoted: boolean): string =>
  quoted && value.length >= 2 && value[0] === '"' && value.endsWith('"') ? unquote(value) : value

export function formatParams(params: Params): string {
  let out = ''
  for (const [name, value] of params) {
    if (!isToken(name)) continue
    out += ';' + name
    // Hosts stand unquoted in Via (`received=2001:db8::1`, §20.42).
    if (value !== undefined) out += '=' + (isToken(value) || /^[0-9A-Fa-f:.[\]]+$/.test(value) ? value : quote(value))
  }
  return out
}

/** `"Bob" <sip:bob@host>;tag=1` or `sip:bob@host;tag=1` (where everything after ';' belongs to the header, §20.10). */
export function parseNameAddr(text: string): NameAddr | undefined {
  const value = text.trim()
  let display: string | undefined
  let open: number
  if (value.charCodeAt(0) === 0x22) {
    const end = quotedEnd(value, 0)
    if (end < 0) return undefined
    display = unquote(value.slice(0, end))
    open = end
    while (value.charCodeAt(open) === 0x20 || value.charCodeAt(open) === 0x09) open++
    if (value.charCodeAt(open) !== 0x3c) return undefined
  } else {
    open = value.indexOf('<')
    if (open > 0) {
      display = value.slice(0, open).trim()
      // §25.1: an unquoted display name is tokens; a stray quote is an unbalanced string.
      if (display.includes('"')) return undefined
    }
  }

  let uri: string
  let rest: string
  if (open >= 0) {
    const close = value.indexOf('>', open)
    if (close < 0) return undefined
    uri = value.slice(open + 1, close).trim()
    rest = value.slice(close + 1).trim()
  } else {
    const semicolon = value.indexOf(';')
    uri = semicolon < 0 ? value : value.slice(0, semicolon).trim()
    rest = semicolon < 0 ? '' : value.slice(semicolon)
    // §20.10: a URI with comma, question mark or space must stand in angle brackets.
    if (/[,?\s"]/.test(uri)) return undefined
  }
  if (!/^[A-Za-z][A-Za-z0-9+.-]*:./.test(uri)) return undefined
  if (rest && rest.charCodeAt(0) !== 0x3b) return undefined
  const params = parseParams(rest)
  return params && { display: display || undefined, uri, params }
}

export function formatNameAddr(addr: { display?: string; uri: string; params?: Params }): string {
  const uri = addr.uri.replace(/[<>"\s\0-\x1f\x7f]/g, '')
  return (addr.display ? quote(addr.display) + ' ' : '') + `<${uri}>` + (addr.params ? formatParams(addr.params) : '')
}

/** The tag of a From or To value. */
export const tagOf = (headerText: string): string | undefined =>
  parseNameAddr(headerText)?.params.get('tag') || undefined

export interface Via {
  /** `UDP`, `TCP`, … in upper case. */
  transport: string
  /** IPv6 without brackets. */
  host: string
  port?: number
  params: Params
}

// Spaces may stand around each part (RFC 4475 §3.1.1.1).
const SENT_PROTOCOL = /^SIP\s*\/\s*2\.0\s*\/\s*([A-Za-z0-9\-.!%*_+`'~]+)\s+/i
const SENT_BY =
  /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+)|([0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*))\s*(?::\s*(\d{1,5}))?$/

const LONGEST_HOST = 260

export function parseVia(text: string): Via | undefined {
  const value = text.trim()
  const m = SENT_PROTOCOL.exec(value)
  if (!m) return undefined
  const semicolon = value.indexOf(';', m[0].length)
  const sentBy = (semicolon < 0 ? value.slice(m[0].length) : value.slice(m[0].length, semicolon)).trim()
  // Bounded first: the pattern is not linear.
  const by = sentBy.length <= LONGEST_HOST ? SENT_BY.exec(sentBy) : undefined
  if (!by) return undefined
  const port = by[4] === undefined ? undefined : Number(by[4])
  if (port !== undefined && (port > 65535 || port === 0)) return undefined
  const params = semicolon < 0 ? new Map<string, string | undefined>() : parseParams(value.slice(semicolon))
  // The third form is IPv6 without its brackets, which real phones send.
  return params && { transport: m[1].toUpperCase(), host: by[1] ?? by[2] ?? by[3], port, params }
}

export const formatVia = (via: Via): string =>
  `SIP/2.0/${via.transport} ${formatHost(via.host)}${via.port === undefined ? '' : `:${via.port}`}${formatParams(via.params)}`

export interface CSeq {
  seq: number
  method: string
}

/** §8.1.1.5: the number is below 2^31. */
export function parseCSeq(text: string): CSeq | undefined {
  const m = /^\s*(\d{1,16})\s+([A-Za-z0-9\-.!%*_+`'~]+)\s*$/.exec(text)
  if (!m) return undefined
  const seq = Number(m[1])
  return seq < 2 ** 31 ? { seq, method: m[2] } : undefined
}

export const formatCSeq = (cseq: CSeq): string => `${cseq.seq} ${cseq.method}`

/** One value of a Reason header (RFC 3326). Providers send it without cause and without text too. */
export interface Reason {
  /** `SIP`, `Q.850`, … as it stood. */
  protocol: string
  cause?: number
  text?: string
}

export function parseReason(value: string): Reason | undefined {
  const semicolon = value.indexOf(';')
  const protocol = (semicolon < 0 ? value : value.slice(0, semicolon)).trim()
  if (!isToken(protocol)) return undefined
  const params = semicolon < 0 ? new Map<string, string | undefined>() : parseParams(value.slice(semicolon))
  if (!params) return undefined
  const cause = params.get('cause')
  return { protocol, cause: cause && /^\d{1,5}$/.test(cause) ? Number(cause) : undefined, text: params.get('text') }
}

export const formatReason = (reason: Reason): string =>
  (isToken(reason.protocol) ? reason.protocol : 'SIP') +
  (reason.cause === undefined ? '' : `;cause=${Math.trunc(reason.cause)}`) +
  (reason.text === undefined ? '' : `;text=${quote(reason.text)}`)
