/**
 * How much nonsense a bot may talk: mistakes are answered with a non-fatal error, up to a rate at which answering would
 * itself be a load, and up to a higher one at which the session ends.
 */
import type { BotErrorCode } from './dialect.ts'

const MAX_BAD_PER_SECOND = 50
const MAX_ANSWERS_PER_SECOND = 10

export class Patience {
  readonly #now: () => number
  #windowStartMs = -Infinity
  #badInWindow = 0
  #answersInWindow = 0
  bad = 0
  readonly errors: Partial<Record<BotErrorCode, number>> = {}

  constructor(now: () => number) {
    this.#now = now
  }

  /** One more garbled message. True: that was one too many. */
  countBad(): boolean {
    this.#roll()
    this.bad++
    return ++this.#badInWindow > MAX_BAD_PER_SECOND
  }

  /** One more error to tell. False: count it and keep silent. */
  mayAnswer(code: BotErrorCode): boolean {
    this.#roll()
    this.errors[code] = (this.errors[code] ?? 0) + 1
    return ++this.#answersInWindow <= MAX_ANSWERS_PER_SECOND
  }

  #roll(): void {
    const nowMs = this.#now()
    if (nowMs - this.#windowStartMs < 1000) return
    this.#windowStartMs = nowMs
    this.#badInWindow = this.#answersInWindow = 0
  }
}
