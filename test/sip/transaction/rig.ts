import { Headers, type SipMessage, type SipRequest, type SipResponse } from '../../../src/sip/message/message.ts'
import { buildResponse } from '../../../src/sip/message/build.ts'
import { parseMessage } from '../../../src/sip/message/parse.ts'
import { TransactionLayer, type ClientListener, type LayerOptions } from '../../../src/sip/transaction/layer.ts'
import { createResolver } from '../../../src/sip/transport/resolve.ts'
import { stampVia } from '../../../src/sip/transport/response-route.ts'
import type { Flow, MessageHandler, Protocol, Transports } from '../../../src/sip/transport/transport.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../fakes/clock.ts'

export interface Sent {
  atMs: number
  /** `INVITE` or `486 INVITE`. */
  what: string
  to: string
  message: SipMessage
  bytes: Buffer
}

/** One path to a peer at 192.0.2.9: what we send is kept with its time, what the peer "sends" is handed in. */
export class FakeFlow implements Flow {
  readonly protocol: Protocol
  readonly remoteHost: string
  readonly remotePort: number
  readonly #rig: Rig
  readonly #listeners = new Set<(err: Error) => void>()
  closed = false
  /** Set: every send fails with it. */
  broken: Error | undefined

  constructor(rig: Rig, protocol: Protocol, host: string, port: number) {
    this.#rig = rig
    this.protocol = protocol
    this.remoteHost = host
    this.remotePort = port
  }

  get reliable(): boolean {
    return this.protocol === 'tcp'
  }

  send(bytes: Buffer, failed?: (err: Error) => void): void {
    const err = this.broken ?? (this.closed ? new Error('closed') : undefined)
    if (err) {
      this.#rig.clock.after(0, () => failed?.(err))
      return
    }
    const parsed = parseMessage(bytes)
    if (!parsed.ok) throw new Error(`we sent something malformed: ${parsed.reason}\n${bytes.toString()}`)
    const { message } = parsed
    const method = message.headers.get('CSeq')?.split(' ')[1] ?? ''
    const what = message.kind === 'request' ? message.method : `${message.status} ${method}`
    this.#rig.sent.push({
      atMs: this.#rig.clock.now(),
      what,
      to: `${this.remoteHost}:${this.remotePort}`,
      message,
      bytes,
    })
  }

  onClose(listener: (err: Error) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  get listeners(): number {
    return this.#listeners.size
  }

  close(): void {
    this.closed = true
    for (const listener of [...this.#listeners]) listener(new Error('connection reset'))
  }
}

export class Rig {
  readonly clock = new FakeClock()
  readonly sent: Sent[] = []
  readonly flow: FakeFlow
  readonly layer: TransactionLayer
  readonly #flows = new Map<string, FakeFlow>()
  #handler: MessageHandler = () => undefined

  constructor(protocol: Protocol = 'udp', options: Partial<LayerOptions> = {}) {
    const transports: Transports = {
      localPort: 5060,
      sentBy: { host: '192.0.2.1', port: 5060 },
      resolver: createResolver(),
      flowTo: (p, host, port) => this.flowTo(p, host, port),
      onMessage: (handler) => (this.#handler = handler),
      setAdmission: () => undefined,
      penalise: () => undefined,
      close: () => Promise.resolve(),
    }
    this.flow = this.flowTo(protocol, '192.0.2.9', 5060)
    this.layer = new TransactionLayer({ clock: this.clock, transports, log: silentLog, ...options })
  }

  flowTo(protocol: Protocol, host: string, port: number): FakeFlow {
    const key = `${protocol}|${host}|${port}`
    const open = this.#flows.get(key)
    if (open && !open.closed) return open
    const flow = new FakeFlow(this, protocol, host, port)
    this.#flows.set(key, flow)
    return flow
  }

  /** The peer sends this. */
  deliver(message: SipMessage, flow: Flow = this.flow): void {
    const copy = copyOf(message)
    if (copy.kind === 'request') stampVia(copy, flow)
    this.#handler(copy, flow)
  }

  /** The peer answers a request of ours. */
  answer(request: SipMessage, status: number, toTag = 'peer'): void {
    if (request.kind !== 'request') throw new Error('not a request')
    this.deliver(buildResponse(request, status, undefined, { toTag }))
  }

  /** Times, in ms, at which this went out. */
  times(what: string): number[] {
    return this.sent.filter((s) => s.what === what).map((s) => s.atMs)
  }

  get last(): Sent {
    const last = this.sent.at(-1)
    if (!last) throw new Error('nothing was sent')
    return last
  }

  /** A listener that writes down what it hears, with times. */
  listener(): ClientListener & { heard: string[]; responses: SipResponse[] } {
    const heard: string[] = []
    const responses: SipResponse[] = []
    return {
      heard,
      responses,
      response: (r) => {
        responses.push(r)
        heard.push(`${this.clock.now()} ${r.status}`)
      },
      timeout: () => heard.push(`${this.clock.now()} timeout`),
      transportError: (err) => heard.push(`${this.clock.now()} ${err.message}`),
    }
  }
}

export const copyOf = <M extends SipMessage>(message: M): M => {
  const headers = new Headers()
  for (const [name, value] of message.headers.entries()) headers.add(name, value)
  return { ...message, headers }
}

export interface RequestParts {
  branch?: string
  via?: string
  callId?: string
  cseq?: number
  fromTag?: string
  toTag?: string
  uri?: string
  headers?: [string, string][]
}

/** A request as a peer would send it (or, less its Via, as our core hands it to the layer). */
export function makeRequest(method: string, parts: RequestParts = {}): SipRequest {
  const headers = new Headers()
    .add('Via', parts.via ?? `SIP/2.0/UDP 192.0.2.9:5060;branch=${parts.branch ?? 'z9hG4bKpeer1'}`)
    .add('Max-Forwards', '70')
    .add('From', `<sip:a@192.0.2.9>;tag=${parts.fromTag ?? 'from1'}`)
    .add('To', `<sip:b@192.0.2.1>${parts.toTag ? `;tag=${parts.toTag}` : ''}`)
    .add('Call-ID', parts.callId ?? 'call1')
    .add('CSeq', `${parts.cseq ?? 1} ${method}`)
  for (const [name, value] of parts.headers ?? []) headers.add(name, value)
  return { kind: 'request', method, uri: parts.uri ?? 'sip:b@192.0.2.1', headers, body: Buffer.alloc(0) }
}
