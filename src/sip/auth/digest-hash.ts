/** The arithmetic and the header syntax that both sides of Digest share (RFC 7616 §3.4, RFC 7235 §2.1). */
import { createHash } from 'node:crypto'

export type DigestAlgorithm = 'MD5' | 'MD5-sess' | 'SHA-256' | 'SHA-256-sess' | 'SHA-512-256' | 'SHA-512-256-sess'

const ALGORITHMS = new Map<string, DigestAlgorithm>(
  (['MD5', 'MD5-sess', 'SHA-256', 'SHA-256-sess', 'SHA-512-256', 'SHA-512-256-sess'] as const).map((a) => [
    a.toLowerCase(),
    a,
  ]),
)

/** undefined: not one that we know. No algorithm at all means MD5 (RFC 7616 §3.3). */
export const digestAlgorithm = (text: string | undefined): DigestAlgorithm | undefined =>
  text === undefined ? 'MD5' : ALGORITHMS.get(text.toLowerCase())

const HASH_NAMES: Record<string, string> = { MD5: 'md5', 'SHA-256': 'sha256', 'SHA-512-256': 'sha512-256' }

const hash = (algorithm: DigestAlgorithm, data: string | Buffer): string =>
  createHash(HASH_NAMES[algorithm.replace('-sess', '')]).update(data).digest('hex')

export interface DigestInput {
  algorithm: DigestAlgorithm
  username: string
  password: string
  realm: string
  nonce: string
  method: string
  uri: string
  qop?: string
  /** As on the wire: 8 hex digits. */
  nc?: string
  cnonce?: string
  body?: Buffer
}

/** The `response` value (RFC 7616 §3.4.1). */
export function digestResponse(d: DigestInput): string {
  let ha1 = hash(d.algorithm, `${d.username}:${d.realm}:${d.password}`)
  if (d.algorithm.endsWith('-sess')) ha1 = hash(d.algorithm, `${ha1}:${d.nonce}:${d.cnonce ?? ''}`)
  const bodyHash = d.qop === 'auth-int' ? ':' + hash(d.algorithm, d.body ?? '') : ''
  const ha2 = hash(d.algorithm, `${d.method}:${d.uri}${bodyHash}`)
  return hash(
    d.algorithm,
    d.qop ? `${ha1}:${d.nonce}:${d.nc ?? ''}:${d.cnonce ?? ''}:${d.qop}:${ha2}` : `${ha1}:${d.nonce}:${ha2}`,
  )
}

const MOST_LISTS = 16

/**
 * One `Scheme name=value, …` list after the other. Several challenges may stand in one header value, and a qop list
 * holds commas of its own.
 */
export function parseAuthList(value: string): { scheme: string; fields: Map<string, string> }[] {
  const out: { scheme: string; fields: Map<string, string> }[] = []
  const scheme = /[\s,]*([A-Za-z0-9\-.!%*_+`'~]+)[ \t]+(?=[A-Za-z0-9\-.!%*_+`'~]+[ \t]*=)/y
  const field = /[\s,]*([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s",]*))/y
  let at = 0
  while (at < value.length && out.length <= MOST_LISTS) {
    scheme.lastIndex = at
    const s = scheme.exec(value)
    if (s) {
      out.push({ scheme: s[1].toLowerCase(), fields: new Map() })
      at = scheme.lastIndex
    }
    field.lastIndex = at
    const f = field.exec(value)
    const current = out.at(-1)
    if (!f || !current) break
    const name = f[1].toLowerCase()
    if (!current.fields.has(name)) current.fields.set(name, f[2] === undefined ? f[3] : f[2].replace(/\\(.)/gs, '$1'))
    at = field.lastIndex
  }
  return out
}
