/**
 * UDP and TCP bound to one address and port: admission, parsing, the RFC 3581 stamp, then the one handler above.
 *
 *   bytes ─▶ banned? admitted? ─▶ parseMessage ─▶ received/rport ─▶ handler
 *                 │ drop, count        │ 400 if it can be answered, else drop and count
 */
import { isIPv6 } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import { errorText } from '../../lib/errors.ts'
import { hexToken } from '../../lib/ids.ts'
import type { Log } from '../../telemetry/log.ts'
import { metrics } from '../../telemetry/metrics.ts'
import { buildResponse } from '../message/build.ts'
import { parseVia } from '../message/headers.ts'
import type { SipRequest } from '../message/message.ts'
import { parseMessage } from '../message/parse.ts'
import { serialize } from '../message/serialize.ts'
import { BanList } from './ban.ts'
import { createResolver, type DnsLookup, type Resolver } from './resolve.ts'
import { responsePort, stampVia } from './response-route.ts'
import { TcpTransport } from './tcp.ts'
import type { Admission, Flow, MessageHandler, Protocol, Transports } from './transport.ts'
import { UdpTransport } from './udp.ts'

export interface TransportOptions {
  /** Address to bind. */
  host: string
  /** 0: UDP picks one, TCP takes the same. */
  port: number
  /** What Via and Contact say; default: `host`. */
  advertisedHost?: string
  clock: Clock
  log: Log
  /** Default: everyone. */
  admit?: Admission
  dns?: DnsLookup
}

/** UDP and TCP ports are dealt out apart: another process may hold the TCP twin of the port that UDP was given. */
const BIND_TRIES = 20

export async function openTransports(options: TransportOptions): Promise<Transports> {
  const set = new TransportSet(options)
  await set.open(options.host, options.port)
  return set
}

class TransportSet implements Transports {
  readonly resolver: Resolver
  readonly #clock: Clock
  readonly #log: Log
  readonly #advertisedHost: string
  readonly #bans: BanList
  #udp!: UdpTransport
  #tcp!: TcpTransport
  #admit: Admission
  #handler: MessageHandler | undefined
  #localPort = 0

  constructor(options: TransportOptions) {
    this.#clock = options.clock
    this.#log = options.log
    this.#advertisedHost = options.advertisedHost ?? options.host
    this.#admit = options.admit ?? (() => true)
    this.#bans = new BanList(options.clock)
    // A socket bound to an IPv4 address reaches no IPv6 one.
    const usable = (address: string): boolean => isIPv6(options.host) || !isIPv6(address)
    this.resolver = createResolver(options.dns, { clock: options.clock, usable })
  }

  async open(host: string, port: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      this.#udp = await UdpTransport.open(host, port, this.#log, (bytes, flow) => this.#datagram(bytes, flow))
      try {
        this.#tcp = await TcpTransport.open(host, this.#udp.localPort, this.#clock, this.#log, {
          message: (bytes, flow) => this.#receive(bytes, flow),
          unreadable: (reason, head, flow) => this.#unreadable(reason, head, flow),
          admit: (remoteHost) => this.#mayRead(remoteHost, 'tcp'),
        })
        this.#localPort = this.#udp.localPort
        return
      } catch (err) {
        await this.#udp.close()
        if (port !== 0 || tries >= BIND_TRIES) throw err
      }
    }
  }

  get localPort(): number {
    return this.#localPort
  }

  get sentBy(): { host: string; port: number } {
    return { host: this.#advertisedHost, port: this.#localPort }
  }

  flowTo(protocol: Protocol, host: string, port: number): Flow {
    return protocol === 'udp' ? this.#udp.flowTo(host, port) : this.#tcp.flowTo(host, port)
  }

  onMessage(handler: MessageHandler): void {
    this.#handler = handler
  }

  setAdmission(admit: Admission): void {
    this.#admit = admit
  }

  penalise(remoteHost: string): void {
    if (this.#admit(remoteHost, 'udp') === 'trusted') return
    if (this.#bans.bad(remoteHost))
      this.#log.warn({ remoteHost }, 'too many bad SIP requests: source ignored for 5 min')
  }

  async close(): Promise<void> {
    await Promise.all([this.#udp.close(), this.#tcp.close()])
  }

  #mayRead(remoteHost: string, protocol: Protocol): boolean {
    return !this.#bans.banned(remoteHost) && this.#admit(remoteHost, protocol) !== false
  }

  #datagram(bytes: Buffer, flow: Flow): void {
    // Keep-alives: CRLFs, or the lone zero bytes of some phones.
    if (bytes.length <= 4) return
    this.#receive(bytes, flow)
  }

  #receive(bytes: Buffer, flow: Flow): void {
    // An exception in here would end the process for every call.
    try {
      if (!this.#mayRead(flow.remoteHost, flow.protocol)) return metrics.sipDropped.inc({ reason: 'unknown_source' })
      const result = parseMessage(bytes)
      if (!result.ok) {
        metrics.sipDropped.inc({ reason: 'malformed' })
        this.penalise(flow.remoteHost)
        this.#log.debug(
          { peer: flow.remoteHost, status: result.status, reason: result.reason },
          'malformed SIP message',
        )
        if (result.partial) this.#refuse(result.partial, result.status, result.reason, flow)
        return
      }
      if (result.message.kind === 'request') stampVia(result.message, flow)
      this.#handler?.(result.message, flow)
    } catch (err) {
      metrics.sipDropped.inc({ reason: 'internal-error' })
      this.#log.error({ err, peer: flow.remoteHost }, `SIP message not handled: ${errorText(err)}`)
    }
  }

  #unreadable(reason: string, head: Buffer | undefined, flow: Flow): void {
    metrics.sipDropped.inc({ reason: `tcp-${reason}` })
    this.penalise(flow.remoteHost)
    const result = head && parseMessage(head)
    // Without a usable Content-Length the head alone may parse well: it is refused all the same (RFC 3261 §18.3).
    const partial =
      result?.ok && result.message.kind === 'request'
        ? result.message
        : result?.ok === false
          ? result.partial
          : undefined
    if (partial && partial.method !== 'ACK') this.#refuse(partial, 400, 'Content-Length Required', flow)
  }

  #refuse(request: SipRequest, status: number, reason: string, flow: Flow): void {
    const via = parseVia(request.headers.get('Via') ?? '')
    if (!via) return
    stampVia(request, flow)
    const bytes = serialize(buildResponse(request, status, reason, { toTag: hexToken() }))
    const back = flow.protocol === 'udp' ? this.flowTo('udp', flow.remoteHost, responsePort(via, flow, 'auto')) : flow
    back.send(bytes)
  }
}
