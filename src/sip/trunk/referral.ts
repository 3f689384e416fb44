/**
 * Refer-To as trunks want it: whom to call, which dialog to take over (RFC 3891), and headers for the call that the peer
 * then makes, escaped behind the URI's '?' (RFC 3261 §19.1.1). Also User-to-User (RFC 7433). Pure; sends nothing.
 */
import { formatUri, parseUri } from '../message/uri.ts'

/** A dialog as its far end knows it: tags as we see them. */
export interface Replaced {
  uri: string
  callId: string
  localTag: string
  remoteTag: string
}

/** Refer-To must fit into a datagram with the rest of the REFER. */
const LONGEST_HEADERS = 700

/** `headers` over the limit, or with a line break, are left out and told to `dropped`. Undefined: no URI that can be read. */
export function referToUri(
  target: string,
  more: { replaces?: Replaced; headers?: [string, string][]; dropped?: (name: string) => void } = {},
): string | undefined {
  const uri = parseUri(more.replaces?.uri ?? target) ?? parseUri(target)
  if (!uri) return undefined
  const headers: string[] = []
  if (more.replaces) {
    const { callId, localTag, remoteTag } = more.replaces
    // §6.1 of RFC 3891: to-tag is the far end's own; '0' stands for a peer of RFC 2543 that has none.
    headers.push(`Replaces=${escapeHeader(`${callId};to-tag=${remoteTag || '0'};from-tag=${localTag}`)}`)
  }
  let length = 0
  for (const [name, value] of more.headers ?? []) {
    const text = `${escapeHeader(name)}=${escapeHeader(value)}`
    length += text.length + 1
    if (length > LONGEST_HEADERS || /[\r\n\0]/.test(name + value)) more.dropped?.(name)
    else headers.push(text)
  }
  return formatUri({ ...uri, headers: headers.length ? headers.join('&') : undefined })
}

/** What stays plain here may stand plain in a URI's headers. */
const escapeHeader = (text: string): string => encodeURIComponent(text.toWellFormed())

/** RFC 7433 §4.1: the octets in hex, which no proxy on the way can misread. */
export const userToUser = (text: string): string => `${Buffer.from(text).toString('hex')};encoding=hex`
