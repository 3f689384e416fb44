/** Where an answer goes (RFC 3261 §18.2, RFC 3581): what we write into the top Via on arrival, and how it is read back. */
import { isIP } from 'node:net'
import { formatVia, parseVia, type Via } from '../message/headers.ts'
import type { SipRequest } from '../message/message.ts'
import type { Flow } from './transport.ts'

/**
 * 'auto': to `rport` when asked for; else to the Via port, unless Via holds an address that is not the source (the peer is
 * behind NAT): then to the source port. 'always': to the source port. 'never': to the Via port, whatever was asked.
 */
export type NatMode = 'auto' | 'always' | 'never'

/** Fills in `received` and `rport`. The request's own `received` is never believed. */
export function stampVia(request: SipRequest, flow: Flow): void {
  const vias = request.headers.all('Via')
  const via = vias.length ? parseVia(vias[0]) : undefined
  if (!via) return
  const asksRport = via.params.has('rport')
  // RFC 3581 §4: with rport, `received` is written even if it equals the Via host.
  const needsReceived = asksRport || via.host !== flow.remoteHost
  if (!needsReceived && !via.params.has('received')) return
  via.params.delete('received')
  if (needsReceived) via.params.set('received', flow.remoteHost)
  if (asksRport) via.params.set('rport', String(flow.remotePort))
  vias[0] = formatVia(via)
  request.headers.delete('Via')
  for (const value of vias.reverse()) request.headers.prepend('Via', value)
}

/** UDP: address and port that the answer goes to. The address is always the packet's source, so nobody is a reflector. */
export function responsePort(via: Via, flow: Flow, nat: NatMode): number {
  if (nat === 'always') return flow.remotePort
  const viaPort = via.port ?? 5060
  if (nat === 'never') return viaPort
  if (via.params.has('rport')) return flow.remotePort
  return via.host !== flow.remoteHost && isIP(via.host) ? flow.remotePort : viaPort
}
