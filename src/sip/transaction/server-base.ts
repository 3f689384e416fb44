/** What both server transactions share: the stored answer, the way back and the core's handlers. No states of its own. */
import { metrics } from '../../telemetry/metrics.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import { serialize } from '../message/serialize.ts'
import type { Flow } from '../transport/transport.ts'
import { TimerSet, timerTable, type TimerTable } from './timers.ts'
import type { NatMode, ServerHolder, ServerTransaction } from './transaction.ts'

const nothing = (): void => undefined

export abstract class ServerBase implements ServerTransaction {
  readonly request: SipRequest
  readonly flow: Flow
  nat: NatMode = 'auto'
  protected readonly holder: ServerHolder
  protected readonly table: TimerTable
  protected readonly timers: TimerSet
  /** §17.2: a repeat of the request gets these very bytes; a To-tag or an SDP version must never differ. */
  #last: { response: SipResponse; bytes: Buffer } | undefined
  #over = false
  protected cancelHandler: ((cancel: SipRequest) => void) | undefined
  protected ackHandler: (ack: SipRequest) => void = nothing
  protected timeoutHandler: () => void = nothing
  #transportErrorHandler: (err: Error) => void = nothing
  #terminatedHandler: () => void = nothing

  constructor(holder: ServerHolder, request: SipRequest, flow: Flow) {
    this.holder = holder
    this.request = request
    this.flow = flow
    this.table = timerTable(holder.timers, flow.reliable)
    this.timers = new TimerSet(holder.clock)
  }

  abstract readonly answered: boolean
  abstract respond(response: SipResponse): void
  /** A repeat of the request. */
  abstract repeated(): void
  /** Enters the final state. */
  protected abstract over(): void

  onCancel(handler: (cancel: SipRequest) => void): void {
    this.cancelHandler = handler
  }
  onAck(handler: (ack: SipRequest) => void): void {
    this.ackHandler = handler
  }
  onTimeout(handler: () => void): void {
    this.timeoutHandler = handler
  }
  onTransportError(handler: (err: Error) => void): void {
    this.#transportErrorHandler = handler
  }
  onTerminated(handler: () => void): void {
    this.#terminatedHandler = handler
  }

  /** The last answer sent, for the To-tag of the 200 to a CANCEL. */
  get lastResponse(): SipResponse | undefined {
    return this.#last?.response
  }

  abort(): void {
    this.end()
  }

  protected send(response: SipResponse): void {
    if (this.#last?.response !== response) this.#last = { response, bytes: serialize(response) }
    this.#transmit(this.#last.bytes)
  }

  protected resend(kind: string): void {
    if (!this.#last) return
    metrics.sipRetransmits.inc({ kind })
    this.#transmit(this.#last.bytes)
  }

  #transmit(bytes: Buffer): void {
    this.holder.sendBack(bytes, this.nat, (err) => this.#transportError(err))
  }

  #transportError(err: Error): void {
    if (this.#over) return
    this.holder.guard(() => this.#transportErrorHandler(err))
    this.end()
  }

  protected end(): void {
    if (this.#over) return
    this.#over = true
    this.over()
    this.timers.stopAll()
    this.holder.ended()
    this.holder.guard(() => this.#terminatedHandler())
  }
}
