/**
 * What our opening handshake carries besides RFC 6455: the customer's headers, and a signature by which a bot can tell
 * that it is us who call. Also fills the templates of the address.
 */
import { createHmac } from 'node:crypto'

/** Facts that an address may name as `{call_id}`; the rest of `start` has no business in other people's access logs. */
const TEMPLATE_FACTS = new Set(['call_id', 'account_id', 'voicechat_id', 'direction', 'from', 'to'])

export function fillTemplate(url: string, facts: Record<string, unknown>): string {
  return url.replace(/\{([a-z_]+)\}/g, (whole, name: string) => {
    const value = facts[name]
    if (!TEMPLATE_FACTS.has(name) || (typeof value !== 'string' && typeof value !== 'number')) return whole
    return encodeURIComponent(value)
  })
}

/** `v1=` and the hex HMAC-SHA256 of timestamp, method, URL and call id, one per line. */
export function signature(secret: string, timestamp: string, url: string, callId: string): string {
  return `v1=${createHmac('sha256', secret).update(`${timestamp}\nGET\n${url}\n${callId}`).digest('hex')}`
}

export function handshakeHeaders(
  plan: { headers: Record<string, string>; secret?: string },
  url: string,
  callId: string,
  wallMs: number,
): Record<string, string> {
  const timestamp = String(Math.floor(wallMs / 1000))
  const headers: Record<string, string> = {
    ...plan.headers,
    'X-Trunkline-Call-Id': callId,
    'X-Trunkline-Timestamp': timestamp,
  }
  if (plan.secret !== undefined) headers['X-Trunkline-Signature'] = signature(plan.secret, timestamp, url, callId)
  return headers
}
