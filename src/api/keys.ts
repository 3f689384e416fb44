import type { FastifyRequest } from 'fastify'
import type { Principal } from '../accounts/ports.ts'
import type { Clock } from '../lib/clock.ts'
import { DomainError } from '../lib/errors.ts'
import type { Core } from './core.ts'

/** Where vendors put keys. Absent and empty are the same. */
export const bearerOf = (request: FastifyRequest): string | undefined =>
  /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]

/** RFC 7617. */
export function basicOf(request: FastifyRequest): { user: string; password: string } | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=_-]+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (encoded === undefined) return undefined
  const text = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

export const headerOf = (request: FastifyRequest, name: string): string | undefined => textOf(request.headers[name])

export const queryKeyOf = (request: FastifyRequest, name: string): string | undefined =>
  textOf((request.query as Record<string, unknown>)[name])

export const bodyKeyOf = (body: unknown, name: string): string | undefined =>
  typeof body === 'object' && body !== null && Object.hasOwn(body, name)
    ? textOf((body as Record<string, unknown>)[name])
    : undefined

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined

const WINDOW_MS = 60_000
// One entry per address that failed within the window; the oldest goes when more than this fail.
const MAX_ADDRESSES = 10_000

/**
 * Failed keys per address: past the limit a failure is answered 429. A good key passes all the same, because behind a
 * proxy or NAT one client's stale key must not lock out the others; keys have 192 random bits, so nothing is guessed.
 */
export class AuthFailures {
  readonly #byAddress = new Map<string, { count: number; untilMs: number }>()
  readonly #clock: Clock
  readonly #perMinute: number

  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock
    this.#perMinute = perMinute
  }

  /** Counts one failure and gives the error that answers it. */
  fail(address: string): DomainError {
    const nowMs = this.#clock.now()
    let entry = this.#byAddress.get(address)
    if (!entry || entry.untilMs <= nowMs) {
      this.#byAddress.delete(address)
      if (this.#byAddress.size >= MAX_ADDRESSES) this.#byAddress.delete(this.#byAddress.keys().next().value!)
      this.#byAddress.set(address, (entry = { count: 0, untilMs: nowMs + WINDOW_MS }))
    }
    entry.count++
    return entry.count > this.#perMinute ? tooMany(entry.untilMs - nowMs) : new DomainError('UNAUTHENTICATED')
  }

  /** For keys that people choose (the admin key): nothing is tried past the limit. */
  check(address: string): void {
    const entry = this.#byAddress.get(address)
    const nowMs = this.#clock.now()
    if (entry && entry.untilMs > nowMs && entry.count >= this.#perMinute) throw tooMany(entry.untilMs - nowMs)
  }
}

const tooMany = (retryAfterMs: number): DomainError =>
  new DomainError('RATE_LIMITED', 'Too many failed keys from this address.', { retryAfterMs })

/** The account behind a key, or UNAUTHENTICATED / RATE_LIMITED. */
export async function authenticate(
  core: Core,
  failures: AuthFailures,
  request: FastifyRequest,
  key: string | undefined,
): Promise<Principal> {
  const principal = key === undefined ? undefined : await core.accounts.authenticate(key)
  if (!principal) throw failures.fail(request.ip)
  return principal
}
