import type { Clock, Timer } from '../../src/lib/clock.ts'

interface Pending {
  atMs: number
  order: number
  fn: () => void
}

/** Virtual time: nothing happens until a test calls `advance`. Timers fire in order of deadline, then of creation. */
export class FakeClock implements Clock {
  #nowMs = 0
  #wallOffsetMs: number
  #order = 0
  #pending = new Set<Pending>()

  constructor(wallStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallOffsetMs = wallStartMs
  }

  now(): number {
    return this.#nowMs
  }

  wallMs(): number {
    return this.#wallOffsetMs + this.#nowMs
  }

  /** Moves the wall clock alone, as NTP or an operator would. */
  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms
  }

  after(delayMs: number, fn: () => void): Timer {
    const entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, fn }
    this.#pending.add(entry)
    return { cancel: () => this.#pending.delete(entry) }
  }

  get pending(): number {
    return this.#pending.size
  }

  /** Fires every timer due within the next `ms`, each at its own moment. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms
    for (;;) {
      let next: Pending | undefined
      for (const p of this.#pending) {
        if (p.atMs > untilMs) continue
        if (!next || p.atMs < next.atMs || (p.atMs === next.atMs && p.order < next.order)) next = p
      }
      if (!next) break
      this.#pending.delete(next)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.fn()
    }
    this.#nowMs = untilMs
  }

  /** The event loop is blocked for `ms`: what fell due fires late, together, after the sockets have been read (`io`). */
  stall(ms: number, io?: () => void): void {
    this.#nowMs += ms
    io?.()
    this.advance(0)
  }

  /** As `advance`, but lets promises settle between timers. */
  async run(ms: number, stepMs = ms): Promise<void> {
    for (let doneMs = 0; doneMs < ms; doneMs += stepMs) {
      this.advance(Math.min(stepMs, ms - doneMs))
      await settle()
    }
  }
}

/** Lets everything that is already resolved run. */
export const settle = async (): Promise<void> => {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}
