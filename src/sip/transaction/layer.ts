/**
 * The transaction layer (RFC 3261 §17.1.3, §17.2.3): matches messages to transactions, makes new ones, answers CANCEL,
 * merged requests and overload itself. Dialogs, routing and the repeats of a 2xx are the core's.
 *
 *   Transports ──message──▶ layer ──┬─ response ─▶ client transaction ─▶ ClientListener
 *                                   └─ request ──▶ server transaction ─▶ onRequest (new), onCancel, onAck
 */
import type { Clock } from '../../lib/clock.ts'
import { hexToken } from '../../lib/ids.ts'
import type { Log } from '../../telemetry/log.ts'
import { metrics } from '../../telemetry/metrics.ts'
import { buildResponse, type ResponseExtras } from '../message/build.ts'
import { formatHost } from '../message/uri.ts'
import { parseCSeq, parseVia, tagOf, type Via } from '../message/headers.ts'
import { Headers, type SipMessage, type SipRequest, type SipResponse } from '../message/message.ts'
import { serialize } from '../message/serialize.ts'
import { responsePort } from '../transport/response-route.ts'
import type { Flow, Transports } from '../transport/transport.ts'
import { Client } from './client.ts'
import { InviteClient } from './invite-client.ts'
import { InviteServer } from './invite-server.ts'
import { Server } from './server.ts'
import { sipTimers, type SipTimers } from './timers.ts'
import type { ClientHolder, ClientListener, ClientTransaction, NatMode, ServerTransaction } from './transaction.ts'

export type { ClientListener, ClientTransaction, NatMode, ServerTransaction } from './transaction.ts'

export type RequestHandler = (request: SipRequest, transaction: ServerTransaction | undefined, flow: Flow) => void

export interface LayerOptions {
  clock: Clock
  transports: Transports
  log: Log
  timers?: Partial<SipTimers>
  /** T1 and T2 towards the source of a request, where its trunk has its own. */
  timersFor?: (remoteHost: string) => Partial<SipTimers> | undefined
  /** Open server transactions at most; beyond it 503 without state. Default 20,000. */
  maxTransactions?: number
}

const COOKIE = 'z9hG4bK'
const KNOWN_METHODS = new Set(
  'INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK UPDATE INFO REFER NOTIFY SUBSCRIBE MESSAGE PUBLISH'.split(' '),
)
/** Bounded: peers choose the method. */
const methodLabel = (method: string): string => (KNOWN_METHODS.has(method) ? method : 'other')

const NOBODY: ClientListener = { response: () => undefined, timeout: () => undefined, transportError: () => undefined }

export class TransactionLayer {
  readonly #clock: Clock
  readonly #transports: Transports
  readonly #log: Log
  readonly #timers: SipTimers
  readonly #timersFor: NonNullable<LayerOptions['timersFor']>
  readonly #maxTransactions: number
  readonly #clients = new Map<string, InviteClient | Client>()
  readonly #servers = new Map<string, InviteServer | Server>()
  /** Open requests from outside dialogs, by Call-ID, CSeq and From tag (§8.2.2.2); the value is the server's key. */
  readonly #merge = new Map<string, string>()
  #handler: RequestHandler | undefined
  #closed = false

  constructor(options: LayerOptions) {
    this.#clock = options.clock
    this.#transports = options.transports
    this.#log = options.log
    this.#timers = sipTimers(options.timers)
    this.#timersFor = options.timersFor ?? (() => undefined)
    this.#maxTransactions = options.maxTransactions ?? 20_000
    this.#transports.onMessage((message, flow) => this.#receive(message, flow))
  }

  /** Sends a copy of the request with our Via on top (any Via in it is dropped). `timers`: this trunk's T1, T2. */
  request(request: SipRequest, flow: Flow, listener: ClientListener, timers?: Partial<SipTimers>): ClientTransaction {
    return this.#startClient(this.#withVia(request, flow), flow, listener, { ...this.#timers, ...timers })
  }

  /** ACK to a 2xx: a Via with a branch of its own, sent once; call again with the result for each repeated 2xx. */
  sendAck(ack: SipRequest, flow: Flow): void {
    this.#liveFlow(flow).send(serialize(this.#withVia(ack, flow)))
  }

  /** Every new request; an ACK to a 2xx comes without transaction. */
  onRequest(handler: RequestHandler): void {
    this.#handler = handler
  }

  /** An answer without state, for requests that deserve no transaction. */
  reply(request: SipRequest, flow: Flow, status: number, more: ResponseExtras = {}): void {
    const response = buildResponse(request, status, undefined, { toTag: hexToken(), ...more })
    this.#sendBack(request, flow, serialize(response), 'auto', () => undefined)
  }

  get counts(): { client: number; server: number } {
    return { client: this.#clients.size, server: this.#servers.size }
  }

  /** Ends every transaction; those that wait for an answer hear a transport error. The transports stay open. */
  close(): void {
    this.#closed = true
    const err = new Error('the SIP stack is closing')
    for (const client of [...this.#clients.values()]) client.abort(err)
    for (const server of [...this.#servers.values()]) server.abort()
  }

  // ── Out ──────────────────────────────────────────────────────────────────────────────────────────────────────

  #withVia(request: SipRequest, flow: Flow): SipRequest {
    const { host, port } = this.#transports.sentBy
    const headers = new Headers()
    // RFC 3581 §3: rport on every request, so that answers pass NATs.
    headers.add(
      'Via',
      `SIP/2.0/${flow.protocol.toUpperCase()} ${formatHost(host)}:${port};branch=${COOKIE}${hexToken(96)};rport`,
    )
    if (!request.headers.has('Max-Forwards')) headers.add('Max-Forwards', '70')
    for (const [name, value] of request.headers.entries()) if (name !== 'Via') headers.add(name, value)
    return { ...request, headers }
  }

  #startClient(request: SipRequest, flow: Flow, listener: ClientListener, timers: SipTimers): ClientTransaction {
    const branch = parseVia(request.headers.get('Via') ?? '')?.params.get('branch') ?? ''
    const key = `${branch}|${request.method}`
    const holder: ClientHolder = {
      clock: this.#clock,
      timers,
      guard: (fn) => this.#guard(fn),
      ended: () => this.#clients.delete(key),
      liveFlow: (f) => this.#liveFlow(f),
      sendCancel: (cancel, f) => this.#startClient(cancel, f, NOBODY, timers),
    }
    const client =
      request.method === 'INVITE'
        ? new InviteClient(holder, request, flow, listener)
        : new Client(holder, request, flow, listener)
    this.#clients.set(key, client)
    if (this.#closed) queueMicrotask(() => client.abort(new Error('the SIP stack is closed')))
    else client.start()
    return client
  }

  #liveFlow(flow: Flow): Flow {
    return flow.closed ? this.#transports.flowTo(flow.protocol, flow.remoteHost, flow.remotePort) : flow
  }

  #sendBack(request: SipRequest, flow: Flow, bytes: Buffer, nat: NatMode, failed: (err: Error) => void): void {
    const via = parseVia(request.headers.get('Via') ?? '')
    if (!via) return
    if (flow.protocol === 'udp') {
      const port = responsePort(via, flow, nat)
      const back = port === flow.remotePort ? flow : this.#transports.flowTo('udp', flow.remoteHost, port)
      back.send(bytes, failed)
      return
    }
    // §18.2.2: the same connection, else a new one to the sent-by port at the source address.
    const back = flow.closed ? this.#transports.flowTo('tcp', flow.remoteHost, via.port ?? 5060) : flow
    back.send(bytes, failed)
  }

  // ── In ───────────────────────────────────────────────────────────────────────────────────────────────────────

  #receive(message: SipMessage, flow: Flow): void {
    if (this.#closed) return
    if (message.kind === 'response') this.#receiveResponse(message, flow)
    else this.#receiveRequest(message, flow)
  }

  #receiveResponse(response: SipResponse, flow: Flow): void {
    const branch = parseVia(response.headers.get('Via') ?? '')?.params.get('branch')
    const cseq = parseCSeq(response.headers.get('CSeq') ?? '')
    const client = cseq && this.#clients.get(`${branch}|${cseq.method}`)
    // §18.1.2: nobody waits for it (any more); our branches cannot be guessed.
    if (!client) return metrics.sipDropped.inc({ reason: 'stray-response' })
    if (response.status >= 200)
      metrics.sipResponses.inc({ method: methodLabel(cseq.method), class: `${Math.floor(response.status / 100)}xx` })
    client.receive(response, flow)
  }

  #receiveRequest(request: SipRequest, flow: Flow): void {
    metrics.sipRequests.inc({ method: methodLabel(request.method) })
    const via = parseVia(request.headers.get('Via') ?? '')
    if (!via) return
    if (request.method === 'ACK') return this.#receiveAck(request, via, flow)
    const key = serverKey(request, via, request.method)
    const open = this.#servers.get(key)
    if (open) return open.repeated()
    if (this.#servers.size >= this.#maxTransactions) {
      metrics.sipDropped.inc({ reason: 'too-many-transactions' })
      return this.reply(request, flow, 503, { headers: [['Retry-After', '5']] })
    }
    if (request.method === 'CANCEL') return this.#receiveCancel(request, via, key, flow)

    const toTag = tagOf(request.headers.get('To') ?? '')
    const mergeKey = toTag === undefined ? mergeKeyOf(request) : undefined
    // §8.2.2.2: the same request by another path, after a fork on the way.
    const merged = mergeKey !== undefined && this.#merge.has(mergeKey)
    const transaction = this.#openServer(request, key, flow, merged ? undefined : mergeKey)
    if (merged) return transaction.respond(buildResponse(request, 482, undefined, { toTag: hexToken() }))
    this.#hand(request, transaction, flow)
  }

  #receiveAck(ack: SipRequest, via: Via, flow: Flow): void {
    const invite = this.#servers.get(serverKey(ack, via, 'INVITE'))
    if (invite instanceof InviteServer && invite.ack(ack)) return
    this.#hand(ack, undefined, flow)
  }

  #receiveCancel(cancel: SipRequest, via: Via, key: string, flow: Flow): void {
    const invite = this.#servers.get(serverKey(cancel, via, 'INVITE'))
    const transaction = this.#openServer(cancel, key, flow, undefined)
    if (!(invite instanceof InviteServer))
      return transaction.respond(buildResponse(cancel, 481, undefined, { toTag: hexToken() }))
    // §9.2: the 200 carries the To-tag of the INVITE's answers.
    const toTag = tagOf(invite.lastResponse?.headers.get('To') ?? '') ?? hexToken()
    transaction.nat = invite.nat
    transaction.respond(buildResponse(cancel, 200, undefined, { toTag }))
    invite.cancelled(cancel, toTag)
  }

  #openServer(request: SipRequest, key: string, flow: Flow, mergeKey: string | undefined): InviteServer | Server {
    const holder = {
      clock: this.#clock,
      timers: { ...this.#timers, ...this.#timersFor(flow.remoteHost) },
      guard: (fn: () => void) => this.#guard(fn),
      sendBack: (bytes: Buffer, nat: NatMode, failed: (err: Error) => void) =>
        this.#sendBack(request, flow, bytes, nat, failed),
      ended: () => {
        this.#servers.delete(key)
        if (mergeKey !== undefined) this.#merge.delete(mergeKey)
      },
    }
    const server =
      request.method === 'INVITE' ? new InviteServer(holder, request, flow) : new Server(holder, request, flow)
    this.#servers.set(key, server)
    if (mergeKey !== undefined) this.#merge.set(mergeKey, key)
    return server
  }

  #hand(request: SipRequest, transaction: ServerTransaction | undefined, flow: Flow): void {
    const handler = this.#handler
    let handled = false
    if (handler)
      this.#guard(() => {
        handler(request, transaction, flow)
        handled = true
      })
    // The core failed on it (or is not there yet): the peer must not wait 32 s for nothing.
    if (!handled && transaction && !transaction.answered)
      transaction.respond(buildResponse(request, handler ? 500 : 503, undefined, { toTag: hexToken() }))
  }

  #guard(fn: () => void): void {
    try {
      fn()
    } catch (err) {
      this.#log.error({ err }, 'SIP handler failed')
    }
  }
}

/** §17.2.3: branch, sent-by and method; without the cookie (or with nothing behind it) the fields of RFC 2543. */
function serverKey(request: SipRequest, via: Via, method: string): string {
  const branch = via.params.get('branch')
  if (branch !== undefined && branch.length > COOKIE.length && branch.startsWith(COOKIE))
    return `${branch}|${via.host}:${via.port ?? ''}|${method}`
  const { headers } = request
  // The To-tag is left out: an ACK has one where its INVITE had none. CSeq tells dialogs' requests apart.
  const cseq = parseCSeq(headers.get('CSeq') ?? '')?.seq
  return [
    '2543',
    request.uri,
    tagOf(headers.get('From') ?? ''),
    headers.get('Call-ID'),
    cseq,
    headers.get('Via'),
    method,
  ].join('|')
}

function mergeKeyOf(request: SipRequest): string | undefined {
  const fromTag = tagOf(request.headers.get('From') ?? '')
  return fromTag === undefined
    ? undefined
    : [request.headers.get('Call-ID'), request.headers.get('CSeq'), fromTag].join('|')
}
