/**
 * Requests of ours inside a dialog (RFC 3261 §12.2.1): one at a time, with digest, and the ACKs to 2xx, which are kept
 * because every repeat of a 2xx wants its ACK again (§13.2.2.4).
 */
import { parseCSeq } from '../message/headers.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import type { Flow } from '../transport/transport.ts'
import { AuthTries, type ClientAuth } from './client-auth.ts'
import type { SessionCore } from './core.ts'
import type { Dialog } from './dialog.ts'
import type { SessionSettings } from './session.ts'

export interface Outcome {
  request: SipRequest
  /** Absent: timer F/B, or the flow failed. */
  response?: SipResponse
  flow?: Flow
  failure?: 'timeout' | 'network'
}

type Job = (done: () => void) => void

/** A peer that answers nothing must not let these pile up. */
const MOST_QUEUED = 64
/** ACKs kept: the INVITE's and those of the latest re-INVITEs; older 2xx no longer come again. */
const MOST_ACKS = 8

export class DialogClient {
  readonly #core: SessionCore
  readonly #auth: ClientAuth
  readonly #settings: () => SessionSettings
  readonly #queue: Job[] = []
  readonly #acks = new Map<number, { dialog: Dialog; invite: SipRequest; sdp: string | undefined; flow: Flow }>()
  #busy = false

  constructor(core: SessionCore, auth: ClientAuth, settings: () => SessionSettings) {
    this.#core = core
    this.#auth = auth
    this.#settings = settings
  }

  /** Runs jobs one after the other. False: too many wait already. */
  enqueue(job: Job): boolean {
    if (this.#queue.length >= MOST_QUEUED) return false
    this.#queue.push(job)
    this.#next()
    return true
  }

  clear(): void {
    this.#queue.length = 0
  }

  #next(): void {
    if (this.#busy) return
    const job = this.#queue.shift()
    if (!job) return
    this.#busy = true
    let called = false
    job(() => {
      if (called) return
      called = true
      this.#busy = false
      this.#next()
    })
  }

  /** Sends at once, past the queue. `fill` adds headers and body and is called again for a retry with credentials. */
  send(
    dialog: Dialog,
    method: string,
    fill: (request: SipRequest) => void,
    done: (outcome: Outcome) => void,
    tries = new AuthTries(),
  ): void {
    const request = dialog.request(method)
    if (this.#core.product) request.headers.add('User-Agent', this.#core.product)
    fill(request)
    this.#auth.authorize(request)
    const settings = this.#settings()
    const flow = dialog.pickFlow(this.#core.transports, settings.nat ?? 'auto')
    let settled = false
    const finish = (outcome: Outcome): void => {
      if (settled) return
      settled = true
      done(outcome)
    }
    this.#core.layer.request(
      request,
      flow,
      {
        response: (response, from) => {
          if (response.status < 200) return
          if (settled) {
            if (method === 'INVITE' && response.status < 300) this.ackAgain(request)
            return
          }
          if (this.#auth.challenged(response, tries)) {
            settled = true
            this.send(dialog, method, fill, done, tries)
          } else finish({ request, response, flow: from })
        },
        timeout: () => finish({ request, failure: 'timeout' }),
        transportError: () => finish({ request, failure: 'network' }),
      },
      timersOf(settings),
    )
  }

  /** ACK to a 2xx, now and whenever the 2xx comes again. */
  ack(dialog: Dialog, invite: SipRequest, sdp?: string): void {
    const seq = seqOf(invite)
    const flow = dialog.pickFlow(this.#core.transports, this.#settings().nat ?? 'auto')
    this.#acks.set(seq, { dialog, invite, sdp, flow })
    if (this.#acks.size > MOST_ACKS) this.#acks.delete(Math.min(...this.#acks.keys()))
    this.ackAgain(invite)
  }

  ackAgain(invite: SipRequest): void {
    const kept = this.#acks.get(seqOf(invite))
    if (!kept) return
    const ack = kept.dialog.request('ACK', seqOf(invite))
    // RFC 3261 §22.1: the ACK carries its INVITE's credentials.
    for (const name of ['Authorization', 'Proxy-Authorization'])
      for (const value of kept.invite.headers.all(name)) ack.headers.add(name, value)
    if (kept.sdp !== undefined) setSdp(ack, kept.sdp)
    this.#core.layer.sendAck(ack, kept.flow)
  }
}

export function setSdp(message: { headers: SipRequest['headers']; body: Buffer }, sdp: string): void {
  message.headers.set('Content-Type', 'application/sdp')
  message.body = Buffer.from(sdp, 'latin1')
}

export const seqOf = (request: SipRequest): number => parseCSeq(request.headers.get('CSeq') ?? '')?.seq ?? 0

export const timersOf = (s: SessionSettings): { t1Ms?: number; t2Ms?: number } => ({
  ...(s.t1Ms === undefined ? {} : { t1Ms: s.t1Ms }),
  ...(s.t2Ms === undefined ? {} : { t2Ms: s.t2Ms }),
})
