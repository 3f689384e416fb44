/**
 * The SIP engine behind the gateway (gateway.ts) and behind simulated phones and carriers (src/load): sessions over
 * dialogs, transactions and transports, RFC 3261. Knows no trunk and no policy; those come in by options.
 *
 *   const ua = new UserAgent({ clock, log, host: '127.0.0.1', port: 0 })
 *   await ua.listen()                        // UDP and TCP on one port; ua.port tells which
 *   ua.onInvite((session) => { session.ring(); session.accept({ host, port: rtpPort }) })
 *   const call = ua.invite({ target: 'sip:100@10.0.0.1:5060', from: '<sip:200@10.0.0.2>', media: { host, port } })
 *   call.on('media', (m) => …)               // { host, port, rtcpPort, codec, payloadType, dtmfPayloadType?, ptimeMs, direction }
 *   call.on('progress' | 'established' | 'digit' | 'held' | 'resumed' | 'refer' | 'ended', …)
 *   call.hangup() · call.hold() · call.resume() · call.reinvite(media) · call.info('5', 160) · call.refer(order)
 *   await ua.close()                         // BYE/CANCEL/refuse what lives, then the sockets
 *
 * Everything of a session is in dialog/session.ts (InviteSession, InviteOptions, SessionEvents).
 */
import type { Clock } from '../lib/clock.ts'
import { hexToken } from '../lib/ids.ts'
import type { Log } from '../telemetry/log.ts'
import { metrics } from '../telemetry/metrics.ts'
import { ACCEPT, ALLOW, SUPPORTED_UAS, sdpOf, unsupported, type Addressee, type SessionCore } from './dialog/core.ts'
import { IncomingSession } from './dialog/incoming-session.ts'
import { OutgoingSession } from './dialog/outgoing-session.ts'
import type { InviteOptions, InviteSession, SessionSettings } from './dialog/session.ts'
import { buildResponse } from './message/build.ts'
import { formatCSeq, parseVia, tagOf } from './message/headers.ts'
import { EMPTY_BODY, Headers, type SipRequest } from './message/message.ts'
import { formatHost } from './message/uri.ts'
import { TransactionLayer, type ServerTransaction } from './transaction/layer.ts'
import type { SipTimers } from './transaction/timers.ts'
import type { Admission, Flow, Protocol, Transports } from './transport/transport.ts'
import { openTransports } from './transport/transports.ts'

/** A verdict on a request from outside any dialog: refuse it so, or undefined to go on. */
export type Gate = (request: SipRequest, flow: Flow) => { status: number; headers?: [string, string][] } | undefined

export interface UserAgentOptions extends SessionSettings {
  clock: Clock
  log: Log
  /** Address to bind, UDP and TCP. */
  host: string
  /** 0 = any free port. */
  port: number
  /** Address for Via, Contact; default `host`. */
  advertisedHost?: string
  /** User-Agent and Server header. */
  userAgentName?: string
  timers?: Partial<SipTimers>
  /** Sources that may speak to us unasked; others are dropped unread. Whoever we sent a request to may answer. */
  admit?: Admission
  gate?: Gate
  /** Settings of an incoming session, by whom it comes from. Asked after `gate`. */
  settingsFor?: (request: SipRequest, flow: Flow) => SessionSettings
  /** Timers of requests that come from this address, where they differ. */
  timersFor?: (remoteHost: string) => Partial<SipTimers> | undefined
  /** Tests put a network in memory here. */
  openTransports?: () => Promise<Transports>
  random?: () => number
}

export interface PingTarget {
  /** Request-URI, To and From. */
  target: string
  from: string
  nextHop: { protocol: Protocol; host: string; port: number }
  timers?: Partial<SipTimers>
}

export interface PingResult {
  /** Final status; 0: no answer. */
  status: number
  /** Our address as the peer sees it (RFC 3581 `received`), when it said so. */
  received?: string
}

/** Seconds in Retry-After while draining. */
const DRAIN_RETRY_S = '30'
const MOST_REACHED = 4096

export class UserAgent {
  readonly #options: UserAgentOptions
  readonly #clock: Clock
  readonly #sessions = new Map<string, Addressee>()
  readonly #live = new Set<InviteSession>()
  #layer!: TransactionLayer
  #transports!: Transports
  #core!: SessionCore
  #handler: ((session: InviteSession) => void) | undefined
  /** Hosts that we sent requests to, oldest use first. */
  readonly #reached = new Map<string, true>()
  #draining = false
  #idle: (() => void) | undefined

  constructor(options: UserAgentOptions) {
    this.#options = options
    this.#clock = options.clock
  }

  /** Binds UDP and TCP on the same port. Rejects when the port is taken. */
  async listen(): Promise<void> {
    const { clock, log, host, port, advertisedHost, admit } = this.#options
    const may: Admission | undefined = admit && ((from, protocol) => this.#reached.has(from) || admit(from, protocol))
    const transports = await (this.#options.openTransports?.() ??
      openTransports({ clock, log, host, port, advertisedHost, admit: may }))
    if (may) transports.setAdmission(may)
    this.#transports = transports
    const { timers, timersFor } = this.#options
    this.#layer = new TransactionLayer({ clock, log, transports: this.#transports, timers, timersFor })
    this.#layer.onRequest((request, transaction, flow) => this.#onRequest(request, transaction, flow))
    this.#core = {
      clock,
      log,
      layer: this.#layer,
      transports: {
        resolver: transports.resolver,
        get sentBy() {
          return transports.sentBy
        },
        flowTo: (protocol, to, toPort) => this.#flowTo(protocol, to, toPort),
      },
      product: this.#options.userAgentName,
      random: this.#options.random ?? Math.random,
      contact: (protocol) => this.contact(protocol),
      register: (callId, localTag, addressee) => this.#sessions.set(keyOf(callId, localTag), addressee),
      unregister: (callId, localTag) => {
        this.#sessions.delete(keyOf(callId, localTag))
        if (!this.#sessions.size) this.#idle?.()
      },
    }
  }

  get port(): number {
    return this.#transports.localPort
  }

  /** What Via and Contact say of us. */
  get sentBy(): { host: string; port: number } {
    return this.#transports.sentBy
  }

  /** Our Contact: where in-dialog requests shall come. */
  contact(protocol: Protocol): string {
    const { host, port } = this.#transports.sentBy
    return `<sip:${formatHost(host)}:${port}${protocol === 'tcp' ? ';transport=tcp' : ''}>`
  }

  /** Sends an INVITE. Never throws: what fails comes as `ended`, after this returned. */
  invite(options: InviteOptions): InviteSession {
    const session = new OutgoingSession(this.#core, { ...this.#defaults(), ...defined(options) })
    this.#track(session)
    session.start()
    return session
  }

  /** One handler; without one, INVITEs get 480. */
  onInvite(handler: (session: InviteSession) => void): void {
    this.#handler = handler
  }

  /** Asks whether a peer lives (OPTIONS). Never rejects. */
  async ping(to: PingTarget): Promise<PingResult> {
    const targets = await this.#transports.resolver.resolve(to.nextHop.host, to.nextHop.port, to.nextHop.protocol)
    if (!targets.length) return { status: 0 }
    const headers = new Headers()
    headers.add('Max-Forwards', '70')
    headers.add('From', `<${to.from}>;tag=${hexToken()}`)
    headers.add('To', `<${to.target}>`)
    headers.add('Call-ID', hexToken(96))
    headers.add('CSeq', formatCSeq({ seq: 1, method: 'OPTIONS' }))
    headers.add('Contact', this.contact(to.nextHop.protocol))
    headers.add('Accept', ACCEPT)
    if (this.#options.userAgentName) headers.add('User-Agent', this.#options.userAgentName)
    const request: SipRequest = { kind: 'request', method: 'OPTIONS', uri: to.target, headers, body: EMPTY_BODY }
    const flow = this.#flowTo(targets[0].protocol, targets[0].host, targets[0].port)
    return new Promise((resolve) => {
      this.#layer.request(
        request,
        flow,
        {
          response: (response) => {
            if (response.status < 200) return
            const via = parseVia(response.headers.get('Via') ?? '')
            resolve({ status: response.status, received: via?.params.get('received') })
          },
          timeout: () => resolve({ status: 0 }),
          transportError: () => resolve({ status: 0 }),
        },
        to.timers,
      )
    })
  }

  /** OPTIONS gets 503 and new INVITEs 503 + Retry-After from now on; live sessions go on. */
  drain(): void {
    this.#draining = true
  }

  /** Counts a bad request against its source (transports ban after too many). */
  penalise(remoteHost: string): void {
    this.#transports.penalise(remoteHost)
  }

  get counts(): { sessions: number; transactions: number } {
    const { client, server } = this.#layer.counts
    return { sessions: this.#live.size, transactions: client + server }
  }

  /** Ends what lives, waits for the BYEs to be answered (at most `graceMs`), then closes the sockets. */
  async close(graceMs = 1000): Promise<void> {
    if (!this.#transports) return
    this.#draining = true
    for (const session of [...this.#live]) session.hangup({ sipStatus: 0, q850: 41, text: 'server stops' })
    if (this.#sessions.size && graceMs > 0) {
      await new Promise<void>((resolve) => {
        const limit = this.#clock.after(graceMs, resolve)
        this.#idle = () => {
          limit.cancel()
          resolve()
        }
      })
    }
    this.#layer.close()
    await this.#transports.close()
  }

  #flowTo(protocol: Protocol, host: string, port: number): Flow {
    this.#reached.delete(host)
    this.#reached.set(host, true)
    if (this.#reached.size > MOST_REACHED) this.#reached.delete(this.#reached.keys().next().value ?? '')
    return this.#transports.flowTo(protocol, host, port)
  }

  #defaults(): SessionSettings {
    const { prefs, timer, credentials, t1Ms, t2Ms, nat, sourceAllowed } = this.#options
    return defined({ prefs, timer, credentials, t1Ms, t2Ms, nat, sourceAllowed })
  }

  #track(session: InviteSession): void {
    this.#live.add(session)
    session.on('ended', () => this.#live.delete(session))
  }

  // ── Routing of requests (RFC 3261 §8.2, §12.2.2) ─────────────────────────────────────────────────────────────

  #onRequest(request: SipRequest, tx: ServerTransaction | undefined, flow: Flow): void {
    const toTag = tagOf(request.headers.get('To') ?? '')
    const addressee =
      toTag === undefined ? undefined : this.#sessions.get(keyOf(request.headers.get('Call-ID') ?? '', toTag))
    if (!tx) return addressee?.ack(request, flow)
    if (addressee) return addressee.receive(request, tx, flow)
    const refuse = (status: number, headers: [string, string][] = []): void =>
      tx.respond(
        buildResponse(request, status, undefined, { toTag: hexToken(), headers: [...headers, ...this.#server()] }),
      )
    // §12.2.2: always, also after our own BYE; silence would cost the peer 32 s.
    if (toTag !== undefined) return refuse(481)
    const verdict = this.#options.gate?.(request, flow)
    if (verdict) return refuse(verdict.status, verdict.headers)

    if (request.method === 'OPTIONS') {
      if (this.#draining) return refuse(503, [['Retry-After', DRAIN_RETRY_S]])
      return refuse(200, [
        ['Allow', ALLOW],
        ['Accept', ACCEPT],
        ['Supported', SUPPORTED_UAS],
      ])
    }
    // RFC 6665 §4.1.3: there are no subscriptions of ours outside of calls.
    if (request.method === 'NOTIFY') return refuse(481)
    if (request.method !== 'INVITE') return refuse(405, [['Allow', ALLOW]])
    const unknown = unsupported(request)
    if (unknown.length) return refuse(420, [['Unsupported', unknown.join(', ')]])
    // §16.3: trunks that route a call back to us stop here.
    if (Number(request.headers.get('Max-Forwards') ?? 70) < 1) return refuse(483)
    const contact = request.headers.get('Contact')
    if (contact === undefined || tagOf(request.headers.get('From') ?? '') === undefined) return refuse(400)
    if (sdpOf(request) === null) return refuse(415, [['Accept', ACCEPT]])
    if (this.#draining) return refuse(503, [['Retry-After', DRAIN_RETRY_S]])
    const settings = { ...this.#defaults(), ...this.#options.settingsFor?.(request, flow) }
    const session = new IncomingSession(this.#core, settings, request, tx, flow)
    if (session.timer.tooSmall(request.headers)) {
      return session.reject(422, undefined, [['Min-SE', String(session.timer.minS)]])
    }
    if (!this.#handler) return session.reject(480)
    this.#track(session)
    try {
      this.#handler(session)
    } catch (err) {
      this.#options.log.error({ err, callId: session.callId }, 'INVITE handler failed')
      metrics.callsRejected.inc({ reason: 'bad_request' })
      session.reject(500)
    }
  }

  #server(): [string, string][] {
    return this.#options.userAgentName ? [['Server', this.#options.userAgentName]] : []
  }
}

const keyOf = (callId: string, localTag: string): string => `${callId}\n${localTag}`

/** Without the keys whose value is undefined, so that spreading does not wipe a default. */
const defined = <T extends object>(o: T): T =>
  Object.fromEntries(Object.entries(o).filter(([, v]) => v !== undefined)) as T
