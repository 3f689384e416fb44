/**
 * Who picked up: a person says a word or two and waits, a machine goes on talking, a fax whistles. The timing heuristics
 * that Asterisk's AMD() made common, and fax tones of ITU-T T.30; no statistics, no speech recognition. One verdict a call.
 *
 *   0 ──────── 3.5 s          nobody spoke                        unknown
 *       ▃▆▅▁___________       short greeting, then 0.8 s of wait  human
 *       ▃▆▅▃▆▅▃▆▅▃▆▅▃▆        2.4 s of talk without such a wait   machine
 *       ▃▆▅__▆▆▆▆▆___         a beep                              machine
 *   ~~~~~~~~                  1100 Hz or 2100 Hz before any word  fax
 */
import { FRAME_MS } from './flow.ts'
import type { ToneFinder } from './tone-finder.ts'
import type { Vad, VadChange } from './vad.ts'

export type AmdResult = 'human' | 'machine' | 'fax' | 'unknown'

export interface AmdVerdict {
  result: AmdResult
  /** 0 to 1: how often this sign is right, roughly. */
  confidence: number
  atMs: number
}

const INITIAL_SILENCE_MS = 3500
const GREETING_MS = 2400
const AFTER_GREETING_MS = 800
const TOTAL_MS = 5000
/** Bursts of so many frames with so many quiet ones behind them are words; a person greets with few. */
const WORD_FRAMES = 5
const GAP_FRAMES = 5
const MAX_WORDS = 5
const WORDY_MS = 2000
/** Speech that has not ended after TOTAL_MS and is so long is rather a machine's. */
const LONG_MS = 1500
/** Shorter speech is a cough or a click. */
const SHORTEST_GREETING_MS = 120
const FAX_TONE_MS = 400
/** Ringing and busy tones of most countries lie here. */
const CALL_PROGRESS_HZ = [380, 500] as const

/** T.30: CNG 1100 ± 38 Hz from a calling fax, CED 2100 ± 15 Hz from one that answers. */
const isFaxTone = (hz: number): boolean => Math.abs(hz - 1100) < 40 || Math.abs(hz - 2100) < 25

export class Amd {
  readonly #startMs: number
  #beganMs: number | undefined
  #spoke = false
  #words = 0
  #burst = 0
  #gap = 0
  verdict: AmdVerdict | undefined

  /** @param startMs when the call was answered, on the clock of the Vad that is given with each frame */
  constructor(startMs = 0) {
    this.#startMs = startMs
  }

  /**
   * After `vad` and `tones` have taken a frame.
   * @param toneOver what `tones` said of it
   * @returns the verdict, once
   */
  frame(vad: Vad, change: VadChange, tones: ToneFinder, toneOver: boolean): AmdVerdict | undefined {
    if (change === 'started') {
      this.#spoke = true
      this.#beganMs ??= Math.max(this.#startMs, vad.beganMs)
    }
    if (this.verdict) return undefined
    this.#count(vad)
    const [result, confidence] = this.#byTones(tones, toneOver) ?? this.#byTiming(vad) ?? []
    if (result === undefined || confidence === undefined) return undefined
    return (this.verdict = { result, confidence, atMs: vad.nowMs })
  }

  #count(vad: Vad): void {
    if (this.#beganMs === undefined) return
    if (vad.heard) {
      this.#burst++
      this.#gap = 0
    } else if (++this.#gap === GAP_FRAMES) {
      if (this.#burst >= WORD_FRAMES) this.#words++
      this.#burst = 0
    }
  }

  #byTones(tones: ToneFinder, over: boolean): [AmdResult, number] | undefined {
    if (!this.#spoke && tones.soundingMs >= FAX_TONE_MS && isFaxTone(tones.hz)) return ['fax', 0.95]
    if (!over || !this.isBeep(tones)) return undefined
    return ['machine', this.#spoke ? 0.95 : 0.7]
  }

  /** Whether the tone that is over was a beep: before any word it may be the network's. */
  isBeep(tones: ToneFinder): boolean {
    return this.#spoke || tones.hz < CALL_PROGRESS_HZ[0] || tones.hz > CALL_PROGRESS_HZ[1]
  }

  #byTiming(vad: Vad): [AmdResult, number] | undefined {
    const elapsedMs = vad.nowMs - this.#startMs
    if (this.#beganMs === undefined) return elapsedMs >= INITIAL_SILENCE_MS ? ['unknown', 0.5] : undefined
    const greetingMs = vad.lastHeardMs - this.#beganMs
    if (greetingMs >= GREETING_MS) return ['machine', this.#words > MAX_WORDS ? 0.9 : 0.85]
    if (greetingMs >= WORDY_MS && this.#words > MAX_WORDS) return ['machine', 0.75]
    if (vad.nowMs - vad.lastHeardMs >= AFTER_GREETING_MS) return this.#waited(greetingMs)
    if (elapsedMs < TOTAL_MS) return undefined
    return greetingMs >= LONG_MS ? ['machine', 0.55] : ['unknown', 0.4]
  }

  /** Somebody spoke and waits for an answer. */
  #waited(greetingMs: number): [AmdResult, number] | undefined {
    if (greetingMs < SHORTEST_GREETING_MS) {
      this.#beganMs = undefined
      this.#words = this.#burst = 0
      return undefined
    }
    return ['human', greetingMs <= 1000 ? 0.9 : greetingMs <= 1800 ? 0.75 : 0.6]
  }
}

/** The verdict's sign of a machine that may still beep. */
export const mayBeep = (result: AmdResult): boolean => result === 'machine' || result === 'unknown'

/** How long a beep is waited for after the verdict: longer greetings are rare. */
export const BEEP_WAIT_FRAMES = 120_000 / FRAME_MS
