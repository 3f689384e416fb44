/**
 * Our digest towards the peer over the life of a session (RFC 3261 §22, RFC 8760): remembers what it was asked for, so
 * that later requests carry credentials at once, and decides whether a 401/407 is worth another try.
 */
import { answerChallenge, chooseChallenge, parseChallenges, type Challenge } from '../auth/digest.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import type { Credentials } from './session.ts'

interface Known {
  challenge: Challenge
  header: 'Authorization' | 'Proxy-Authorization'
  nc: number
}

/** What one request has been through: at most one plain and one stale retry per realm (RELIABILITY S2). */
export class AuthTries {
  readonly plain = new Set<string>()
  readonly stale = new Set<string>()
}

const MOST_REALMS = 4

export class ClientAuth {
  readonly #credentials: Credentials | undefined
  readonly #known = new Map<string, Known>()

  constructor(credentials: Credentials | undefined) {
    this.#credentials = credentials
  }

  /** Puts credentials on a request for everything that asked so far. Never on CANCEL; ACK copies its INVITE's. */
  authorize(request: SipRequest): void {
    if (!this.#credentials) return
    for (const known of this.#known.values()) {
      known.nc++
      request.headers.add(
        known.header,
        answerChallenge(known.challenge, {
          username: this.#credentials.username,
          password: this.#credentials.password,
          method: request.method,
          uri: request.uri,
          nc: known.nc,
          body: request.body,
        }),
      )
    }
  }

  /** True: the request is to be sent again, with the next CSeq, after `authorize`. */
  challenged(response: SipResponse, tries: AuthTries): boolean {
    if (!this.#credentials || (response.status !== 401 && response.status !== 407)) return false
    let again = false
    // Both kinds may come in one answer: a proxy forks and collects (RFC 3261 §22.3).
    for (const header of ['WWW-Authenticate', 'Proxy-Authenticate'] as const) {
      const challenges = parseChallenges(response.headers.all(header))
      for (const realm of new Set(challenges.map((c) => c.realm))) {
        if (this.#credentials.realm !== undefined && realm !== this.#credentials.realm) continue
        const challenge = chooseChallenge(challenges, realm)
        if (!challenge) continue
        const key = `${header} ${realm}`
        const stale = challenge.stale && this.#known.has(key)
        const tried = stale ? tries.stale : tries.plain
        // Asked again without stale: the password is wrong, or the nonce from an earlier request ran out unannounced.
        if (tried.has(key)) continue
        tried.add(key)
        if (!this.#known.has(key) && this.#known.size >= MOST_REALMS) continue
        this.#known.set(key, {
          challenge,
          header: header === 'WWW-Authenticate' ? 'Authorization' : 'Proxy-Authorization',
          nc: 0,
        })
        again = true
      }
    }
    return again
  }
}
