/**
 * One call to the bot under test: the bridge's own session on one side, a simulated phone on the other, in slots of
 * 20 ms. No SIP, no RTP: what the phone would have sent goes in at the session's sink, what it would hear comes out.
 *
 *   words, silence ──20 ms──▶ BotSession ══ WebSocket ══ bot
 *   heard          ◀─20 ms──
 */
import { FRAME_MS, FRAME_SAMPLES, SILENCE } from '../audio/flow.ts'
import { levelDb } from '../audio/energy.ts'
import { BotSession } from '../bot/session.ts'
import type { BotRequest, Stop } from '../calls/ports.ts'
import { checkEgress } from '../egress/egress.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import { silentLog } from '../telemetry/log.ts'
import type { Observations } from './observations.ts'
import { tapped } from './tap.ts'
import { kindOf, planOf, type Target } from './target.ts'

const LAW = 'pcmu'
/** Later than this the phone gives slots up, as a leg does after a stall. */
const MAX_BEHIND_MS = 100
/** Quieter than this nobody calls it speaking. */
const AUDIBLE_DB = -50
/** Between words, too, the bot counts as speaking. */
const BREATH_MS = 300

export interface Opened {
  atMs: number
  connectMs: number
  resumed: boolean
}

/** The bot has ended the call. `asked`: by session.hangup, call.reject, or its close with 1000. */
export interface Over {
  asked: boolean
  reason: string
}

export class TestCall {
  readonly #clock: Clock
  readonly #seen: Observations
  readonly #session: BotSession
  readonly #heard = new Uint8Array(FRAME_SAMPLES)
  readonly #silence = new Uint8Array(FRAME_SAMPLES).fill(SILENCE[LAW])
  readonly #startMs: number
  #slots = 0
  #timer: Timer | undefined
  #words: Uint8Array = new Uint8Array(0)
  #wordsAt = 0
  #audibleAtMs = -Infinity
  #waiting: { check: () => boolean; untilMs: number; resolve: (held: boolean) => void }[] = []
  #write: (text: string) => void = () => undefined
  firstAudibleAtMs: number | undefined
  readonly opened: Opened[] = []
  /** Why sockets were lost, in order. */
  readonly losses: string[] = []
  readonly requests: BotRequest[] = []
  /** Something in the bridge threw: a bug of ours, not of the bot. */
  fault: unknown
  over: Over | undefined
  ended = false
  #closed = false

  constructor(options: { target: Target; callId: string; clock: Clock; seen: Observations }) {
    const { target, callId, clock, seen } = options
    this.#clock = clock
    this.#seen = seen
    this.#session = new BotSession({
      plan: planOf(target, callId),
      callId,
      streamId: `${callId}.1`,
      law: LAW,
      state: 'answered',
      clock,
      log: silentLog,
      resolve: (url) => checkEgress(url, 'bot', { allowInsecure: target.insecure }),
      kind: tapped(kindOf(target), {
        opened: (write) => (this.#write = write),
        said: (message) => seen.said(message, clock.now()),
        told: (message) => seen.told(message, clock.now()),
      }),
      owner: {
        opened: ({ connectMs, resumed }) => this.opened.push({ atMs: clock.now(), connectMs, resumed }),
        away: (reason) => this.losses.push(reason),
        lost: (clean, wasOpen, reason) => this.#lost(clean && wasOpen, reason),
        request: (request) => this.#asked(request),
        sendDigits: () => true,
        wake: () => undefined,
        untilTakenMs: () => Math.max(0, this.#startMs + this.#slots * FRAME_MS - clock.now()),
        sooner: () => 0,
        quality: () => ({ rxLoss: 0, rxJitterMs: 0, mos: 4.4 }),
        fault: (err) => (this.fault ??= err),
        ended: () => (this.ended = true),
      },
    })
    this.#startMs = clock.now()
    this.#arm()
  }

  #lost(asked: boolean, reason: string): void {
    if (!asked) this.losses.push(reason)
    this.over ??= { asked, reason }
  }

  #asked(request: BotRequest): void {
    if (this.requests.length < 100) this.requests.push(request)
    switch (request.ask) {
      case 'hangup':
      case 'reject':
        this.over ??= { asked: true, reason: `session.${request.ask}: ${request.reason}` }
        return this.#session.stop({ reason: 'bot_hangup', sipStatus: 200, q850: 16 })
      case 'transfer':
        return this.#session.transferStatus({ ref: request.ref, state: 'failed', reason: 'there is nobody here' })
      case 'recording':
        return this.#session.recordingStatus({ ref: request.ref, state: 'failed', reason: 'nothing is recorded here' })
    }
  }

  // ── The phone ──────────────────────────────────────────────────────────────────────────────────────────────────

  #arm(): void {
    const dueMs = this.#startMs + this.#slots * FRAME_MS
    this.#timer = this.#clock.after(Math.max(0, dueMs - this.#clock.now()), () => this.#slot())
  }

  #slot(): void {
    const nowMs = this.#clock.now()
    const behind = Math.floor((nowMs - this.#startMs) / FRAME_MS) - this.#slots
    if (behind * FRAME_MS > MAX_BEHIND_MS) {
      this.#slots += behind
      this.#session.source.skipped?.(behind)
    }
    this.#slots++
    try {
      if (this.#session.listening) this.#session.sink.frame(this.#nextWords(), LAW, 0)
      if (this.#session.source.frameInto(this.#heard, LAW) && levelDb(this.#heard, LAW) > AUDIBLE_DB)
        this.#audible(nowMs)
      if (this.isConnected) this.#seen.looked(this.#session.connection)
    } catch (err) {
      this.fault ??= err
    }
    this.#look(nowMs)
    if (!this.ended) this.#arm()
  }

  #audible(nowMs: number): void {
    this.firstAudibleAtMs ??= nowMs
    this.#audibleAtMs = nowMs
  }

  #nextWords(): Uint8Array {
    if (!this.speaking) return this.#silence
    const frame = this.#words.subarray(this.#wordsAt, this.#wordsAt + FRAME_SAMPLES)
    this.#wordsAt += FRAME_SAMPLES
    return frame
  }

  /** @param words µ-law, whole frames */
  say(words: Uint8Array): void {
    this.#words = words
    this.#wordsAt = 0
  }

  /** The caller has words left to say. */
  get speaking(): boolean {
    return this.#wordsAt < this.#words.length
  }

  press(digit: string): void {
    this.#session.digit(digit, 160, 'rfc4733')
  }

  /** The caller can hear the bot. */
  get botSpeaks(): boolean {
    return this.#clock.now() - this.#audibleAtMs < BREATH_MS
  }

  // ── The bridge ─────────────────────────────────────────────────────────────────────────────────────────────────

  get subprotocol(): string | undefined {
    return this.#session.connection.subprotocol
  }

  get isOpen(): boolean {
    return this.opened.length > 0 && this.over === undefined && this.fault === undefined && !this.ended
  }

  /** There is a socket now; without one, the bot is being dialled again. */
  get isConnected(): boolean {
    return this.isOpen && this.opened.length > this.losses.length
  }

  /** A text frame that no bridge of today sends. */
  write(text: string): void {
    if (this.isOpen) this.#write(text)
  }

  /** Loses the socket as a network would. */
  drop(): void {
    this.#session.drop('bot test')
  }

  stop(stop: Stop = { reason: 'caller_hangup', sipStatus: 200, q850: 16 }): void {
    this.#session.stop(stop)
  }

  /** Frees what is left. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.stop()
    this.#seen.droppedMs += this.#session.stats.droppedToBotMs
    this.#timer?.cancel()
    for (const w of this.#waiting.splice(0)) w.resolve(w.check())
  }

  // ── Time ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether `check` comes to hold within so long; looked at in each slot. */
  until(check: () => boolean, withinMs: number): Promise<boolean> {
    if (check()) return Promise.resolve(true)
    if (this.ended) return Promise.resolve(false)
    return new Promise((resolve) => this.#waiting.push({ check, untilMs: this.#clock.now() + withinMs, resolve }))
  }

  #look(nowMs: number): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const w of waiting) {
      if (w.check()) w.resolve(true)
      else if (this.ended || nowMs >= w.untilMs) w.resolve(false)
      else this.#waiting.push(w)
    }
  }

  /** What became of the bot within `ms` of `act`. It is connected when this begins. */
  async watch(ms: number, act: () => void = () => undefined): Promise<'well' | 'gone' | 'hungUp'> {
    act()
    await this.until(() => !this.isConnected, ms)
    if (this.over?.asked) return 'hungUp'
    return this.isConnected ? 'well' : 'gone'
  }
}
