/**
 * Time as a parameter. Everything that waits or measures takes a Clock, so that tests run in virtual time
 * (test/fakes/clock.ts) and no other file touches Date, performance or the timer functions.
 */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Monotonic time in ms, with fraction. For durations, deadlines and pacing. */
  now(): number
  /** Wall-clock time in ms since the epoch. Only for what people read and for schedules. */
  wallMs(): number
  /** Runs `fn` once after `delayMs` (at the earliest). */
  after(delayMs: number, fn: () => void): Timer
}

// setTimeout fires at once for delays past 2^31-1 ms; such a wait is cut into pieces.
const LONGEST_MS = 2_000_000_000

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  after(delayMs, fn) {
    let handle: NodeJS.Timeout
    const arm = (leftMs: number): void => {
      handle = leftMs > LONGEST_MS ? setTimeout(arm, LONGEST_MS, leftMs - LONGEST_MS) : setTimeout(fn, leftMs)
    }
    arm(delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
}

export const sleep = (clock: Clock, ms: number): Promise<void> =>
  new Promise((resolve) => {
    clock.after(ms, resolve)
  })

/** Runs `fn` each `periodMs` until cancelled; each period starts when the one before has fired. */
export function every(clock: Clock, periodMs: number, fn: () => void): Timer {
  let timer: Timer
  const arm = (): void => {
    timer = clock.after(periodMs, () => {
      arm()
      fn()
    })
  }
  arm()
  return { cancel: () => timer.cancel() }
}
