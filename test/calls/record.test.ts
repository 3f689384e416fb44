import { describe, expect, it } from 'vitest'
import type { CallFact } from '../../src/calls/events.ts'
import { applyEvent, durationSeconds, type CallRecord } from '../../src/calls/record.ts'

const created: CallFact = {
  type: 'created',
  logId: 7,
  nodeId: 'n',
  direction: 'outbound',
  from: '+1',
  to: '+2',
  trunkId: 't',
  custom: {},
}

function fold(facts: CallFact[], record?: CallRecord): CallRecord | undefined {
  const events = facts.map((fact, i) => ({ callId: 'c', accountId: 'a', seq: i + 1, atMs: 1000 * (i + 1), ...fact }))
  return events.reduce<CallRecord | undefined>((r, e) => applyEvent(r, e), record)
}

const ended: CallFact = {
  type: 'ended',
  outcome: { result: 'completed', reason: 'caller_hangup', sipStatus: 200, q850: 16, by: 'callee' },
}
const life: CallFact[] = [
  created,
  { type: 'dialing', legId: 'c.1', to: '+2' },
  { type: 'ringing', legId: 'c.1', sipStatus: 180 },
  { type: 'answered', legId: 'c.1', sipCallId: 's' },
  { type: 'botOpen', legId: 'c.1' },
  ended,
  { type: 'recordingFinished', recordingId: 'r', durationMs: 2000, bytes: 1 },
]

describe('the record of a call', () => {
  it('is the fold of its events', () => {
    expect(fold(life)).toMatchObject({
      state: 'ended',
      answeredAtMs: 4000,
      endedAtMs: 6000,
      recordingStatus: 'ready',
      seq: 7,
    })
    expect(fold(life.slice(0, 5))?.state).toBe('talking')
    expect(durationSeconds(fold(life)!)).toBe(2)
    expect(durationSeconds(fold(life.slice(0, 4))!)).toBeNull()
    expect(durationSeconds(fold([created, ended])!)).toBe(0)
  })

  it('is the same when a journal is replayed over a row that is ahead of it', () => {
    const once = fold(life)
    expect(fold(life, structuredClone(once))).toEqual(once)
  })

  it('talks at once when the bot was there before the answer', () => {
    const order = [life[0], life[1], life[2], life[4], life[3]]
    expect(fold(order)?.state).toBe('talking')
  })

  it('keeps the context of the last transfer and the notes as they add up', () => {
    const record = fold([
      ...life.slice(0, 5),
      { type: 'transferring', legId: 'c.1', target: '100', mode: 'blind', context: { order: 7 } },
      { type: 'transferFailed', legId: 'c.1', sipStatus: 405, reason: 'x' },
      { type: 'noted', data: { a: 1, b: 1 } },
      { type: 'noted', data: { b: 2 } },
    ])
    expect(record).toMatchObject({ state: 'talking', transferContext: { order: 7 }, notes: { a: 1, b: 2 } })
  })

  it('ignores events of a call that it does not know', () => {
    expect(fold([ended])).toBeUndefined()
  })

  it('never leaves its end, whatever comes late', () => {
    expect(fold([...life, { type: 'bridged', legId: 'c.2', target: '+3' }])?.state).toBe('ended')
  })
})
