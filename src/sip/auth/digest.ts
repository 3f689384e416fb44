/**
 * Digest authentication, the side that is challenged (RFC 7616, RFC 2617, RFC 8760). Knows no messages and no
 * transactions: values of WWW-Authenticate and Authorization headers only.
 */
import { hexToken } from '../../lib/ids.ts'
import { isToken, quote } from '../message/headers.ts'
import { digestAlgorithm, digestResponse, parseAuthList, type DigestAlgorithm } from './digest-hash.ts'

export type { DigestAlgorithm } from './digest-hash.ts'
export { DigestServer } from './digest-server.ts'

const MOST_CHALLENGES = 16

export interface Challenge {
  realm: string
  nonce: string
  opaque?: string
  algorithm: DigestAlgorithm
  /** Old servers that name no algorithm get none back. */
  algorithmNamed: boolean
  /** Those of the offer that we know; empty: RFC 2069 style. */
  qop: ('auth' | 'auth-int')[]
  stale: boolean
}

/** Every Digest challenge of these WWW- or Proxy-Authenticate values that we can answer, in order. */
export function parseChallenges(values: string[]): Challenge[] {
  const challenges: Challenge[] = []
  for (const { scheme, fields } of values.slice(0, MOST_CHALLENGES).flatMap(parseAuthList)) {
    const realm = fields.get('realm')
    const nonce = fields.get('nonce')
    const algorithm = digestAlgorithm(fields.get('algorithm'))
    if (scheme !== 'digest' || realm === undefined || nonce === undefined || !algorithm) continue
    const offered = (fields.get('qop') ?? '')
      .toLowerCase()
      .split(/[\s,]+/)
      .filter(Boolean)
    const qop = (['auth', 'auth-int'] as const).filter((q) => offered.includes(q))
    // A quality that we do not know cannot be ignored (RFC 7616 §3.3).
    if (offered.length && !qop.length) continue
    const stale = fields.get('stale')?.toLowerCase() === 'true'
    challenges.push({
      realm,
      nonce,
      opaque: fields.get('opaque'),
      algorithm,
      algorithmNamed: fields.has('algorithm'),
      qop,
      stale,
    })
  }
  return challenges
}

/** RFC 8760 §2.4: the server lists what it likes best first; we take the first that we know, optionally of one realm. */
export const chooseChallenge = (challenges: Challenge[], realm?: string): Challenge | undefined =>
  challenges.find((c) => realm === undefined || c.realm === realm)

export interface Answer {
  username: string
  password: string
  method: string
  /** The Request-URI as text. */
  uri: string
  /** How often this nonce has been used, from 1. */
  nc?: number
  /** Fresh when absent. */
  cnonce?: string
  /** For qop=auth-int. */
  body?: Buffer
}

/** The value of the Authorization or Proxy-Authorization header. */
export function answerChallenge(challenge: Challenge, answer: Answer): string {
  const { algorithm, realm, nonce } = challenge
  const qop = challenge.qop.includes('auth') ? 'auth' : challenge.qop[0]
  const nc = (answer.nc ?? 1).toString(16).padStart(8, '0')
  const cnonce = answer.cnonce ?? hexToken(128)
  const response = digestResponse({ ...answer, algorithm, realm, nonce, qop, nc, cnonce })
  const fields = [
    `username=${quote(answer.username)}`,
    `realm=${quote(realm)}`,
    `nonce=${quote(nonce)}`,
    `uri=${quote(answer.uri)}`,
    `response="${response}"`,
  ]
  if (challenge.algorithmNamed) fields.push(`algorithm=${algorithm}`)
  if (qop || algorithm.endsWith('-sess')) fields.push(`cnonce=${quote(cnonce)}`)
  if (qop && isToken(qop)) fields.push(`qop=${qop}`, `nc=${nc}`)
  if (challenge.opaque !== undefined) fields.push(`opaque=${quote(challenge.opaque)}`)
  return 'Digest ' + fields.join(', ')
}
