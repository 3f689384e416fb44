/**
 * sip:, sips: and tel: URIs (RFC 3261 §19.1, RFC 3966), parsed and written. User parts are held decoded and are escaped
 * again on writing, so nothing that a user or a bot typed can end the URI early. Not a general URI parser.
 */
export interface SipUri {
  scheme: 'sip' | 'sips' | 'tel'
  /** Decoded. For tel: the number. */
  user?: string
  password?: string
  /** Name or address; IPv6 without brackets. Empty for tel:. */
  host: string
  port?: number
  /** Names in lower case, values decoded. */
  params: Map<string, string | undefined>
  /** What follows '?', as it stood. */
  headers?: string
}

const HOST = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/
const LONGEST = 4096

/** undefined: another scheme, or not a URI at all. */
export function parseUri(text: string): SipUri | undefined {
  if (text.length > LONGEST) return undefined
  const colon = text.indexOf(':')
  const scheme = text.slice(0, Math.max(0, colon)).toLowerCase()
  if (scheme === 'tel') return parseTel(text.slice(colon + 1))
  if (scheme !== 'sip' && scheme !== 'sips') return undefined
  let rest = text.slice(colon + 1)
  if (/[\s<>"]/.test(rest)) return undefined

  const uri: SipUri = { scheme, host: '', params: new Map() }
  // §25.1: a bare '@' appears only after userinfo, which itself may hold ';', '?', '/' and '='.
  const at = rest.indexOf('@')
  if (at >= 0) {
    const info = rest.slice(0, at)
    rest = rest.slice(at + 1)
    const sep = info.indexOf(':')
    const user = unescapePart(sep < 0 ? info : info.slice(0, sep))
    const password = sep < 0 ? undefined : unescapePart(info.slice(sep + 1))
    if (!user || (sep >= 0 && password === undefined)) return undefined
    uri.user = user
    uri.password = password
  }
  const question = rest.indexOf('?')
  if (question >= 0) {
    uri.headers = rest.slice(question + 1)
    rest = rest.slice(0, question)
  }
  const semicolon = rest.indexOf(';')
  const m = HOST.exec(semicolon < 0 ? rest : rest.slice(0, semicolon))
  if (!m) return undefined
  uri.host = m[1] ?? m[2]
  if (m[3] !== undefined) {
    uri.port = Number(m[3])
    if (uri.port > 65535) return undefined
  }
  if (semicolon >= 0 && !readParams(rest.slice(semicolon + 1), uri.params)) return undefined
  return uri
}

function parseTel(rest: string): SipUri | undefined {
  const semicolon = rest.indexOf(';')
  const number = semicolon < 0 ? rest : rest.slice(0, semicolon)
  if (!/^[+*#0-9A-Fa-f().-]+$/.test(number)) return undefined
  const uri: SipUri = { scheme: 'tel', user: number, host: '', params: new Map() }
  if (semicolon >= 0 && !readParams(rest.slice(semicolon + 1), uri.params)) return undefined
  return uri
}

function readParams(text: string, into: Map<string, string | undefined>): boolean {
  for (const part of text.split(';')) {
    if (!part) continue
    const eq = part.indexOf('=')
    const name = unescapePart(eq < 0 ? part : part.slice(0, eq))?.toLowerCase()
    const value = eq < 0 ? undefined : unescapePart(part.slice(eq + 1))
    if (!name || (eq >= 0 && value === undefined)) return false
    if (!into.has(name)) into.set(name, value)
  }
  return true
}

/** undefined for a '%' that is not followed by two hex digits. */
function unescapePart(text: string): string | undefined {
  if (!text.includes('%')) return text
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined
  try {
    return decodeURIComponent(text)
  } catch {
    // Escaped bytes that are not UTF-8: Latin-1 loses none of them.
    return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)))
  }
}

// RFC 3261 §25.1: unreserved, then what else each part may hold unescaped.
const USER_PLAIN = /[A-Za-z0-9\-_.!~*'()&=+$,;?/]/
const PASSWORD_PLAIN = /[A-Za-z0-9\-_.!~*'()&=+$,]/
const PARAM_PLAIN = /[A-Za-z0-9\-_.!~*'()[\]/:&+$]/

function escapePart(text: string, plain: RegExp): string {
  let out = ''
  for (const char of text.toWellFormed()) out += plain.test(char) ? char : escapeBytes(char)
  return out
}

const escapeBytes = (char: string): string =>
  [...Buffer.from(char)].map((b) => '%' + b.toString(16).toUpperCase().padStart(2, '0')).join('')

/** An address as it stands in a URI or Via: IPv6 in brackets. Anything that is not an address or name loses its odd characters. */
export const formatHost = (host: string): string =>
  host.includes(':') ? `[${host.replace(/[^0-9A-Fa-f:.]/g, '')}]` : host.replace(/[^A-Za-z0-9._-]/g, '')

export function formatUri(uri: SipUri): string {
  let out = uri.scheme + ':'
  if (uri.scheme === 'tel') {
    out += (uri.user ?? '').replace(/[^+*#0-9A-Fa-f().-]/g, '')
  } else {
    if (uri.user) {
      out += escapePart(uri.user, USER_PLAIN)
      if (uri.password !== undefined) out += ':' + escapePart(uri.password, PASSWORD_PLAIN)
      out += '@'
    }
    out += formatHost(uri.host)
    if (uri.port !== undefined) out += ':' + uri.port
  }
  for (const [name, value] of uri.params) {
    out += ';' + escapePart(name, PARAM_PLAIN)
    if (value !== undefined) out += '=' + escapePart(value, PARAM_PLAIN)
  }
  // Kept as it stood, less what could end the URI or the line.
  if (uri.headers !== undefined) out += '?' + uri.headers.replace(/[\s<>"\0-\x1f\x7f]/g, '')
  return out
}
