/**
 * An echo bot that can stop reading, as a bot does that hangs in its own work. It still sends a WebSocket ping now and
 * then: what only keeps silent is found by the keep-alive, long before anything piles up.
 *
 *   bridge ──▶ [ its own queue ] ──▶ [ kernel, some MB on loopback ] ──▶ not read
 *
 * A call's 8 KB a second would need minutes to fill the kernel's part, so the bot asks for many `pong`s until nothing
 * more fits; a real bot behind a real network has some ten KB there.
 */
import type { WebSocket } from 'ws'
import { every, sleep, type Clock, type Timer } from '../lib/clock.ts'
import type { BotConnection } from './bot-server.ts'
import { payloadOf } from './echo-bot.ts'
import type { Probe } from './probe.ts'

const ALIVE_EVERY_MS = 1000
/** Few at a time: a burst of answers would be a load of its own, which is not what is measured. */
const STEP_PINGS = 8
const STEP_MS = 5
/** A look each 100 ms or more, so each 50 KB; two flat ones stay below what the bridge takes for a lost bot (256 KB). */
const STEPS_PER_LOOK = 20
const GROWTH_BYTES = 10_000
const FLAT_LOOKS = 2
const FILL_MS = 30_000
const PING = JSON.stringify({ type: 'ping', event_id: 'x'.repeat(250) })

export interface StallingBotOptions {
  clock: Clock
  probe: Probe
  echo: BotConnection
  /** Bytes on their way to this bot; undefined: cannot be told here. */
  underWay: () => number | undefined
  /** The call that this connection belongs to, known by its first tagged frame. */
  recognised(call: number, bot: StallingBot): void
}

export class StallingBot implements BotConnection {
  readonly #socket: Pick<WebSocket, 'send' | 'pause' | 'ping'>
  readonly #o: StallingBotOptions
  #call = -1
  #alive: Timer | undefined
  #closed = false

  constructor(socket: Pick<WebSocket, 'send' | 'pause' | 'ping'>, options: StallingBotOptions) {
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
    this.#closed = true
    this.#alive?.cancel()
    this.#o.echo.closed()
  }

  /** As much to answer as `stall` makes, with a bot that reads: the work alone must not tell the two apart. */
  async flood(ms: number): Promise<void> {
    const untilMs = this.#o.clock.now() + ms
    while (!this.#closed && this.#o.clock.now() < untilMs) await this.#ask()
  }

  /** Reads no more. Resolves with the bytes that lie unread when no more fit, or after a time limit. */
  async stall(): Promise<number> {
    const { clock, underWay } = this.#o
    this.#socket.pause()
    this.#alive = every(clock, ALIVE_EVERY_MS, () => this.#socket.ping())
    let most = 0
    let flat = 0
    const untilMs = clock.now() + FILL_MS
    while (flat < FLAT_LOOKS && !this.#closed && clock.now() < untilMs) {
      await this.#ask()
      const bytes = underWay() ?? 0
      flat = bytes - most < GROWTH_BYTES ? flat + 1 : 0
      most = Math.max(most, bytes)
    }
    return most
  }

  async #ask(): Promise<void> {
    for (let step = 0; step < STEPS_PER_LOOK; step++) {
      for (let i = 0; i < STEP_PINGS; i++) this.#socket.send(PING)
      await sleep(this.#o.clock, STEP_MS)
    }
  }

  #recognise(frame: Buffer): void {
    this.#call = this.#o.probe.callOf(frame)
    if (this.#call >= 0) this.#o.recognised(this.#call, this)
  }
}
