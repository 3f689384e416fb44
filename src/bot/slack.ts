/**
 * How much later a bot's chunks could come and still be in time: the audio before a chunk lasts `slack` ms longer when
 * the chunk arrives. What no chunk of a thin stream has needed for 2 s is only delay, left by a stall, a late chunk or a
 * slot that was moved. What the bot sent ahead at the start of its stream is its own lead, and stays.
 *
 *   chunk n ends ─────────────────┐
 *   chunk n+1 arrives ── slack ──▶│ first sample of n+1 is sent
 */

import { FRAME_MS } from '../audio/flow.ts'

const WINDOW_MS = 2000
/** Not worth a move. */
const LEAST_SPARE_MS = 2
/** A queue deeper than this was sent ahead: delay means nothing there. */
const THIN_MS = 100
/** What a stream keeps over its worst chunk: little, and more each time that it runs dry soon after it gave some up. */
const LEAST_KEPT_MS = 2
const MORE_KEPT_MS = 4
const MOST_KEPT_MS = 18
const HASTY_MS = 10_000
/** Nothing for so long: what follows is another stream. */
const PAUSE_MS = 1000
/** The chunks after the first that show the bot's own lead. */
const START_CHUNKS = 10

export class Slack {
  #windowEndMs = -1
  #leastMs = Infinity
  #lastMs = -Infinity
  #chunks = 0
  #ownLeadMs = Infinity
  #keptMs = LEAST_KEPT_MS
  #gaveUpAtMs = -Infinity

  /** A chunk came to an empty queue: what was measured says nothing about what comes. */
  began(nowMs: number): void {
    this.#startWindow()
    if (nowMs - this.#lastMs > PAUSE_MS) {
      this.#chunks = 0
      this.#ownLeadMs = Infinity
    } else if (nowMs - this.#gaveUpAtMs < HASTY_MS) {
      this.#keptMs = Math.min(MOST_KEPT_MS, this.#keptMs + MORE_KEPT_MS)
    }
    this.#lastMs = nowMs
  }

  #startWindow(): void {
    this.#windowEndMs = -1
    this.#leastMs = Infinity
  }

  /**
   * A chunk came with `slackMs` to go before it is needed.
   * @returns ms by which all may be heard sooner; mostly 0
   */
  arrived(slackMs: number, nowMs: number): number {
    this.#lastMs = nowMs
    if (this.#chunks < START_CHUNKS) {
      this.#chunks++
      this.#ownLeadMs = Math.min(this.#ownLeadMs, slackMs)
    }
    if (this.#windowEndMs < 0) this.#windowEndMs = nowMs + WINDOW_MS
    if (slackMs < this.#leastMs) this.#leastMs = slackMs
    if (nowMs < this.#windowEndMs) return 0
    const leastMs = this.#leastMs
    this.#startWindow()
    // Less than a frame is no lead but where the first slot happened to be.
    const ownLeadMs = this.#ownLeadMs < FRAME_MS ? 0 : this.#ownLeadMs
    const spareMs = leastMs - ownLeadMs - this.#keptMs
    if (leastMs > THIN_MS || spareMs < LEAST_SPARE_MS) return 0
    this.#gaveUpAtMs = nowMs
    return spareMs
  }
}
