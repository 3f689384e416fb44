/**
 * What both kinds of INVITE session share once there is a dialog: events, BYE, INFO, the peer's re-INVITE and UPDATE,
 * session timers (RFC 3261 §12-15, RFC 3311, RFC 4028). Our own re-INVITEs are in reinvite.ts, REFER in refer.ts; the
 * two ways to get a dialog in outgoing-session.ts and incoming-session.ts.
 */
import { Emitter } from '../../lib/emitter.ts'
import { hexToken } from '../../lib/ids.ts'
import type { Log } from '../../telemetry/log.ts'
import { metrics } from '../../telemetry/metrics.ts'
import { buildResponse } from '../message/build.ts'
import { parseCSeq, tagOf } from '../message/headers.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import {
  DEFAULT_PREFERENCES,
  type MediaEndpoint,
  type MediaPreferences,
  type NegotiatedMedia,
} from '../sdp/negotiate.ts'
import type { ServerTransaction } from '../transaction/layer.ts'
import type { Flow } from '../transport/transport.ts'
import { AckWaits } from './ack-waits.ts'
import { q850OfStatus, readReason, writeReason } from './cause.ts'
import { ClientAuth } from './client-auth.ts'
import { ACCEPT, ALLOW, SUPPORTED_UAS, sdpOf, unsupported, type Addressee, type SessionCore } from './core.ts'
import type { Dialog } from './dialog.ts'
import { DialogClient } from './dialog-client.ts'
import { dtmfRelayBody, parseInfoDigit } from './dtmf-info.ts'
import { OfferAnswer, type Exchange } from './offer-answer.ts'
import { Refers, type ReferOrder } from './refer.ts'
import { Reinviter } from './reinvite.ts'
import { SessionTimer } from './session-timer.ts'
import type {
  DialogAtPeer,
  InviteSession,
  SessionCause,
  SessionEnd,
  SessionEvents,
  SessionSettings,
  SessionState,
} from './session.ts'

export const DEFAULT_TIMER = { expiresS: 1800, minS: 90 }

export abstract class Session implements InviteSession, Addressee {
  abstract readonly direction: 'incoming' | 'outgoing'
  abstract readonly request: SipRequest
  abstract readonly callId: string
  abstract readonly localTag: string
  readonly id = hexToken()
  readonly core: SessionCore
  readonly offerAnswer: OfferAnswer
  readonly timer: SessionTimer
  readonly client: DialogClient
  readonly log: Log
  protected readonly acks: AckWaits
  protected readonly auth: ClientAuth
  /** The confirmed dialog; as UAS from the start. */
  dialog: Dialog | undefined
  /** What the peer says that it takes. */
  peerAllow: string | undefined
  settings: SessionSettings
  readonly #emitter: Emitter<SessionEvents>
  readonly #reinviter: Reinviter
  readonly #refers: Refers
  #state: SessionState
  #peerHolds = false
  #byeOpen = false

  constructor(core: SessionCore, settings: SessionSettings, state: SessionState) {
    this.core = core
    this.settings = settings
    this.#state = state
    this.log = core.log
    this.#emitter = new Emitter((err, event) => core.log.error({ err, event }, 'a session listener threw'))
    // RFC 8866 §5.2: numeric; 52 bits keep it exact in every reader's floating point.
    this.offerAnswer = new OfferAnswer(String(parseInt(hexToken(48), 16)), prefsOf(settings))
    this.auth = new ClientAuth(settings.credentials)
    this.client = new DialogClient(core, this.auth, () => this.settings)
    this.timer = new SessionTimer(core.clock, settings.timer ?? DEFAULT_TIMER, {
      refresh: () => this.#reinviter.refresh(),
      expired: () => this.fail({ by: 'timeout', sipStatus: 408, q850: 102, text: 'session timer expired' }),
    })
    this.acks = new AckWaits(core.clock)
    this.#reinviter = new Reinviter(this)
    this.#refers = new Refers(this.client, {
      clock: core.clock,
      contact: () => core.contact(this.remote.protocol),
      tell: (progress) => this.emit('refer', progress),
      unknown: () => this.#unknown(),
    })
  }

  get state(): SessionState {
    return this.#state
  }

  protected setState(state: SessionState): void {
    if (this.#state !== 'ended') this.#state = state
  }

  get media(): NegotiatedMedia | undefined {
    return this.offerAnswer.media
  }

  get remoteSdp(): string | undefined {
    return this.offerAnswer.remoteSdp
  }

  abstract get remote(): { protocol: 'udp' | 'tcp'; host: string; port: number }

  on<K extends keyof SessionEvents>(event: K, listener: (value: SessionEvents[K]) => void): () => void {
    return this.#emitter.on(event, listener)
  }

  protected emit<K extends keyof SessionEvents>(event: K, value: SessionEvents[K]): void {
    if (this.#state !== 'ended') this.#emitter.emit(event, value)
  }

  configure(settings: SessionSettings): void {
    this.settings = { ...this.settings, ...settings }
    this.offerAnswer.prefs = prefsOf(this.settings)
    if (settings.timer) this.timer.wish = settings.timer
  }

  get timers(): { t1Ms: number; t2Ms: number } {
    return { t1Ms: this.settings.t1Ms ?? 500, t2Ms: this.settings.t2Ms ?? 4000 }
  }

  // ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────

  abstract ring(): void
  abstract progress(media: MediaEndpoint): void
  abstract accept(media: MediaEndpoint): void
  abstract reject(status: number, reason?: string, headers?: [string, string][]): void
  /** Before the session is established. */
  protected abstract abandon(cause: SessionCause): void

  hangup(cause: Partial<SessionCause> = {}): void {
    if (this.#state === 'ended') return
    const full = { sipStatus: 0, q850: 16, text: 'Normal call clearing', ...cause }
    if (this.#state === 'established') this.fail({ by: 'us', ...full })
    else this.abandon(full)
  }

  hold(): void {
    this.#reinviter.request({ wish: 'sendonly' })
  }

  resume(): void {
    this.#reinviter.request({ wish: 'sendrecv' })
  }

  reinvite(media?: MediaEndpoint, withoutSdp = false): void {
    this.#reinviter.request({ media, withoutSdp })
  }

  info(digit: string, durationMs: number): void {
    const body = dtmfRelayBody(digit, durationMs)
    const taken = this.client.enqueue((done) => {
      if (!this.dialog || this.#state !== 'established') return done()
      this.client.send(
        this.dialog,
        'INFO',
        (request) => {
          request.headers.add('Content-Type', 'application/dtmf-relay')
          request.body = body
        },
        ({ response }) => {
          if (response?.status === 481) this.#unknown()
          else if (!response || response.status >= 300)
            this.log.warn({ callId: this.callId, status: response?.status }, 'INFO digit not taken')
          done()
        },
      )
    })
    if (!taken) this.log.warn({ callId: this.callId }, 'too many requests wait, digit dropped')
  }

  refer(order: ReferOrder): void {
    if (this.dialog && this.#state === 'established') this.#refers.refer(this.dialog, order)
    else this.emit('refer', { state: 'failed', status: 481, text: 'the leg is not established' })
  }

  get dialogAtPeer(): DialogAtPeer | undefined {
    if (!this.dialog || this.#state !== 'established') return undefined
    const { callId, localTag, remoteTag } = this.dialog.identity
    return { uri: this.dialog.remoteTarget, callId, localTag, remoteTag }
  }

  // ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends the session for its owner; the wire may still have something to do. */
  protected end(end: SessionEnd): void {
    if (this.#state === 'ended') return
    this.timer.stop()
    this.#reinviter.stop()
    this.#refers.stop()
    this.client.clear()
    this.#state = 'ended'
    this.#emitter.emit('ended', end)
  }

  /** Ends an established session from our side. */
  fail(end: SessionEnd): void {
    if (this.#state === 'ended') return
    this.bye(end)
    this.end(end)
  }

  #unknown(): void {
    this.fail({ by: 'peer', sipStatus: 481, q850: 41, text: 'dialog unknown to the peer' })
  }

  protected bye(cause: SessionCause): void {
    if (!this.dialog || this.#byeOpen) return
    this.#byeOpen = true
    this.acks.clear()
    this.client.send(
      this.dialog,
      'BYE',
      (request) => {
        for (const [name, value] of writeReason(cause)) request.headers.add(name, value)
      },
      () => this.forget(),
    )
  }

  /** From now on the dialog is unknown: 481. */
  protected forget(): void {
    this.acks.clear()
    this.core.unregister(this.callId, this.localTag)
  }

  // ── Requests of the peer ─────────────────────────────────────────────────────────────────────────────────────

  /** The dialog of this request's From tag; as UAC there may be several early ones. */
  protected dialogOf(remoteTag: string): Dialog | undefined {
    return this.dialog?.identity.remoteTag === remoteTag ? this.dialog : undefined
  }

  ack(ack: SipRequest, flow: Flow): void {
    if (!this.dialogOf(tagOf(ack.headers.get('From') ?? '') ?? '') || !this.#sourceAllowed(flow)) return
    this.acks.ack(parseCSeq(ack.headers.get('CSeq') ?? '')?.seq ?? -1, ack)
  }

  receive(request: SipRequest, tx: ServerTransaction, flow: Flow): void {
    const dialog = this.dialogOf(tagOf(request.headers.get('From') ?? '') ?? '')
    if (!dialog || !this.#sourceAllowed(flow)) {
      metrics.sipDropped.inc({ reason: dialog ? 'wrong_source' : 'no_dialog' })
      return this.answer(request, tx, 481)
    }
    // RFC 3261 §12.2.2: out of order.
    if (!dialog.acceptSeq(parseCSeq(request.headers.get('CSeq') ?? '')?.seq ?? 0)) return this.answer(request, tx, 500)
    if (this.#state === 'ended') {
      // Their BYE crossed ours: there is nothing left to refuse.
      return this.answer(request, tx, request.method === 'BYE' && this.#byeOpen ? 200 : 481)
    }
    const unknown = unsupported(request)
    if (unknown.length) return this.answer(request, tx, 420, [['Unsupported', unknown.join(', ')]])
    switch (request.method) {
      case 'BYE':
        return this.#onBye(request, tx)
      case 'INVITE':
        return this.#onReinvite(request, tx, dialog)
      case 'UPDATE':
        return this.#onUpdate(request, tx, dialog)
      case 'INFO':
        return this.#onInfo(request, tx)
      case 'NOTIFY':
        return this.#refers.notify(request, (status, headers) => this.answer(request, tx, status, headers))
      case 'OPTIONS':
        return this.answer(request, tx, 200, [
          ['Accept', ACCEPT],
          ['Supported', SUPPORTED_UAS],
        ])
      default:
        return this.answer(request, tx, 405)
    }
  }

  #sourceAllowed(flow: Flow): boolean {
    return this.settings.sourceAllowed?.(flow.remoteHost) ?? true
  }

  protected onEarlyBye(): void {}

  #onBye(request: SipRequest, tx: ServerTransaction): void {
    this.answer(request, tx, 200)
    this.onEarlyBye()
    const reason = readReason(request.headers)
    this.forget()
    this.end({
      by: 'peer',
      sipStatus: 0,
      q850: reason?.q850 ?? (reason?.sipStatus ? q850OfStatus(reason.sipStatus) : 16),
      text: reason?.text ?? 'BYE',
    })
  }

  #onInfo(request: SipRequest, tx: ServerTransaction): void {
    if (request.body.length === 0) return this.answer(request, tx, 200)
    const digit = parseInfoDigit(request.headers.get('Content-Type') ?? '', request.body.toString('latin1'))
    if (digit === undefined) return this.answer(request, tx, 415, [['Accept', ACCEPT]])
    this.answer(request, tx, 200)
    if (digit) this.emit('digit', digit)
  }

  // RFC 3261 §14.2. Both legs of a call are ours alone, so the answer never waits for anyone.
  #onReinvite(request: SipRequest, tx: ServerTransaction, dialog: Dialog): void {
    if (this.#state === 'incoming' || (this.#state === 'early' && this.direction === 'incoming')) {
      // The first INVITE has no final answer yet.
      return this.answer(request, tx, 500, [['Retry-After', String(Math.floor(this.core.random() * 11))]])
    }
    if (this.#reinviter.inviteOpen || this.offerAnswer.pending || !this.dialog) return this.answer(request, tx, 491)
    if (this.timer.tooSmall(request.headers))
      return this.answer(request, tx, 422, [['Min-SE', String(this.timer.minS)]])
    const offer = sdpOf(request)
    if (offer === null) return this.answer(request, tx, 415, [['Accept', ACCEPT]])
    let sdp: string
    let exchange: Exchange | undefined
    if (offer === undefined) {
      const local = this.offerAnswer.local
      if (!local) return this.answer(request, tx, 488)
      sdp = this.offerAnswer.offer(local)
    } else {
      const answered = this.offerAnswer.answerTo(offer)
      if (!answered) return this.#notAcceptable(request, tx)
      sdp = answered.sdp
      exchange = answered
    }
    dialog.refreshTarget(request.headers)
    const response = this.build(request, 200, { sdp, timer: true })
    tx.respond(response)
    this.awaitAck(request, tx, response, (ack) => {
      if (offer !== undefined) return
      const answer = sdpOf(ack)
      const agreed = typeof answer === 'string' ? this.offerAnswer.accept(answer, true) : undefined
      if (agreed) this.agreed(agreed, false)
      else this.offerAnswer.rollback()
    })
    if (exchange) this.agreed(exchange, true)
  }

  // RFC 3311 §5.2: answered at once.
  #onUpdate(request: SipRequest, tx: ServerTransaction, dialog: Dialog): void {
    if (this.timer.tooSmall(request.headers))
      return this.answer(request, tx, 422, [['Min-SE', String(this.timer.minS)]])
    const offer = sdpOf(request)
    if (offer === null) return this.answer(request, tx, 415, [['Accept', ACCEPT]])
    if (offer === undefined) {
      dialog.refreshTarget(request.headers)
      tx.respond(this.build(request, 200, { timer: this.#state === 'established' || this.#state === 'answered' }))
      return
    }
    // An offer of ours is open: glare. An offer of theirs is unanswered: they are too early.
    if (this.#reinviter.inviteOpen || this.offerAnswer.pending) return this.answer(request, tx, 491)
    if (this.#state === 'incoming' || (this.#state === 'early' && this.direction === 'incoming')) {
      return this.answer(request, tx, 500, [['Retry-After', String(Math.floor(this.core.random() * 11))]])
    }
    const answered = this.offerAnswer.answerTo(offer)
    if (!answered) return this.#notAcceptable(request, tx)
    dialog.refreshTarget(request.headers)
    tx.respond(this.build(request, 200, { sdp: answered.sdp, timer: true }))
    this.agreed(answered, true)
  }

  #notAcceptable(request: SipRequest, tx: ServerTransaction): void {
    this.answer(request, tx, 488, [['Warning', `304 ${this.core.transports.sentBy.host} "Media type not available"`]])
  }

  // ── Shared by the two kinds ──────────────────────────────────────────────────────────────────────────────────

  /** An offer/answer is done: tells the owner what changed. `theirOffer`: hold is theirs to say. */
  agreed(exchange: Exchange, theirOffer: boolean): void {
    if (exchange.changed) this.emit('media', exchange.media)
    // While we hold, their recvonly is only the echo of our sendonly.
    if (!theirOffer && this.offerAnswer.wish !== 'sendrecv') return
    const holds = this.offerAnswer.peerDirection !== 'sendrecv'
    if (holds === this.#peerHolds) return
    this.#peerHolds = holds
    if (this.#state === 'established' || this.#state === 'answered') this.emit(holds ? 'held' : 'resumed', undefined)
  }

  protected awaitAck(
    request: SipRequest,
    tx: ServerTransaction,
    response: SipResponse,
    onAck: (ack: SipRequest) => void,
  ): void {
    this.acks.add(parseCSeq(request.headers.get('CSeq') ?? '')?.seq ?? 0, this.timers, {
      again: () => {
        metrics.sipRetransmits.inc({ kind: '2xx' })
        tx.respond(response)
      },
      acked: onAck,
      never: () => this.onNoAck(),
    })
  }

  /** §13.3.1.4: no ACK for 64*T1. */
  protected onNoAck(): void {
    this.fail({ by: 'timeout', sipStatus: 408, q850: 102, text: 'no ACK' })
  }

  protected build(
    request: SipRequest,
    status: number,
    more: { reason?: string; sdp?: string; timer?: boolean; headers?: [string, string][] } = {},
  ): SipResponse {
    const response = buildResponse(request, status, more.reason, {
      toTag: this.localTag,
      headers: more.headers,
      ...(more.sdp === undefined ? {} : { body: Buffer.from(more.sdp, 'latin1') }),
    })
    if (this.core.product) response.headers.add('Server', this.core.product)
    if (status < 300 && (request.method === 'INVITE' || request.method === 'UPDATE')) {
      response.headers.add('Contact', this.core.contact(this.remote.protocol))
      response.headers.add('Allow', ALLOW)
      if (status >= 200) response.headers.add('Supported', SUPPORTED_UAS)
      if (more.timer) this.timer.applyToResponse(request.headers, response.headers)
    }
    return response
  }

  protected answer(request: SipRequest, tx: ServerTransaction, status: number, headers: [string, string][] = []): void {
    if (status === 405 || (status === 200 && request.method === 'OPTIONS')) headers.push(['Allow', ALLOW])
    tx.respond(this.build(request, status, { headers }))
  }

  /** Notes Allow of an INVITE or 2xx of the peer's. */
  protected notePeer(message: { headers: SipRequest['headers'] }): void {
    const allow = message.headers.all('Allow')
    if (allow.length) this.peerAllow = allow.join(',').toUpperCase()
  }
}

export const prefsOf = (s: SessionSettings): MediaPreferences => ({ ...DEFAULT_PREFERENCES, ...s.prefs })
