/**
 * Re-INVITEs of ours (RFC 3261 §14.1) and session refreshes (RFC 4028 §10): hold, resume, a new address, keep-alive.
 * One at a time; 491 and 500 are tried again after the wait that keeps two ends from meeting again.
 */
import type { Timer } from '../../lib/clock.ts'
import type { Log } from '../../telemetry/log.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import type { MediaEndpoint } from '../sdp/negotiate.ts'
import type { Direction } from '../sdp/parse.ts'
import { ALLOW, SUPPORTED_UAS, sdpOf, type SessionCore } from './core.ts'
import type { Dialog } from './dialog.ts'
import { setSdp, type DialogClient, type Outcome } from './dialog-client.ts'
import type { Exchange, OfferAnswer } from './offer-answer.ts'
import type { SessionEnd, SessionState } from './session.ts'
import type { SessionTimer } from './session-timer.ts'

/** What is needed of the session. */
export interface ReinviteHost {
  readonly core: SessionCore
  readonly log: Log
  readonly callId: string
  readonly direction: 'incoming' | 'outgoing'
  readonly state: SessionState
  readonly dialog: Dialog | undefined
  readonly client: DialogClient
  readonly offerAnswer: OfferAnswer
  readonly timer: SessionTimer
  readonly remote: { protocol: 'udp' | 'tcp' }
  peerAllow: string | undefined
  agreed(exchange: Exchange, theirOffer: boolean): void
  fail(end: SessionEnd): void
}

interface Wanted {
  media?: MediaEndpoint
  wish?: Direction
  withoutSdp?: boolean
}

const MOST_TRIES = 6
/** A peer's Retry-After beyond this is not waited for. */
const LONGEST_RETRY_S = 30

export class Reinviter {
  readonly #session: ReinviteHost
  #retry: Timer | undefined
  /** A re-INVITE of ours has no final answer: the peer's gets 491. */
  inviteOpen = false

  constructor(session: ReinviteHost) {
    this.#session = session
  }

  request(wanted: Wanted): void {
    // A newer wish replaces one that waits for its retry: two answers to the same question would fight.
    this.#retry?.cancel()
    this.#enqueue(wanted, 1)
  }

  /** RFC 4028 §10: by UPDATE where the peer takes it, else re-INVITE with unchanged SDP. */
  refresh(): void {
    const s = this.#session
    if (!s.peerAllow?.includes('UPDATE')) return this.request({})
    s.client.enqueue((done) => {
      if (!s.dialog || s.state !== 'established') return done()
      s.client.send(
        s.dialog,
        'UPDATE',
        (request) => this.#head(request),
        (outcome) => {
          done()
          this.#afterRefresh(outcome)
        },
      )
    })
  }

  stop(): void {
    this.#retry?.cancel()
    this.inviteOpen = false
  }

  #afterRefresh({ response, failure }: Outcome): void {
    const s = this.#session
    if (s.state !== 'established') return
    if (failure || response?.status === 481 || response?.status === 408) return this.#dead(response?.status)
    if (!response) return
    if (response.status < 300) {
      s.dialog?.refreshTarget(response.headers)
      s.timer.onResponse(response.headers)
    } else if (response.status === 422) {
      if (s.timer.raise(response.headers)) this.refresh()
    } else if (response.status === 405 || response.status === 501) {
      s.peerAllow = undefined
      this.refresh()
    } else this.#later(response, () => this.refresh(), 1)
  }

  #enqueue(wanted: Wanted, attempt: number): void {
    this.#session.client.enqueue((done) => this.#invite(wanted, attempt, done))
  }

  #invite(wanted: Wanted, attempt: number, done: () => void): void {
    const s = this.#session
    const oa = s.offerAnswer
    const local = wanted.media ?? oa.local
    if (!s.dialog || s.state !== 'established' || !local) return done()
    if (oa.pending) {
      // Our offer in a 2xx still waits for its ACK: asking now would be glare with ourselves.
      done()
      return this.#again(wanted, attempt, this.#glareMs())
    }
    const offer = wanted.withoutSdp ? undefined : oa.offer(local, wanted.wish ?? oa.wish)
    this.inviteOpen = true
    s.client.send(
      s.dialog,
      'INVITE',
      (request) => {
        this.#head(request)
        if (offer !== undefined) setSdp(request, offer)
      },
      (outcome) => {
        this.inviteOpen = false
        this.#answered(outcome, wanted, attempt)
        done()
      },
    )
  }

  #head(request: SipRequest): void {
    const s = this.#session
    request.headers.add('Contact', s.core.contact(s.remote.protocol))
    request.headers.add('Allow', ALLOW)
    request.headers.add('Supported', SUPPORTED_UAS)
    if (s.timer.intervalS !== undefined) s.timer.applyToRequest(request.headers)
  }

  #answered({ request, response, failure }: Outcome, wanted: Wanted, attempt: number): void {
    const s = this.#session
    const oa = s.offerAnswer
    if (response && response.status < 300 && s.dialog) {
      s.dialog.refreshTarget(response.headers)
      return this.#success(request, response, wanted)
    }
    oa.rollback()
    if (s.state !== 'established') return
    if (failure || response?.status === 481 || response?.status === 408) return this.#dead(response?.status)
    if (!response) return
    // RFC 3261 §14.1: everything else leaves the session as it was.
    if (response.status === 422 && s.timer.raise(response.headers)) return this.#again(wanted, attempt, 0)
    if (response.status === 491) return this.#again(wanted, attempt, this.#glareMs())
    this.#later(response, () => this.#enqueue(wanted, attempt + 1), attempt)
  }

  #success(request: SipRequest, response: SipResponse, wanted: Wanted): void {
    const s = this.#session
    if (!s.dialog) return
    const sdp = sdpOf(response)
    if (wanted.withoutSdp) {
      // Their 2xx is the offer, our ACK the answer (RFC 3261 §14.1).
      const answered = typeof sdp === 'string' ? s.offerAnswer.answerTo(sdp) : undefined
      s.client.ack(s.dialog, request, answered?.sdp)
      if (s.state !== 'established') return
      if (!answered) return s.fail({ by: 'us', sipStatus: 488, q850: 65, text: 'no usable offer in 2xx' })
      s.timer.onResponse(response.headers)
      return s.agreed(answered, true)
    }
    s.client.ack(s.dialog, request)
    const agreed = typeof sdp === 'string' ? s.offerAnswer.accept(sdp, true) : undefined
    if (!agreed) s.offerAnswer.rollback()
    if (s.state !== 'established') return
    s.timer.onResponse(response.headers)
    if (agreed) s.agreed(agreed, false)
    else s.log.warn({ callId: s.callId }, '2xx to a re-INVITE without usable answer, session left as it was')
  }

  // §14.1: 2.1-4 s for the one that made the Call-ID, 0-2 s for the other, in steps of 10 ms.
  #glareMs(): number {
    const random = this.#session.core.random()
    const steps = this.#session.direction === 'outgoing' ? 210 + random * 190 : random * 200
    return Math.round(steps) * 10
  }

  #again(wanted: Wanted, attempt: number, waitMs: number): void {
    if (attempt >= MOST_TRIES) {
      this.#session.log.warn({ callId: this.#session.callId }, 're-INVITE given up')
      return
    }
    this.#retry?.cancel()
    this.#retry = this.#session.core.clock.after(waitMs, () => this.#enqueue(wanted, attempt + 1))
  }

  /** 500 and 503 with Retry-After: the peer says when. */
  #later(response: SipResponse, retry: () => void, attempt: number): void {
    const afterS = Number(/^\s*(\d{1,5})/.exec(response.headers.get('Retry-After') ?? '')?.[1])
    const s = this.#session
    s.log.info({ callId: s.callId, status: response.status }, 'in-dialog request refused, session unchanged')
    if (!(afterS <= LONGEST_RETRY_S) || attempt >= MOST_TRIES) return
    this.#retry?.cancel()
    this.#retry = s.core.clock.after(Math.max(100, afterS * 1000), retry)
  }

  // RFC 3261 §12.2.1.2: the dialog is gone at the other end.
  #dead(status: number | undefined): void {
    const text = status === undefined ? 'no answer inside the dialog' : 'dialog unknown to the peer'
    this.#session.fail({ by: status === 481 ? 'peer' : 'timeout', sipStatus: status ?? 408, q850: 41, text })
  }
}
