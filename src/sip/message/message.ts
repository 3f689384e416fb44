/**
 * SIP messages as the rest of the stack sees them (RFC 3261 §7). Parsed messages keep header order and repetition;
 * names are looked up case-insensitively and in compact form. No I/O.
 */
export class Headers {
  // Canonical names ("Call-ID"), in order of appearance; comma lists are already split for list headers.
  readonly #names: string[] = []
  readonly #values: string[] = []

  add(name: string, value: string): this {
    this.#names.push(canonicalName(name))
    this.#values.push(value)
    return this
  }

  /** Replaces every header of that name by one. */
  set(name: string, value: string): this {
    this.delete(name)
    return this.add(name, value)
  }

  /** Puts a header before all others of its name (a Via, a Route). */
  prepend(name: string, value: string): this {
    this.#names.unshift(canonicalName(name))
    this.#values.unshift(value)
    return this
  }

  /** The first value, trimmed. */
  get(name: string): string | undefined {
    const i = this.#names.indexOf(canonicalName(name))
    return i < 0 ? undefined : this.#values[i]
  }

  all(name: string): string[] {
    const wanted = canonicalName(name)
    return this.#values.filter((_, i) => this.#names[i] === wanted)
  }

  has(name: string): boolean {
    return this.#names.includes(canonicalName(name))
  }

  delete(name: string): void {
    const wanted = canonicalName(name)
    for (let i = this.#names.length - 1; i >= 0; i--) {
      if (this.#names[i] !== wanted) continue
      this.#names.splice(i, 1)
      this.#values.splice(i, 1)
    }
  }

  *entries(): IterableIterator<[string, string]> {
    for (let i = 0; i < this.#names.length; i++) yield [this.#names[i], this.#values[i]]
  }
}

export interface SipRequest {
  kind: 'request'
  method: string
  /** Request-URI as text. */
  uri: string
  headers: Headers
  /** Body as latin1-safe bytes. */
  body: Buffer
}

export interface SipResponse {
  kind: 'response'
  status: number
  reason: string
  headers: Headers
  body: Buffer
}

export type SipMessage = SipRequest | SipResponse

export const EMPTY_BODY = Buffer.alloc(0)

// RFC 3261 §7.3.3 and later registrations.
const COMPACT: Record<string, string> = {
  a: 'Accept-Contact', b: 'Referred-By', c: 'Content-Type', d: 'Request-Disposition', e: 'Content-Encoding',
  f: 'From', i: 'Call-ID', j: 'Reject-Contact', k: 'Supported', l: 'Content-Length', m: 'Contact', n: 'Identity-Info',
  o: 'Event', r: 'Refer-To', s: 'Subject', t: 'To', u: 'Allow-Events', v: 'Via', x: 'Session-Expires', y: 'Identity',
} // prettier-ignore

const IRREGULAR: Record<string, string> = {
  'call-id': 'Call-ID', cseq: 'CSeq', 'www-authenticate': 'WWW-Authenticate', 'mime-version': 'MIME-Version',
  rseq: 'RSeq', rack: 'RAck', 'user-to-user': 'User-to-User', 'remote-party-id': 'Remote-Party-ID', 'min-se': 'Min-SE', 'p-asserted-identity': 'P-Asserted-Identity',
} // prettier-ignore

const known = new Map<string, string>()

/** `call-id`, `i` and `CALL-ID` are all "Call-ID". */
export function canonicalName(name: string): string {
  const hit = known.get(name)
  if (hit) return hit
  const lower = name.trim().toLowerCase()
  const full =
    COMPACT[lower] ??
    IRREGULAR[lower] ??
    lower.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase())
  // Bounded: hostile messages must not grow it.
  if (known.size < 500 && name.length < 64) known.set(name, full)
  return full
}
