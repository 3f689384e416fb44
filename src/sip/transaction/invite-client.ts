/**
 * INVITE client transaction (RFC 3261 §17.1.1 as corrected by RFC 6026 §7.2, CANCEL of §9.1). No socket, no routing.
 *
 *              1xx                 2xx ──────────────┐
 *   calling ────────▶ proceeding ────────▶ accepted ◀┘ each 2xx goes up; timer M ─▶ terminated
 *      │ │ 2xx ───────────────────────────▶   ▲
 *      │ │                  │ 3xx-6xx         │
 *      │ └─ 3xx-6xx ────────┴──────▶ completed ┘no     ACK each repeat; timer D ─▶ terminated
 *      └─ timer B, transport error ─▶ terminated
 */
import { machine } from '../../lib/machine.ts'
import { metrics } from '../../telemetry/metrics.ts'
import { EMPTY_BODY, Headers, type SipRequest, type SipResponse } from '../message/message.ts'
import { parseCSeq } from '../message/headers.ts'
import { serialize } from '../message/serialize.ts'
import type { Flow } from '../transport/transport.ts'
import { TimerSet, timerTable, type TimerTable } from './timers.ts'
import type { ClientHolder, ClientListener, ClientTransaction } from './transaction.ts'

type State = 'calling' | 'proceeding' | 'completed' | 'accepted' | 'terminated'
type Event = 'provisional' | 'success' | 'failure' | 'end'

const MACHINE = machine<State, Event>('INVITE client', {
  calling: { provisional: 'proceeding', success: 'accepted', failure: 'completed', end: 'terminated' },
  proceeding: { provisional: 'proceeding', success: 'accepted', failure: 'completed', end: 'terminated' },
  completed: { failure: 'completed', end: 'terminated' },
  accepted: { success: 'accepted', end: 'terminated' },
  terminated: {},
})

export class InviteClient implements ClientTransaction {
  readonly request: SipRequest
  readonly flow: Flow
  readonly #holder: ClientHolder
  readonly #listener: ClientListener
  readonly #table: TimerTable
  readonly #timers: TimerSet
  readonly #bytes: Buffer
  #state: State = 'calling'
  /** Built at the first 3xx-6xx, sent again for each repeat. */
  #ack: Buffer | undefined
  #queuedCancel: [string, string][] | undefined
  #cancelled = false
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
    this.#send(this.#bytes)
    // §17.1.1.2: timer A doubles for as long as the transaction is calling; no T2 cap.
    if (this.#table.a !== undefined) this.#timers.repeat('A', this.#table.a, Infinity, () => this.#resend())
    this.#timers.start('B', this.#table.b, () => this.#timeout())
  }

  receive(response: SipResponse, flow: Flow): void {
    const event: Event = response.status < 200 ? 'provisional' : response.status < 300 ? 'success' : 'failure'
    // Late 1xx, and failures after a 2xx, mean nothing any more (RFC 6026 §8.4).
    if (!MACHINE.can(this.#state, event)) return
    const before = this.#state
    this.#state = MACHINE.next(before, event)
    if (event === 'provisional') {
      // Only these two: after a CANCEL its own limit runs on.
      this.#timers.stop('A')
      this.#timers.stop('B')
      this.#up(response, flow)
      if (this.#queuedCancel) this.#sendCancel()
    } else if (event === 'success') {
      if (before !== 'accepted') this.#settle('M', this.#table.m)
      this.#up(response, flow)
    } else if (before === 'completed') {
      // §17.1.1.2: each repeat of the final is acknowledged, none is passed up.
      metrics.sipRetransmits.inc({ kind: 'ack' })
      this.#sendAck(response)
    } else {
      this.#sendAck(response)
      this.#settle('D', this.#table.d)
      this.#up(response, flow)
    }
  }

  cancel(extraHeaders: [string, string][] = []): void {
    if (this.#cancelled || (this.#state !== 'calling' && this.#state !== 'proceeding')) return
    this.#cancelled = true
    this.#queuedCancel = extraHeaders
    // §9.1: not before a provisional answer. Timer B bounds the wait for one.
    if (this.#state === 'proceeding') this.#sendCancel()
  }

  /** The layer is closing. */
  abort(err: Error): void {
    const pending = this.#state === 'calling' || this.#state === 'proceeding'
    if (this.#state === 'terminated') return
    this.#end()
    if (pending) this.#holder.guard(() => this.#listener.transportError(err))
  }

  #up(response: SipResponse, flow: Flow): void {
    this.#holder.guard(() => this.#listener.response(response, flow))
  }

  #resend(): void {
    metrics.sipRetransmits.inc({ kind: 'invite' })
    this.#send(this.#bytes)
  }

  #send(bytes: Buffer): void {
    this.flow.send(bytes, (err) => this.#transportError(err))
  }

  #sendAck(response: SipResponse): void {
    this.#ack ??= serialize(ackTo(this.request, response))
    this.#holder.liveFlow(this.flow).send(this.#ack)
  }

  #sendCancel(): void {
    const extraHeaders = this.#queuedCancel ?? []
    this.#queuedCancel = undefined
    // §9.1: no final answer 64*T1 after the CANCEL: the INVITE is dead.
    this.#timers.start('cancel', this.#table.b, () => this.#timeout())
    this.#holder.sendCancel(cancelOf(this.request, extraHeaders), this.#holder.liveFlow(this.flow))
  }

  #timeout(): void {
    this.#end()
    this.#holder.guard(() => this.#listener.timeout())
  }

  #transportError(err: Error): void {
    // Once a 1xx has come, the final answer may still arrive on another connection (§18.2.2).
    if (this.#state !== 'calling') return
    this.#end()
    this.#holder.guard(() => this.#listener.transportError(err))
  }

  /** A final answer is here: only repeats are still waited for. */
  #settle(letter: 'D' | 'M', ms: number): void {
    this.#timers.stopAll()
    if (ms > 0) this.#timers.start(letter, ms, () => this.#end())
    else this.#end()
  }

  #end(): void {
    this.#state = MACHINE.next(this.#state, 'end')
    this.#timers.stopAll()
    this.#offClose?.()
    this.#holder.ended()
  }
}

/** Headers that every request of the same branch shares with its INVITE (§9.1, §17.1.1.3). */
function sameBranch(invite: SipRequest, method: string): Headers {
  const headers = new Headers()
  const from = invite.headers
  headers.add('Via', from.get('Via') ?? '')
  for (const route of from.all('Route')) headers.add('Route', route)
  headers.add('Max-Forwards', '70')
  for (const name of ['From', 'To', 'Call-ID']) headers.add(name, from.get(name) ?? '')
  headers.add('CSeq', `${parseCSeq(from.get('CSeq') ?? '')?.seq ?? 0} ${method}`)
  return headers
}

/** §17.1.1.3: the ACK to a 3xx-6xx. To is the response's; §22.1: it repeats the INVITE's credentials. */
export function ackTo(invite: SipRequest, response: SipResponse): SipRequest {
  const headers = sameBranch(invite, 'ACK').set('To', response.headers.get('To') ?? '')
  for (const name of ['Authorization', 'Proxy-Authorization'])
    for (const value of invite.headers.all(name)) headers.add(name, value)
  return { kind: 'request', method: 'ACK', uri: invite.uri, headers, body: EMPTY_BODY }
}

/** §9.1: no credentials, no Require. */
export function cancelOf(invite: SipRequest, extraHeaders: [string, string][]): SipRequest {
  const headers = sameBranch(invite, 'CANCEL')
  for (const [name, value] of extraHeaders) headers.add(name, value)
  return { kind: 'request', method: 'CANCEL', uri: invite.uri, headers, body: EMPTY_BODY }
}
