import type { Clock } from '../../src/lib/clock.ts'
import { parseVia } from '../../src/sip/message/headers.ts'
import type { SipMessage, SipRequest, SipResponse } from '../../src/sip/message/message.ts'
import { parseMessage } from '../../src/sip/message/parse.ts'
import { createResolver } from '../../src/sip/transport/resolve.ts'
import { stampVia } from '../../src/sip/transport/response-route.ts'
import type { Admission, Flow, MessageHandler, Protocol, Transports } from '../../src/sip/transport/transport.ts'

export interface Packet {
  from: string
  to: string
  text: string
  atMs: number
  /** `INVITE`, or `200 INVITE` for an answer. */
  what: string
  lost: boolean
}

/** Datagrams in memory, real bytes in between, in the test's clock. `lose` decides about each. */
export class FakeNetwork {
  readonly clock: Clock
  readonly packets: Packet[] = []
  delayMs = 1
  lose: (packet: Packet) => boolean = () => false
  readonly dns = new Map<string, string[]>()
  readonly #ends = new Map<string, (bytes: Buffer, from: string) => void>()

  constructor(clock: Clock) {
    this.clock = clock
  }

  attach(address: string, receive: (bytes: Buffer, from: string) => void): () => void {
    this.#ends.set(address, receive)
    return () => this.#ends.delete(address)
  }

  send(from: string, to: string, bytes: Buffer): void {
    const text = bytes.toString('latin1')
    const packet: Packet = { from, to, text, atMs: this.clock.now(), what: whatIs(text), lost: false }
    packet.lost = this.lose(packet)
    this.packets.push(packet)
    if (!packet.lost) this.clock.after(this.delayMs, () => this.#ends.get(to)?.(Buffer.from(bytes), from))
  }

  /** What passed from one host to the other, in order. */
  seen(from?: string, to?: string): string[] {
    return this.#between(from, to).map((p) => p.what)
  }

  last(what: string, from?: string, to?: string): string {
    return (
      this.#between(from, to)
        .filter((p) => p.what === what)
        .at(-1)?.text ?? ''
    )
  }

  #between(from?: string, to?: string): Packet[] {
    return this.packets.filter((p) => (!from || p.from.startsWith(`${from}:`)) && (!to || p.to.startsWith(`${to}:`)))
  }

  transports(host: string, port = 5060): FakeTransports {
    return new FakeTransports(this, host, port)
  }

  peer(host: string, port = 5060): RawPeer {
    return new RawPeer(this, host, port)
  }
}

const whatIs = (text: string): string => {
  const first = text.split(' ', 2)
  return first[0] === 'SIP/2.0' ? `${first[1]} ${/^CSeq: *\d+ (\S+)/im.exec(text)?.[1]}` : first[0]
}

export class FakeTransports implements Transports {
  readonly localPort: number
  readonly sentBy: { host: string; port: number }
  readonly resolver
  readonly #network: FakeNetwork
  readonly #detach: () => void
  readonly banned: string[] = []
  #handler: MessageHandler = () => undefined
  #admit: Admission = () => true

  constructor(network: FakeNetwork, host: string, port: number) {
    this.#network = network
    this.localPort = port
    this.sentBy = { host, port }
    this.resolver = createResolver({
      srv: () => Promise.reject(new Error('none')),
      addresses: (name) => Promise.resolve(network.dns.get(name) ?? []),
    })
    this.#detach = network.attach(`${host}:${port}`, (bytes, from) => {
      const [remoteHost, remotePort] = from.split(':')
      if (!this.#admit(remoteHost, 'udp')) return
      const parsed = parseMessage(bytes)
      if (!parsed.ok) return
      const flow = this.flowTo('udp', remoteHost, Number(remotePort))
      if (parsed.message.kind === 'request') stampVia(parsed.message, flow)
      this.#handler(parsed.message, flow)
    })
  }

  flowTo(protocol: Protocol, host: string, port: number): Flow {
    return {
      protocol,
      remoteHost: host,
      remotePort: port,
      reliable: protocol === 'tcp',
      closed: false,
      send: (bytes) => this.#network.send(`${this.sentBy.host}:${this.localPort}`, `${host}:${port}`, bytes),
      onClose: () => () => undefined,
    }
  }

  onMessage(handler: MessageHandler): void {
    this.#handler = handler
  }

  setAdmission(admit: Admission): void {
    this.#admit = admit
  }

  penalise(remoteHost: string): void {
    this.banned.push(remoteHost)
  }

  close(): Promise<void> {
    this.#detach()
    return Promise.resolve()
  }
}

/** The far end written by hand: sends texts, keeps what it gets. Copies Via, From, To, Call-ID and CSeq as told. */
export class RawPeer {
  readonly requests: SipRequest[] = []
  readonly responses: SipResponse[] = []
  /** Called for each request; set to answer. */
  onRequest: (request: SipRequest) => void = () => undefined
  readonly #network: FakeNetwork
  readonly address: string
  readonly #from = new WeakMap<SipMessage, string>()
  #branch = 0

  constructor(network: FakeNetwork, host: string, port: number) {
    this.#network = network
    this.address = `${host}:${port}`
    network.attach(this.address, (bytes, from) => {
      const parsed = parseMessage(bytes)
      if (!parsed.ok) throw new Error(`unreadable: ${bytes.toString('latin1')}`)
      this.#from.set(parsed.message, from)
      if (parsed.message.kind === 'response') this.responses.push(parsed.message)
      else {
        this.requests.push(parsed.message)
        this.onRequest(parsed.message)
      }
    })
  }

  get lastStatus(): number | undefined {
    return this.responses.at(-1)?.status
  }

  last(method: string): SipRequest {
    const found = this.requests.filter((r) => r.method === method).at(-1)
    if (!found) throw new Error(`no ${method} among ${this.requests.map((r) => r.method).join(' ')}`)
    return found
  }

  /** A request; `headers` without Via. Returns its branch. */
  request(to: string, method: string, uri: string, headers: string[], body = '', branch?: string): string {
    const used = branch ?? `z9hG4bKraw${++this.#branch}`
    const lines = [
      `${method} ${uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.address};branch=${used};rport`,
      'Max-Forwards: 70',
      ...headers,
      ...(body && !headers.some((h) => /^content-type/i.test(h)) ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${body.length}`,
    ]
    this.#network.send(this.address, to, Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1'))
    return used
  }

  /** Answers a request; `tag` goes on To. */
  respond(request: SipRequest, status: number, more: { tag?: string; headers?: string[]; body?: string } = {}): void {
    const to = request.headers.get('To') ?? ''
    const body = more.body ?? ''
    const lines = [
      `SIP/2.0 ${status} X`,
      ...request.headers.all('Via').map((v) => `Via: ${v}`),
      `From: ${request.headers.get('From')}`,
      `To: ${to}${more.tag && !to.includes(';tag=') ? `;tag=${more.tag}` : ''}`,
      `Call-ID: ${request.headers.get('Call-ID')}`,
      `CSeq: ${request.headers.get('CSeq')}`,
      ...(more.headers ?? []),
      ...(body ? ['Content-Type: application/sdp'] : []),
      `Content-Length: ${body.length}`,
    ]
    const via = parseVia(request.headers.get('Via') ?? '')
    const to_ = this.#from.get(request) ?? `${via?.host}:${via?.port ?? 5060}`
    this.#network.send(this.address, to_, Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1'))
  }
}

export const sdp = (
  host: string,
  port: number,
  more: { direction?: string; version?: number; formats?: string } = {},
): string =>
  [
    'v=0',
    `o=- 77 ${more.version ?? 1} IN IP4 ${host}`,
    's=-',
    `c=IN IP4 ${host}`,
    't=0 0',
    `m=audio ${port} RTP/AVP ${more.formats ?? '0 8 101'}`,
    'a=rtpmap:101 telephone-event/8000',
    'a=ptime:20',
    `a=${more.direction ?? 'sendrecv'}`,
    '',
  ].join('\r\n')
