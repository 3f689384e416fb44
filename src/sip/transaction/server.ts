/**
 * Non-INVITE server transaction (RFC 3261 §17.2.2).
 *
 *   trying ──1xx──▶ proceeding ──final──▶ completed ──timer J──▶ terminated
 *      └───────────────final────────────▶
 */
import { machine } from '../../lib/machine.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import type { Flow } from '../transport/transport.ts'
import { ServerBase } from './server-base.ts'
import type { ServerHolder } from './transaction.ts'

type State = 'trying' | 'proceeding' | 'completed' | 'terminated'
type Event = 'provisional' | 'final' | 'end'

const MACHINE = machine<State, Event>('server', {
  trying: { provisional: 'proceeding', final: 'completed', end: 'terminated' },
  proceeding: { provisional: 'proceeding', final: 'completed', end: 'terminated' },
  completed: { end: 'terminated' },
  terminated: {},
})

export class Server extends ServerBase {
  #state: State = 'trying'

  constructor(holder: ServerHolder, request: SipRequest, flow: Flow) {
    super(holder, request, flow)
    // Not in the RFC: the client has given up by timer F, so an answer that never came may be forgotten.
    this.timers.start('unanswered', this.table.f + this.holder.timers.t4Ms, () => this.end())
  }

  get state(): State {
    return this.#state
  }

  get answered(): boolean {
    return this.#state === 'completed' || this.#state === 'terminated'
  }

  respond(response: SipResponse): void {
    const event: Event = response.status < 200 ? 'provisional' : 'final'
    if (!MACHINE.can(this.#state, event)) return
    this.#state = MACHINE.next(this.#state, event)
    if (event === 'final') {
      this.timers.stopAll()
      if (this.table.j > 0) this.timers.start('J', this.table.j, () => this.end())
    }
    this.send(response)
    if (event === 'final' && this.table.j === 0) this.end()
  }

  repeated(): void {
    // §17.2.2: nothing while trying; else the last answer again.
    if (this.#state !== 'trying') this.resend('final')
  }

  protected over(): void {
    this.#state = MACHINE.next(this.#state, 'end')
  }
}
