/**
 * One leg's pair of UDP sockets: RTP on an even port, RTCP on the next (RFC 3550 §11). Moves datagrams and counts what
 * the kernel says; which packet counts and where to send is the leg's decision (media/latch.ts).
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { DomainError, errorText } from '../lib/errors.ts'
import type { PortPool } from './port-pool.ts'

/** A borrowed datagram: valid during the call only. */
export type DatagramHandler = (data: Buffer, address: string, port: number) => void

/** What a leg needs from its socket; test/fakes/rtp-socket.ts is the one in memory. */
export interface RtpTransport {
  /** The local RTP port; RTCP is one above. */
  readonly port: number
  /** Errors that the kernel reported (ICMP unreachable and the like). */
  readonly errors: number
  listen(onRtp: DatagramHandler, onRtcp: DatagramHandler): void
  /** Where sendRtp and sendRtcp go from now on. */
  target(host: string, rtpPort: number, rtcpPort: number): void
  /** The target is final until the next target(): lets the kernel filter strangers and route once. */
  settle(): void
  /** Sends the first `length` bytes; the buffer may be in use until the kernel took it, so callers rotate a few. */
  sendRtp(data: Buffer, length: number): void
  sendRtcp(data: Buffer, length: number): void
  close(): Promise<void>
}

// Addresses are literal: no resolver, no thread pool, no tick in between.
const literal = (host: string, _options: unknown, done: (err: null, address: string, family: number) => void): void =>
  done(null, host, host.includes(':') ? 6 : 4)

const nothing: DatagramHandler = () => undefined

export class RtpSocket implements RtpTransport {
  readonly port: number
  readonly #rtp: Socket
  readonly #rtcp: Socket
  #onRtp = nothing
  #onRtcp = nothing
  #host = ''
  #rtpPort = 0
  #rtcpPort = 0
  #connected = false
  #closed: Promise<void> | undefined
  errors = 0
  lastError = ''

  private constructor(rtp: Socket, rtcp: Socket) {
    this.#rtp = rtp
    this.#rtcp = rtcp
    this.port = rtp.address().port
    rtp.on('message', (data: Buffer, from: RemoteInfo) => this.#onRtp(data, from.address, from.port))
    rtcp.on('message', (data: Buffer, from: RemoteInfo) => this.#onRtcp(data, from.address, from.port))
    // Without a listener the ECONNREFUSED of a connected socket would end the process.
    rtp.on('error', (err) => this.#failed(err))
    rtcp.on('error', (err) => this.#failed(err))
  }

  /** Binds `port` and `port + 1`; 0 lets the kernel find a pair (tests). Rejects when either is taken. */
  static async open(host: string, port: number): Promise<RtpSocket> {
    for (let tries = 0; ; tries++) {
      const rtp = await bind(host, port)
      const rtpPort = rtp.address().port
      try {
        return new RtpSocket(rtp, await bind(host, rtpPort + 1))
      } catch (err) {
        rtp.close()
        if (port !== 0 || tries === 20) throw err
      }
    }
  }

  /** Takes pairs from the pool until one can be bound. Rejects with CAPACITY when there is none. */
  static async openFrom(pool: PortPool, host: string): Promise<RtpSocket> {
    let cause: unknown
    for (let tries = 0; tries < 16; tries++) {
      const port = pool.take()
      if (port === undefined) break
      try {
        return await RtpSocket.open(host, port)
      } catch (err) {
        cause = err
        pool.release(port)
        if ((err as NodeJS.ErrnoException).code !== 'EADDRINUSE') break
      }
    }
    throw new DomainError('CAPACITY', cause ? `No RTP port: ${errorText(cause)}` : 'No RTP port is free.', { cause })
  }

  listen(onRtp: DatagramHandler, onRtcp: DatagramHandler): void {
    this.#onRtp = onRtp
    this.#onRtcp = onRtcp
  }

  target(host: string, rtpPort: number, rtcpPort: number): void {
    if (this.#closed) return
    if (this.#connected && (host !== this.#host || rtpPort !== this.#rtpPort)) {
      this.#connected = false
      this.#rtp.disconnect()
    }
    this.#host = host
    this.#rtpPort = rtpPort
    this.#rtcpPort = rtcpPort
  }

  settle(): void {
    if (this.#connected || this.#closed || !this.#rtpPort) return
    try {
      // Synchronous with a literal address: the next send may omit it.
      this.#rtp.connect(this.#rtpPort, this.#host)
      this.#rtp.remoteAddress()
      this.#connected = true
    } catch (err) {
      this.#failed(err)
    }
  }

  sendRtp(data: Buffer, length: number): void {
    if (this.#closed || !this.#rtpPort) return
    try {
      // With an exact buffer dgram makes no view of it.
      const exact = data.length === length ? data : data.subarray(0, length)
      if (this.#connected) this.#rtp.send(exact)
      else this.#rtp.send(exact, this.#rtpPort, this.#host)
    } catch (err) {
      this.#failed(err)
    }
  }

  sendRtcp(data: Buffer, length: number): void {
    if (this.#closed || !this.#rtcpPort) return
    try {
      this.#rtcp.send(data.subarray(0, length), this.#rtcpPort, this.#host)
    } catch (err) {
      this.#failed(err)
    }
  }

  close(): Promise<void> {
    this.#closed ??= Promise.all([closed(this.#rtp), closed(this.#rtcp)]).then(() => undefined)
    this.#onRtp = this.#onRtcp = nothing
    return this.#closed
  }

  #failed(err: unknown): void {
    this.errors++
    this.lastError = errorText(err)
  }
}

async function bind(host: string, port: number): Promise<Socket> {
  const socket = createSocket({ type: host.includes(':') ? 'udp6' : 'udp4', lookup: literal })
  try {
    // With a literal address 'listening' (or 'error') comes from within bind().
    const listening = once(socket, 'listening')
    socket.bind({ address: host, port, exclusive: true })
    await listening
    return socket
  } catch (err) {
    socket.close()
    throw err
  }
}

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    socket.close(() => resolve())
  })
