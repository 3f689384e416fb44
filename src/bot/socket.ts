/**
 * One WebSocket that we dial (RFC 6455, by `ws`), with the limits and the watchfulness that a stranger's server needs:
 * handshake time, message size, bytes per second, keep-alive, closing time. Knows nothing of calls, audio or messages.
 */
import type { LookupFunction } from 'node:net'
import { WebSocket, type RawData } from 'ws'
import { every, type Clock, type Timer } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
// 1-byte fragments of a 4 MiB message would cost a hundred times its size.
const MAX_FRAGMENTS = 1024
/** 8 MiB in one second is 500 times real time; past it we stop reading until the second is over. */
const MAX_BYTES_PER_SECOND = 8 * 1024 * 1024
const PING_EVERY_MS = 10_000
const CLOSE_GRACE_MS = 2000

export interface SocketListener {
  open(): void
  /** `data` is ours to read until the call returns. */
  message(data: Buffer, isBinary: boolean): void
  /** Exactly one, whatever happened; nothing follows. `clean`: the other side closed with 1000. */
  closed(clean: boolean, reason: string): void
  /** Something in `open` or `message` threw: a bug of ours. The socket goes on. */
  fault(err: unknown): void
}

export interface SocketOptions {
  url: string
  headers: Record<string, string>
  subprotocol?: string
  lookup?: LookupFunction
  connectTimeoutMs: number
  clock: Clock
  listener: SocketListener
}

export class BotSocket {
  readonly #ws: WebSocket
  readonly #clock: Clock
  readonly #listener: SocketListener
  readonly #deadline: Timer
  #ping: Timer | undefined
  #grace: Timer | undefined
  #paused: Timer | undefined
  #heard = true
  #why: string | undefined
  #done = false
  #windowStartMs = 0
  #windowBytes = 0

  constructor(options: SocketOptions) {
    this.#clock = options.clock
    this.#listener = options.listener
    const ws = new WebSocket(options.url, options.subprotocol === undefined ? [] : [options.subprotocol], {
      headers: options.headers,
      perMessageDeflate: false,
      followRedirects: false,
      maxPayload: MAX_MESSAGE_BYTES,
      maxFragments: MAX_FRAGMENTS,
      handshakeTimeout: options.connectTimeoutMs,
      ...(options.lookup ? { lookup: options.lookup } : {}),
    })
    this.#ws = ws
    // `handshakeTimeout` restarts with each byte of the answer; this one does not.
    this.#deadline = this.#clock.after(options.connectTimeoutMs, () => this.kill('connect_timeout'))
    ws.on('upgrade', (response) => {
      // The subprotocol is offered, not required; `ws` would refuse a server that chose none.
      if (options.subprotocol !== undefined) response.headers['sec-websocket-protocol'] ??= options.subprotocol
    })
    ws.on('open', () => this.#opened())
    ws.on('message', (data, isBinary) => this.#received(data, isBinary))
    ws.on('pong', () => (this.#heard = true))
    ws.on('ping', () => (this.#heard = true))
    ws.on('error', (err: Error & { code?: string }) => {
      this.#why ??= err.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'oversize' : (err.code ?? errorText(err))
    })
    ws.on('close', (code, reason) => this.#closed(code, reason))
  }

  get open(): boolean {
    return this.#ws.readyState === WebSocket.OPEN
  }

  /** Bytes that the kernel has not taken yet. */
  get bufferedBytes(): number {
    return this.#ws.bufferedAmount
  }

  /** The bytes of a Buffer are copied: it may be used again at once. */
  sendText(text: string | Buffer): void {
    if (this.open) this.#ws.send(text, { binary: false })
  }

  sendBinary(data: Uint8Array): void {
    if (this.open) this.#ws.send(data, { binary: true })
  }

  /** Closing handshake; torn down when the other side does not answer it in time. */
  close(code: number, reason: string): void {
    if (this.#ws.readyState === WebSocket.CONNECTING) return this.kill(reason)
    this.#why ??= reason
    this.#ws.close(code, reason.slice(0, 100))
    this.#grace ??= this.#clock.after(CLOSE_GRACE_MS, () => this.#ws.terminate())
  }

  kill(reason: string): void {
    this.#why ??= reason
    this.#ws.terminate()
  }

  #opened(): void {
    this.#deadline.cancel()
    this.#ping = every(this.#clock, PING_EVERY_MS, () => {
      // A bot that sends but never pongs is alive; one from which nothing came since the last ping is not.
      if (!this.#heard) return this.kill('ping_timeout')
      this.#heard = false
      if (this.open) this.#ws.ping()
    })
    this.#guard(() => this.#listener.open())
  }

  #received(data: RawData, isBinary: boolean): void {
    if (!Buffer.isBuffer(data) || this.#done) return
    this.#heard = true
    this.#meter(data.length)
    this.#guard(() => this.#listener.message(data, isBinary))
  }

  #meter(bytes: number): void {
    const nowMs = this.#clock.now()
    if (nowMs - this.#windowStartMs >= 1000) {
      this.#windowStartMs = nowMs
      this.#windowBytes = 0
    }
    this.#windowBytes += bytes
    if (this.#windowBytes <= MAX_BYTES_PER_SECOND || this.#paused || !this.open) return
    this.#ws.pause()
    this.#paused = this.#clock.after(this.#windowStartMs + 1000 - nowMs, () => {
      this.#paused = undefined
      this.#ws.resume()
    })
  }

  #closed(code: number, reason: Buffer): void {
    if (this.#done) return
    this.#done = true
    for (const timer of [this.#deadline, this.#ping, this.#grace, this.#paused]) timer?.cancel()
    // 1005: a close frame without a code, which is how many libraries say "normal".
    const clean = this.#why === undefined && (code === 1000 || code === 1005)
    const said = reason.toString('utf8')
    this.#listener.closed(clean, this.#why ?? (said === '' ? `closed_${code}` : `closed_${code}: ${said}`))
  }

  #guard(fn: () => void): void {
    try {
      fn()
    } catch (err) {
      this.#listener.fault(err)
    }
  }
}
