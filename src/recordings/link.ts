import { timingSafeEqual } from 'node:crypto'

/** HMAC-SHA-256 under a key of the installation, in hex. The key must stay the same for as long as recordings are kept. */
export type Digest = (text: string) => string

const FILE_NAME = /^[0-9a-f]{32}\.wav$/

/**
 * The name of a recording's file: 128 bits that nobody can guess without the key, bound to account and recording, and
 * found again without asking the database.
 */
export const fileNameOf = (digest: Digest, accountId: string, recordingId: string): string =>
  `${digest(`recording file\n${accountId}\n${recordingId}`).slice(0, 32)}.wav`

export const isFileName = (text: string): boolean => FILE_NAME.test(text)

/** Over path and expiry; the tenant is in the path, because the file's name is made of it. */
export const signatureOf = (digest: Digest, path: string, expiresAtS: number): string =>
  digest(`recording link\n${path}\n${expiresAtS}`)

export function signatureIsRight(digest: Digest, path: string, expiresAtS: number, given: string): boolean {
  const wanted = Buffer.from(signatureOf(digest, path, expiresAtS))
  const got = Buffer.from(given)
  return wanted.length === got.length && timingSafeEqual(wanted, got)
}
