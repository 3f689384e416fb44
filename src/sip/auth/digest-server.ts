/**
 * The challenging side of Digest (RFC 7616 §3.3, §5). Nonces need no memory: time, salt and an HMAC over them and the
 * source; only used ones are remembered, for the nc guard. Users and passwords are the caller's.
 *
 *   nonce = base64url( issuedMs 6 bytes │ salt 6 │ HMAC-SHA-256(key, issuedMs │ salt │ source) first 16 )
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../lib/clock.ts'
import { quote } from '../message/headers.ts'
import { digestAlgorithm, digestResponse, parseAuthList } from './digest-hash.ts'

const NONCE_LIFE_MS = 300_000
const MOST_USED_NONCES = 10_000
const OFFERED = new Set(['SHA-256', 'MD5'])

export class DigestServer {
  readonly #clock: Clock
  readonly #realm: string
  readonly #key: Buffer
  /** Highest nc seen per nonce, oldest use first. */
  readonly #used = new Map<string, { issuedMs: number; nc: number }>()
  /** Nonces from before this moment are stale: their nc may have been forgotten. */
  #floorMs = -Infinity

  constructor(options: { clock: Clock; realm: string; secret: string }) {
    this.#clock = options.clock
    this.#realm = options.realm
    // Of this process only: its clock starts at 0 and its memory of used nonces is empty.
    this.#key = createHmac('sha256', options.secret).update(randomBytes(16)).digest()
  }

  /** WWW-Authenticate values, strongest first (RFC 8760 §2.3). `source` is the peer's IP address. */
  challenge(stale: boolean, source: string): string[] {
    const head = Buffer.alloc(12)
    // The monotonic clock: a wall clock that is set back would revive old nonces.
    head.writeUIntBE(Math.floor(this.#clock.now()) % 2 ** 48, 0, 6)
    randomBytes(6).copy(head, 6)
    const nonce = Buffer.concat([head, this.#mac(head, source)]).toString('base64url')
    const rest = `realm=${quote(this.#realm)}, nonce="${nonce}", qop="auth"${stale ? ', stale=true' : ''}`
    return [`Digest ${rest}, algorithm=SHA-256`, `Digest ${rest}, algorithm=MD5`]
  }

  /**
   * 'stale': the password is right but the nonce is old, of another source or already used that often: challenge again
   * with stale=true. `credentials` undefined (unknown user) costs the same and is always 'bad'.
   */
  check(
    authorization: string,
    method: string,
    credentials: { username: string; password: string } | undefined,
    source: string,
  ): 'ok' | 'stale' | 'bad' {
    const given = parseAuthList(authorization).find((a) => a.scheme === 'digest')?.fields
    const algorithm = digestAlgorithm(given?.get('algorithm'))
    const nonce = given?.get('nonce')
    const qop = given?.get('qop')?.toLowerCase()
    if (!given || !algorithm || !OFFERED.has(algorithm) || !nonce || (qop !== undefined && qop !== 'auth')) return 'bad'

    const expected = digestResponse({
      algorithm,
      username: credentials?.username ?? given.get('username') ?? '',
      password: credentials?.password ?? 'nobody',
      realm: this.#realm,
      nonce,
      method,
      uri: given.get('uri') ?? '',
      qop,
      nc: given.get('nc'),
      cnonce: given.get('cnonce'),
    })
    // No early exit: every part is compared, whatever the others gave.
    const responseFits = sameText(expected, (given.get('response') ?? '').toLowerCase())
    const userFits = sameText(credentials?.username ?? '', given.get('username') ?? '')
    const realmFits = sameText(this.#realm, given.get('realm') ?? '')
    if (!credentials || !responseFits || !userFits || !realmFits) return 'bad'
    // Without qop (RFC 2069) there is no count: such a nonce serves once.
    const nc = qop === undefined ? 1 : parseNc(given.get('nc'))
    return nc !== undefined && this.#use(nonce, nc, source) ? 'ok' : 'stale'
  }

  #mac(head: Buffer, source: string): Buffer {
    return createHmac('sha256', this.#key).update(head).update(source).digest().subarray(0, 16)
  }

  #use(nonce: string, nc: number, source: string): boolean {
    const bytes = Buffer.from(nonce, 'base64url')
    // The text must be the one we wrote: base64 has several spellings of the same bytes, each with its own nc.
    if (bytes.length !== 28 || bytes.toString('base64url') !== nonce) return false
    const head = bytes.subarray(0, 12)
    if (!timingSafeEqual(bytes.subarray(12), this.#mac(head, source))) return false
    const issuedMs = head.readUIntBE(0, 6)
    const nowMs = this.#clock.now()
    if (issuedMs <= this.#floorMs || nowMs - issuedMs > NONCE_LIFE_MS || issuedMs > nowMs) return false
    const known = this.#used.get(nonce)
    if (known && nc <= known.nc) return false
    this.#used.delete(nonce)
    this.#used.set(nonce, { issuedMs, nc })
    this.#forget(nowMs)
    return true
  }

  #forget(nowMs: number): void {
    for (const [nonce, { issuedMs }] of this.#used) {
      const expired = nowMs - issuedMs > NONCE_LIFE_MS
      if (!expired && this.#used.size <= MOST_USED_NONCES) return
      if (!expired) this.#floorMs = Math.max(this.#floorMs, issuedMs)
      this.#used.delete(nonce)
    }
  }
}

/** Equal in constant time, for texts of any length. */
const sameText = (a: string, b: string): boolean => timingSafeEqual(digestOf(a), digestOf(b))
const digestOf = (text: string): Buffer => createHash('sha256').update(text).digest()

const parseNc = (text: string | undefined): number | undefined =>
  text !== undefined && /^[0-9A-Fa-f]{8}$/.test(text) ? parseInt(text, 16) : undefined
