import { systemClock, type Clock, type Timer } from './clock.ts'

/**
 * The tight timer of the audio path: wakes at a monotonic deadline, and after a wake lets the sockets be read first.
 *
 *   event loop:   timers ──▶ poll (sockets are read) ──▶ check (setImmediate) ──▶ timers …
 *                   │ deadline reached                      ▲ run()
 *                   └───────────────────────────────────────┘
 *
 * Without the hop a late loop would play out before reading the packets that have been waiting in the kernel, and
 * count them as lost. One Pace per worker, one timer under way: its cost does not depend on the number of calls.
 */
export class Pace {
  readonly #clock: Clock
  readonly #run: () => void
  readonly #afterIo: boolean
  #timer: Timer | undefined
  #deadlineMs = 0
  #running = false

  constructor(clock: Clock, run: () => void) {
    this.#clock = clock
    this.#run = run
    this.#afterIo = clock === systemClock
  }

  /** Runs once at `deadlineMs` of the clock's monotonic time (a timer may fire up to 1 ms late). Replaces the one before. */
  at(deadlineMs: number): void {
    this.cancel()
    this.#deadlineMs = deadlineMs
    this.#running = true
    this.#arm()
  }

  cancel(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#running = false
  }

  #arm(): void {
    this.#timer = this.#clock.after(Math.max(0, this.#deadlineMs - this.#clock.now()), this.#fired)
  }

  readonly #fired = (): void => {
    this.#timer = undefined
    // Timers count in whole ms of the loop's cached time and may fire a fraction early.
    if (this.#clock.now() < this.#deadlineMs - 0.3) this.#arm()
    else if (this.#afterIo) setImmediate(this.#due)
    else this.#due()
  }

  readonly #due = (): void => {
    if (!this.#running) return
    this.#running = false
    this.#run()
  }
}
