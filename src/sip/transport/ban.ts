/** Sources that keep sending rubbish are not read for a while (RELIABILITY S1). Bounded, lazily emptied; no timers. */
import type { Clock } from '../../lib/clock.ts'

const WINDOW_MS = 10_000
const MOST_BAD = 20
const BAN_MS = 300_000
const MOST_SOURCES = 4096

interface Record {
  windowStartMs: number
  bad: number
  bannedUntilMs: number
}

export class BanList {
  readonly #clock: Clock
  // Oldest first: a Map keeps the order of insertion.
  readonly #sources = new Map<string, Record>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** True when this one tipped the source over. */
  bad(source: string): boolean {
    const nowMs = this.#clock.now()
    let record = this.#sources.get(source)
    if (!record || nowMs - record.windowStartMs > WINDOW_MS) {
      if (record && record.bannedUntilMs > nowMs) return false
      this.#sources.delete(source)
      if (this.#sources.size >= MOST_SOURCES) this.#dropOldest()
      record = { windowStartMs: nowMs, bad: 0, bannedUntilMs: 0 }
      this.#sources.set(source, record)
    }
    if (++record.bad !== MOST_BAD) return false
    record.bannedUntilMs = nowMs + BAN_MS
    return true
  }

  banned(source: string): boolean {
    // The common case is an empty list.
    if (this.#sources.size === 0) return false
    const record = this.#sources.get(source)
    return record !== undefined && record.bannedUntilMs > this.#clock.now()
  }

  #dropOldest(): void {
    for (const source of this.#sources.keys()) {
      this.#sources.delete(source)
      return
    }
  }
}
