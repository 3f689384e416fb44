import type { Call } from './call.ts'
import { callIdOf, type CallId, type LegId } from './ids.ts'
import type { CallRecord } from './record.ts'

// Rows trail the journal by moments, or by an outage of the database: so many ended calls are told from memory.
const RECENT = 1000

/** The live calls of this node, and those that have ended but still hold something (a port, a recording). */
export class CallRegistry {
  readonly #calls = new Map<CallId, Call>()
  readonly #byLogId = new Map<number, Call>()
  /** Records of calls that are over and settled, oldest first; they change no more. */
  readonly #recent = new Map<CallId, CallRecord>()
  #onEmpty: (() => void)[] = []

  add(call: Call): void {
    this.#calls.set(call.id, call)
    this.#byLogId.set(call.record.logId, call)
  }

  remove(call: Call): void {
    this.#calls.delete(call.id)
    this.#byLogId.delete(call.record.logId)
    this.#recent.set(call.id, call.record)
    if (this.#recent.size > RECENT) this.#recent.delete(this.#recent.keys().next().value!)
    if (this.#calls.size > 0) return
    for (const fn of this.#onEmpty.splice(0)) fn()
  }

  get(callId: CallId): Call | undefined {
    return this.#calls.get(callId)
  }

  /** What memory knows of a call, live or just ended. */
  record(callId: CallId): CallRecord | undefined {
    return this.#calls.get(callId)?.record ?? this.#recent.get(callId)
  }

  recordByLogId(logId: number): CallRecord | undefined {
    const live = this.#byLogId.get(logId)?.record
    if (live) return live
    for (const record of this.#recent.values()) if (record.logId === logId) return record
    return undefined
  }

  *records(): IterableIterator<CallRecord> {
    for (const call of this.#calls.values()) yield call.record
    yield* this.#recent.values()
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
