/**
 * INVITE server transaction (RFC 3261 §17.2.1 as corrected by RFC 6026 §7.1). Repeating a 2xx until its ACK is the
 * core's work, not done here.
 *
 *                 2xx
 *   proceeding ────────▶ accepted ── timer L ──▶ terminated     (repeats of the INVITE are absorbed)
 *       │ 3xx-6xx
 *       └──────▶ completed ── ACK ──▶ confirmed ── timer I ──▶ terminated
 *                    └── timer H ──▶ terminated, "timeout"
 */
import { machine } from '../../lib/machine.ts'
import { buildResponse } from '../message/build.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import type { Flow } from '../transport/transport.ts'
import { ServerBase } from './server-base.ts'
import type { ServerHolder } from './transaction.ts'

type State = 'proceeding' | 'accepted' | 'completed' | 'confirmed' | 'terminated'
type Event = 'success' | 'failure' | 'ack' | 'end'

const MACHINE = machine<State, Event>('INVITE server', {
  proceeding: { success: 'accepted', failure: 'completed', end: 'terminated' },
  accepted: { success: 'accepted', end: 'terminated' },
  completed: { ack: 'confirmed', end: 'terminated' },
  confirmed: { end: 'terminated' },
  terminated: {},
})

export class InviteServer extends ServerBase {
  #state: State = 'proceeding'

  constructor(holder: ServerHolder, request: SipRequest, flow: Flow) {
    super(holder, request, flow)
    // §17.2.1: a 100 unless the core answers within 200 ms.
    this.timers.start('trying', holder.timers.tryingMs, () => this.send(buildResponse(request, 100)))
  }

  get state(): State {
    return this.#state
  }

  get answered(): boolean {
    return this.#state !== 'proceeding'
  }

  respond(response: SipResponse): void {
    if (response.status < 200) {
      if (this.#state !== 'proceeding') return
      this.timers.stop('trying')
      this.send(response)
      return
    }
    const event: Event = response.status < 300 ? 'success' : 'failure'
    if (!MACHINE.can(this.#state, event)) return
    const before = this.#state
    this.#state = MACHINE.next(before, event)
    if (before === 'proceeding') {
      this.timers.stop('trying')
      if (event === 'success') {
        this.timers.start('L', this.table.l, () => this.end())
      } else {
        if (this.table.g !== undefined)
          this.timers.repeat('G', this.table.g, this.holder.timers.t2Ms, () => this.resend('final'))
        this.timers.start('H', this.table.h, () => {
          this.holder.guard(() => this.timeoutHandler())
          this.end()
        })
      }
    }
    this.send(response)
  }

  repeated(): void {
    if (this.#state === 'proceeding') {
      // Nothing said yet: the peer waits for a 100 already.
      if (!this.lastResponse) this.respond(buildResponse(this.request, 100))
      else this.resend('provisional')
    } else if (this.#state === 'completed') this.resend('final')
  }

  /** An ACK of this branch. False: it is for the core, because it acknowledges a 2xx (RFC 6026 §7.1). */
  ack(ack: SipRequest): boolean {
    if (this.#state === 'accepted') return false
    if (this.#state !== 'completed') return true
    this.#state = MACHINE.next(this.#state, 'ack')
    this.timers.stopAll()
    this.holder.guard(() => this.ackHandler(ack))
    if (this.table.i > 0) this.timers.start('I', this.table.i, () => this.end())
    else this.end()
    return true
  }

  /** A matching CANCEL, already answered. */
  cancelled(cancel: SipRequest, toTag: string): void {
    const handler = this.cancelHandler
    if (this.answered) return
    if (handler) this.holder.guard(() => handler(cancel))
    else this.respond(buildResponse(this.request, 487, undefined, { toTag }))
  }

  protected over(): void {
    this.#state = MACHINE.next(this.#state, 'end')
  }
}
