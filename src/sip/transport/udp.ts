/** SIP over UDP (RFC 3261 §18): one socket, a flow per peer address. Knows nothing of what the bytes mean. */
import { createSocket, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { errorText } from '../../lib/errors.ts'
import type { Log } from '../../telemetry/log.ts'
import type { Flow } from './transport.ts'

/** §18.1.1: above this a datagram may be fragmented, and fragments are what NATs lose. */
const SAFE_BYTES = 1300
const MOST_FLOWS = 4096

export type BytesHandler = (bytes: Buffer, flow: Flow) => void

/** `::ffff:192.0.2.1`, as dual-stack sockets report it, is 192.0.2.1. */
export const plainAddress = (address: string): string =>
  address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address

class UdpFlow implements Flow {
  readonly protocol = 'udp'
  readonly reliable = false
  readonly remoteHost: string
  readonly remotePort: number
  readonly #owner: UdpTransport
  #warned = false

  constructor(owner: UdpTransport, remoteHost: string, remotePort: number) {
    this.#owner = owner
    this.remoteHost = remoteHost
    this.remotePort = remotePort
  }

  get closed(): boolean {
    return this.#owner.closed
  }

  send(bytes: Buffer, failed?: (err: Error) => void): void {
    if (bytes.length > SAFE_BYTES && !this.#warned) {
      this.#warned = true
      this.#owner.warnLarge(bytes.length, this)
    }
    this.#owner.sendTo(bytes, this.remoteHost, this.remotePort, failed)
  }

  onClose(listener: (err: Error) => void): () => void {
    return this.#owner.onClose(listener)
  }
}

export class UdpTransport {
  readonly #socket: Socket
  readonly #log: Log
  readonly #isV6: boolean
  // Least recently made first; a dropped entry only costs making it again.
  readonly #flows = new Map<string, UdpFlow>()
  readonly #closeListeners = new Set<(err: Error) => void>()
  #closed = false

  private constructor(socket: Socket, isV6: boolean, log: Log, onBytes: BytesHandler) {
    this.#socket = socket
    this.#isV6 = isV6
    this.#log = log
    socket.on('message', (bytes, from) => onBytes(bytes, this.flowTo(plainAddress(from.address), from.port)))
    socket.on('error', (err) => log.error({ err }, 'SIP UDP socket'))
  }

  static open(host: string, port: number, log: Log, onBytes: BytesHandler): Promise<UdpTransport> {
    const isV6 = isIPv6(host)
    const socket = createSocket({ type: isV6 ? 'udp6' : 'udp4', recvBufferSize: 1 << 21 })
    return new Promise((resolve, reject) => {
      socket.once('error', reject)
      socket.bind({ address: host, port, exclusive: true }, () => {
        socket.off('error', reject)
        resolve(new UdpTransport(socket, isV6, log, onBytes))
      })
    })
  }

  get localPort(): number {
    return this.#socket.address().port
  }

  get closed(): boolean {
    return this.#closed
  }

  flowTo(host: string, port: number): Flow {
    const key = `${host}|${port}`
    let flow = this.#flows.get(key)
    if (!flow) {
      if (this.#flows.size >= MOST_FLOWS) this.#flows.delete(this.#flows.keys().next().value as string)
      this.#flows.set(key, (flow = new UdpFlow(this, host, port)))
    }
    return flow
  }

  sendTo(bytes: Buffer, host: string, port: number, failed?: (err: Error) => void): void {
    if (this.#closed) {
      if (failed) queueMicrotask(() => failed(new Error('the UDP socket is closed')))
      return
    }
    const report = (err: Error | null): void => {
      if (!err) return
      this.#log.warn({ to: `${host}:${port}`, err: errorText(err) }, 'SIP datagram not sent')
      failed?.(err)
    }
    try {
      this.#socket.send(bytes, port, this.#isV6 && !isIPv6(host) ? `::ffff:${host}` : host, report)
    } catch (err) {
      // Port 0 and the like are refused synchronously.
      const error = err instanceof Error ? err : new Error(errorText(err))
      queueMicrotask(() => report(error))
    }
  }

  warnLarge(bytes: number, flow: Flow): void {
    this.#log.warn(
      { bytes, peer: `${flow.remoteHost}:${flow.remotePort}` },
      'SIP datagrams over 1300 bytes may be lost on the way; set this trunk to TCP',
    )
  }

  onClose(listener: (err: Error) => void): () => void {
    this.#closeListeners.add(listener)
    return () => this.#closeListeners.delete(listener)
  }

  close(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#closed = true
    for (const listener of [...this.#closeListeners]) listener(new Error('the UDP socket is closed'))
    this.#closeListeners.clear()
    return new Promise((resolve) => this.#socket.close(resolve))
  }
}
