import { randomBytes } from 'node:crypto'
import { token } from '../lib/ids.ts'

/**
 * The text of an API key: `tl_` + 12 hex digits to find its row by + `_` + 192 random bits. Only the digest of the
 * whole text is stored; the prefix is what people see in lists.
 *
 *   tl_0a1b2c3d4e5f_q8Jx…  (32 characters of base64url)
 *   └── prefix ───┘
 */
const SHAPE = /^(tl_[0-9a-f]{12})_[A-Za-z0-9_-]{32}$/

export const newKeyText = (): string => `tl_${randomBytes(6).toString('hex')}_${token(192)}`

/** The prefix of a well-formed key; undefined for anything else. */
export const prefixOfKey = (text: string): string | undefined => SHAPE.exec(text)?.[1]
