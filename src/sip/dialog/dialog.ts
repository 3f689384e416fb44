/**
 * Dialog state (RFC 3261 §12): identity, sequence numbers, route set, remote target, and the flow that its requests take.
 * Builds in-dialog requests; sends nothing.
 */
import { formatCSeq, parseNameAddr, parseCSeq } from '../message/headers.ts'
import { EMPTY_BODY, Headers, type SipRequest, type SipResponse } from '../message/message.ts'
import { parseUri } from '../message/uri.ts'
import type { Flow, Protocol, Transports } from '../transport/transport.ts'

export interface Identity {
  callId: string
  /** Whole From or To value with tag. */
  local: string
  remote: string
  localTag: string
  /** Empty: a peer of RFC 2543. */
  remoteTag: string
}

export type NatMode = 'auto' | 'always' | 'never'

export class Dialog {
  readonly identity: Identity
  #routeSet: string[]
  #remoteTarget: string
  #flow: Flow
  #localSeq: number
  #remoteSeq: number | undefined

  constructor(
    identity: Identity,
    routeSet: string[],
    remoteTarget: string,
    flow: Flow,
    localSeq: number,
    remoteSeq?: number,
  ) {
    this.identity = identity
    this.#routeSet = routeSet
    this.#remoteTarget = remoteTarget
    this.#flow = flow
    this.#localSeq = localSeq
    this.#remoteSeq = remoteSeq
  }

  /** §12.1.1: as UAS, from the request. `local` is our To with tag. */
  static fromRequest(request: SipRequest, local: string, localTag: string, flow: Flow): Dialog {
    const from = request.headers.get('From') ?? ''
    return new Dialog(
      {
        callId: request.headers.get('Call-ID') ?? '',
        local,
        remote: from,
        localTag,
        remoteTag: parseNameAddr(from)?.params.get('tag') ?? '',
      },
      request.headers.all('Record-Route'),
      contactUri(request.headers) ?? parseNameAddr(from)?.uri ?? '',
      flow,
      Math.floor(Math.random() * 2 ** 16) + 1,
      parseCSeq(request.headers.get('CSeq') ?? '')?.seq,
    )
  }

  /** §12.1.2: as UAC, from a 101-299 to our INVITE. */
  static fromResponse(request: SipRequest, response: SipResponse, flow: Flow): Dialog {
    const from = request.headers.get('From') ?? ''
    const to = response.headers.get('To') ?? ''
    return new Dialog(
      {
        callId: request.headers.get('Call-ID') ?? '',
        local: from,
        remote: to,
        localTag: parseNameAddr(from)?.params.get('tag') ?? '',
        remoteTag: parseNameAddr(to)?.params.get('tag') ?? '',
      },
      response.headers.all('Record-Route').reverse(),
      contactUri(response.headers) ?? request.uri,
      flow,
      parseCSeq(request.headers.get('CSeq') ?? '')?.seq ?? 1,
    )
  }

  get flow(): Flow {
    return this.#flow
  }

  get remoteTarget(): string {
    return this.#remoteTarget
  }

  /** §13.2.2.4: the 2xx may show another route set than the provisional that made the early dialog. */
  confirm(response: SipResponse, flow: Flow): void {
    this.#routeSet = response.headers.all('Record-Route').reverse()
    this.#flow = flow
    this.refreshTarget(response.headers)
  }

  /** §12.2: the Contact of re-INVITE, UPDATE and their 2xx. The route set stays. */
  refreshTarget(headers: Headers): void {
    this.#remoteTarget = contactUri(headers) ?? this.#remoteTarget
  }

  /** §12.2.2: false when the number is lower than one seen before. */
  acceptSeq(seq: number): boolean {
    if (this.#remoteSeq !== undefined && seq < this.#remoteSeq) return false
    this.#remoteSeq = seq
    return true
  }

  /** A request in this dialog, without Via (the transaction layer's) and with the next CSeq; an ACK takes `seq` of its INVITE. */
  request(method: string, seq?: number): SipRequest {
    const headers = new Headers()
    headers.add('Max-Forwards', '70')
    headers.add('From', this.identity.local)
    headers.add('To', this.identity.remote)
    headers.add('Call-ID', this.identity.callId)
    headers.add('CSeq', formatCSeq({ seq: seq ?? ++this.#localSeq, method }))
    const [first, ...rest] = this.#routeSet
    let uri = this.#remoteTarget
    if (first !== undefined) {
      const route = parseUri(parseNameAddr(first)?.uri ?? '')
      if (route && !route.params.has('lr')) {
        // §12.2.1.1: a strict router (RFC 2543) wants itself in the Request-URI and the target at the end of the route.
        uri = (parseNameAddr(first)?.uri ?? '').replace(/\?.*$/, '')
        for (const r of rest) headers.add('Route', r)
        headers.add('Route', `<${this.#remoteTarget}>`)
      } else for (const r of this.#routeSet) headers.add('Route', r)
    }
    return { kind: 'request', method, uri, headers, body: EMPTY_BODY }
  }

  /**
   * The flow for the next request. A connection is kept while it lives. Over UDP the route set or the target decide
   * (RFC 3261 §8.1.2; Twilio needs its ACK there), unless they name an address that only the peer's own network can
   * reach (it sits behind NAT) or a host name: then the place that it speaks from.
   */
  pickFlow(transports: Pick<Transports, 'flowTo' | 'resolver'>, nat: NatMode): Flow {
    const hop = parseUri(parseNameAddr(this.#routeSet[0] ?? '')?.uri ?? this.#remoteTarget)
    const kept = this.#flow
    const protocol: Protocol = hop?.params.get('transport')?.toLowerCase() === 'tcp' ? 'tcp' : kept.protocol
    const literal = hop ? transports.resolver.literal(hop.host, hop.port, protocol) : undefined
    if (kept.protocol === 'tcp') {
      if (!kept.closed) return kept
      this.#flow = transports.flowTo('tcp', literal?.host ?? kept.remoteHost, literal?.port ?? hop?.port ?? 5060)
      return this.#flow
    }
    if (!literal || nat === 'always') return kept
    if (literal.protocol === kept.protocol && literal.host === kept.remoteHost && literal.port === kept.remotePort)
      return kept
    if (nat !== 'never' && isLocalAddress(literal.host) && !isLocalAddress(kept.remoteHost)) return kept
    this.#flow = transports.flowTo(literal.protocol, literal.host, literal.port)
    return this.#flow
  }
}

const contactUri = (headers: Headers): string | undefined => {
  const contact = headers.get('Contact')
  return contact === undefined ? undefined : parseNameAddr(contact)?.uri
}

// RFC 1918, RFC 6598, link-local, loopback, RFC 4193: not reachable from where we are unless the peer is there as well.
const LOCAL_V4 =
  /^(10\.|127\.|192\.168\.|169\.254\.|172\.(1[6-9]|2\d|3[01])\.|100\.(6[4-9]|[7-9]\d|1[01]\d|12[0-7])\.|0\.)/
const isLocalAddress = (host: string): boolean =>
  host.includes(':') ? /^(::1$|f[cd]|fe[89ab])/i.test(host) : LOCAL_V4.test(host)
