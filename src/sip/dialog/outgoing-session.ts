/**
 * An INVITE of ours (RFC 3261 §13.2): provisional answers and forks, PRACK (RFC 3262), digest, 422, the 2xx and its
 * ACK, CANCEL and its races, and the next address when one does not answer (RFC 3263 §4.3). What follows inside the
 * dialog is in invite-session.ts.
 */
import type { Timer } from '../../lib/clock.ts'
import { hexToken } from '../../lib/ids.ts'
import { formatCSeq, tagOf } from '../message/headers.ts'
import { EMPTY_BODY, Headers, type SipRequest, type SipResponse } from '../message/message.ts'
import { parseUri } from '../message/uri.ts'
import type { MediaEndpoint } from '../sdp/negotiate.ts'
import type { ClientTransaction } from '../transaction/layer.ts'
import type { Target } from '../transport/resolve.ts'
import type { Flow } from '../transport/transport.ts'
import { q850OfStatus, readReason, writeReason } from './cause.ts'
import { AuthTries } from './client-auth.ts'
import { ALLOW, SUPPORTED_UAC, sdpOf, type SessionCore } from './core.ts'
import { Dialog } from './dialog.ts'
import { seqOf, setSdp, timersOf } from './dialog-client.ts'
import { Session } from './invite-session.ts'
import { ReliableProvisionals } from './prack.ts'
import type { InviteOptions, SessionCause } from './session.ts'

/** Timer C (RFC 3261 §16.6): more than three minutes. */
const RING_LIMIT_MS = 185_000
/** With another address at hand, silence is not waited out (RELIABILITY R20). */
const SILENCE_MS = 4000
const MOST_FORKS = 16

export class OutgoingSession extends Session {
  readonly direction = 'outgoing'
  readonly callId = hexToken(96)
  readonly localTag = hexToken()
  readonly #options: InviteOptions
  readonly #hop: { protocol: 'udp' | 'tcp'; host: string; port: number | undefined }
  readonly #tries = new AuthTries()
  readonly #forks = new Map<string, { dialog: Dialog; sdp?: string }>()
  readonly #prack: ReliableProvisionals
  /** Dialogs of 2xx that nobody wanted. */
  readonly #late = new Map<string, Dialog>()
  #targets: Target[] = []
  #first: SipRequest | undefined
  #flow: Flow | undefined
  #tx: ClientTransaction | undefined
  #seq = 0
  #offer: string | undefined
  #ringTimer: Timer | undefined
  #silenceTimer: Timer | undefined
  #timerTries = 0

  constructor(core: SessionCore, options: InviteOptions) {
    super(core, options, 'calling')
    this.#options = options
    const uri = parseUri(options.target)
    this.#hop = options.nextHop ?? {
      protocol: uri?.params.get('transport')?.toLowerCase() === 'tcp' ? 'tcp' : 'udp',
      host: uri?.host ?? '',
      port: uri?.port,
    }
    this.#prack = new ReliableProvisionals(this.client)
    core.register(this.callId, this.localTag, this)
  }

  get request(): SipRequest {
    return (this.#first ??= this.#build())
  }

  get remote(): { protocol: 'udp' | 'tcp'; host: string; port: number } {
    return {
      protocol: this.#flow?.protocol ?? this.#hop.protocol,
      host: this.#flow?.remoteHost ?? this.#hop.host,
      port: this.#flow?.remotePort ?? this.#hop.port ?? 5060,
    }
  }

  start(): void {
    this.#ringTimer = this.core.clock.after(this.#options.ringTimeoutMs ?? RING_LIMIT_MS, () => this.#rungOut())
    const { resolver } = this.core.transports
    const literal = resolver.literal(this.#hop.host, this.#hop.port, this.#hop.protocol)
    const begin = (targets: Target[]): void => {
      if (this.state === 'ended') return
      this.#targets = targets
      if (!this.#nextTarget())
        this.#over({ by: 'network', sipStatus: 503, q850: 38, text: 'no address for the next hop' })
    }
    // The owner still has to subscribe: nothing may fail before invite() has returned.
    if (literal) this.core.clock.after(0, () => begin([literal]))
    else void resolver.resolve(this.#hop.host, this.#hop.port, this.#hop.protocol).then(begin)
  }

  // ── Sending ──────────────────────────────────────────────────────────────────────────────────────────────────

  #nextTarget(): boolean {
    const target = this.#targets.shift()
    if (!target) return false
    this.#flow = this.core.transports.flowTo(target.protocol, target.host, target.port)
    this.#send()
    if (this.#targets.length) this.#silenceTimer = this.core.clock.after(SILENCE_MS, () => this.#failover('timeout'))
    return true
  }

  #build(): SipRequest {
    const o = this.#options
    const headers = new Headers()
    headers.add('Max-Forwards', String(o.maxForwards ?? 70))
    headers.add('From', `${o.from};tag=${this.localTag}`)
    headers.add('To', o.to ?? `<${o.target}>`)
    headers.add('Call-ID', this.callId)
    headers.add('CSeq', formatCSeq({ seq: this.#seq, method: 'INVITE' }))
    headers.add('Contact', this.core.contact(this.#flow?.protocol ?? this.#hop.protocol))
    headers.add('Allow', ALLOW)
    headers.add('Supported', SUPPORTED_UAC)
    this.timer.applyToRequest(headers)
    if (this.core.product) headers.add('User-Agent', this.core.product)
    for (const [name, value] of o.headers ?? []) {
      if (/[\r\n\0]/.test(name + value)) this.log.warn({ name }, 'header with line break dropped')
      else headers.add(name, value)
    }
    const request: SipRequest = { kind: 'request', method: 'INVITE', uri: o.target, headers, body: EMPTY_BODY }
    if (!o.delayedOffer) {
      // Every retry of this INVITE shows the same offer.
      this.#offer ??= this.offerAnswer.offer(o.media)
      setSdp(request, this.#offer)
    }
    return request
  }

  #send(): void {
    if (!this.#flow) return
    this.#seq++
    this.#forks.clear()
    this.#prack.reset()
    const request = this.#build()
    this.auth.authorize(request)
    this.#first ??= request
    const tx = this.core.layer.request(
      request,
      this.#flow,
      {
        response: (response, flow) => this.#onResponse(request, response, flow),
        timeout: () => this.#current(tx) && this.#failover('timeout'),
        transportError: () => this.#current(tx) && this.#failover('network'),
      },
      timersOf(this.settings),
    )
    this.#tx = tx
  }

  /** Events of an INVITE that was given up for another one are old news. */
  #current(tx: ClientTransaction): boolean {
    return this.#tx === tx && (this.state === 'calling' || this.state === 'early')
  }

  #failover(why: 'timeout' | 'network'): void {
    this.#silenceTimer?.cancel()
    if (this.state !== 'calling') return this.#noAnswer(why)
    // A late answer to the silent one is cancelled, not taken.
    this.#tx?.cancel()
    if (!this.#nextTarget()) this.#noAnswer(why)
  }

  #noAnswer(why: 'timeout' | 'network'): void {
    if (why === 'timeout') this.#over({ by: 'timeout', sipStatus: 408, q850: 102, text: 'no answer from the peer' })
    else this.#over({ by: 'network', sipStatus: 503, q850: 38, text: 'the peer cannot be reached' })
  }

  // ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────

  #onResponse(request: SipRequest, response: SipResponse, flow: Flow): void {
    if (response.status >= 200 && response.status < 300) return this.#onSuccess(request, response, flow)
    // An answer to an INVITE that we no longer stand behind.
    if (this.#tx && seqOf(request) !== this.#seq) return
    if (response.status < 200) return this.#onProvisional(request, response, flow)
    if (this.state === 'calling' || this.state === 'early') this.#onFailure(response)
  }

  #onProvisional(request: SipRequest, response: SipResponse, flow: Flow): void {
    this.#silenceTimer?.cancel()
    if (response.status === 100 || (this.state !== 'calling' && this.state !== 'early')) return
    const tag = tagOf(response.headers.get('To') ?? '')
    let sdp = sdpOf(response) ?? undefined
    if (tag !== undefined) {
      let fork = this.#forks.get(tag)
      if (!fork) {
        if (this.#forks.size >= MOST_FORKS) return
        this.#forks.set(tag, (fork = { dialog: Dialog.fromResponse(request, response, flow) }))
      }
      // RFC 3262 §4: repeats and answers out of order are not for us; a delayed offer is answered in the PRACK.
      const rseq = this.#prack.seen(tag, response)
      if (rseq === 'skip') return
      if (rseq !== undefined) {
        const answer =
          sdp !== undefined && !this.offerAnswer.pending && this.#options.delayedOffer
            ? this.#answerEarly(sdp)
            : undefined
        this.#prack.acknowledge(fork.dialog, rseq, request, answer)
        if (answer !== undefined) sdp = undefined
      }
      fork.sdp = sdp ?? fork.sdp
    }
    this.setState('early')
    let early = false
    if (sdp !== undefined) {
      const agreed = this.offerAnswer.accept(sdp, false)
      if (agreed) {
        early = true
        this.agreed(agreed, false)
      }
    }
    this.emit('progress', { status: response.status, reason: response.reason, early })
  }

  #answerEarly(offer: string): string | undefined {
    const answered = this.offerAnswer.answerTo(offer, this.#options.media)
    if (answered) this.agreed(answered, true)
    return answered?.sdp
  }

  // RFC 3261 §13.2.2.4
  #onSuccess(request: SipRequest, response: SipResponse, flow: Flow): void {
    const tag = tagOf(response.headers.get('To') ?? '') ?? ''
    if (this.dialog) {
      if (this.dialog.identity.remoteTag === tag) return this.client.ackAgain(request)
      return this.#turnDown(request, response, flow, 'answered elsewhere')
    }
    if (this.state === 'ended') return this.#turnDown(request, response, flow, 'cancelled')
    if (seqOf(request) !== this.#seq) return this.#turnDown(request, response, flow, 'answered too late')

    this.#stopTimers()
    const fork = this.#forks.get(tag)
    const dialog = fork?.dialog ?? Dialog.fromResponse(request, response, flow)
    if (fork) dialog.confirm(response, flow)
    this.dialog = dialog
    this.notePeer(response)
    const sdp = sdpOf(response) ?? undefined
    const oa = this.offerAnswer
    let answer: string | undefined
    let ok: boolean
    if (this.#options.delayedOffer && !oa.media) {
      const answered = sdp === undefined ? undefined : oa.answerTo(sdp, this.#options.media)
      answer = answered?.sdp
      ok = answered !== undefined
      this.client.ack(dialog, request, answer)
      this.setState('established')
      if (answered) this.agreed(answered, true)
    } else {
      // The 2xx may differ from the 183 of the same fork, or leave the SDP to it.
      const text = sdp ?? fork?.sdp
      const agreed = text === undefined ? undefined : oa.accept(text, true)
      ok = agreed !== undefined || (!oa.pending && oa.media !== undefined)
      this.client.ack(dialog, request)
      this.setState('established')
      if (agreed) this.agreed(agreed, false)
    }
    if (!ok) return this.fail({ by: 'us', sipStatus: 488, q850: 65, text: 'no usable SDP in the answer' })
    this.timer.onResponse(response.headers)
    this.emit('established', undefined)
  }

  /** A 2xx that nobody wants (a fork, or it crossed our CANCEL): ACK, then BYE. */
  #turnDown(request: SipRequest, response: SipResponse, flow: Flow, text: string): void {
    const tag = tagOf(response.headers.get('To') ?? '') ?? ''
    const known = this.#late.get(tag)
    const dialog = known ?? Dialog.fromResponse(request, response, flow)
    const ack = dialog.request('ACK', seqOf(request))
    for (const name of ['Authorization', 'Proxy-Authorization'])
      for (const value of request.headers.all(name)) ack.headers.add(name, value)
    this.core.layer.sendAck(ack, dialog.pickFlow(this.core.transports, this.settings.nat ?? 'auto'))
    if (known || this.#late.size >= MOST_FORKS) return
    this.#late.set(tag, dialog)
    this.client.send(
      dialog,
      'BYE',
      (bye) => {
        for (const [name, value] of writeReason({ sipStatus: 0, q850: 16, text })) bye.headers.add(name, value)
      },
      () => undefined,
    )
  }

  #onFailure(response: SipResponse): void {
    this.#silenceTimer?.cancel()
    if (this.auth.challenged(response, this.#tries)) return this.#send()
    // RFC 4028 §7.3: once more with the interval that they want.
    if (response.status === 422 && this.#timerTries++ < 2 && this.timer.raise(response.headers)) return this.#send()
    // RFC 3263 §4.3: 503 means this server, not this call.
    if (response.status === 503 && this.state === 'calling' && this.#nextTarget()) return
    const reason = readReason(response.headers)
    this.#over({
      by: 'peer',
      sipStatus: response.status,
      q850: reason?.q850 ?? q850OfStatus(response.status),
      text: reason?.text ?? response.reason,
    })
  }

  // ── Giving up ────────────────────────────────────────────────────────────────────────────────────────────────

  ring(): void {}
  progress(): void {}
  accept(_media: MediaEndpoint): void {}
  reject(): void {
    this.hangup()
  }

  #rungOut(): void {
    const cause = { sipStatus: 408, q850: 19, text: 'no answer in time' }
    this.#tx?.cancel(writeReason({ ...cause, sipStatus: 0 }))
    this.#over({ by: 'timeout', ...cause })
  }

  protected abandon(cause: SessionCause): void {
    this.#tx?.cancel(writeReason(cause))
    this.#over({ by: 'us', ...cause, sipStatus: cause.sipStatus || 487 })
  }

  /** Over before it was established. A 2xx that still comes finds `ended` and is turned down. */
  #over(end: Parameters<Session['end']>[0]): void {
    this.#stopTimers()
    this.forget()
    this.end(end)
  }

  #stopTimers(): void {
    this.#ringTimer?.cancel()
    this.#silenceTimer?.cancel()
  }

  protected override dialogOf(remoteTag: string): Dialog | undefined {
    return super.dialogOf(remoteTag) ?? (this.dialog ? undefined : this.#forks.get(remoteTag)?.dialog)
  }
}
