/**
 * Port pairs for RTP: an even port and the odd one above it for RTCP (RFC 3550 §11). Picked at random, and rested after
 * use so that late packets of an ended call never reach a new one. Knows numbers only; sockets are opened elsewhere.
 */
import { randomInt } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'

export interface PortRange {
  first: number
  last: number
}

/** Worker `index`'s share of the range: disjoint from the others', whole pairs. */
export function portShare(range: PortRange, index: number, workers: number): PortRange {
  const firstEven = range.first + (range.first & 1)
  const pairs = Math.floor((range.last - firstEven + 1) / 2)
  const from = Math.floor((pairs * index) / workers)
  const to = Math.floor((pairs * (index + 1)) / workers)
  return { first: firstEven + from * 2, last: firstEven + to * 2 - 1 }
}

export class PortPool {
  readonly #clock: Clock
  readonly #quarantineMs: number
  /** Free pairs; taken from a random place, the hole is filled by the last one. */
  readonly #free: number[] = []
  readonly #used = new Set<number>()
  /** Resting pairs in order of release. */
  readonly #resting: { port: number; freeAtMs: number }[] = []

  constructor(range: PortRange, quarantineMs: number, clock: Clock) {
    this.#clock = clock
    this.#quarantineMs = quarantineMs
    for (let port = range.first + (range.first & 1); port + 1 <= range.last; port += 2) this.#free.push(port)
  }

  /** An even port, or undefined when all are in use or resting. */
  take(): number | undefined {
    this.#wake()
    if (this.#free.length === 0) return undefined
    const i = randomInt(this.#free.length)
    const port = this.#free[i]
    const last = this.#free.pop() as number
    if (i < this.#free.length) this.#free[i] = last
    this.#used.add(port)
    return port
  }

  /** The call has ended, or another program holds the port: rests before it may be taken again. */
  release(port: number): void {
    if (!this.#used.delete(port)) return
    this.#resting.push({ port, freeAtMs: this.#clock.now() + this.#quarantineMs })
  }

  get counts(): { free: number; used: number; resting: number } {
    this.#wake()
    return { free: this.#free.length, used: this.#used.size, resting: this.#resting.length }
  }

  #wake(): void {
    const nowMs = this.#clock.now()
    let n = 0
    while (n < this.#resting.length && this.#resting[n].freeAtMs <= nowMs) this.#free.push(this.#resting[n++].port)
    if (n > 0) this.#resting.splice(0, n)
  }
}
