/**
 * How early packets are: the lead of a packet is the time between its arrival and the slot that plays its first sample.
 * Keeps the smallest and the largest of the last seconds; the jitter buffer keeps the smallest just above zero.
 *
 *   arrival ──── lead ────▶ slot          max ≈ delay that the buffer adds to the fastest packet
 *                                         max − min ≈ jitter of the network
 */
const WINDOW_MS = 500
const WINDOWS = 16

export class LeadStats {
  readonly #min = new Float64Array(WINDOWS)
  readonly #max = new Float64Array(WINDOWS)
  #index = 0
  /** Full windows since reset; the current one is not counted. */
  #filled = 0
  #windowEndMs = -1
  #curMin = Infinity
  #curMax = -Infinity
  #usualKnown = false
  /** What look() found. Fields, not results: V8 puts a fraction that a function returns into an object. */
  latelyMs = Infinity
  patientMs = -Infinity
  usualMs = Infinity

  reset(): void {
    this.#filled = 0
    this.#usualKnown = false
    this.#windowEndMs = -1
    this.#curMin = Infinity
    this.#curMax = -Infinity
  }

  push(leadMs: number, nowMs: number): void {
    if (this.#windowEndMs < 0) this.#windowEndMs = nowMs + WINDOW_MS
    else if (nowMs >= this.#windowEndMs) this.#roll(nowMs)
    if (leadMs < this.#curMin) {
      this.#curMin = leadMs
      this.#usualKnown = false
    }
    if (leadMs > this.#curMax) this.#curMax = leadMs
  }

  #roll(nowMs: number): void {
    this.#usualKnown = false
    this.#min[this.#index] = this.#curMin
    this.#max[this.#index] = this.#curMax
    this.#index = (this.#index + 1) % WINDOWS
    this.#filled = Math.min(WINDOWS, this.#filled + 1)
    this.#windowEndMs = nowMs + WINDOW_MS
    this.#curMin = Infinity
    this.#curMax = -Infinity
  }

  /** Everything was moved: leads measured so far are worth so much more (or less) now. */
  shift(ms: number): void {
    for (let i = 0; i < WINDOWS; i++) {
      this.#min[i] += ms
      this.#max[i] += ms
    }
    this.#usualKnown = false
    this.#curMin += ms
    this.#curMax += ms
  }

  /**
   * Fills in the smallest lead of the current window and of the last `lately` ones of 0.5 s; the same of `patient` ones,
   * −∞ while fewer have passed; and what happens again and again on this path: the smallest lead since reset (8 s at
   * most) but for the one event that was worst, which touches a window and perhaps its neighbour. ∞ when there has been
   * no other.
   */
  look(lately: number, patient: number): void {
    let min = this.#curMin
    const most = Math.min(Math.max(lately, patient), this.#filled)
    let latelyMs = min
    let patientMs = this.#filled < patient ? -Infinity : min
    for (let i = 1; i <= most; i++) {
      min = Math.min(min, this.#min[(this.#index - i + WINDOWS) % WINDOWS])
      if (i <= lately) latelyMs = min
      if (i === patient) patientMs = min
    }
    this.latelyMs = latelyMs
    this.patientMs = patientMs
    if (!this.#usualKnown) this.#findUsual()
  }

  #findUsual(): void {
    let worst = 0
    let worstMs = this.#curMin
    for (let i = 1; i <= this.#filled; i++) {
      const ms = this.#min[(this.#index - i + WINDOWS) % WINDOWS]
      if (ms >= worstMs) continue
      worst = i
      worstMs = ms
    }
    let min = worst > 1 ? this.#curMin : Infinity
    for (let i = 1; i <= this.#filled; i++)
      if (Math.abs(i - worst) > 1) min = Math.min(min, this.#min[(this.#index - i + WINDOWS) % WINDOWS])
    this.usualMs = min
    this.#usualKnown = true
  }

  /** Largest lead of the current and the last 2 windows; 0 when there is none. */
  max(): number {
    let max = this.#curMax
    for (let i = 1; i <= Math.min(2, this.#filled); i++)
      max = Math.max(max, this.#max[(this.#index - i + WINDOWS) % WINDOWS])
    return max === -Infinity ? 0 : max
  }
}
