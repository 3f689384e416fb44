/**
 * One bot on one call: dials it, tells it what happens on the phone side, plays what it says, does what it asks as far
 * as that can be done here, and ends in exactly one of two ways: `stop` by us, or `lost` told to the owner. Knows no
 * wire spelling (dialects/), no media and no call (the owner).
 *
 *   dialing ──open──▶ open ──stop()──▶ stopping ──▶ ended
 *      └──────────────┴── socket gone ──▶ lost ──▶ ended
 */
import { FRAME_MS, type FrameSink, type FrameSource, type Law } from '../audio/flow.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import type { EgressTarget } from '../egress/egress.ts'
import type { Log } from '../telemetry/log.ts'
import { fillTemplate, handshakeHeaders } from './handshake.ts'
import type { BotRequest, Stop, TransferStatus } from '../calls/ports.ts'
import type {
  AudioFormat,
  BotErrorCode,
  BotMessage,
  BridgeMessage,
  CallState,
  Dialect,
  SessionPlan,
} from './dialect.ts'
import { NativeDialect } from './dialects/native.ts'
import { Patience } from './patience.ts'
import { Playback, type Gate, type PlaybackListener } from './playback.ts'
import { Slack } from './slack.ts'
import { BotSocket } from './socket.ts'
import { Uplink } from './uplink.ts'

/** Control that waits for the socket to open, or in it: past these a bot that reads nothing counts as dead. */
const MAX_EARLY_MESSAGES = 64
const MAX_BUFFERED_BYTES = 256 * 1024
/** An `after_playback` that the leg never finishes (held, not pulled) is done all the same. */
const PLAYBACK_SLACK_MS = 5000
/** Less delay than this is not worth a frame of speech. */
const LEAST_REST_MS = 6

/** What a session needs from whoever has the leg. None of these may throw. */
export interface SessionOwner {
  opened(connectMs: number): void
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
  /** A bug in here; the leg should end, others go on. */
  fault(err: unknown): void
  /** The socket is gone for good, after `lost` or `stop`. */
  ended(): void
}

export interface SessionOptions {
  plan: SessionPlan
  callId: string
  /** Names this socket session to the bot. */
  streamId: string
  /** Law of the leg, where known. */
  law?: Law
  state: CallState
  clock: Clock
  log: Log
  /** Checks the address and pins it (egress/egress.ts). */
  resolve(url: string): Promise<EgressTarget>
  owner: SessionOwner
}

export interface SessionStats {
  fromBotMs: number
  toBotMs: number
  droppedToBotMs: number
  refusedMs: number
  /** Audio of the bot given up to catch up with time after a stall. */
  caughtUpMs: number
  badMessages: number
  firstAudioMs?: number
  connectMs?: number
  errors: Partial<Record<BotErrorCode, number>>
}

export class BotSession {
  readonly #options: SessionOptions
  readonly #owner: SessionOwner
  readonly #clock: Clock
  readonly #log: Log
  readonly #dialect: Dialect
  readonly #plan: SessionPlan
  readonly #audio: SessionPlan['audio']
  readonly #playback: Playback
  readonly #slack = new Slack()
  readonly #uplink: Uplink
  readonly #dialledAtMs: number
  #socket: BotSocket | undefined
  #phase: 'dialing' | 'open' | 'stopping' | 'ended' = 'dialing'
  #state: CallState
  #joined = true
  #startedAtMs = 0
  #answeredAtMs = -1
  #early: BridgeMessage[] = []
  #afterPlayback: (() => void)[] = []
  #playbackLimit: Timer | undefined
  #lostAfter: (() => void) | undefined
  readonly #patience: Patience
  #warnedSlow = false
  #firstAudioMs: number | undefined
  #connectMs: number | undefined
  /** Audio refused since the bot was last told, ms. */
  #refusedMs = 0
  #toldRefusedAtMs = -Infinity

  constructor(options: SessionOptions) {
    const { plan } = options
    this.#options = options
    this.#owner = options.owner
    this.#clock = options.clock
    this.#log = options.log
    this.#plan = plan
    this.#audio = structuredClone(plan.audio)
    this.#state = options.state
    if (options.state === 'answered') this.#answeredAtMs = options.clock.now()
    this.#dialect = new NativeDialect({
      callId: options.callId,
      streamId: options.streamId,
      discriminator: plan.discriminator,
    })
    this.#patience = new Patience(() => this.#clock.now())
    this.#playback = new Playback({
      encoding: plan.audio.output.encoding,
      bufferMs: plan.bufferMs,
      gate: this.#gate(),
      lawHint: options.law,
      listener: this.#playbackListener(),
    })
    this.#uplink = new Uplink(
      this.#audio.input,
      {
        bufferedBytes: () => this.#socket?.bufferedBytes ?? 0,
        sendAudio: (audio, chunk, timestampMs, lostMs) => this.#sendAudio(audio, chunk, timestampMs, lostMs),
        stuck: () => this.#socket?.kill('stuck'),
      },
      () => this.#clock.now(),
    )
    this.#dialledAtMs = this.#clock.now()
    // Not from within the constructor: what fails at once is told to an owner that holds this session already.
    queueMicrotask(() => void this.#dial())
  }

  /** Caller audio goes in here. */
  get sink(): FrameSink {
    return this.#uplink
  }

  /** The bot's audio comes out here. */
  get source(): FrameSource {
    return this.#playback
  }

  /** Whether caller audio is wanted: the socket is open, the call is answered (or early media was asked for). */
  get listening(): boolean {
    return (
      this.#phase === 'open' &&
      this.#joined &&
      (this.#state === 'answered' || this.#plan.beforeAnswer === 'early_media')
    )
  }

  get stats(): SessionStats {
    return {
      fromBotMs: this.#playback.stats.playedFrames * 20,
      toBotMs: this.#uplink.stats.sentMs,
      droppedToBotMs: this.#uplink.stats.droppedMs,
      refusedMs: Math.round(this.#playback.stats.refusedSamples / 8),
      caughtUpMs: Math.round(this.#playback.stats.skippedSamples / 8),
      badMessages: this.#patience.bad,
      firstAudioMs: this.#firstAudioMs,
      connectMs: this.#connectMs,
      errors: this.#patience.errors,
    }
  }

  // ── From the phone side ────────────────────────────────────────────────────────────────────────────────────────

  progress(sipStatus: number): void {
    if (this.#state === 'answered') return
    this.#state = sipStatus === 183 ? 'early' : this.#state
    // Before `start` nothing needs saying: `start.state` will say it.
    if (this.#phase === 'open') this.#tell({ kind: 'progress', sipStatus })
  }

  answered(): void {
    if (this.#state === 'answered') return
    this.#state = 'answered'
    this.#answeredAtMs = this.#clock.now()
    if (this.#phase === 'open') this.#tell({ kind: 'answered', atMs: this.#tsMs() })
    this.#playback.setGate(this.#gate())
    if (this.#playback.queuedSamples > 0) this.#owner.wake(0)
  }

  digit(digit: string, durationMs: number, method: 'rfc4733' | 'info'): void {
    this.#tell({ kind: 'dtmf', digit, durationMs, method })
  }

  held(held: boolean): void {
    this.#tell({ kind: 'held', held })
  }

  transferStatus(status: TransferStatus): void {
    this.#tell({ kind: 'transferStatus', status })
  }

  /** False while the caller talks to someone else: the bot neither hears nor speaks, and stale speech is thrown away. */
  setJoined(joined: boolean): void {
    if (joined === this.#joined) return
    this.#joined = joined
    if (!joined && this.#playback.queuedSamples > 0) this.#tell({ kind: 'cleared', ...this.#playback.clear() })
    this.#playback.setGate(this.#gate())
  }

  /** Ends the session from our side: `stop`, then close 1000. */
  stop(stop: Stop): void {
    if (this.#phase === 'stopping' || this.#phase === 'ended') return
    const wasOpen = this.#phase === 'open'
    this.#playbackLimit?.cancel()
    this.#afterPlayback = []
    if (this.#lostAfter) return this.#end()
    // Every mark is answered, also those that will not be heard.
    this.#playback.stop()
    if (wasOpen) {
      this.#tell({ kind: 'stop', stop, stats: this.#stopStats() })
      this.#phase = 'stopping'
      this.#socket?.close(1000, stop.reason)
    } else {
      this.#phase = 'stopping'
      if (this.#socket) this.#socket.kill('stopped')
      else this.#end()
    }
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
    }
  }

  // ── The socket's life ──────────────────────────────────────────────────────────────────────────────────────────

  async #dial(): Promise<void> {
    const { callId } = this.#options
    if (this.#phase !== 'dialing') return
    try {
      const url = fillTemplate(this.#plan.url, { ...this.#plan.start, call_id: callId })
      const target = await this.#options.resolve(url)
      if (this.#phase !== 'dialing') return
      this.#socket = new BotSocket({
        url,
        headers: handshakeHeaders(this.#plan, url, callId, this.#clock.wallMs()),
        subprotocol: this.#dialect.subprotocol,
        lookup: target.lookup,
        connectTimeoutMs: this.#plan.connectTimeoutMs,
        clock: this.#clock,
        listener: {
          open: () => this.#opened(),
          message: (data, isBinary) => this.#received(data, isBinary),
          closed: (clean, reason) => this.#closed(clean, reason),
          fault: (err) => this.#owner.fault(err),
        },
      })
    } catch (err) {
      // Refused by the egress rules, no such name, or an address that `ws` cannot read.
      if (this.#phase === 'dialing') this.#closed(false, errorText(err))
    }
  }

  #opened(): void {
    if (this.#phase !== 'dialing') return
    this.#phase = 'open'
    this.#startedAtMs = this.#clock.now()
    this.#connectMs = this.#startedAtMs - this.#dialledAtMs
    this.#tell({
      kind: 'start',
      state: this.#state,
      audio: this.#audio,
      facts: this.#plan.start,
      bufferMs: this.#plan.bufferMs,
    })
    for (const message of this.#early) this.#tell(message)
    this.#early = []
    this.#owner.opened(this.#connectMs)
  }

  #closed(clean: boolean, reason: string): void {
    if (this.#phase === 'stopping') return this.#end()
    if (this.#phase === 'ended') return
    const wasOpen = this.#phase === 'open'
    const tell = (): void => {
      this.#end()
      this.#owner.lost(clean, wasOpen, reason)
    }
    // A bot that said "hang up after this sentence" and left: the sentence is still played.
    if (wasOpen && this.#afterPlayback.length > 0) this.#lostAfter = tell
    else tell()
  }

  #end(): void {
    if (this.#phase === 'ended') return
    this.#phase = 'ended'
    this.#playbackLimit?.cancel()
    this.#playback.stop()
    this.#owner.ended()
  }

  // ── To the bot ─────────────────────────────────────────────────────────────────────────────────────────────────

  #tsMs(): number {
    return this.#startedAtMs === 0 ? 0 : Math.max(0, Math.round(this.#clock.now() - this.#startedAtMs))
  }

  #tell(message: BridgeMessage): void {
    if (this.#phase === 'dialing') {
      if (this.#early.length < MAX_EARLY_MESSAGES) this.#early.push(message)
      return
    }
    if (this.#phase !== 'open' || !this.#socket) return
    this.#socket.sendText(this.#dialect.encode(message, this.#tsMs()))
    // Control is never dropped; so much of it unread means that nobody reads.
    if (this.#socket.bufferedBytes > MAX_BUFFERED_BYTES) this.#socket.kill('stuck')
  }

  #sendAudio(audio: Uint8Array, chunk: number, timestampMs: number, lostMs: number): number {
    const socket = this.#socket
    if (!socket) return 0
    if (this.#uplink.stats.droppedMs > 0 && !this.#warnedSlow) {
      this.#warnedSlow = true
      this.#log.warn({ bufferedBytes: socket.bufferedBytes }, 'the bot reads too slowly: caller audio is dropped')
    }
    if (this.#audio.transport === 'binary') {
      socket.sendBinary(audio)
      return audio.length + 8
    }
    const text = this.#dialect.encodeMedia(audio, chunk, timestampMs, lostMs, this.#tsMs())
    socket.sendText(text)
    return text.length + 8
  }

  #error(code: BotErrorCode, message: string, ref?: string): void {
    if (this.#patience.mayAnswer(code)) this.#tell({ kind: 'error', code, message, ref })
  }

  #gate(): Gate {
    if (!this.#joined) return 'drop'
    if (this.#state === 'answered' || this.#plan.beforeAnswer === 'early_media') return 'open'
    return this.#plan.beforeAnswer === 'drop' ? 'drop' : 'hold'
  }

  #playbackListener(): PlaybackListener {
    return {
      mark: (name, status, playedMs, itemId) => this.#tell({ kind: 'mark', name, status, playedMs, itemId }),
      playback: (state, queuedMs, itemId) => {
        if (state === 'started' && this.#firstAudioMs === undefined && this.#answeredAtMs >= 0)
          this.#firstAudioMs = this.#clock.now() - this.#answeredAtMs
        this.#tell({ kind: 'playback', state, queuedMs, itemId })
      },
      flow: (state, queuedMs) => this.#tell({ kind: 'flow', state, queuedMs }),
      empty: () => this.#playedOut(),
    }
  }

  // ── From the bot ───────────────────────────────────────────────────────────────────────────────────────────────

  #received(frame: Buffer, isBinary: boolean): void {
    if (this.#phase !== 'open') return
    const message = this.#dialect.decode(frame, isBinary)
    if (!message) return
    if (message.kind === 'audio') this.#play(message.bytes, message.encoding, message.itemId, message.ref)
    else this.#obey(message)
    if (message.ack === true) this.#tell({ kind: 'ack', ref: message.ref ?? message.kind })
  }

  #play(
    bytes: Uint8Array,
    encoding: AudioFormat['encoding'] | undefined,
    itemId: string | undefined,
    ref: string | undefined,
  ): void {
    const playback = this.#playback
    const wasEmpty = playback.queuedSamples === 0
    if (playback.playing) this.#takeUpSlack()
    else this.#slack.began(this.#clock.now())
    const wanted = encoding ?? this.#audio.output.encoding
    if (wanted !== playback.encoding) playback.setEncoding(wanted, this.#options.law)
    const refused = playback.write(bytes, itemId)
    if (wasEmpty && playback.queuedSamples > 0 && this.#gate() === 'open') this.#owner.wake(playback.leadMs)
    if (refused === 0) return
    // One error a second: a bot that is over the cap goes on sending for a while, and one line says it all.
    this.#refusedMs += refused / 8
    if (this.#clock.now() - this.#toldRefusedAtMs < 1000) return
    this.#toldRefusedAtMs = this.#clock.now()
    const ms = Math.round(this.#refusedMs)
    this.#refusedMs = 0
    if (!this.#joined)
      this.#error('not_allowed', `The caller is talking to someone else; ${ms} ms of audio were not played.`, ref)
    else if (this.#state !== 'answered' && this.#plan.beforeAnswer === 'drop')
      this.#error('not_allowed', `The call is not answered yet; ${ms} ms of audio were not kept.`, ref)
    else
      this.#error(
        'buffer_full',
        `${this.#plan.bufferMs} ms are queued; ${ms} ms of newer audio were refused. Wait for flow xon.`,
        ref,
      )
  }

  // Delay that no chunk has needed: the slot moves as far as it may, the rest goes by frames.
  #takeUpSlack(): void {
    const slackMs = this.#playback.queuedMs + this.#owner.untilTakenMs()
    const spareMs = this.#slack.arrived(slackMs, this.#clock.now())
    if (spareMs === 0) return
    const restMs = spareMs - this.#owner.sooner(spareMs)
    if (restMs < LEAST_REST_MS || !this.#playback.streaming) return
    const frames = Math.ceil(restMs / FRAME_MS)
    this.#playback.giveUp(frames)
    this.#owner.sooner(restMs - frames * FRAME_MS)
  }

  #obey(m: Exclude<BotMessage, { kind: 'audio' }>): void {
    switch (m.kind) {
      case 'mark':
        if (!this.#playback.mark(m.name))
          this.#error('rate_limited', 'Too many marks are pending (1000); this one was not taken.', m.ref)
        return
      case 'audioDone':
        if (!this.#playback.done(m.itemId))
          this.#error('rate_limited', 'Too many marks are pending; this one was not taken.', m.ref)
        return
      case 'clear':
        this.#tell({ kind: 'cleared', ...this.#playback.clear(m.itemId), ref: m.ref })
        return
      case 'digits':
        if (this.#state !== 'answered') this.#error('not_allowed', 'The call is not answered yet.', m.ref)
        else if (!this.#owner.sendDigits(m.digits, m.durationMs, m.gapMs, m.method))
          this.#error('dtmf_failed', `The phone leg cannot take these digits now (method ${m.method}).`, m.ref)
        return
      case 'transfer':
        if (this.#state !== 'answered')
          return this.#error('not_allowed', 'Only an answered call can be transferred.', m.ref)
        return this.#when(m.afterPlayback, () => {
          const { ref, target, callerId, timeoutMs, onFail, headers } = m
          this.#owner.request({ ask: 'transfer', ref, target, callerId, timeoutMs, onFail, headers })
        })
      case 'hangup':
        return this.#when(m.afterPlayback && this.#state === 'answered', () =>
          this.#owner.request({ ask: 'hangup', reason: m.reason, sipStatus: m.sipStatus, q850: m.q850 }),
        )
      case 'answer':
      case 'reject':
        if (this.#state === 'answered') return this.#error('not_allowed', 'The call is answered already.', m.ref)
        if (this.#plan.start.direction === 'outbound' || this.#plan.start.answer_mode === 'auto')
          return this.#error('not_allowed', 'Only an inbound call with answer_mode "bot" waits for this.', m.ref)
        this.#owner.request(
          m.kind === 'answer' ? { ask: 'answer' } : { ask: 'reject', sipStatus: m.sipStatus, reason: m.reason },
        )
        return
      case 'update':
        return this.#update(m)
      case 'ping':
        return this.#tell({ kind: 'pong', ref: m.ref })
      case 'mistake':
        this.#error(m.code, m.message, m.ref)
        if (m.bad && this.#patience.countBad()) this.#socket?.close(1008, 'too many bad messages')
    }
  }

  #update(m: { input?: Partial<AudioFormat>; output?: Partial<AudioFormat>; transport?: 'json' | 'binary' }): void {
    if (m.transport) this.#audio.transport = m.transport
    if (m.output) Object.assign(this.#audio.output, m.output)
    if (!m.input) return
    this.#audio.input = { ...this.#audio.input, ...m.input }
    this.#uplink.setFormat(this.#audio.input)
  }

  /** Now, or when what is queued has been heard. */
  #when(afterPlayback: boolean, act: () => void): void {
    if (!afterPlayback) return act()
    this.#afterPlayback.push(act)
    this.#playbackLimit ??= this.#clock.after(this.#playback.queuedMs + PLAYBACK_SLACK_MS, () => this.#playedOut())
    this.#playback.notifyWhenEmpty()
  }

  #playedOut(): void {
    this.#playbackLimit?.cancel()
    this.#playbackLimit = undefined
    const acts = this.#afterPlayback
    this.#afterPlayback = []
    for (const act of acts) act()
    this.#lostAfter?.()
    this.#lostAfter = undefined
  }
}
