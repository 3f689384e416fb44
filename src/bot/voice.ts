/**
 * What the caller hears of the bot: its queue, the gate before the answer, the pause while the caller speaks, and what
 * is heard instead while the bot is away. Answers what the bot asks about its own audio; knows no socket.
 *
 *   audio ─▶ guard ─▶ Playback ─▶ frameInto ─▶ leg
 *                        ▲ slack    └ nothing queued, bot away or caller on hold: Comfort
 */
import { FRAME_MS, SAMPLES_PER_MS, type FrameSource, type Law } from '../audio/flow.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import { Comfort } from './comfort.ts'
import type {
  AudioMessage,
  AudioPlan,
  BargeIn,
  BotErrorCode,
  BridgeMessage,
  CallState,
  SessionPlan,
} from './dialect.ts'
import { FormatGuard } from './guard.ts'
import { Playback } from './playback.ts'
import { Slack } from './slack.ts'

/** An `after_playback` that the leg never finishes (held, not pulled) is done all the same. */
const PLAYBACK_SLACK_MS = 5000
/** Less delay than this is not worth a frame of speech. */
const LEAST_REST_MS = 6
/** A pause that the bot neither ended nor made a clear of ends so long after the caller's last word. */
const PAUSE_PATIENCE_MS = 2000

export interface VoicePort {
  tell(message: BridgeMessage): void
  error(code: BotErrorCode, message: string, ref?: string): void
  /** There is audio to play after there was none; it shall wait `leadMs` yet. */
  wake(leadMs: number): void
  /** Time until the next frame is taken. */
  untilTakenMs(): number
  /** All that is played goes out sooner by `ms` (later if negative), as far as the leg can; returns by how much. */
  sooner(ms: number): number
  /** A frame of the bot is being played. */
  spoke(): void
}

export class Voice implements FrameSource {
  readonly #plan: SessionPlan
  readonly #audio: AudioPlan
  readonly #law: Law | undefined
  readonly #clock: Clock
  readonly #port: VoicePort
  readonly #playback: Playback
  readonly #slack = new Slack()
  readonly #guard = new FormatGuard()
  readonly #comfort = new Comfort()
  #state: CallState
  #joined = true
  #held = false
  /** The bot is away: silence would sound like a dead line. */
  #away = false
  #answeredAtMs = -1
  #firstAudioMs: number | undefined
  #pauseEnd: Timer | undefined
  #afterPlayback: (() => void)[] = []
  #playbackLimit: Timer | undefined
  /** Audio refused since the bot was last told, ms. */
  #refusedMs = 0
  #toldRefusedAtMs = -Infinity

  /** @param audio the session's formats, as they are at the moment */
  constructor(options: {
    plan: SessionPlan
    audio: AudioPlan
    state: CallState
    law?: Law
    clock: Clock
    port: VoicePort
  }) {
    const { plan, audio, port } = options
    this.#plan = plan
    this.#audio = audio
    this.#law = options.law
    this.#clock = options.clock
    this.#port = port
    this.#state = options.state
    if (options.state === 'answered') this.#answeredAtMs = options.clock.now()
    this.#playback = new Playback({
      format: { encoding: audio.output.encoding, sampleRate: audio.output.sampleRate },
      bufferMs: plan.bufferMs,
      gate: 'hold',
      lawHint: options.law,
      listener: {
        mark: (name, status, playedMs, itemId) => port.tell({ kind: 'mark', name, status, playedMs, itemId }),
        playback: (state, queuedMs, itemId) => {
          if (state === 'started' && this.#firstAudioMs === undefined && this.#answeredAtMs >= 0)
            this.#firstAudioMs = this.#clock.now() - this.#answeredAtMs
          port.tell({ kind: 'playback', state, queuedMs, itemId })
        },
        flow: (state, queuedMs) => port.tell({ kind: 'flow', state, queuedMs }),
        empty: () => this.#playedOut(),
      },
    })
    this.#setGate()
  }

  get stats(): Playback['stats'] {
    return this.#playback.stats
  }

  /** From the answer to the first audio of the bot, ms. */
  get firstAudioMs(): number | undefined {
    return this.#firstAudioMs
  }

  get unplayedMarks(): string[] {
    return this.#playback.unplayedMarks
  }

  /** Something waits for the end of what is queued. */
  get ending(): boolean {
    return this.#afterPlayback.length > 0
  }

  // ── To the leg ─────────────────────────────────────────────────────────────────────────────────────────────────

  frameInto(dst: Uint8Array, law: Law): boolean {
    if (this.#held) return this.#comfort.frameInto(dst, law)
    if (this.#playback.frameInto(dst, law)) {
      this.#port.spoke()
      return true
    }
    return this.#away && this.#joined && this.#state === 'answered' && this.#comfort.frameInto(dst, law)
  }

  skipped(slots: number): void {
    if (!this.#held) this.#playback.skipped(slots)
  }

  // ── The call ───────────────────────────────────────────────────────────────────────────────────────────────────

  setState(state: CallState): void {
    this.#state = state
    if (state === 'answered') this.#answeredAtMs = this.#clock.now()
    this.#setGate()
    if (state === 'answered' && this.#playback.queuedSamples > 0) this.#port.wake(0)
  }

  /** False while the caller talks to someone else: stale speech is thrown away. */
  setJoined(joined: boolean): void {
    this.#joined = joined
    if (!joined && this.#playback.queuedSamples > 0) this.clear()
    this.#setGate()
  }

  setAway(away: boolean): void {
    if (away && !this.#away) this.#comfort.reset()
    this.#away = away
  }

  hold(held: boolean): void {
    if (held && !this.#held) this.#comfort.reset()
    this.#held = held
  }

  /** Another bot takes over: nothing of the one before is played or answered any more. */
  startOver(): void {
    this.#playbackLimit?.cancel()
    this.#playbackLimit = undefined
    this.#afterPlayback = []
    this.#playback.clear()
    this.#guard.reset()
  }

  /** Every mark is answered, also those that will not be heard; nothing is played any more. */
  stop(): void {
    this.#playbackLimit?.cancel()
    this.#pauseEnd?.cancel()
    this.#afterPlayback = []
    this.#away = this.#held = false
    this.#playback.stop()
  }

  get #open(): boolean {
    return this.#joined && (this.#state === 'answered' || this.#plan.beforeAnswer === 'early_media')
  }

  #setGate(): void {
    if (this.#open) this.#playback.setGate('open')
    else this.#playback.setGate(this.#joined && this.#plan.beforeAnswer !== 'drop' ? 'hold' : 'drop')
  }

  // ── The caller speaks ──────────────────────────────────────────────────────────────────────────────────────────

  bargeIn(policy: BargeIn): void {
    this.#pauseEnd?.cancel()
    if (policy === 'auto_clear' && this.#playback.queuedSamples > 0) this.clear()
    if (policy === 'pause' && this.#playback.queuedSamples > 0) this.#playback.pause(true)
  }

  /** The caller has stopped: what was paused for it goes on, unless the bot decides before. */
  callerStopped(): void {
    if (!this.#playback.paused) return
    this.#pauseEnd?.cancel()
    this.#pauseEnd = this.#clock.after(PAUSE_PATIENCE_MS, () => this.pause(false))
  }

  // ── The bot ────────────────────────────────────────────────────────────────────────────────────────────────────

  play({ bytes, encoding, sampleRate, itemId, ref }: AudioMessage): void {
    const playback = this.#playback
    const { output } = this.#audio
    const wanted = encoding ?? output.encoding
    const rate = sampleRate ?? (encoding === undefined || encoding === output.encoding ? output.sampleRate : 8000)
    const wrong = this.#guard.check(bytes, wanted, rate)
    if (wrong) {
      this.#port.error(wrong.code, wrong.message, ref)
      if (!wrong.play) return
    }
    const wasEmpty = playback.queuedSamples === 0
    // Whole ms: V8 would put a fraction into an object.
    const nowMs = Math.floor(this.#clock.now())
    const chunkMs = (bytes.length * 1000) / (wanted === 'pcm16' ? 2 * rate : rate)
    if (playback.playing) this.#takeUpSlack(chunkMs, nowMs)
    else this.#slack.began(chunkMs, nowMs)
    if (wanted !== playback.encoding || rate !== playback.sampleRate) playback.setFormat(wanted, rate, this.#law)
    const refused = playback.write(bytes, itemId)
    if (wasEmpty && playback.queuedSamples > 0 && this.#open) this.#port.wake(playback.leadMs)
    if (refused > 0) this.#tellRefused(refused, ref)
  }

  /** The session's output format has changed. */
  formatChanged(): void {
    this.#guard.reset()
  }

  // Delay that no chunk has needed: the slot moves as far as it may, the rest goes by frames.
  #takeUpSlack(chunkMs: number, nowMs: number): void {
    const slackMs = this.#playback.queuedMs + this.#port.untilTakenMs()
    const spareMs = this.#slack.arrived(slackMs, chunkMs, nowMs)
    if (spareMs === 0) return
    const restMs = spareMs - this.#port.sooner(spareMs)
    if (restMs < LEAST_REST_MS || !this.#playback.streaming) return
    const frames = Math.ceil(restMs / FRAME_MS)
    this.#playback.giveUp(frames)
    this.#port.sooner(restMs - frames * FRAME_MS)
  }

  // One error a second: a bot that is over the cap goes on sending for a while, and one line says it all.
  #tellRefused(samples: number, ref: string | undefined): void {
    this.#refusedMs += samples / SAMPLES_PER_MS
    if (this.#clock.now() - this.#toldRefusedAtMs < 1000) return
    this.#toldRefusedAtMs = this.#clock.now()
    const ms = Math.round(this.#refusedMs)
    this.#refusedMs = 0
    if (!this.#joined)
      this.#port.error('not_allowed', `The caller is talking to someone else; ${ms} ms of audio were not played.`, ref)
    else if (this.#state !== 'answered' && this.#plan.beforeAnswer === 'drop')
      this.#port.error('not_allowed', `The call is not answered yet; ${ms} ms of audio were not kept.`, ref)
    else {
      const { bufferMs } = this.#plan
      const what = `${bufferMs} ms are queued; ${ms} ms of newer audio were refused. Wait for flow xon.`
      this.#port.error('buffer_full', what, ref)
    }
  }

  mark(name: string): boolean {
    return this.#playback.mark(name)
  }

  done(itemId?: string): boolean {
    return this.#playback.done(itemId)
  }

  clear(itemId?: string, ref?: string): void {
    this.#pauseEnd?.cancel()
    this.#port.tell({ kind: 'cleared', ...this.#playback.clear(itemId), ref })
  }

  pause(paused: boolean): void {
    this.#pauseEnd?.cancel()
    if (paused !== this.#playback.paused) this.#playback.pause(paused)
    if (!paused && this.#playback.queuedSamples > 0) this.#port.wake(0)
  }

  /** Now, or when what is queued has been heard. */
  when(afterPlayback: boolean, act: () => void): void {
    if (!afterPlayback) return act()
    this.pause(false)
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
  }
}
