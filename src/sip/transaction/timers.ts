/** RFC 3261 §17 table 4, with L and M of RFC 6026: the timer values that follow from T1, T2 and T4. All ms. */
import type { Clock, Timer } from '../../lib/clock.ts'

export interface SipTimers {
  /** Round-trip estimate. */
  t1Ms: number
  /** Longest interval between repeats of non-INVITE requests and of INVITE finals. */
  t2Ms: number
  /** How long a message may live in the network. */
  t4Ms: number
  /** INVITE server: an automatic 100 when nothing else was answered by then (§17.2.1). */
  tryingMs: number
  /** Timer D over UDP: at least 32 s. */
  timerDMs: number
}

export const DEFAULT_TIMERS: SipTimers = { t1Ms: 500, t2Ms: 4000, t4Ms: 5000, tryingMs: 200, timerDMs: 32_000 }

export const sipTimers = (more: Partial<SipTimers> = {}): SipTimers => ({ ...DEFAULT_TIMERS, ...more })

export interface TimerTable {
  /** First interval of A (INVITE client): doubles without cap; undefined on reliable flows. */
  a: number | undefined
  b: number
  d: number
  /** First interval of E (non-INVITE client): doubles up to T2; undefined on reliable flows. */
  e: number | undefined
  f: number
  /** First interval of G (INVITE server, 3xx-6xx): doubles up to T2; undefined on reliable flows. */
  g: number | undefined
  h: number
  i: number
  j: number
  k: number
  l: number
  m: number
}

export function timerTable(t: SipTimers, reliable: boolean): TimerTable {
  const long = 64 * t.t1Ms
  return {
    a: reliable ? undefined : t.t1Ms,
    b: long,
    d: reliable ? 0 : t.timerDMs,
    e: reliable ? undefined : t.t1Ms,
    f: long,
    g: reliable ? undefined : t.t1Ms,
    h: long,
    i: reliable ? 0 : t.t4Ms,
    j: reliable ? 0 : long,
    k: reliable ? 0 : t.t4Ms,
    l: long,
    m: long,
  }
}

/** The running timers of one transaction, by letter. All are gone when it ends. */
export class TimerSet {
  readonly #clock: Clock
  readonly #running = new Map<string, Timer>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  start(letter: string, ms: number, fn: () => void): void {
    this.#running.get(letter)?.cancel()
    const timer = this.#clock.after(ms, () => {
      this.#running.delete(letter)
      fn()
    })
    this.#running.set(letter, timer)
  }

  /** `fn` after `firstMs`, then at intervals that double up to `mostMs`. */
  repeat(letter: string, firstMs: number, mostMs: number, fn: () => void): void {
    this.start(letter, firstMs, () => {
      this.repeat(letter, Math.min(firstMs * 2, mostMs), mostMs, fn)
      fn()
    })
  }

  stop(letter: string): void {
    this.#running.get(letter)?.cancel()
    this.#running.delete(letter)
  }

  stopAll(): void {
    for (const timer of this.#running.values()) timer.cancel()
    this.#running.clear()
  }
}
