import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { uuidv7 } from '../../src/lib/ids.ts'
import { ScheduleService } from '../../src/schedules/service.ts'
import type { Storage } from '../../src/storage/index.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { databases, type TestHome } from '../helpers/database.ts'
import { until } from '../helpers/until.ts'

const A = { accountId: 'a' }

describe.each(databases)('jobs on $name', { timeout: 60_000 }, ({ home: newHome }) => {
  let home: TestHome
  let storage: Storage

  beforeAll(async () => {
    home = await newHome()
    storage = await home.open()
  })
  afterAll(async () => {
    await storage.close()
    await home.remove()
  })

  const schedules = (): ScheduleService =>
    new ScheduleService({
      store: storage.schedules,
      logIds: storage.logIds,
      callExists: (ctx, id) => storage.callExists(ctx, id),
      clock: systemClock,
      log: silentLog,
    })

  it('run when they are due, once per singleton key, and again when they fail', async () => {
    const ran: unknown[] = []
    const key = { singletonKey: 'k' }
    await storage.jobs.at('greet', { n: 1 }, 0, key)
    await storage.jobs.at('flaky', { n: 2 }, 0)
    const cancelled = await storage.jobs.at('greet', { n: 3 }, 0)
    await storage.jobs.cancel('greet', cancelled!)
    await storage.jobs.at('greet', { n: 4 }, systemClock.wallMs() + 3_600_000)
    let tries = 0
    await storage.jobs.work('greet', async (data) => void ran.push(data.n))
    await storage.jobs.work('flaky', async (data) => {
      if (++tries < 2) throw new Error('not yet')
      ran.push(data.n)
    })
    await until(() => ran.length === 2, 30_000)
    expect(ran.sort()).toEqual([1, 2])
    expect(tries).toBe(2)
  })

  it('that are due together do not wait for one another', async () => {
    const seen = new Set<unknown>()
    for (let n = 0; n < 60; n++) await storage.jobs.at('crowd', { n }, 0)
    const startedMs = systemClock.now()
    await storage.jobs.work('crowd', async (data) => void seen.add(data.n))
    await until(() => seen.size === 60, 30_000)
    // One at a poll would take a minute.
    expect(systemClock.now() - startedMs).toBeLessThan(20_000)
  })

  it('place a scheduled call once, also when the server was restarted in between', async () => {
    const before = schedules()
    const whenMs = systemClock.wallMs() + 1000
    const call = await before.scheduleCall(A, whenMs, { headers: { authorization: 'secret' } })
    const dropped = await before.scheduleCall(A, whenMs, {})
    await before.cancel(A, dropped.id)
    await storage.close()
    storage = await home.open()
    const fired: unknown[] = []
    const service = schedules()
    await service.start(async (due) => void fired.push([due.callId, due.logId, due.payload]))
    await until(() => fired.length > 0, 30_000)
    expect(systemClock.wallMs()).toBeGreaterThanOrEqual(whenMs)
    await until(async () => (await service.get(A, call.id)).status === 'fired')
    expect(fired).toEqual([[call.callId, call.logId, { headers: { authorization: 'secret' } }]])
    expect((await service.get(A, dropped.id)).status).toBe('cancelled')
    expect((await service.findByLogId(A, call.logId))?.id).toBe(call.id)
    expect(await service.findByLogId({ accountId: 'b' }, call.logId)).toBeUndefined()
    await expect(service.get({ accountId: 'b' }, call.id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('are not made when the row that they belong to is not', async () => {
    const id = uuidv7(systemClock.wallMs())
    const call = {
      id,
      accountId: 'a',
      callId: id,
      logId: storage.logIds.next(),
      atMs: 0,
      status: 'pending',
      payload: {},
      createdAtMs: 0,
    } as const
    await expect(storage.schedules.insert(A, call, 0)).rejects.toMatchObject({ code: 'RATE_LIMITED' })
    expect(await storage.schedules.get(A, id)).toBeUndefined()
  })
})
