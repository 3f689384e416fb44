/**
 * Whether the caller speaks: a frame counts when it is louder than the line's own noise and no tone; speech starts when
 * four of six such frames show a pitch, and stops when none came for half a second. Ours; no page prescribes it.
 *
 *   level    ──────▁▃▆█▇▃▁▂▅▇▅▂▁───────────────────
 *   speaking         ╭──started          stopped──╮
 *   atMs          ◀──┤ (looks back)     ◀─────────┤ (end of the last frame that counted)
 *
 * Noise floor: the least level of the last 2.5 s, so that steady sound of any kind becomes the floor in that time; noise
 * without a pitch does so in a third of a second.
 */
import { FRAME_MS, type Law } from './flow.ts'
import { meanSquareOf } from './energy.ts'
import { FrameShape } from './shape.ts'

export type VadChange = 'started' | 'stopped' | undefined

export interface VadOptions {
  /** No speech for so long ends it, ms. */
  hangoverMs?: number
}

/** Frames of the window in which speech must show itself, how many must be loud in it, how many have a pitch. */
const START_WINDOW = 6
const START_LOUD = 4
const START_VOICED = 2
/** Without a pitch (a whisper, a line that cuts the low band): so many loud frames of 16, of changing level. */
const UNVOICED_LOUD = 14
const UNVOICED_RANGE = 10
/** A voice moves: levels within 2 dB over the frames of a start are a hum or a machine. */
const STEADY_RANGE = 1.6
const STEADY_FRAMES = 4
const PITCH = 0.6
/** Speech goes on without a pitch for so long at most: what remains then is noise that came with it. */
const VOICELESS_FRAMES = 60

/** Above the floor: to count for a start, and to count once there is speech (6 and 4 dB). */
const LOUD = 4
const HEARD = 2.5
/** The floor is never thought to be lower than this, so that digital silence makes nothing loud. */
const LEAST_FLOOR = meanSquareOf(-60)
const FIRST_FLOOR = meanSquareOf(-52)
/** A frame below this is filled in or suppressed by somebody: it tells nothing about the line's noise. */
const NO_SOUND = meanSquareOf(-82)
/** The least of a span's smoothed levels lies below their mean. */
const FLOOR_BIAS = 1.4
const SPANS = 8
const SPAN_FRAMES = 16
/** So many frames of the line's own sound must be known before they are believed. */
const FLOOR_FRAMES = 32

/** The levels that are kept; also the frames that make noise known. */
const LEVELS = 16
const WINDOW_BITS = (1 << START_WINDOW) - 1
const LAST_16 = 0xffff
/** 16 frames, nearly all loud and without a pitch, whose levels lie within 9 dB are noise that has come up. */
const NOISE_LOUD = 13
const NOISE_VOICED = 3
const NOISE_RANGE = 8
/** An utterance may begin so long before its first pitch, frames. */
const LOOK_BACK = 16

function bitsIn(word: number): number {
  let n = 0
  for (let w = word; w !== 0; w &= w - 1) n++
  return n
}

export class Vad {
  readonly shape = new FrameShape()
  readonly #hangoverFrames: number
  /** One bit a frame, the newest lowest. */
  #loud = 0
  #voiced = 0
  readonly #levels = new Float64Array(LEVELS)
  readonly #leasts = new Float64Array(SPANS)
  #span = 0
  #spanFrames = 0
  #learned = 0
  #smooth = 0
  #floor = FIRST_FLOOR
  #frames = 0
  #lastHeard = 0
  #lastVoiced = 0
  #speaking = false
  #heard = false
  #tone: 'one' | 'two' | undefined
  #beganMs = 0
  #endedMs = 0

  constructor(options: VadOptions = {}) {
    this.#hangoverFrames = Math.max(1, Math.round((options.hangoverMs ?? 500) / FRAME_MS))
    this.restart(0)
  }

  get speaking(): boolean {
    return this.#speaking
  }

  /** The frame just taken counts as speech by itself: no hangover, no start. */
  get heard(): boolean {
    return this.#heard
  }

  /** The frame just taken is a tone, or two. */
  get tone(): 'one' | 'two' | undefined {
    return this.#tone
  }

  /** End of the frame just taken. */
  get nowMs(): number {
    return this.#frames * FRAME_MS
  }

  /** When the speech that was started last began, and when the last that stopped had ended. */
  get beganMs(): number {
    return this.#beganMs
  }

  get endedMs(): number {
    return this.#endedMs
  }

  /** End of the last frame that counted as speech. */
  get lastHeardMs(): number {
    return this.#lastHeard * FRAME_MS
  }

  /** Of the change told last: when speech began, or when it ended. */
  get atMs(): number {
    return this.#speaking ? this.#beganMs : this.#endedMs
  }

  /** Begins anew, `atMs` into the call: frames were not given in between. */
  restart(atMs: number): void {
    this.shape.reset()
    this.#frames = Math.round(atMs / FRAME_MS)
    this.#loud = this.#voiced = 0
    this.#levels.fill(0)
    this.#leasts.fill(Infinity)
    this.#span = this.#spanFrames = this.#learned = 0
    this.#smooth = this.#floor = FIRST_FLOOR
    this.#lastHeard = this.#lastVoiced = this.#frames
    this.#endedMs = this.#beganMs = this.nowMs
    this.#speaking = this.#heard = false
    this.#tone = undefined
  }

  /** Takes the next 20 ms. @returns what changed with it, if anything */
  frame(frame: Uint8Array, law: Law): VadChange {
    const level = this.shape.take(frame, law)
    this.#levels[this.#frames++ & (LEVELS - 1)] = level
    const candidate = level > this.#floor * HEARD
    this.#tone = candidate ? this.shape.tone() : undefined
    const loud = level > this.#floor * LOUD && !this.#tone
    const voiced = loud && this.shape.periodicity() > PITCH
    this.#heard = (this.#speaking ? candidate : loud) && !this.#tone
    this.#loud = (this.#loud << 1) | (loud ? 1 : 0)
    this.#voiced = (this.#voiced << 1) | (voiced ? 1 : 0)
    if (this.#heard) this.#lastHeard = this.#frames
    if (voiced) this.#lastVoiced = this.#frames
    // A tone is never taken for speech, so it need not become the floor: what comes after it is measured against silence.
    if (level > NO_SOUND && !this.#tone) this.#learn(level)
    if (loud && bitsIn(this.#loud & LAST_16) >= NOISE_LOUD) this.#meetNoise()
    return this.#speaking ? this.#stop() : this.#start(loud)
  }

  #start(loud: boolean): VadChange {
    if (!loud || !(this.#byPitch() || this.#byRange())) return undefined
    this.#speaking = true
    this.#lastVoiced = this.#frames
    this.#beganMs = Math.max(this.#endedMs, (this.#frames - this.#lookBack()) * FRAME_MS)
    return 'started'
  }

  #byPitch(): boolean {
    const loud = bitsIn(this.#loud & WINDOW_BITS)
    if (loud < START_LOUD || bitsIn(this.#voiced & WINDOW_BITS) < START_VOICED) return false
    // The first frame of a run is only partly filled: its level says nothing.
    return this.#range(Math.min(STEADY_FRAMES, loud - 1)) > STEADY_RANGE
  }

  #byRange(): boolean {
    return bitsIn(this.#loud & LAST_16) >= UNVOICED_LOUD && this.#range(LEVELS - 4) > UNVOICED_RANGE
  }

  #stop(): VadChange {
    const quiet = this.#frames - this.#lastHeard
    const voiceless = this.#frames - this.#lastVoiced
    if (quiet < this.#hangoverFrames && voiceless < VOICELESS_FRAMES) return undefined
    this.#speaking = false
    this.#endedMs = Math.min(this.#lastHeard, voiceless < VOICELESS_FRAMES ? Infinity : this.#lastVoiced) * FRAME_MS
    // What came before does not count for the next start.
    this.#loud = this.#voiced = 0
    return 'stopped'
  }

  /** Frames since the run of loud ones began; a gap of two does not break it. */
  #lookBack(): number {
    let back = 0
    let gap = 0
    for (let i = 0; i < LOOK_BACK && gap <= 2; i++) {
      if ((this.#loud >>> i) & 1) {
        back = i + 1
        gap = 0
      } else gap++
    }
    return back
  }

  /** Greatest to least level of the last `n` frames. */
  #range(n: number): number {
    let least = Infinity
    let most = 0
    for (let i = 1; i <= n; i++) {
      const level = this.#levels[(this.#frames - i) & (LEVELS - 1)]
      if (level < least) least = level
      if (level > most) most = level
    }
    return most / Math.max(1, least)
  }

  #meetNoise(): void {
    if (bitsIn(this.#voiced & LAST_16) > NOISE_VOICED || this.#range(LEVELS) > NOISE_RANGE) return
    this.#leasts.fill(this.#smooth)
    this.#learned = FLOOR_FRAMES
    this.#floor = this.#smooth * FLOOR_BIAS
    // Nothing of it was speech, and a start must not look back on it.
    this.#lastHeard = Math.min(this.#lastHeard, Math.max(this.#lastVoiced, this.#frames - LEVELS))
    this.#loud = 0
  }

  #learn(level: number): void {
    this.#smooth += 0.3 * (level - this.#smooth)
    const leasts = this.#leasts
    if (this.#smooth < leasts[this.#span]) leasts[this.#span] = this.#smooth
    if (++this.#spanFrames === SPAN_FRAMES) {
      this.#spanFrames = 0
      this.#span = (this.#span + 1) % SPANS
      leasts[this.#span] = this.#smooth
    }
    let least = leasts[0]
    for (let i = 1; i < SPANS; i++) if (leasts[i] < least) least = leasts[i]
    const floor = Math.max(LEAST_FLOOR, least * FLOOR_BIAS)
    this.#floor = ++this.#learned < FLOOR_FRAMES ? Math.min(FIRST_FLOOR, floor) : floor
  }
}
