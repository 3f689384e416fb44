/**
 * Non-INVITE client transaction (RFC 3261 §17.1.2).
 *
 *   trying ──1xx──▶ proceeding ──final──▶ completed ──timer K──▶ terminated
 *      │  └──────────final───────────────▶   (absorbs repeats)
 *      └── timer F, transport error (either state) ─▶ terminated
 */
import { machine } from '../../lib/machine.ts'
import { metrics } from '../../telemetry/metrics.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import { serialize } from '../message/serialize.ts'
import type { Flow } from '../transport/transport.ts'
import { TimerSet, timerTable, type TimerTable } from './timers.ts'
import type { ClientHolder, ClientListener, ClientTransaction } from './transaction.ts'

type State = 'trying' | 'proceeding' | 'completed' | 'terminated'
type Event = 'provisional' | 'final' | 'end'

const MACHINE = machine<State, Event>('client', {
  trying: { provisional: 'proceeding', final: 'completed', end: 'terminated' },
  proceeding: { provisional: 'proceeding', final: 'completed', end: 'terminated' },
  completed: { end: 'terminated' },
  terminated: {},
})

export class Client implements ClientTransaction {
  readonly request: SipRequest
  readonly flow: Flow
  readonly #holder: ClientHolder
  readonly #listener: ClientListener
  readonly #table: TimerTable
  readonly #timers: TimerSet
  readonly #bytes: Buffer
  #state: State = 'trying'
  #offClose: (() => void) | undefined

  constructor(holder: ClientHolder, request: SipRequest, flow: Flow, listener: ClientListener) {
    this.#holder = holder
    this.request = request
    this.flow = flow
    this.#listener = listener
    this.#table = timerTable(holder.timers, flow.reliable)
    this.#timers = new TimerSet(holder.clock)
    this.#bytes = serialize(request)
  }

  get state(): State {
    return this.#state
  }

  start(): void {
    if (this.flow.reliable) this.#offClose = this.flow.onClose((err) => this.#transportError(err))
    this.#send()
    if (this.#table.e !== undefined) this.#repeatFrom(this.#table.e)
    this.#timers.start('F', this.#table.f, () => {
      this.#end()
      this.#holder.guard(() => this.#listener.timeout())
    })
  }

  receive(response: SipResponse, flow: Flow): void {
    const event: Event = response.status < 200 ? 'provisional' : 'final'
    if (!MACHINE.can(this.#state, event)) return
    this.#state = MACHINE.next(this.#state, event)
    // §17.1.2.2: E and F go on through Proceeding, where E fires at T2.
    if (event === 'final') {
      this.#timers.stopAll()
      if (this.#table.k > 0) this.#timers.start('K', this.#table.k, () => this.#end())
      else this.#end()
    }
    this.#holder.guard(() => this.#listener.response(response, flow))
  }

  /** §9.1: only an INVITE can be cancelled. */
  cancel(): void {}

  abort(err: Error): void {
    this.#transportError(err)
    if (this.#state === 'completed') this.#end()
  }

  #repeatFrom(intervalMs: number): void {
    const { t2Ms } = this.#holder.timers
    this.#timers.start('E', intervalMs, () => {
      metrics.sipRetransmits.inc({ kind: 'request' })
      this.#repeatFrom(this.#state === 'proceeding' ? t2Ms : Math.min(intervalMs * 2, t2Ms))
      this.#send()
    })
  }

  #send(): void {
    this.flow.send(this.#bytes, (err) => this.#transportError(err))
  }

  #transportError(err: Error): void {
    if (this.#state !== 'trying' && this.#state !== 'proceeding') return
    this.#end()
    this.#holder.guard(() => this.#listener.transportError(err))
  }

  #end(): void {
    this.#state = MACHINE.next(this.#state, 'end')
    this.#timers.stopAll()
    this.#offClose?.()
    this.#holder.ended()
  }
}
