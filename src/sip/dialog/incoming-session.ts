/**
 * An INVITE that came in (RFC 3261 §13.3): 18x, early media, the 2xx and its ACK, refusals, CANCEL. What follows inside
 * the dialog is in invite-session.ts.
 */
import { hexToken } from '../../lib/ids.ts'
import { every, type Timer } from '../../lib/clock.ts'
import { formatNameAddr, parseNameAddr } from '../message/headers.ts'
import type { SipRequest } from '../message/message.ts'
import type { MediaEndpoint } from '../sdp/negotiate.ts'
import type { ServerTransaction } from '../transaction/layer.ts'
import type { Flow } from '../transport/transport.ts'
import { q850OfStatus, readReason, writeReason } from './cause.ts'
import { sdpOf, type SessionCore } from './core.ts'
import { Dialog } from './dialog.ts'
import type { Exchange } from './offer-answer.ts'
import { Session } from './invite-session.ts'
import type { SessionCause, SessionSettings } from './session.ts'

/** RFC 3261 §13.3.1.1: proxies give up on a call that shows no life for three minutes. */
const PROVISIONAL_AGAIN_MS = 60_000

export class IncomingSession extends Session {
  readonly direction = 'incoming'
  readonly request: SipRequest
  readonly callId: string
  readonly localTag = hexToken()
  readonly #tx: ServerTransaction
  readonly #flow: Flow
  /** Undefined: delayed offer, ours goes into the 2xx. */
  readonly #offer: string | undefined
  #provisionalTimer: Timer | undefined
  /** Hung up while the 2xx waits for its ACK: BYE may only follow that (RFC 3261 §15). */
  #byeAfterAck: SessionCause | undefined

  constructor(core: SessionCore, settings: SessionSettings, request: SipRequest, tx: ServerTransaction, flow: Flow) {
    super(core, settings, 'incoming')
    this.request = request
    this.callId = request.headers.get('Call-ID') ?? ''
    this.#tx = tx
    this.#flow = flow
    this.#offer = sdpOf(request) ?? undefined
    const to = parseNameAddr(request.headers.get('To') ?? '')
    const local = formatNameAddr({
      display: to?.display,
      uri: to?.uri ?? request.uri,
      params: new Map([...(to?.params ?? []), ['tag', this.localTag]]),
    })
    this.dialog = Dialog.fromRequest(request, local, this.localTag, flow)
    this.notePeer(request)
    if (settings.nat) tx.nat = settings.nat
    core.register(this.callId, this.localTag, this)
    tx.onCancel((cancel) => this.#onCancel(cancel))
  }

  get remote(): { protocol: 'udp' | 'tcp'; host: string; port: number } {
    return { protocol: this.#flow.protocol, host: this.#flow.remoteHost, port: this.#flow.remotePort }
  }

  get offer(): string | undefined {
    return this.#offer
  }

  override configure(settings: SessionSettings): void {
    super.configure(settings)
    if (settings.nat) this.#tx.nat = settings.nat
  }

  get #open(): boolean {
    return this.state === 'incoming' || this.state === 'early'
  }

  ring(): void {
    if (this.state !== 'incoming') return
    this.setState('early')
    this.#provisional(180)
  }

  progress(media: MediaEndpoint): void {
    if (!this.#open) return
    // RFC 3264 §5: without their offer there is nothing to answer yet; an offer in an unreliable 183 is not allowed.
    const answered = this.#offer === undefined ? undefined : this.#answer(media)
    if (this.#offer !== undefined && !answered) return
    this.setState('early')
    this.#provisional(183, answered?.sdp)
  }

  #provisional(status: number, sdp?: string): void {
    const send = (): void => this.#tx.respond(this.build(this.request, status, { sdp }))
    this.#provisionalTimer?.cancel()
    this.#provisionalTimer = every(this.core.clock, PROVISIONAL_AGAIN_MS, send)
    send()
  }

  /** Answers their offer once; the 2xx repeats what the 183 said unless our address moved. */
  #answer(media: MediaEndpoint): (Exchange & { sdp: string }) | undefined {
    if (this.#offer === undefined) return undefined
    const answered = this.offerAnswer.answerTo(this.#offer, media)
    if (!answered) {
      this.reject(488, undefined, [['Warning', `304 ${this.core.transports.sentBy.host} "Media type not available"`]])
      return undefined
    }
    this.agreed(answered, true)
    return answered
  }

  accept(media: MediaEndpoint): void {
    if (!this.#open) return
    const before = this.state
    let sdp: string
    if (this.#offer === undefined) sdp = this.offerAnswer.offer(media)
    else {
      const answered = this.#answer(media)
      if (!answered) return
      sdp = answered.sdp
    }
    // A listener of 'media' may have hung up.
    if (this.state !== before) return
    this.#provisionalTimer?.cancel()
    this.setState('answered')
    const response = this.build(this.request, 200, { sdp, timer: true })
    this.#tx.respond(response)
    this.awaitAck(this.request, this.#tx, response, (ack) => this.#onAck(ack))
  }

  #onAck(ack: SipRequest): void {
    if (this.#byeAfterAck) return this.bye(this.#byeAfterAck)
    this.setState('established')
    if (this.#offer === undefined) {
      const answer = sdpOf(ack)
      const agreed = typeof answer === 'string' ? this.offerAnswer.accept(answer, true) : undefined
      if (!agreed) return this.fail({ by: 'peer', sipStatus: 488, q850: 65, text: 'no usable answer in the ACK' })
      this.agreed(agreed, false)
    }
    this.emit('established', undefined)
  }

  protected override onNoAck(): void {
    if (this.#byeAfterAck) this.bye(this.#byeAfterAck)
    else super.onNoAck()
  }

  reject(status: number, reason?: string, headers: [string, string][] = []): void {
    if (!this.#open) return
    const cause = { sipStatus: status, q850: q850OfStatus(status), text: reason ?? '' }
    this.#refuse(cause, reason, headers)
    this.end({ by: 'us', ...cause, text: reason ?? 'rejected' })
  }

  #refuse(cause: SessionCause, reason: string | undefined, headers: [string, string][]): void {
    this.#provisionalTimer?.cancel()
    const line = reason?.replace(/[^\x20-\x7e]/g, '').slice(0, 80)
    this.#tx.respond(this.build(this.request, cause.sipStatus, { reason: line || undefined, headers }))
    this.forget()
  }

  protected abandon(cause: SessionCause): void {
    if (this.state === 'answered') {
      this.#byeAfterAck = cause
      this.end({ by: 'us', ...cause })
      return
    }
    const status = cause.sipStatus >= 300 ? cause.sipStatus : 480
    this.#refuse({ ...cause, sipStatus: status }, undefined, writeReason({ ...cause, sipStatus: 0 }))
    this.end({ by: 'us', ...cause, sipStatus: status })
  }

  #onCancel(cancel: SipRequest): void {
    if (!this.#open) return
    const reason = readReason(cancel.headers)
    this.#provisionalTimer?.cancel()
    this.#tx.respond(this.build(this.request, 487))
    this.forget()
    this.end({
      by: 'peer',
      sipStatus: 487,
      // "SIP;cause=200;text=Call completed elsewhere" is what a forking proxy says.
      q850: reason?.q850 ?? 16,
      text: reason?.text ?? 'CANCEL',
    })
  }

  // RFC 3261 §15: the caller may send BYE on an early dialog instead of CANCEL.
  protected override onEarlyBye(): void {
    if (!this.#open) return
    this.#provisionalTimer?.cancel()
    this.#tx.respond(this.build(this.request, 487))
  }

  protected override end(...args: Parameters<Session['end']>): void {
    this.#provisionalTimer?.cancel()
    super.end(...args)
  }
}
