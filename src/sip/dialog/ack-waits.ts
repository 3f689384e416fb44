/**
 * Our 2xx answers that wait for their ACK (RFC 3261 §13.3.1.4). Each is sent again, T1 doubling up to T2, over TCP too,
 * and given up after 64*T1. Not a transaction: the server transaction has done its part with the first 2xx.
 *
 *   0   T1   3T1    7T1     15T1 …        64*T1
 *   2xx 2xx  2xx    2xx     2xx …         never: BYE
 */
import type { Clock, Timer } from '../../lib/clock.ts'
import type { SipRequest } from '../message/message.ts'

export interface AckListener {
  again(): void
  acked(ack: SipRequest): void
  never(): void
}

interface Wait {
  listener: AckListener
  repeat: Timer
  giveUp: Timer
}

export class AckWaits {
  readonly #clock: Clock
  /** By CSeq of the INVITE. */
  readonly #waits = new Map<number, Wait>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#waits.size
  }

  add(seq: number, timers: { t1Ms: number; t2Ms: number }, listener: AckListener): void {
    this.#drop(seq)
    let intervalMs = timers.t1Ms
    const arm = (): Timer =>
      this.#clock.after(intervalMs, () => {
        intervalMs = Math.min(intervalMs * 2, timers.t2Ms)
        wait.repeat = arm()
        listener.again()
      })
    const wait: Wait = {
      listener,
      repeat: arm(),
      giveUp: this.#clock.after(64 * timers.t1Ms, () => {
        this.#drop(seq)
        listener.never()
      }),
    }
    this.#waits.set(seq, wait)
  }

  /** An ACK came; repeats of it find nothing and do nothing. */
  ack(seq: number, ack: SipRequest): void {
    const wait = this.#waits.get(seq)
    if (!wait) return
    this.#drop(seq)
    wait.listener.acked(ack)
  }

  clear(): void {
    for (const seq of [...this.#waits.keys()]) this.#drop(seq)
  }

  #drop(seq: number): void {
    const wait = this.#waits.get(seq)
    if (!wait) return
    wait.repeat.cancel()
    wait.giveUp.cancel()
    this.#waits.delete(seq)
  }
}
