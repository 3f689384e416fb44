/**
 * One WebSocket that we dial (RFC 6455, by `ws`), with the limits and the watchfulness that a stranger's server needs:
 * handshake time, message size, bytes per second, keep-alive, closing time. Knows nothing of calls, audio or messages.
 */
import type { LookupFunction } from 'node:net'
import { WebSocket, type RawData } from 'ws'
import { every, type Clock, type Timer } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import { BINARY, FrameWriter, TEXT, type FrameSocket } from './frame-writer.ts'

const MAX_MESSAGE_BYTES = 4 * 1024 * 1024
// 1-byte fragments of a 4 MiB message would cost a hundred times its size.
const MAX_FRAGMENTS = 1024
/** 8 MiB in one second is 500 times real time; past it we stop reading until the second is over. */
const MAX_BYTES_PER_SECOND = 8 * 1024 * 1024
/** A pong is due before the next ping, or any other sign of life within 3 s: a half-open connection is found within 5 s. */
const PING_EVERY_MS = 2000
const PONG_WITHIN_MS = 3000
/** A server that has never answered a ping is judged by what it sends, and more patiently. */
const SILENT_MS = 20_000
const CLOSE_GRACE_MS = 2000

export interface SocketEnd {
  /** Close code that the other side sent (RFC 6455 §7.4); 1006: none, the connection broke or we ended it. */
  code: number
  reason: string
}

export interface SocketListener {
  open(): void
  /** `data` is ours to read until the call returns. */
  message(data: Buffer, isBinary: boolean): void
  /** Exactly one, whatever happened; nothing follows. */
  closed(end: SocketEnd): void
  /** Something in `open` or `message` threw: a bug of ours. The socket goes on. */
  fault(err: unknown): void
}

export interface SocketOptions {
  url: string
  headers: Record<string, string>
  subprotocols: readonly string[]
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
  #net: FrameSocket | undefined
  #writer: FrameWriter | undefined
  #ping: Timer | undefined
  #grace: Timer | undefined
  #paused: Timer | undefined
  #heardAtMs = 0
  #pinged = 0
  /** When those went out that are not answered yet. */
  readonly #pingsAtMs: number[] = []
  #ponged = false
  #rttMs: number | undefined
  #subprotocol: string | undefined
  #why: string | undefined
  #done = false
  #windowStartMs = 0
  #windowBytes = 0

  constructor(options: SocketOptions) {
    this.#clock = options.clock
    this.#listener = options.listener
    const ws = new WebSocket(options.url, [...options.subprotocols], {
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
      this.#net = response.socket
      this.#writer = new FrameWriter(response.socket)
      this.#subprotocol = response.headers['sec-websocket-protocol']
      // The subprotocol is offered, not required; `ws` would refuse a server that chose none.
      if (options.subprotocols.length > 0) response.headers['sec-websocket-protocol'] ??= options.subprotocols[0]
    })
    ws.on('open', () => this.#opened())
    ws.on('message', (data, isBinary) => this.#received(data, isBinary))
    ws.on('pong', (data) => this.#pong(data))
    ws.on('ping', () => (this.#heardAtMs = this.#clock.now()))
    ws.on('error', (err: Error & { code?: string }) => {
      this.#why ??= err.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'oversize' : (err.code ?? errorText(err))
    })
    ws.on('close', (code, reason) => this.#closed(code, reason))
  }

  get open(): boolean {
    return this.#ws.readyState === WebSocket.OPEN
  }

  /**
   * How long the oldest ping has been waiting for its pong, ms. It stands behind everything that we wrote before it, also
   * in the kernel's buffers, which hold minutes of audio: only this tells how far behind a reader is.
   */
  get lagMs(): number {
    return this.#ponged && this.#pingsAtMs.length > 0 ? this.#clock.now() - this.#pingsAtMs[0] : 0
  }

  /** Of the last ping that was answered, ms. */
  get rttMs(): number | undefined {
    return this.#rttMs
  }

  /** What the server chose of what it was offered. */
  get subprotocol(): string | undefined {
    return this.#subprotocol
  }

  /** When anything was last heard of the other side, monotonic ms. */
  get heardAtMs(): number {
    return this.#heardAtMs
  }

  /** Bytes that the kernel has not taken yet. */
  get bufferedBytes(): number {
    // Nothing waits in `ws` itself: that would take compression.
    return this.#net?.writableLength ?? 0
  }

  /** Bytes are copied: they may be used again at once. */
  sendText(text: string | Uint8Array): void {
    if (!this.open) return
    if (typeof text === 'string') this.#ws.send(text)
    else this.#writer!.write(TEXT, text)
  }

  sendBinary(data: Uint8Array): void {
    if (this.open) this.#writer!.write(BINARY, data)
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
    this.#heardAtMs = this.#clock.now()
    this.#ping = every(this.#clock, PING_EVERY_MS, () => this.#keepAlive())
    this.#guard(() => this.#listener.open())
  }

  // A bot that sends but never pongs is alive; one that has ponged before and from which nothing comes now is not.
  #keepAlive(): void {
    const nowMs = this.#clock.now()
    const quietMs = nowMs - this.#heardAtMs
    const overdue = this.#ponged && this.lagMs >= PING_EVERY_MS && quietMs >= PONG_WITHIN_MS
    if (quietMs >= SILENT_MS || overdue) return this.kill('ping_timeout')
    if (!this.open) return
    this.#pingsAtMs.push(nowMs)
    this.#ws.ping(String(this.#pinged++))
  }

  // Says which ping it answers (RFC 6455 §5.5.3: that one, or the latest of several): those before are answered with it.
  #pong(data: Buffer): void {
    const nowMs = this.#clock.now()
    this.#heardAtMs = nowMs
    const number = Number(data.toString('latin1'))
    const first = this.#pinged - this.#pingsAtMs.length
    if (!Number.isInteger(number) || number < first || number >= this.#pinged) return
    this.#ponged = true
    const answered = this.#pingsAtMs.splice(0, number - first + 1)
    this.#rttMs = nowMs - answered[answered.length - 1]
  }

  #received(data: RawData, isBinary: boolean): void {
    if (!Buffer.isBuffer(data) || this.#done) return
    this.#heardAtMs = this.#clock.now()
    this.#meter(data.length)
    // As #guard does, without a closure for each message.
    try {
      this.#listener.message(data, isBinary)
    } catch (err) {
      this.#listener.fault(err)
    }
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
    if (this.#why !== undefined) return this.#listener.closed({ code: 1006, reason: this.#why })
    const said = reason.toString('utf8')
    this.#listener.closed({ code, reason: said === '' ? `closed_${code}` : `closed_${code}: ${said}` })
  }

  #guard(fn: () => void): void {
    try {
      fn()
    } catch (err) {
      this.#listener.fault(err)
    }
  }
}
