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

  reset(): void {
    this.#filled = 0
    this.#windowEndMs = -1
    this.#curMin = Infinity
    this.#curMax = -Infinity
  }

  push(leadMs: number, nowMs: number): void {
    if (this.#windowEndMs < 0) this.#windowEndMs = nowMs + WINDOW_MS
    else if (nowMs >= this.#windowEndMs) this.#roll(nowMs)
    if (leadMs < this.#curMin) this.#curMin = leadMs
    if (leadMs > this.#curMax) this.#curMax = leadMs
  }

  #roll(nowMs: number): void {
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
    this.#curMin += ms
    this.#curMax += ms
  }

  /** Smallest lead of the current and the last `windows` windows of 0.5 s; −∞ while fewer have passed and `strict`. */
  min(windows: number, strict = false): number {
    if (strict && this.#filled < windows) return -Infinity
    let min = this.#curMin
    for (let i = 1; i <= Math.min(windows, this.#filled); i++) min = Math.min(min, this.#back(i))
    return min
  }

  /**
   * What happens again and again on this path: the smallest lead since reset (8 s at most) but for the one event that
   * was worst, which touches a window and perhaps its neighbour. ∞ when there has been no other.
   */
  usualMin(): number {
    let worst = 0
    for (let i = 1; i <= this.#filled; i++) if (this.#back(i) < this.#back(worst)) worst = i
    let min = Infinity
    for (let i = 0; i <= this.#filled; i++) if (Math.abs(i - worst) > 1) min = Math.min(min, this.#back(i))
    return min
  }

  // Smallest lead of the window `i` before the current one.
  #back(i: number): number {
    return i === 0 ? this.#curMin : this.#min[(this.#index - i + WINDOWS) % WINDOWS]
  }

  /** Largest lead of the current and the last 2 windows; 0 when there is none. */
  max(): number {
    let max = this.#curMax
    for (let i = 1; i <= Math.min(2, this.#filled); i++)
      max = Math.max(max, this.#max[(this.#index - i + WINDOWS) % WINDOWS])
    return max === -Infinity ? 0 : max
  }
}
