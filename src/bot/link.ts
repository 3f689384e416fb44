/**
 * The connection to one bot over time: dials the plan's addresses, notices a loss, dials again, and goes on to the
 * stand-ins. Knows sockets, not messages.
 *
 *   dialing ──open──▶ open ──lost──▶ redialing (250 ms, doubled to 2 s, for reconnectMs) ──open──▶ open
 *      │                               └─ time is up ──┐
 *      └─ failed ──▶ next address: dialing ◀───────────┘
 *                    └─ none left ──▶ gone
 */
import type { Clock, Timer } from '../lib/clock.ts'
import type { EgressTarget } from '../egress/egress.ts'
import { errorText } from '../lib/errors.ts'
import { fillTemplate } from './address.ts'
import { askAddress } from './asked-address.ts'
import type { DialectKind, SessionPlan } from './dialect.ts'
import { BotSocket, type SocketEnd } from './socket.ts'

const FIRST_WAIT_MS = 250
const LONGEST_WAIT_MS = 2000
const REDIAL_TIMEOUT_MS = 3000
const STABLE_MS = 5000
/** Close codes that tell of a server in trouble, not of one that has had enough (RFC 6455 §7.4.1, IANA registry). */
const TROUBLE = new Set([1001, 1006, 1011, 1012, 1013, 1014, 1015])
/** 1005: a close frame without a code, which is how many libraries say "normal". */
const NORMAL = new Set([1000, 1005])

export interface Opening {
  /** Which of the plan's addresses. */
  standIn: number
  /** The same bot as before, after a loss. */
  resumed: boolean
  /** From the last sign of life of the socket before, ms. */
  gapMs: number
  connectMs: number
}

/** None of these may throw; `opened` and `message` may. */
export interface LinkListener {
  opened(opening: Opening): void
  message(data: Buffer, isBinary: boolean): void
  /** The socket is gone and another is on its way: to the same bot, or to a stand-in. */
  down(reason: string): void
  /** No socket, and none to come. At most one; nothing follows. */
  gone(clean: boolean, wasOpen: boolean, reason: string): void
  fault(err: unknown): void
}

export interface LinkOptions {
  plan: SessionPlan
  kind: DialectKind
  callId: string
  clock: Clock
  /** Checks the address and pins it (egress/egress.ts). */
  resolve(url: string): Promise<EgressTarget>
  listener: LinkListener
}

export class Link {
  readonly #o: LinkOptions
  #socket: BotSocket | undefined
  #standIn = 0
  /** The present address has been open. */
  #wasOpen = false
  /** Any address has been. */
  #everOpen = false
  #dialledAtMs = 0
  #openedAtMs = 0
  #lastHeardMs = 0
  #giveUpAtMs = 0
  #waitMs = FIRST_WAIT_MS
  #retry: Timer | undefined
  #final = false
  #ended = false

  constructor(options: LinkOptions) {
    this.#o = options
    // Not from within the constructor: what fails at once is told to an owner that holds this link already.
    queueMicrotask(() => void this.#dial())
  }

  /** A plain field: it is looked at for each frame. */
  open = false

  /** Bytes that the kernel has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket?.bufferedBytes ?? 0
  }

  /** How far the bot is behind with reading, ms, as far as pings tell. */
  get lagMs(): number {
    return this.#socket?.lagMs ?? 0
  }

  get rttMs(): number | undefined {
    return this.#socket?.rttMs
  }

  /** What the present bot chose of what it was offered. */
  get subprotocol(): string | undefined {
    return this.#socket?.subprotocol
  }

  sendText(frame: string | Uint8Array): void {
    this.#socket?.sendText(frame)
  }

  sendBinary(frame: Uint8Array): void {
    this.#socket?.sendBinary(frame)
  }

  /** The socket is as good as dead; dialled again like any other that is lost. */
  lose(reason: string): void {
    this.open = false
    this.#socket?.kill(reason)
  }

  /** This bot is of no use: on to the next address. */
  forsake(code: number, reason: string): void {
    this.#giveUpAtMs = -Infinity
    this.#wasOpen = this.open = false
    this.#socket?.close(code, reason)
  }

  /** The end is under way: a loss from here on is the end. */
  expectEnd(): void {
    this.#final = true
  }

  /** Ends it from our side: `gone` follows, from within when there is no socket to close. */
  close(code: number, reason: string): void {
    this.#final = true
    this.open = false
    this.#retry?.cancel()
    if (this.#socket) this.#socket.close(code, reason)
    else this.#end(false, reason)
  }

  /** The address as it stands in the plan, or the one that it leads to (asked-address.ts). */
  async #target(): Promise<{ url: string; target: EgressTarget }> {
    const { plan, callId, clock } = this.#o
    const url = fillTemplate(plan.urls[this.#standIn], { ...plan.start, call_id: callId })
    const target = await this.#o.resolve(url)
    if (!target.url.protocol.startsWith('http')) return { url, target }
    const asked = await askAddress(target, plan.connectTimeoutMs, clock)
    return { url: asked, target: await this.#o.resolve(asked) }
  }

  async #dial(): Promise<void> {
    const { plan, kind, callId, clock, listener } = this.#o
    if (this.#ended) return
    this.#dialledAtMs = clock.now()
    try {
      const { url, target } = await this.#target()
      if (this.#ended || this.#socket) return
      const headers = {
        // Headers may carry secrets: they belong to the address that they were given for.
        ...(this.#standIn === 0 ? plan.headers : {}),
        'X-Trunkline-Call-Id': callId,
        ...kind.headers({ url, callId, wallMs: clock.wallMs(), secret: plan.secret, facts: plan.start }),
      }
      const socket = new BotSocket({
        url,
        headers,
        subprotocols: kind.subprotocols,
        lookup: target.lookup,
        connectTimeoutMs: this.#wasOpen ? Math.min(REDIAL_TIMEOUT_MS, plan.connectTimeoutMs) : plan.connectTimeoutMs,
        clock,
        listener: {
          open: () => this.#opened(),
          message: (data, isBinary) => listener.message(data, isBinary),
          closed: (end) => this.#closed(socket, end),
          fault: (err) => listener.fault(err),
        },
      })
      this.#socket = socket
    } catch (err) {
      // Refused by the egress rules, no such name, or an address that `ws` cannot read.
      this.#failed(false, errorText(err))
    }
  }

  #opened(): void {
    const nowMs = this.#o.clock.now()
    const resumed = this.#wasOpen
    this.#wasOpen = this.#everOpen = this.open = true
    this.#openedAtMs = nowMs
    this.#retry = undefined
    this.#o.listener.opened({
      standIn: this.#standIn,
      resumed,
      gapMs: resumed ? Math.round(nowMs - this.#lastHeardMs) : 0,
      connectMs: nowMs - this.#dialledAtMs,
    })
  }

  #closed(socket: BotSocket, { code, reason }: SocketEnd): void {
    if (this.#socket !== socket) return
    this.#socket = undefined
    this.open = false
    const { plan } = this.#o
    if (this.#wasOpen && this.#retry === undefined) this.#lost(socket.heardAtMs)
    const clean = NORMAL.has(code)
    if (this.#final) return this.#end(clean, reason)
    if (clean && plan.onClose === 'hangup') return this.#end(true, reason)
    const again = this.#wasOpen && (clean ? plan.onClose === 'reconnect' : TROUBLE.has(code))
    this.#failed(again, reason)
  }

  // An open connection is gone. One that had not lasted does not start the time to give up anew: a bot that
  // accepts and drops each connection is no bot.
  #lost(heardAtMs: number): void {
    const { clock, plan } = this.#o
    const nowMs = clock.now()
    this.#lastHeardMs = heardAtMs
    if (this.#giveUpAtMs === -Infinity) return
    if (this.#giveUpAtMs > 0 && nowMs - this.#openedAtMs < STABLE_MS) return
    this.#giveUpAtMs = nowMs + plan.reconnectMs
    this.#waitMs = FIRST_WAIT_MS
  }

  /** @param again the same address is worth another try */
  #failed(again: boolean, reason: string): void {
    const { clock, listener, plan } = this.#o
    if (this.#ended) return
    if (this.#final) return this.#end(false, reason)
    const firstLoss = this.#retry === undefined
    if ((again || (this.#wasOpen && !firstLoss)) && clock.now() + this.#waitMs <= this.#giveUpAtMs) {
      if (firstLoss) listener.down(reason)
      this.#retry = clock.after(this.#waitMs, () => void this.#dial())
      this.#waitMs = Math.min(LONGEST_WAIT_MS, this.#waitMs * 2)
      return
    }
    if (this.#standIn + 1 >= plan.urls.length) return this.#end(false, reason)
    this.#standIn++
    this.#wasOpen = false
    this.#retry = undefined
    this.#giveUpAtMs = 0
    this.#waitMs = FIRST_WAIT_MS
    listener.down(reason)
    void this.#dial()
  }

  #end(clean: boolean, reason: string): void {
    if (this.#ended) return
    this.#ended = true
    this.#retry?.cancel()
    this.#o.listener.gone(clean, this.#everOpen, reason)
  }
}
