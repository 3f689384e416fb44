import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { uuidv7 } from '../../src/lib/ids.ts'
import type { Storage } from '../../src/storage/index.ts'
import { databases, type TestHome } from '../helpers/database.ts'
import { CallScript } from './calls-of-test.ts'

const A = { accountId: 'a' }
const B = { accountId: 'b' }
const newId = (): string => uuidv7(systemClock.wallMs())

describe.each(databases)('call records on $name', { timeout: 60_000 }, ({ home: newHome }) => {
  let home: TestHome
  let storage: Storage

  beforeAll(async () => {
    home = await newHome()
    storage = await home.open({ nodeId: 'n1' })
  })
  afterAll(async () => {
    await storage.close()
    await home.remove()
  })

  it('come from the journal, with their timeline', async () => {
    const call = new CallScript(newId(), 'a')
    const logId = storage.logIds.next()
    const events = [
      call.created(logId, 'n1', { custom: { note: 'with \0 and \ud800' } }),
      call.dialing(),
      call.answered(),
      call.ended(),
    ]
    await Promise.all(events.map((e) => storage.journal.append(e)))
    await storage.projector.caughtUp()
    expect(await storage.calls.get(A, call.callId)).toMatchObject({
      logId,
      seq: 4,
      state: 'ended',
      custom: { note: 'with  and \ufffd' },
      outcome: { result: 'completed' },
    })
    expect((await storage.calls.getByLogId(A, logId))?.id).toBe(call.callId)
    expect((await storage.calls.events(A, call.callId)).map((e) => e.type)).toEqual([
      'created',
      'dialing',
      'answered',
      'ended',
    ])
    expect(storage.projector.lag).toBe(0)
  })

  it('are not shown to another account', async () => {
    const call = new CallScript(newId(), 'a')
    const logId = storage.logIds.next()
    await storage.journal.append(call.created(logId, 'n1'))
    await storage.projector.caughtUp()
    expect(await storage.calls.get(B, call.callId)).toBeUndefined()
    expect(await storage.calls.getByLogId(B, logId)).toBeUndefined()
    expect(await storage.calls.events(B, call.callId)).toEqual([])
    expect((await storage.calls.list(B, { limit: 10 })).length).toBe(0)
  })

  it('do not change when the journal repeats itself', async () => {
    const call = new CallScript(newId(), 'a')
    const events = [
      call.created(storage.logIds.next(), 'n1'),
      call.answered(),
      call.next({ type: 'recordingStarted', recordingId: `r-${call.callId}` }),
      call.next({ type: 'recordingFinished', recordingId: `r-${call.callId}`, durationMs: 1234.5, bytes: 99 }),
      call.ended(),
    ]
    for (const event of [...events, ...events.slice(0, 3), ...events]) await storage.journal.append(event)
    await storage.projector.caughtUp()
    expect(await storage.calls.get(A, call.callId)).toMatchObject({ seq: 5, state: 'ended', recordingStatus: 'ready' })
    expect(await storage.calls.events(A, call.callId)).toHaveLength(5)
    const recordings = await storage.recordings.listOfCall(A, call.callId)
    expect(recordings).toMatchObject([
      { status: 'ready', durationMs: 1235, bytes: 99, startedAtMs: events[2].atMs, finishedAtMs: events[3].atMs },
    ])
    expect(await storage.recordings.get(B, recordings[0].id)).toBeUndefined()
    expect(await storage.recordings.listUnfinished()).toEqual([])
  })

  it('know a recording that is paused for one that is being made', async () => {
    const call = new CallScript(newId(), 'a')
    const recordingId = `r-${call.callId}`
    await storage.journal.append(call.created(storage.logIds.next(), 'n1'))
    await storage.journal.append(call.next({ type: 'recordingStarted', recordingId }))
    await storage.journal.append(call.next({ type: 'recordingPaused', recordingId }))
    await storage.projector.caughtUp()
    await storage.journal.append(call.next({ type: 'recordingResumed', recordingId }))
    await storage.journal.append(call.next({ type: 'noted', data: { intent: 'sales' } }))
    await storage.projector.caughtUp()
    expect(await storage.recordings.listOfCall(A, call.callId)).toMatchObject([{ status: 'capturing' }])
    expect(await storage.calls.get(A, call.callId)).toMatchObject({ notes: { intent: 'sales' } })
    await storage.journal.append(call.next({ type: 'recordingFinished', recordingId, durationMs: 1000, bytes: 9 }))
    await storage.journal.append(call.ended())
    await storage.projector.caughtUp()
    expect(await storage.recordings.listOfCall(A, call.callId)).toMatchObject([{ status: 'ready' }])
  })

  it('are not held up by one call that the database refuses', async () => {
    const good = new CallScript(newId(), 'a')
    const bad = new CallScript(newId(), 'a')
    const [goodId, taken] = [storage.logIds.next(), storage.logIds.next()]
    const first = new CallScript(newId(), 'a')
    await storage.journal.append(first.created(taken, 'n1'))
    await storage.projector.caughtUp()
    // The same log id twice: a constraint that no journal of ours breaks.
    await Promise.all([bad.created(taken, 'n1'), good.created(goodId, 'n1')].map((e) => storage.journal.append(e)))
    await storage.projector.caughtUp()
    expect(await storage.calls.get(A, bad.callId)).toBeUndefined()
    expect((await storage.calls.get(A, good.callId))?.logId).toBe(goodId)
    expect(storage.ready()).toBe(true)
  })

  it('are listed newest first by far number, direction, state and page', async () => {
    const C = { accountId: newId() }
    const numbers = ['+919812345601', '+919812345602', '+4930123456', '+919812345601']
    const scripts = numbers.map((_, i) => new CallScript(`${newId()}-${i}`, C.accountId, Date.UTC(2026, 1, 1, i)))
    for (const [i, script] of scripts.entries()) {
      const inbound = i === 3
      await storage.journal.append(
        script.created(
          storage.logIds.next(),
          'n1',
          inbound ? { direction: 'inbound', from: numbers[i], to: '+912240001234' } : { to: numbers[i] },
        ),
      )
      if (i === 0) await storage.journal.append(script.ended())
    }
    await storage.projector.caughtUp()
    const ids = scripts.map((s) => s.callId)
    const list = async (filter: object): Promise<number[]> =>
      (await storage.calls.list(C, { limit: 10, ...filter })).map((r) => ids.indexOf(r.id))
    expect(await list({})).toEqual([3, 2, 1, 0])
    expect(await list({ phoneNumber: '+919812345601' })).toEqual([3, 0])
    expect(await list({ phoneNumber: '098123 45601' })).toEqual([3, 0])
    expect(await list({ phoneNumber: '12345602' })).toEqual([1])
    expect(await list({ phoneNumber: '%' })).toEqual([])
    expect(await list({ direction: 'inbound' })).toEqual([3])
    expect(await list({ states: ['ended'] })).toEqual([0])
    expect(await list({ states: [] })).toEqual([])
    const [newest] = await storage.calls.list(C, { limit: 1 })
    expect(await list({ limit: 2, before: { createdAtMs: newest.createdAtMs, id: newest.id } })).toEqual([2, 1])
  })

  it('are caught up at the next start, and numbers are never given twice', async () => {
    const call = new CallScript(newId(), 'a')
    const logId = storage.logIds.next()
    await storage.projector.stop()
    await storage.journal.append(call.created(logId, 'n1'))
    await storage.close()
    storage = await home.open({ nodeId: 'n1' })
    expect((await storage.calls.get(A, call.callId))?.logId).toBe(logId)
    expect(storage.logIds.next()).toBeGreaterThan(logId)
  })
})
