import type { CallEvent, CallFact } from '../../src/calls/events.ts'

/** One call's events, numbered and dated as they are told. */
export class CallScript {
  readonly callId: string
  readonly accountId: string
  #seq = 0
  #atMs: number

  constructor(callId: string, accountId: string, startMs = Date.UTC(2026, 0, 1)) {
    this.callId = callId
    this.accountId = accountId
    this.#atMs = startMs
  }

  next(fact: CallFact, afterMs = 1000): CallEvent {
    this.#atMs += afterMs
    return { callId: this.callId, accountId: this.accountId, seq: ++this.#seq, atMs: this.#atMs, ...fact }
  }

  created(logId: number, nodeId: string, more: Partial<Extract<CallFact, { type: 'created' }>> = {}): CallEvent {
    return this.next({
      type: 'created',
      logId,
      nodeId,
      direction: 'outbound',
      from: '+912240001234',
      to: '+919812345601',
      trunkId: 't1',
      custom: {},
      ...more,
    })
  }

  dialing = (): CallEvent => this.next({ type: 'dialing', legId: `${this.callId}.1`, to: '+919812345601' })
  answered = (): CallEvent => this.next({ type: 'answered', legId: `${this.callId}.1`, sipCallId: 's' })
  ended = (): CallEvent =>
    this.next({
      type: 'ended',
      outcome: { result: 'completed', reason: 'caller_hangup', sipStatus: 200, q850: 16, by: 'callee' },
    })
}
