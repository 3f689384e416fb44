/**
 * The one deadline loop of a worker: every leg's 20 ms clock. A wheel of 20 slots of 1 ms; a member sits in one slot
 * (its phase) and is called once per turn of the wheel at t0 + phase + n·20 ms. Not a scheduler: no audio in here.
 *
 *   turn n   |0|1|2|3| … |19|0|1| …      1 ms each, deadlines from the monotonic clock, so nothing adds up
 *             │   └ legs c, f             members are spread over the phases: no burst of 200 packets at once
 *             └ legs a, b
 *
 * After a stall each member is called once with the number of its deadlines that have passed (`turns`), never once per
 * missed deadline.
 */
import type { Clock } from '../lib/clock.ts'
import { Pace } from '../lib/pace.ts'

export const PHASES = 20

export interface Slot {
  /**
   * @param dueMs the deadline, on the monotonic clock: exactly n·20 ms after an earlier one unless the slot was moved
   * @param turns deadlines that have passed since the last call: 1, or more after a stall
   */
  tick(dueMs: number, turns: number): void
}

interface Seat {
  slot: Slot
  phase: number
  /** Wheel step of the last call (or of taking the seat). */
  lastStep: number
}

export class Playout {
  readonly #clock: Clock
  readonly #pace: Pace
  readonly #onError: (err: unknown) => void
  readonly #wheel: Seat[][] = Array.from({ length: PHASES }, () => [])
  readonly #seats = new Map<Slot, Seat>()
  #t0Ms = 0
  /** The last step (ms since t0) that was run. */
  #step = 0
  #started = false
  #maxLatenessMs = 0
  /** Calls of #run that came 20 ms or more late. */
  stalls = 0

  /** @param onError a member that throws is reported here and never harms the others. */
  constructor(clock: Clock, onError: (err: unknown) => void = () => undefined) {
    this.#clock = clock
    this.#onError = onError
    this.#pace = new Pace(clock, () => this.#run())
  }

  start(): void {
    if (this.#started) return
    this.#started = true
    // Whole ms, so that every deadline is one: V8 passes those as they are, and puts each fraction into an object.
    this.#t0Ms = Math.floor(this.#clock.now())
    this.#step = 0
    for (const seat of this.#seats.values()) seat.lastStep = 0
    this.#armNext()
  }

  stop(): void {
    this.#started = false
    this.#pace.cancel()
  }

  get size(): number {
    return this.#seats.size
  }

  /** The worst lateness of the loop since the last `takeMaxLatenessMs`. */
  get maxLatenessMs(): number {
    return this.#maxLatenessMs
  }

  takeMaxLatenessMs(): number {
    const ms = this.#maxLatenessMs
    this.#maxLatenessMs = 0
    return ms
  }

  /** Takes the emptiest phase. */
  add(slot: Slot): void {
    let phase = 0
    for (let i = 1; i < PHASES; i++) if (this.#wheel[i].length < this.#wheel[phase].length) phase = i
    this.#seat(slot, phase, this.#nowStep())
  }

  /** Takes the phase opposite of `other`'s: half a turn (10 ms) later. */
  addOpposite(slot: Slot, other: Slot): void {
    const phase = this.#seats.get(other)?.phase ?? 0
    this.#seat(slot, (phase + PHASES / 2) % PHASES, this.#nowStep())
  }

  remove(slot: Slot): void {
    const seat = this.#seats.get(slot)
    if (!seat) return
    this.#seats.delete(slot)
    const row = this.#wheel[seat.phase]
    // A new array: the loop may be walking the old one.
    this.#wheel[seat.phase] = row.filter((s) => s !== seat)
    if (this.#seats.size === 0) this.#pace.cancel()
  }

  /** The next deadline of `slot` becomes the first whole step at or after `atMs`; from there each 20 ms. */
  moveTo(slot: Slot, atMs: number): void {
    const seat = this.#seats.get(slot)
    if (!seat) return
    const step = Math.max(this.#step + 1, Math.ceil(atMs - this.#t0Ms - 1e-6))
    this.remove(slot)
    this.#seat(slot, step % PHASES, step - PHASES)
  }

  /** The next deadline of `slot`, monotonic ms. */
  nextDueMs(slot: Slot): number {
    const seat = this.#seats.get(slot)
    if (!seat) return this.#clock.now()
    return this.#t0Ms + this.#firstStepAfter(Math.max(this.#step, seat.lastStep), seat.phase)
  }

  #nowStep(): number {
    return this.#started ? Math.max(this.#step, Math.floor(this.#clock.now() - this.#t0Ms)) : 0
  }

  #seat(slot: Slot, phase: number, lastStep: number): void {
    if (this.#seats.has(slot)) this.remove(slot)
    // After a time without members the loop has not moved on: it starts again from now.
    if (this.#seats.size === 0 && this.#started) this.#step = Math.max(this.#step, this.#nowStep())
    const seat = { slot, phase, lastStep }
    this.#seats.set(slot, seat)
    this.#wheel[phase] = [...this.#wheel[phase], seat]
    if (this.#started) this.#armNext()
  }

  #firstStepAfter(step: number, phase: number): number {
    const from = step + 1
    return from + ((phase - (from % PHASES) + PHASES) % PHASES)
  }

  #armNext(): void {
    if (this.#seats.size === 0) return
    for (let step = this.#step + 1; ; step++) {
      if (this.#wheel[step % PHASES].length === 0) continue
      this.#pace.at(this.#t0Ms + step)
      return
    }
  }

  #run(): void {
    const nowStep = Math.floor(this.#clock.now() - this.#t0Ms + 0.5)
    const from = this.#step + 1
    // One turn of the wheel at most: what lies further back is counted in `turns`.
    const first = Math.max(from, nowStep - PHASES + 1)
    let latestDue = nowStep
    for (let step = from; step <= nowStep && step < from + PHASES; step++) {
      if (this.#wheel[step % PHASES].length > 0) {
        latestDue = step
        break
      }
    }
    const latenessMs = nowStep - latestDue
    if (latenessMs > this.#maxLatenessMs) this.#maxLatenessMs = latenessMs
    if (latenessMs >= PHASES) this.stalls++
    for (let step = first; step <= nowStep; step++) {
      this.#step = step
      const row = this.#wheel[step % PHASES]
      for (let i = 0; i < row.length; i++) {
        const seat = row[i]
        const turns = Math.floor((step - seat.lastStep) / PHASES)
        // Taken in this very turn, or moved away while the row was walked.
        if (step <= seat.lastStep || this.#seats.get(seat.slot) !== seat) continue
        seat.lastStep = step
        try {
          seat.slot.tick(this.#t0Ms + step, Math.max(1, turns))
        } catch (err) {
          this.#onError(err)
        }
      }
    }
    this.#step = Math.max(this.#step, nowStep)
    if (this.#started) this.#armNext()
  }
}
