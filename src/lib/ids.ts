import { randomBytes, randomFillSync } from 'node:crypto'

const HEX = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))

/** UUIDv7 (RFC 9562 §5.7): 48 bits of wall-clock ms, then random. Sorts by creation time. */
export function uuidv7(wallMs: number): string {
  const b = randomFillSync(new Uint8Array(16))
  b[0] = Math.floor(wallMs / 2 ** 40)
  b[1] = Math.floor(wallMs / 2 ** 32)
  b[2] = wallMs / 2 ** 24
  b[3] = wallMs / 2 ** 16
  b[4] = wallMs / 2 ** 8
  b[5] = wallMs
  b[6] = (b[6] & 0x0f) | 0x70
  b[8] = (b[8] & 0x3f) | 0x80
  let s = ''
  for (let i = 0; i < 16; i++) s += HEX[b[i]] + (i === 3 || i === 5 || i === 7 || i === 9 ? '-' : '')
  return s
}

/** An unguessable token of `bits` bits in base64url: SIP tags, branches, nonces, file names, keys. */
export const token = (bits = 96): string => randomBytes(bits / 8).toString('base64url')

/** As `token`, in hex: for places where letters fold to one case (SIP hosts, some carriers' tags). */
export const hexToken = (bits = 64): string => randomBytes(bits / 8).toString('hex')
