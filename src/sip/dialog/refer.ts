/**
 * REFER of ours in a dialog and the NOTIFYs that tell how it goes (RFC 3515, its implicit subscription by RFC 6665, the
 * body by RFC 3420). Not the other side: a REFER of the peer's gets 405. What follows from the result is the owner's.
 *
 *   REFER ─┬─ 202 ─▶ accepted ─┬─ NOTIFY 1xx ─▶ progress (any number)
 *          │   a NOTIFY may    ├─ NOTIFY 2xx ─▶ completed
 *          │   overtake it     └─ NOTIFY 3xx-6xx, terminated without a result, time limit ─▶ failed
 *          └─ 3xx-6xx, silence ─▶ failed
 */
import type { Clock, Timer } from '../../lib/clock.ts'
import { formatNameAddr, parseNameAddr, parseParams } from '../message/headers.ts'
import type { SipRequest } from '../message/message.ts'
import type { Dialog } from './dialog.ts'
import { seqOf, type DialogClient, type Outcome } from './dialog-client.ts'

export interface ReferOrder {
  /** URI for Refer-To; headers for the new request stand escaped behind its '?'. */
  referTo: string
  /** Further headers of the REFER itself. */
  headers?: [string, string][]
  /** 'failed' after so many ms without a result. */
  timeoutMs: number
}

/** `status`: the answer to the REFER, or what the peer heard from where it was sent. */
export interface ReferProgress {
  state: 'accepted' | 'progress' | 'completed' | 'failed'
  status: number
  text: string
}

interface Subscription {
  seq: number
  accepted: boolean
  /** The result has been told; kept for the NOTIFYs that still come. */
  over: boolean
  /** Last status heard by NOTIFY. */
  heard: number
  timer: Timer
}

/** What belongs to the dialog and not to this REFER. */
export interface ReferHost {
  clock: Clock
  contact(): string
  tell(progress: ReferProgress): void
  /** 481: the peer does not know the dialog. */
  unknown(): void
}

/** Subscriptions that are over but not yet terminated: peers that never say so must not fill the memory. */
const MOST_KEPT = 4

export class Refers {
  readonly #client: DialogClient
  readonly #host: ReferHost
  readonly #subscriptions: Subscription[] = []

  constructor(client: DialogClient, host: ReferHost) {
    this.#client = client
    this.#host = host
  }

  /** One at a time; progress goes to the host. */
  refer(dialog: Dialog, order: ReferOrder): void {
    if (this.#subscriptions.some((s) => !s.over))
      return this.#host.tell({ state: 'failed', status: 491, text: 'another REFER is under way' })
    const sub: Subscription = {
      seq: -1,
      accepted: false,
      over: false,
      heard: 0,
      timer: this.#host.clock.after(order.timeoutMs, () => this.#giveUp(sub)),
    }
    this.#subscriptions.push(sub)
    if (this.#subscriptions.length > MOST_KEPT) this.#subscriptions.shift()
    const taken = this.#client.enqueue((done) => {
      if (sub.over) return done()
      this.#client.send(
        dialog,
        'REFER',
        (request) => {
          // RFC 3515 §2.4.6: the CSeq names the subscription; a retry with credentials has another one.
          sub.seq = seqOf(request)
          this.#fill(request, dialog, order)
        },
        (outcome) => {
          this.#answered(sub, outcome)
          done()
        },
      )
    })
    if (!taken) this.#finish(sub, { state: 'failed', status: 500, text: 'too many requests wait' })
  }

  #fill(request: SipRequest, dialog: Dialog, order: ReferOrder): void {
    request.headers.add('Contact', this.#host.contact())
    request.headers.add('Refer-To', formatNameAddr({ uri: order.referTo }))
    // RFC 3892: who asks for it, as the peer knows us.
    const us = parseNameAddr(dialog.identity.local)?.uri
    if (us !== undefined) request.headers.add('Referred-By', formatNameAddr({ uri: us }))
    for (const [name, value] of order.headers ?? []) request.headers.add(name, value)
  }

  #answered(sub: Subscription, { response, failure }: Outcome): void {
    if (sub.over) return
    if (!response) {
      const status = failure === 'timeout' ? 408 : 503
      return this.#finish(sub, { state: 'failed', status, text: 'no answer to the REFER' })
    }
    if (response.status === 481) this.#host.unknown()
    // RFC 6665 lets any 2xx stand for the 202 of RFC 3515.
    if (response.status < 300) this.#accept(sub, response.status, response.reason)
    else this.#finish(sub, { state: 'failed', status: response.status, text: response.reason })
  }

  #accept(sub: Subscription, status: number, text: string): void {
    if (sub.accepted) return
    sub.accepted = true
    this.#host.tell({ state: 'accepted', status, text })
  }

  /** Whose NOTIFY it is still gets 481 after this, which ends the peer's subscription (RFC 6665 §4.2.2). */
  #giveUp(sub: Subscription): void {
    this.#remove(sub)
    this.#finish(sub, { state: 'failed', status: 408, text: 'no result of the REFER in time' })
  }

  #finish(sub: Subscription, progress: ReferProgress): void {
    if (sub.over) return
    sub.over = true
    sub.timer.cancel()
    if (!sub.accepted) this.#remove(sub)
    this.#host.tell(progress)
  }

  #remove(sub: Subscription): void {
    const at = this.#subscriptions.indexOf(sub)
    if (at >= 0) this.#subscriptions.splice(at, 1)
  }

  /** A NOTIFY in the dialog: answers it, then tells what it says. */
  notify(request: SipRequest, respond: (status: number, headers?: [string, string][]) => void): void {
    const event = request.headers.get('Event') ?? 'refer'
    const semicolon = event.indexOf(';')
    const name = (semicolon < 0 ? event : event.slice(0, semicolon)).trim().toLowerCase()
    if (name !== 'refer') return respond(489, [['Allow-Events', 'refer']])
    const id = semicolon < 0 ? undefined : parseParams(event.slice(semicolon))?.get('id')
    // Without an id it is about the first REFER of the dialog that lives.
    const sub =
      id === undefined
        ? (this.#subscriptions.find((s) => !s.over) ?? this.#subscriptions[0])
        : this.#subscriptions.find((s) => s.seq === Number(id))
    if (!sub) return respond(481)
    respond(200)
    const terminated = /^\s*terminated\b/i.test(request.headers.get('Subscription-State') ?? '')
    if (terminated) this.#remove(sub)
    if (!sub.over) this.#heard(sub, sipfrag(request.body), terminated)
  }

  #heard(sub: Subscription, said: { status: number; text: string } | undefined, terminated: boolean): void {
    this.#accept(sub, 202, 'Accepted')
    // A listener may have ended the session.
    if (sub.over) return
    if (said && said.status >= 200)
      return this.#finish(sub, { ...said, state: said.status < 300 ? 'completed' : 'failed' })
    if (said && said.status !== sub.heard) {
      sub.heard = said.status
      this.#host.tell({ ...said, state: 'progress' })
    }
    // Nobody says how it went: the caller is still here, so it is no success.
    if (terminated) this.#finish(sub, { state: 'failed', status: 0, text: 'the peer stopped telling' })
  }

  /** The session has ended: nothing is told any more. */
  stop(): void {
    for (const sub of this.#subscriptions.splice(0)) {
      sub.over = true
      sub.timer.cancel()
    }
  }
}

const LONGEST_LINE = 200

/** RFC 3420: the status line of the answer that the peer got; undefined for a NOTIFY that has none. */
export function sipfrag(body: Buffer): { status: number; text: string } | undefined {
  const line = body.subarray(0, LONGEST_LINE).toString('latin1').trimStart().split(/\r?\n/, 1)[0]
  const m = /^SIP\/2\.0\s+([1-6]\d\d)(?:\s+(.*))?$/i.exec(line)
  return m ? { status: Number(m[1]), text: m[2]?.trim() ?? '' } : undefined
}
