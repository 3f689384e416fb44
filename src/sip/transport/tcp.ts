/**
 * SIP over TCP (RFC 3261 §18, RFC 5626 keep-alives): connections in both directions, each a flow. Bounded per source,
 * in message size and in how long a message may take to arrive (RELIABILITY B3).
 */
import { connect, createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '../../lib/clock.ts'
import { metrics } from '../../telemetry/metrics.ts'
import type { Log } from '../../telemetry/log.ts'
import { StreamFramer } from '../message/framing.ts'
import type { Flow } from './transport.ts'
import { plainAddress } from './udp.ts'

const MOST_PER_SOURCE = 50
const MOST_CONNECTIONS = 2000
/** From the first byte of a message (or from accepting) to its last. */
const MESSAGE_MS = 10_000
const CONNECT_MS = 5000
/** A peer that does not read. */
const MOST_UNSENT_BYTES = 1 << 20
const PONG = Buffer.from('\r\n')

export interface TcpEvents {
  message(bytes: Buffer, flow: Flow): void
  /** The stream is unreadable from here on and is about to be closed; `head` is what can still be answered. */
  unreadable(reason: string, head: Buffer | undefined, flow: Flow): void
  /** Asked for each connection before it is read. */
  admit(remoteHost: string): boolean
}

class TcpFlow implements Flow {
  readonly protocol = 'tcp'
  readonly reliable = true
  readonly remoteHost: string
  readonly remotePort: number
  readonly #socket: Socket
  readonly #clock: Clock
  readonly #closeListeners = new Set<(err: Error) => void>()
  #timer: Timer | undefined
  #closed = false

  constructor(
    socket: Socket,
    remoteHost: string,
    remotePort: number,
    clock: Clock,
    outgoing: boolean,
    events: TcpEvents,
  ) {
    this.#socket = socket
    this.#clock = clock
    this.remoteHost = remoteHost
    this.remotePort = remotePort
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 60_000)

    let messages = 0
    const framer = new StreamFramer({
      onMessage: (bytes) => {
        messages++
        events.message(bytes, this)
      },
      onPing: () => {
        messages++
        this.send(PONG)
      },
      onError: (reason, head) => {
        events.unreadable(reason, head, this)
        this.#fail(new Error(`unreadable stream: ${reason}`), true)
      },
    })
    socket.on('data', (chunk: Buffer) => {
      const before = messages
      framer.push(chunk)
      if (this.#closed) return
      if (messages > before || !framer.partial) this.#stopTimer()
      if (framer.partial) this.#startTimer(MESSAGE_MS, 'slow-message')
    })
    socket.on('error', (err) => this.#fail(err))
    socket.on('close', () => this.#fail(new Error('the connection was closed')))
    if (outgoing) {
      this.#startTimer(CONNECT_MS, 'connect')
      socket.once('connect', () => this.#stopTimer())
    } else {
      this.#startTimer(MESSAGE_MS, 'idle')
    }
  }

  get closed(): boolean {
    return this.#closed
  }

  send(bytes: Buffer, failed?: (err: Error) => void): void {
    if (this.#closed) {
      if (failed) queueMicrotask(() => failed(new Error('the connection is closed')))
      return
    }
    // Before the connection stands, the socket keeps what is written.
    this.#socket.write(bytes, (err) => {
      if (err) failed?.(err)
    })
    if (this.#socket.writableLength > MOST_UNSENT_BYTES) {
      metrics.sipDropped.inc({ reason: 'tcp-slow-reader' })
      this.#fail(new Error('the peer does not read'))
    }
  }

  onClose(listener: (err: Error) => void): () => void {
    this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  destroy(): void {
    this.#fail(new Error('the transport is closing'))
  }

  #startTimer(ms: number, what: string): void {
    this.#timer ??= this.#clock.after(ms, () => {
      metrics.sipDropped.inc({ reason: `tcp-${what}` })
      this.#fail(new Error(`timeout: ${what}`))
    })
  }

  #stopTimer(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #fail(err: Error, flush = false): void {
    if (this.#closed) return
    this.#closed = true
    this.#stopTimer()
    if (flush) this.#socket.destroySoon()
    else this.#socket.destroy()
    const listeners = [...this.#closeListeners]
    this.#closeListeners.clear()
    for (const listener of listeners) listener(err)
  }
}

export class TcpTransport {
  readonly #server: Server
  readonly #clock: Clock
  readonly #log: Log
  readonly #events: TcpEvents
  readonly #host: string
  readonly #flows = new Map<string, TcpFlow>()
  /** Accepted connections per source. */
  readonly #perSource = new Map<string, number>()
  #closed = false

  private constructor(server: Server, host: string, clock: Clock, log: Log, events: TcpEvents) {
    this.#server = server
    this.#host = host
    this.#clock = clock
    this.#log = log
    this.#events = events
    server.on('connection', (socket) => this.#accept(socket))
    server.on('error', (err) => log.error({ err }, 'SIP TCP listener'))
  }

  static open(host: string, port: number, clock: Clock, log: Log, events: TcpEvents): Promise<TcpTransport> {
    const server = createServer()
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen({ host, port, exclusive: true, backlog: 512 }, () => {
        server.off('error', reject)
        resolve(new TcpTransport(server, host, clock, log, events))
      })
    })
  }

  get connections(): number {
    return this.#flows.size
  }

  flowTo(host: string, port: number): Flow {
    const open = this.#flows.get(key(host, port))
    if (open) return open
    const socket = connect({ host, port, localAddress: isUnspecified(this.#host) ? undefined : this.#host })
    const flow = this.#adopt(socket, host, port, true)
    if (this.#closed) flow.destroy()
    return flow
  }

  #accept(socket: Socket): void {
    const host = plainAddress(socket.remoteAddress ?? '')
    const open = this.#perSource.get(host) ?? 0
    let refused: string | undefined
    // A connection may already be gone when it is accepted.
    if (!host || socket.remotePort === undefined) refused = 'tcp-gone'
    else if (!this.#events.admit(host)) refused = 'unknown_source'
    else if (open >= MOST_PER_SOURCE || this.#flows.size >= MOST_CONNECTIONS) refused = 'tcp-too-many'
    if (refused) {
      metrics.sipDropped.inc({ reason: refused })
      socket.on('error', (err) => this.#log.debug({ err }, 'refused connection'))
      socket.destroy()
      return
    }
    this.#perSource.set(host, open + 1)
    this.#adopt(socket, host, socket.remotePort as number, false).onClose(() => {
      const left = (this.#perSource.get(host) ?? 1) - 1
      if (left > 0) this.#perSource.set(host, left)
      else this.#perSource.delete(host)
    })
  }

  #adopt(socket: Socket, host: string, port: number, outgoing: boolean): TcpFlow {
    const flow = new TcpFlow(socket, host, port, this.#clock, outgoing, this.#events)
    this.#flows.set(key(host, port), flow)
    flow.onClose((err) => {
      if (this.#flows.get(key(host, port)) === flow) this.#flows.delete(key(host, port))
      this.#log.debug({ peer: `${host}:${port}`, why: err.message }, 'SIP connection ended')
    })
    return flow
  }

  close(): Promise<void> {
    this.#closed = true
    for (const flow of [...this.#flows.values()]) flow.destroy()
    if (!this.#server.listening) return Promise.resolve()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }
}

const key = (host: string, port: number): string => `${host}|${port}`

const isUnspecified = (host: string): boolean => host === '0.0.0.0' || host === '::'
