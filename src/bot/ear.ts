/**
 * What the bridge hears in the caller's audio and tells the bot: speech, who picked up, a beep, silence of both sides.
 * It listens only for what the bot asked for, and knows neither dialect nor playback.
 *
 *   frame ─▶ Vad ─┬─▶ speech.started / speech.stopped
 *                 ├─▶ ToneFinder ─▶ Amd ─▶ amd · beep
 *   botSpoke ─────┴─▶ silence
 */
import { Amd, BEEP_WAIT_FRAMES, mayBeep } from '../audio/amd.ts'
import { FRAME_MS, type Law } from '../audio/flow.ts'
import { ToneFinder } from '../audio/tone-finder.ts'
import { Vad, type VadChange } from '../audio/vad.ts'
import type { AmdResult } from '../audio/amd.ts'
import type { Listening } from './dialect.ts'

/** All times: ms since the first frame. */
export interface EarListener {
  /** `atMs`: when it began, or ended; some time ago. */
  speech(started: boolean, atMs: number): void
  /** Exactly once, if it was asked for on an outbound call. */
  amd(result: AmdResult, confidence: number, atMs: number): void
  /** `atMs`: when the beep had ended. At most once, and never after a human or a fax. */
  beep(atMs: number): void
  /** Neither side has spoken for so long. Once per spell. */
  silence(ms: number): void
}

export interface EarOptions {
  outbound: boolean
  /** False: the phone still rings and the frames are early media; Amd begins with answered(). */
  answered?: boolean
}

export class Ear {
  readonly #listening: Listening
  readonly #outbound: boolean
  readonly #listener: EarListener
  readonly #vad = new Vad()
  #answered: boolean
  #nowMs = 0
  /** The Vad has missed frames since it was last needed. */
  #stale = false
  #toldSpeech = false
  #amd: Amd | undefined
  #tones: ToneFinder | undefined
  /** Frames in which a beep may still come; undefined until the verdict. */
  #beepFrames: number | undefined
  #botSpoke = false
  #botMs = 0
  #toldSilence = false

  constructor(listening: Listening, options: EarOptions, listener: EarListener) {
    this.#listening = { ...listening }
    this.#outbound = options.outbound
    this.#answered = options.answered ?? true
    this.#listener = listener
  }

  /** Something is listened for: frames cost time. */
  get active(): boolean {
    return this.#hearsSpeech || this.#listening.silenceMs > 0 || this.#hearsMachines
  }

  get #hearsSpeech(): boolean {
    return this.#listening.vad || this.#listening.bargeIn !== 'none'
  }

  get #hearsMachines(): boolean {
    return this.#listening.amd && this.#outbound && this.#answered && this.#beepFrames !== 0
  }

  /** Takes the caller's next 20 ms. `lostMs`: so much of it was concealed. */
  frame(frame: Uint8Array, law: Law, _lostMs: number): void {
    this.#nowMs += FRAME_MS
    if (!this.active) {
      this.#stale = true
      return
    }
    if (this.#stale) this.#wake()
    const change = this.#vad.frame(frame, law)
    if (change && this.#hearsSpeech) this.#tellSpeech(change === 'started')
    if (this.#hearsMachines) this.#hearMachines(change)
    if (this.#listening.silenceMs > 0) this.#hearSilence()
  }

  /** A frame of the bot was played in this slot. */
  botSpoke(): void {
    this.#botSpoke = true
  }

  /** The phone was picked up: what came before is no greeting. */
  answered(): void {
    this.#answered = true
  }

  update(listening: Partial<Listening>): void {
    const waited = this.#listening.silenceMs > 0
    Object.assign(this.#listening, listening)
    if (!this.#hearsSpeech) this.#toldSpeech = false
    if (this.#listening.silenceMs > 0 && !waited) {
      this.#botMs = this.#nowMs
      this.#toldSilence = false
    }
  }

  #wake(): void {
    this.#stale = false
    this.#vad.restart(this.#nowMs - FRAME_MS)
  }

  #tellSpeech(started: boolean): void {
    // Nobody needs the end of what he was not told the beginning of.
    if (!started && !this.#toldSpeech) return
    this.#toldSpeech = started
    this.#listener.speech(started, this.#vad.atMs)
  }

  #hearMachines(change: VadChange): void {
    this.#amd ??= new Amd(this.#nowMs - FRAME_MS)
    this.#tones ??= new ToneFinder()
    const toneOver = this.#tones.frame(this.#vad)
    const verdict = this.#amd.frame(this.#vad, change, this.#tones, toneOver)
    if (verdict) {
      this.#beepFrames = mayBeep(verdict.result) ? BEEP_WAIT_FRAMES : 0
      this.#listener.amd(verdict.result, verdict.confidence, verdict.atMs)
    }
    if (this.#beepFrames === undefined || this.#beepFrames === 0) return
    this.#beepFrames--
    if (!toneOver || !this.#amd.isBeep(this.#tones)) return
    this.#beepFrames = 0
    this.#listener.beep(this.#tones.endedMs)
  }

  #hearSilence(): void {
    if (this.#botSpoke) this.#botMs = this.#nowMs
    if (this.#botSpoke || this.#vad.speaking) {
      this.#botSpoke = this.#toldSilence = false
      return
    }
    const ms = this.#nowMs - Math.max(this.#botMs, this.#vad.endedMs)
    if (ms < this.#listening.silenceMs || this.#toldSilence) return
    this.#toldSilence = true
    this.#listener.silence(ms)
  }
}
