/**
 * One bot on one call: what it says, hears and asks, over however many sockets it takes. Does what it asks as far as
 * that can be done here, and ends in exactly one of two ways: `stop` by us, or `lost` told to the owner. Knows no wire
 * spelling (dialects/), no media and no call (the owner).
 *
 *   dialing ──open──▶ open ⇄ away (link.ts dials again) ──stop()──▶ stopping ──▶ ended
 *      └──────────────┴── no socket to come ──▶ lost ──▶ ended
 */
import { randomUUID } from 'node:crypto'
import type { FrameSink, FrameSource, Law } from '../audio/flow.ts'
import type { BotRequest, RecordingStatus, Stop, TransferStatus } from '../calls/ports.ts'
import type { EgressTarget } from '../egress/egress.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type {
  AudioPlan,
  BotErrorCode,
  BotMessage,
  BridgeMessage,
  CallState,
  Dialect,
  DialectKind,
  MediaFrame,
  Quality,
  SessionPlan,
} from './dialect.ts'
import { DIALECT_KINDS } from './dialects/index.ts'
import { Hearing } from './hearing.ts'
import { Link, type Opening } from './link.ts'
import { Orders } from './orders.ts'
import { Patience } from './patience.ts'
import { Voice } from './voice.ts'

/** Control that waits for a socket, or in it: past these a bot that reads nothing counts as dead. */
const MAX_WAITING_MESSAGES = 256
const MAX_BUFFERED_BYTES = 256 * 1024
/** What waits for a stand-in, too. */
const PHONE_NEWS = new Set<BridgeMessage['kind']>(['progress', 'answered', 'dtmf', 'held', 'speech', 'amd', 'beep'])
/** Frames of 20 ms. */
const QUALITY_FRAMES = 250

/** What a session needs from whoever has the leg. None of these may throw. */
export interface SessionOwner {
  /** A socket is open: the first, one after a loss, or a stand-in's. */
  opened(opening: Opening): void
  /** The bot is away; it is being dialled again. */
  away(reason: string): void
  /** At most one, and none after `stop`. */
  lost(clean: boolean, wasOpen: boolean, reason: string): void
  request(request: BotRequest): void
  /** Sends digits on the phone leg. False: this leg cannot carry them that way. */
  sendDigits(digits: string, durationMs: number, gapMs: number, method: 'auto' | 'rfc4733' | 'info'): boolean
  /** There is audio to play after there was none; it shall wait `leadMs` yet. */
  wake(leadMs: number): void
  /** Time until the next frame is taken from `source`. */
  untilTakenMs(): number
  /** All that is played goes out sooner by `ms` (later if negative), as far as the leg can; returns by how much. */
  sooner(ms: number): number
  /** How the phone side has been since it was last asked. */
  quality(): Omit<Quality, 'wsRttMs' | 'droppedToBotMs'>
  /** A bug in here; the leg should end, others go on. */
  fault(err: unknown): void
  /** The socket is gone for good, after `lost` or `stop`. */
  ended(): void
}

export interface SessionOptions {
  plan: SessionPlan
  callId: string
  /** Names this session to the bot; each further socket adds its number. */
  streamId: string
  /** Law of the leg, where known. */
  law?: Law
  state: CallState
  clock: Clock
  log: Log
  /** Checks the address and pins it (egress/egress.ts). */
  resolve(url: string): Promise<EgressTarget>
  owner: SessionOwner
  /** The plan's dialect with a witness (conformance/tap.ts); absent: as it is. */
  kind?: DialectKind
}

export interface SessionStats {
  fromBotMs: number
  toBotMs: number
  droppedToBotMs: number
  refusedMs: number
  /** Audio of the bot given up to catch up with time after a stall. */
  caughtUpMs: number
  badMessages: number
  /** Sockets opened after a loss. */
  reconnects: number
  firstAudioMs?: number
  connectMs?: number
  errors: Partial<Record<BotErrorCode, number>>
}

export class BotSession {
  readonly #options: SessionOptions
  readonly #owner: SessionOwner
  readonly #clock: Clock
  readonly #log: Log
  readonly #plan: SessionPlan
  readonly #kind: DialectKind
  readonly #audio: AudioPlan
  readonly #listening: SessionPlan['listening']
  readonly #token = randomUUID()
  readonly #link: Link
  readonly #voice: Voice
  readonly #hearing: Hearing
  readonly #orders: Orders
  readonly #patience: Patience
  /** Of the present or last socket. */
  #dialect: Dialect | undefined
  #phase: 'dialing' | 'open' | 'away' | 'stopping' | 'ended' = 'dialing'
  #state: CallState
  #joined = true
  #sockets = 0
  #resumes = 0
  #startedAtMs = 0
  #connectMs: number | undefined
  /** What could not be told yet. */
  #waiting: BridgeMessage[] = []
  #framesToQuality = QUALITY_FRAMES
  #warnedSlow = false

  constructor(options: SessionOptions) {
    const { plan, clock, owner } = options
    this.#options = options
    this.#owner = owner
    this.#clock = clock
    this.#log = options.log
    this.#plan = plan
    this.#kind = options.kind ?? DIALECT_KINDS[plan.dialect]
    this.#audio = structuredClone(this.#kind.audio(plan.audio, plan.urls[0]))
    this.#listening = { ...plan.listening }
    this.#state = options.state
    this.#patience = new Patience(() => clock.now())
    this.#voice = new Voice({
      plan,
      audio: this.#audio,
      state: options.state,
      law: options.law,
      clock,
      port: {
        tell: (message) => this.#tell(message),
        error: (code, message, ref) => this.#error(code, message, ref),
        wake: (leadMs) => owner.wake(leadMs),
        untilTakenMs: () => owner.untilTakenMs(),
        sooner: (ms) => owner.sooner(ms),
        spoke: () => this.#hearing.botSpoke(),
      },
    })
    this.#link = new Link({
      plan,
      kind: this.#kind,
      callId: options.callId,
      clock,
      resolve: (url) => options.resolve(url),
      listener: {
        opened: (opening) => this.#opened(opening),
        message: (data, isBinary) => this.#received(data, isBinary),
        down: (reason) => this.#down(reason),
        gone: (clean, wasOpen, reason) => this.#gone(clean, wasOpen, reason),
        fault: (err) => owner.fault(err),
      },
    })
    this.#hearing = this.#makeHearing()
    this.#orders = this.#makeOrders()
  }

  #makeHearing(): Hearing {
    const link = this.#link
    return new Hearing({
      audio: this.#audio,
      listening: this.#listening,
      outbound: this.#plan.start.direction === 'outbound',
      answered: this.#state === 'answered',
      keepsReplay: this.#plan.reconnectMs > 0 && this.#plan.dialect === 'native',
      now: () => this.#clock.now(),
      port: {
        get open() {
          return link.open
        },
        bufferedBytes: () => link.bufferedBytes,
        lagMs: () => link.lagMs,
        media: (frame) => this.#media(frame),
        stuck: () => link.lose('stuck'),
      },
      ear: {
        speech: (started, atMs) => this.#callerSpeech(started, atMs),
        amd: (result, confidence, atMs) => this.#tell({ kind: 'amd', result, confidence, atMs }),
        beep: (atMs) => this.#tell({ kind: 'beep', atMs }),
        silence: (ms) => this.#tell({ kind: 'silence', ms }),
      },
    })
  }

  #makeOrders(): Orders {
    return new Orders({
      plan: this.#plan,
      audio: this.#audio,
      listening: this.#listening,
      voice: this.#voice,
      hearing: this.#hearing,
      owner: this.#owner,
      state: () => this.#state,
      tell: (message) => this.#tell(message),
      error: (code, message, ref) => this.#error(code, message, ref),
      hangingUp: () => this.#link.expectEnd(),
    })
  }

  /** Caller audio goes in here. */
  get sink(): FrameSink {
    return this
  }

  /** What the caller shall hear comes out here. */
  get source(): FrameSource {
    return this.#voice
  }

  /** Whether caller audio is wanted: the call is answered (or early media was asked for), and the bot has been there. */
  get listening(): boolean {
    const there = this.#phase === 'open' || this.#phase === 'away'
    return there && this.#joined && (this.#state === 'answered' || this.#plan.beforeAnswer === 'early_media')
  }

  get stats(): SessionStats {
    const { playedFrames, refusedSamples, skippedSamples } = this.#voice.stats
    return {
      fromBotMs: playedFrames * 20,
      toBotMs: this.#hearing.stats.sentMs,
      droppedToBotMs: this.#hearing.stats.droppedMs,
      refusedMs: Math.round(refusedSamples / 8),
      caughtUpMs: Math.round(skippedSamples / 8),
      badMessages: this.#patience.bad,
      reconnects: this.#resumes,
      firstAudioMs: this.#voice.firstAudioMs,
      connectMs: this.#connectMs,
      errors: this.#patience.errors,
    }
  }

  /** The socket at this moment. */
  get connection(): { bufferedBytes: number; rttMs?: number; subprotocol?: string } {
    const { bufferedBytes, rttMs, subprotocol } = this.#link
    return { bufferedBytes, rttMs, subprotocol }
  }

  /** Gives the socket up as if it had been lost; the bot is dialled again. */
  drop(reason: string): void {
    this.#link.lose(reason)
  }

  // ── From the phone side ────────────────────────────────────────────────────────────────────────────────────────

  /** 20 ms of the caller, while `listening`. */
  frame(frame: Uint8Array, law: Law, lostMs: number): void {
    this.#hearing.frame(frame, law, lostMs)
    if (--this.#framesToQuality > 0) return
    this.#framesToQuality = QUALITY_FRAMES
    if (!this.#listening.quality) return
    const quality = {
      ...this.#owner.quality(),
      wsRttMs: this.#link.rttMs,
      droppedToBotMs: this.#hearing.stats.droppedMs,
    }
    this.#tell({ kind: 'quality', quality })
  }

  progress(sipStatus: number): void {
    if (this.#state === 'answered') return
    if (sipStatus === 183) {
      this.#state = 'early'
      this.#voice.setState('early')
    }
    // Before the first `start` nothing needs saying: `start.state` will say it.
    if (this.#phase !== 'dialing') this.#tell({ kind: 'progress', sipStatus })
  }

  answered(): void {
    if (this.#state === 'answered') return
    this.#state = 'answered'
    if (this.#phase !== 'dialing') this.#tell({ kind: 'answered', atMs: this.#tsMs() })
    this.#voice.setState('answered')
    this.#hearing.answered()
    this.#orders.answered()
  }

  digit(digit: string, durationMs: number, method: 'rfc4733' | 'info' | 'inband'): void {
    this.#tell({ kind: 'dtmf', digit, durationMs, method })
  }

  held(held: boolean): void {
    this.#tell({ kind: 'held', held })
  }

  transferStatus(status: TransferStatus): void {
    this.#tell({ kind: 'transferStatus', status })
  }

  recordingStatus(status: RecordingStatus): void {
    this.#tell({ kind: 'recordingStatus', status })
  }

  /** False while the caller talks to someone else: the bot neither hears nor speaks. */
  setJoined(joined: boolean): void {
    if (joined === this.#joined) return
    this.#joined = joined
    this.#voice.setJoined(joined)
  }

  /** Ends the session from our side: `stop`, then close 1000. */
  stop(stop: Stop): void {
    if (this.#phase === 'stopping' || this.#phase === 'ended') return
    this.#voice.stop()
    if (this.#phase === 'open') this.#tell({ kind: 'stop', stop, stats: this.#stopStats() })
    this.#phase = 'stopping'
    this.#link.close(1000, stop.reason)
  }

  #stopStats(): Record<string, number> {
    const s = this.stats
    return {
      duration_ms: this.#tsMs(),
      ...(s.firstAudioMs === undefined ? {} : { answer_to_first_bot_audio_ms: Math.round(s.firstAudioMs) }),
      from_bot_ms: s.fromBotMs,
      to_bot_ms: s.toBotMs,
      dropped_to_bot_ms: s.droppedToBotMs,
      refused_ms: s.refusedMs,
      caught_up_ms: s.caughtUpMs,
      bad_messages: s.badMessages,
      reconnects: s.reconnects,
    }
  }

  #callerSpeech(started: boolean, atMs: number): void {
    if (started) this.#voice.bargeIn(this.#listening.bargeIn)
    else this.#voice.callerStopped()
    this.#tell({ kind: 'speech', started, atMs })
  }

  // ── The connection ─────────────────────────────────────────────────────────────────────────────────────────────

  #opened(opening: Opening): void {
    if (this.#phase !== 'dialing' && this.#phase !== 'away') return
    const { standIn, resumed, gapMs, connectMs } = opening
    const lastSeq = this.#dialect?.lastSeq ?? 0
    const first = this.#sockets++ === 0
    const { callId, streamId } = this.#options
    this.#dialect = this.#kind.create({
      wire: { text: (frame) => this.#link.sendText(frame), binary: (frame) => this.#link.sendBinary(frame) },
      callId,
      streamId: first ? streamId : `${streamId}.${this.#sockets}`,
      plan: this.#plan,
      audio: this.#audio,
    })
    if (first) this.#startedAtMs = this.#clock.now()
    this.#connectMs ??= connectMs
    if (resumed) this.#resumes++
    if (!first && !resumed) this.#startOver()
    this.#phase = 'open'
    this.#voice.setAway(false)
    const waiting = this.#waiting
    this.#waiting = []
    this.#tell({
      kind: 'start',
      state: this.#state,
      audio: this.#audio,
      facts: this.#plan.start,
      bufferMs: this.#plan.bufferMs,
      token: this.#token,
      resume: resumed ? { count: this.#resumes, gapMs, lastSeq, unplayedMarks: this.#voice.unplayedMarks } : undefined,
      standIn,
    })
    for (const message of waiting) this.#tell(message)
    this.#owner.opened(opening)
  }

  // A stand-in has no part in what the bot before it said, only in what happens on the phone.
  #startOver(): void {
    this.#voice.startOver()
    this.#orders.startOver()
    this.#hearing.held = false
    this.#voice.hold(false)
    this.#waiting = this.#waiting.filter((m) => PHONE_NEWS.has(m.kind))
  }

  #down(reason: string): void {
    if (this.#phase !== 'open' && this.#phase !== 'dialing' && this.#phase !== 'away') return
    const wasOpen = this.#phase === 'open'
    if (wasOpen) this.#phase = 'away'
    // A bot that has said "hang up after this sentence" and left: the sentence is still played, and it is not called back.
    if (this.#voice.ending) return this.#link.close(1000, reason)
    this.#voice.setAway(true)
    this.#log.warn({ reason }, 'the bot is away: dialling again')
    this.#owner.away(reason)
  }

  #gone(clean: boolean, wasOpen: boolean, reason: string): void {
    if (this.#phase === 'stopping') return this.#end()
    if (this.#phase === 'ended') return
    const tell = (): void => {
      if (this.#phase === 'ended' || this.#phase === 'stopping') return
      this.#end()
      this.#owner.lost(clean, wasOpen, reason)
    }
    if (this.#phase === 'open') this.#phase = 'away'
    this.#voice.when(this.#voice.ending, tell)
  }

  #end(): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#voice.stop()
    this.#owner.ended()
  }

  // ── To the bot ─────────────────────────────────────────────────────────────────────────────────────────────────

  #tsMs(): number {
    return this.#startedAtMs === 0 ? 0 : Math.max(0, Math.round(this.#clock.now() - this.#startedAtMs))
  }

  #tell(message: BridgeMessage): void {
    if (this.#phase === 'dialing' || this.#phase === 'away') {
      if (this.#waiting.length < MAX_WAITING_MESSAGES) this.#waiting.push(message)
      return
    }
    if (this.#phase !== 'open') return
    this.#dialect!.tell(message, this.#tsMs())
    // Control is never dropped; so much of it unread means that nobody reads.
    if (this.#link.bufferedBytes > MAX_BUFFERED_BYTES) this.#link.lose('stuck')
  }

  #media(frame: MediaFrame): number {
    if (this.#hearing.stats.droppedMs > 0 && !this.#warnedSlow) {
      this.#warnedSlow = true
      const { bufferedBytes } = this.#link
      this.#log.warn({ bufferedBytes }, 'the bot reads too slowly: caller audio is dropped')
    }
    // 8: the frame headers of RFC 6455 for messages of this size.
    return this.#dialect!.media(frame, this.#tsMs()) + 8
  }

  #error(code: BotErrorCode, message: string, ref?: string): void {
    if (this.#patience.mayAnswer(code)) this.#tell({ kind: 'error', code, message, ref })
  }

  // ── From the bot ───────────────────────────────────────────────────────────────────────────────────────────────

  #received(frame: Buffer, isBinary: boolean): void {
    if (this.#phase !== 'open') return
    const decoded = this.#dialect!.decode(frame, isBinary)
    if (!decoded) return
    if (Array.isArray(decoded)) for (const message of decoded) this.#take(message)
    else this.#take(decoded)
  }

  #take(message: BotMessage): void {
    if (message.kind === 'audio') {
      this.#voice.play(message)
      this.#orders.spoken()
    } else if (message.kind === 'mistake') {
      this.#error(message.code, message.message, message.ref)
      if (message.bad && this.#patience.countBad()) this.#link.forsake(1008, 'too many bad messages')
    } else this.#orders.obey(message)
    if (message.ack === true) this.#tell({ kind: 'ack', ref: message.ref ?? message.kind })
  }
}
