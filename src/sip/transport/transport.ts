/**
 * What the layers above see of the network (RFC 3261 §18): flows, each one path to one peer, and the set of
 * transports that makes them and hands up parsed messages. No socket here; see udp.ts, tcp.ts, transports.ts.
 */
import type { SipMessage } from '../message/message.ts'
import type { Resolver } from './resolve.ts'

export type Protocol = 'udp' | 'tcp'

/** UDP: our socket and a remote address. TCP: one connection. */
export interface Flow {
  readonly protocol: Protocol
  /** IP address of the peer, without brackets. */
  readonly remoteHost: string
  readonly remotePort: number
  /** TCP: nothing is sent again by timers A, E and G. */
  readonly reliable: boolean
  readonly closed: boolean
  /** `failed` is called (never synchronously) if these bytes are known not to have left. */
  send(bytes: Buffer, failed?: (err: Error) => void): void
  /** Called once when the connection ends (UDP: when the socket closes). Returns the function that takes it off. */
  onClose(listener: (err: Error) => void): () => void
}

export type MessageHandler = (message: SipMessage, flow: Flow) => void

/**
 * Whether a source may speak to us at all; asked before anything is parsed. 'trusted': also never banned, because
 * over UDP anyone can send rubbish in a trunk's name.
 */
export type Admission = (remoteHost: string, protocol: Protocol) => boolean | 'trusted'

export interface Transports {
  /** The bound port, the same for UDP and TCP. */
  readonly localPort: number
  /** What Via and Contact say of us. */
  readonly sentBy: { host: string; port: number }
  readonly resolver: Resolver
  /** `host` is an IP address (use `resolver` for names). TCP: reuses an open connection, else opens one and queues. */
  flowTo(protocol: Protocol, host: string, port: number): Flow
  /** One handler; requests arrive with `received` and `rport` already filled in (RFC 3581). */
  onMessage(handler: MessageHandler): void
  setAdmission(admit: Admission): void
  /** Counts a bad request against a source: 20 in 10 s ban it for 5 min (its messages are then dropped unread). Trusted: no effect. */
  penalise(remoteHost: string): void
  close(): Promise<void>
}
