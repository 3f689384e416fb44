/**
 * Our ids in the spellings that bots written for others insist on: Twilio's two letters and 32 hex digits, and plain
 * UUIDs. Call and account ids are UUIDs and can be read back; a stream's cannot.
 */
import { createHash } from 'node:crypto'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i

const hash = (id: string): string => createHash('sha256').update(id).digest('hex').slice(0, 32)
const hex = (id: string): string => (UUID.test(id) ? id.replaceAll('-', '').toLowerCase() : hash(id))
const dashed = (h: string): string =>
  `${h.slice(0, 8)}-${h.slice(8, 12)}-${h.slice(12, 16)}-${h.slice(16, 20)}-${h.slice(20)}`

function idOf(prefix: string, sid: string): string | undefined {
  if (sid.length !== 34 || !sid.startsWith(prefix)) return undefined
  const id = dashed(sid.slice(2).toLowerCase())
  return UUID.test(id) ? id : undefined
}

export const callSid = (callId: string): string => `CA${hex(callId)}`
export const accountSid = (accountId: string): string => `AC${hex(accountId)}`
/** Hashed always: nobody comes back with it, and it must not look like the call's. */
export const streamSid = (streamId: string): string => `MZ${hash(streamId)}`

/** Undefined for anything that is not the sid of a UUID. */
export const callIdOfSid = (sid: string): string | undefined => idOf('CA', sid)
export const accountIdOfSid = (sid: string): string | undefined => idOf('AC', sid)

/** A UUID as it is; anything else as the UUID of its hash (RFC 9562 §5.8, version 8). */
export function uuidOf(id: string): string {
  if (UUID.test(id)) return id.toLowerCase()
  const h = hash(id)
  return dashed(`${h.slice(0, 12)}8${h.slice(13, 16)}${((parseInt(h[16], 16) & 3) | 8).toString(16)}${h.slice(17)}`)
}
