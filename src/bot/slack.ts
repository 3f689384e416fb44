/**
 * How much later a bot's chunks could come and still be in time: the audio before a chunk lasts `slack` ms longer when
 * the chunk arrives. What no chunk of a stream has needed for 2 s is only delay, left by a stall, a late chunk or a slot
 * that was moved. What the bot has sent ahead of time is its own lead, and stays.
 *
 *   chunk n ends ─────────────────┐                 depth of the queue = sent ahead of time + slots that passed unplayed
 *   chunk n+1 arrives ── slack ──▶│ first sample of n+1 is sent
 */
import { FRAME_MS } from '../audio/flow.ts'

const WINDOW_MS = 2000
/** Not worth a move. */
const LEAST_SPARE_MS = 2
/** So deep a queue is not judged. */
const DEEP_MS = 1000
/** Less than this ahead of time is no lead, but a first chunk that was late itself. */
const LEAST_LEAD_MS = 3 * FRAME_MS
/** What a stream keeps over its worst chunk: little, and more each time that it runs dry soon after it gave some up. */
const LEAST_KEPT_MS = 2
const MORE_KEPT_MS = 4
const MOST_KEPT_MS = 18
const HASTY_MS = 10_000
/** Nothing for so long: what follows is another stream. */
const PAUSE_MS = 1000

export class Slack {
  #windowEndMs = -1
  #leastMs = Infinity
  #leastDelayMs = Infinity
  #mostAheadMs = 0
  #lastMs = -Infinity
  // The stream: since when, and how much audio has come before the chunk that comes now.
  #beganMs = 0
  #sentMs = 0
  #keptMs = LEAST_KEPT_MS
  #gaveUpAtMs = -Infinity

  /** A chunk came to an empty queue: what was measured says nothing about what comes. */
  began(chunkMs: number, nowMs: number): void {
    this.#startWindow()
    if (nowMs - this.#lastMs > PAUSE_MS) {
      this.#beganMs = nowMs
      this.#sentMs = 0
    } else if (nowMs - this.#gaveUpAtMs < HASTY_MS) {
      this.#keptMs = Math.min(MOST_KEPT_MS, this.#keptMs + MORE_KEPT_MS)
    }
    this.#sentMs += chunkMs
    this.#lastMs = nowMs
  }

  #startWindow(): void {
    this.#windowEndMs = -1
    this.#leastMs = this.#leastDelayMs = Infinity
    this.#mostAheadMs = 0
  }

  /**
   * A chunk of `chunkMs` came with `slackMs` to go before it is needed.
   * @returns ms by which all may be heard sooner; mostly 0
   */
  arrived(slackMs: number, chunkMs: number, nowMs: number): number {
    const aheadMs = Math.max(0, this.#sentMs - (nowMs - this.#beganMs))
    this.#sentMs += chunkMs
    this.#lastMs = nowMs
    if (this.#windowEndMs < 0) this.#windowEndMs = nowMs + WINDOW_MS
    this.#leastMs = Math.min(this.#leastMs, slackMs)
    this.#leastDelayMs = Math.min(this.#leastDelayMs, slackMs - aheadMs)
    this.#mostAheadMs = Math.max(this.#mostAheadMs, aheadMs)
    if (nowMs < this.#windowEndMs) return 0
    const leastMs = this.#leastMs
    const spareMs = (this.#mostAheadMs < LEAST_LEAD_MS ? leastMs : this.#leastDelayMs) - this.#keptMs
    this.#startWindow()
    if (leastMs > DEEP_MS || spareMs < LEAST_SPARE_MS) return 0
    this.#gaveUpAtMs = nowMs
    return spareMs
  }
}
