/**
 * An echo bot that can stop reading, as a bot does that hangs in its own work. It still sends a WebSocket ping now and
 * then: what only keeps silent is found by the keep-alive, long before it is behind.
 */
import type { WebSocket } from 'ws'
import { every, type Clock, type Timer } from '../lib/clock.ts'
import type { BotConnection } from './bot-server.ts'
import { payloadOf } from './echo-bot.ts'
import type { Probe } from './probe.ts'

const ALIVE_EVERY_MS = 1000

export interface StallingBotOptions {
  clock: Clock
  probe: Probe
  echo: BotConnection
  /** The call that this connection belongs to, known by its first tagged frame. */
  recognised(call: number, bot: StallingBot): void
}

export class StallingBot implements BotConnection {
  readonly #socket: Pick<WebSocket, 'pause' | 'ping'>
  readonly #o: StallingBotOptions
  #call = -1
  #alive: Timer | undefined

  constructor(socket: Pick<WebSocket, 'pause' | 'ping'>, options: StallingBotOptions) {
    this.#socket = socket
    this.#o = options
  }

  binary(frame: Buffer): void {
    if (this.#call < 0) this.#recognise(frame)
    this.#o.echo.binary(frame)
  }

  text(message: string): void {
    if (this.#call < 0) {
      const payload = payloadOf(message)
      if (payload !== undefined) this.#recognise(Buffer.from(payload, 'base64'))
    }
    this.#o.echo.text(message)
  }

  closed(): void {
    this.#alive?.cancel()
    this.#o.echo.closed()
  }

  stall(): void {
    this.#socket.pause()
    this.#alive = every(this.#o.clock, ALIVE_EVERY_MS, () => this.#socket.ping())
  }

  #recognise(frame: Buffer): void {
    this.#call = this.#o.probe.callOf(frame)
    if (this.#call >= 0) this.#o.recognised(this.#call, this)
  }
}
