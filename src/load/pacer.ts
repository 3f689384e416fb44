import type { Clock, Timer } from '../lib/clock.ts'
import { FRAME_MS } from '../audio/flow.ts'

/**
 * One timer for all simulated phones. Time is cut into 20 ms slots with 20 phases of 1 ms; each phone gets a phase, so
 * that hundreds of phones do not send in one burst, as they would not in the field.
 *
 *   slot 0                slot 1                slot 2
 *   |0 1 2 3 … 19|        |0 1 2 3 … 19|        |…
 *    └─ phones of phase 0, then those of phase 1, …
 *
 * Deadlines are `t0 + n ms` of the monotonic clock: a late tick catches up, so nothing drifts. After a stall longer than
 * `MAX_BEHIND_MS` the elapsed slots are skipped and not sent in a burst; the slot number tells the phone how many.
 */
export type OnSlot = (slot: number) => void

const PHASES = FRAME_MS
const TICK_MS = 1
const MAX_BEHIND_MS = 3 * FRAME_MS

export class Pacer {
  readonly #clock: Clock
  readonly #phases: Set<OnSlot>[] = Array.from({ length: PHASES }, () => new Set<OnSlot>())
  #t0Ms = 0
  /** Ticks (ms since t0) done so far. */
  #doneTicks = 0
  #nextPhase = 0
  #members = 0
  #timer: Timer | undefined
  #skippedMs = 0
  #worstLateMs = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Calls `onSlot` each 20 ms from now on; returns the function that ends it. */
  add(onSlot: OnSlot): () => void {
    // Spread by 7 (coprime to 20): neighbours in time of joining do not become neighbours in phase.
    const members = this.#phases[this.#nextPhase]
    this.#nextPhase = (this.#nextPhase + 7) % PHASES
    members.add(onSlot)
    this.#members++
    if (!this.#timer) this.#start()
    return () => {
      if (!members.delete(onSlot)) return
      this.#members--
      if (this.#members === 0) this.#stop()
    }
  }

  /** How long this process itself was late or had to skip: figures of a run with large ones are not the bridge's. */
  get health(): { skippedMs: number; worstLateMs: number } {
    return { skippedMs: this.#skippedMs, worstLateMs: this.#worstLateMs }
  }

  resetHealth(): void {
    this.#skippedMs = 0
    this.#worstLateMs = 0
  }

  #start(): void {
    this.#t0Ms = this.#clock.now()
    this.#doneTicks = 0
    this.#arm()
  }

  #stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #arm(): void {
    this.#timer = this.#clock.after(TICK_MS, () => this.#tick())
  }

  #tick(): void {
    const elapsed = Math.floor(this.#clock.now() - this.#t0Ms)
    const lateMs = elapsed - this.#doneTicks - TICK_MS
    if (lateMs > this.#worstLateMs) this.#worstLateMs = lateMs
    if (lateMs > MAX_BEHIND_MS) {
      this.#skippedMs += lateMs
      this.#doneTicks = elapsed - TICK_MS
    }
    while (this.#doneTicks < elapsed) {
      const tick = this.#doneTicks++
      const slot = Math.floor(tick / PHASES)
      for (const onSlot of this.#phases[tick % PHASES]) onSlot(slot)
    }
    if (this.#members > 0) this.#arm()
  }
}
