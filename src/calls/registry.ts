import { callIdOf, type CallId, type LegId } from './ids.ts'
import type { Call } from './call.ts'

/** The live calls of this node, and those that have ended but still hold something (a port, a recording). */
export class CallRegistry {
  readonly #calls = new Map<CallId, Call>()
  readonly #byLogId = new Map<number, Call>()
  #onEmpty: (() => void)[] = []

  add(call: Call): void {
    this.#calls.set(call.id, call)
    this.#byLogId.set(call.record.logId, call)
  }

  remove(call: Call): void {
    this.#calls.delete(call.id)
    this.#byLogId.delete(call.record.logId)
    if (this.#calls.size > 0) return
    for (const fn of this.#onEmpty.splice(0)) fn()
  }

  get(callId: CallId): Call | undefined {
    return this.#calls.get(callId)
  }

  byLogId(logId: number): Call | undefined {
    return this.#byLogId.get(logId)
  }

  ofLeg(legId: LegId): Call | undefined {
    return this.#calls.get(callIdOf(legId))
  }

  all(): IterableIterator<Call> {
    return this.#calls.values()
  }

  /** Calls that have not ended. */
  get live(): number {
    let n = 0
    for (const call of this.#calls.values()) if (!call.ended) n++
    return n
  }

  get size(): number {
    return this.#calls.size
  }

  /** Resolves when nothing is held any more. */
  empty(): Promise<void> {
    if (this.#calls.size === 0) return Promise.resolve()
    return new Promise((resolve) => this.#onEmpty.push(resolve))
  }
}
