/**
 * Extra handshake headers that a customer gives for his bot (`wss_header`): read in every form in which they come and
 * checked, so that no value can add a header line, override the handshake or forge one of ours.
 */
import { DomainError } from '../lib/errors.ts'

const MAX_HEADERS = 8
const MAX_VALUE_BYTES = 4096

// RFC 9110 §5.6.2 token.
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
// RFC 9110 §5.5: visible characters, space and tab, and obs-text; nothing beyond latin1, no CR, LF, NUL.
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

// Hop-by-hop headers (RFC 9110 §7.6.1), those of the handshake itself, and those that would change whom we talk to.
const REFUSED = new Set([
  'host',
  'connection',
  'upgrade',
  'content-length',
  'transfer-encoding',
  'te',
  'trailer',
  'keep-alive',
  'expect',
  'cookie2',
])
const REFUSED_PREFIXES = ['sec-', 'proxy-', 'x-trunkline-']

export type HeaderInput = string | readonly string[] | Readonly<Record<string, string>>

const refuse = (why: string): never => {
  throw new DomainError('INVALID', `wss_header: ${why}`, { field: 'wss_header' })
}

function* pairs(input: HeaderInput): Generator<[string, string], void> {
  if (typeof input === 'string') {
    const text = input.trim()
    if (text === '') return
    // Form posts carry the map or the list as JSON text.
    if (text.startsWith('{') || text.startsWith('[')) {
      let value: unknown
      try {
        value = JSON.parse(text)
      } catch {
        refuse('looks like JSON but is not')
      }
      yield* pairs(value as HeaderInput)
      return
    }
    const colon = text.indexOf(':')
    if (colon < 1) refuse(`must be "Name: value"`)
    yield [text.slice(0, colon).trim(), text.slice(colon + 1).trim()]
    return
  }
  if (Array.isArray(input)) {
    for (const line of input as unknown[]) {
      if (typeof line !== 'string') refuse('a list must hold "Name: value" strings')
      yield* pairs(line as string)
    }
    return
  }
  if (typeof input !== 'object' || input === null) refuse('must be a map, a list or a "Name: value" string')
  for (const [name, value] of Object.entries(input)) {
    if (typeof value !== 'string') refuse(`the value of ${JSON.stringify(name)} must be a string`)
    yield [name.trim(), value.trim()]
  }
}

/** Throws INVALID (field `wss_header`) at the first thing that is wrong; the text names the header, never its value. */
export function parseHeaders(input: HeaderInput | null | undefined): Record<string, string> {
  const headers: Record<string, string> = {}
  const seen = new Set<string>()
  if (input == null) return headers
  for (const [name, value] of pairs(input)) {
    if (!TOKEN.test(name)) refuse(`${JSON.stringify(name.slice(0, 64))} is not a header name`)
    const lower = name.toLowerCase()
    if (REFUSED.has(lower) || REFUSED_PREFIXES.some((p) => lower.startsWith(p))) refuse(`${name} may not be set`)
    if (seen.has(lower)) refuse(`${name} is given twice`)
    if (!VALUE.test(value)) refuse(`the value of ${name} has characters that a header cannot carry`)
    if (value.length > MAX_VALUE_BYTES) refuse(`the value of ${name} is longer than ${MAX_VALUE_BYTES} bytes`)
    if (seen.add(lower).size > MAX_HEADERS) refuse(`more than ${MAX_HEADERS} headers`)
    // `__proto__` is a token: defineProperty keeps it an ordinary key.
    Object.defineProperty(headers, name, { value, enumerable: true, configurable: true, writable: true })
  }
  return headers
}
