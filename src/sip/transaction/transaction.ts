/** What transactions offer to the core above them, and what they need from the layer that holds them (RFC 3261 §17). */
import type { Clock } from '../../lib/clock.ts'
import type { SipRequest, SipResponse } from '../message/message.ts'
import type { Flow } from '../transport/transport.ts'
import type { NatMode } from '../transport/response-route.ts'
import type { SipTimers } from './timers.ts'

export type { NatMode }

export interface ClientListener {
  /** Every response that is not a repeat; for INVITE also every 2xx, repeats and forks included (RFC 6026 §7.2). */
  response(response: SipResponse, flow: Flow): void
  /** Timer B or F, or 64*T1 after a CANCEL, without a final answer: treat as 408. */
  timeout(): void
  /** The flow failed: treat as 503. */
  transportError(err: Error): void
}

export interface ClientTransaction {
  /** As sent: with our Via. */
  readonly request: SipRequest
  readonly flow: Flow
  /** INVITE only: queued until a 1xx; without a final answer the transaction times out 64*T1 later. */
  cancel(extraHeaders?: [string, string][]): void
}

export interface ServerTransaction {
  readonly request: SipRequest
  readonly flow: Flow
  /** How the answer's address is chosen over UDP; the core may set it before it answers. Default 'auto'. */
  nat: NatMode
  /** True once a final answer was given. */
  readonly answered: boolean
  /**
   * Serialises once and keeps the bytes for repeats. INVITE: any number of 1xx, then one final; a 2xx may be given
   * again (its repeats are the core's), the same object costs no work. Anything after the final is dropped.
   */
  respond(response: SipResponse): void
  /** INVITE: a matching CANCEL came (already answered 200) and no final was sent: answer 487. Unset: the layer does. */
  onCancel(handler: (cancel: SipRequest) => void): void
  /** INVITE: the ACK to our 3xx-6xx came. (The ACK to a 2xx comes through TransactionLayer.onRequest.) */
  onAck(handler: (ack: SipRequest) => void): void
  /** INVITE: no ACK to our 3xx-6xx within timer H. */
  onTimeout(handler: () => void): void
  onTransportError(handler: (err: Error) => void): void
  onTerminated(handler: () => void): void
}

/** One transaction's door to the layer. */
export interface Holder {
  readonly clock: Clock
  readonly timers: SipTimers
  /** Runs a callback of the core; what it throws is logged and goes no further. */
  guard(fn: () => void): void
  /** The transaction is over: forget it. */
  ended(): void
}

export interface ClientHolder extends Holder {
  /** The flow, or a new one to the same address when it has closed. */
  liveFlow(flow: Flow): Flow
  /** Starts the transaction of a CANCEL that already has its Via. */
  sendCancel(cancel: SipRequest, flow: Flow): void
}

export interface ServerHolder extends Holder {
  /** Sends an answer along RFC 3261 §18.2.2 and RFC 3581 §4. */
  sendBack(bytes: Buffer, nat: NatMode, failed: (err: Error) => void): void
}
