import { describe, expect, it } from 'vitest'
import { DomainError } from '../../src/lib/errors.ts'
import type { ScheduledCall, ScheduleStore } from '../../src/schedules/ports.ts'
import { ScheduleService } from '../../src/schedules/service.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../fakes/clock.ts'

const A = { accountId: 'a' }

/** The rows of one node, in memory; `fire` stands for the job engine. */
class Rows implements ScheduleStore {
  readonly rows = new Map<string, ScheduledCall>()
  fire: (id: string) => Promise<void> = () => Promise.resolve()
  interrupted: ScheduledCall[] = []

  insert = async (_: unknown, call: ScheduledCall): Promise<void> => void this.rows.set(call.id, { ...call })
  get = async (_: unknown, id: string): Promise<ScheduledCall | undefined> => this.rows.get(id)
  findByCallId = async (_: unknown, callId: string): Promise<ScheduledCall | undefined> =>
    [...this.rows.values()].find((r) => r.callId === callId)
  findByLogId = async (): Promise<undefined> => undefined
  list = async (): Promise<ScheduledCall[]> => [...this.rows.values()]
  listInterrupted = async (): Promise<ScheduledCall[]> => this.interrupted
  cancel = async (_: unknown, id: string): Promise<boolean> => this.#move(id, ['pending'], 'cancelled')
  claim = async (_: unknown, id: string): Promise<ScheduledCall | undefined> =>
    this.#move(id, ['pending', 'firing'], 'firing') ? this.rows.get(id) : undefined
  settle = async (_: unknown, id: string, status: 'fired' | 'failed' | 'missed', failure?: string): Promise<void> => {
    this.#move(id, ['firing'], status)
    this.rows.get(id)!.failure = failure
  }
  onDue = async (fire: (ctx: { accountId: string }, id: string) => Promise<void>): Promise<void> => {
    this.fire = (id) => fire(A, id)
  }

  #move(id: string, from: string[], to: ScheduledCall['status']): boolean {
    const row = this.rows.get(id)
    if (!row || !from.includes(row.status)) return false
    row.status = to
    return true
  }
}

function rig(exists = false) {
  const clock = new FakeClock()
  const store = new Rows()
  const fired: string[] = []
  let logId = 0
  const service = new ScheduleService({
    store,
    clock,
    log: silentLog,
    logIds: { next: () => ++logId },
    callExists: async () => exists,
  })
  const start = (fail?: Error): Promise<void> =>
    service.start(async (call) => {
      if (fail) throw fail
      fired.push(call.callId)
    })
  return { clock, store, fired, service, start }
}

describe('a scheduled call', () => {
  it('is placed once, however often its job comes', async () => {
    const { clock, store, fired, service, start } = rig()
    await start()
    const call = await service.scheduleCall(A, clock.wallMs(), { to: '+91' })
    await store.fire(call.id)
    await store.fire(call.id)
    expect(fired).toEqual([call.callId])
    expect((await service.get(A, call.id)).status).toBe('fired')
  })

  it('is scheduled once under the id that its request was promised, however often the request is repeated', async () => {
    const { clock, store, service } = rig()
    const first = await service.scheduleCall(A, clock.wallMs() + 1000, { to: '+91' }, 'call-1')
    const again = await service.scheduleCall(A, clock.wallMs() + 1000, { to: '+91' }, 'call-1')
    expect(again).toEqual(first)
    expect(store.rows.size).toBe(1)
  })

  it('is not placed again when it has a record from before a crash', async () => {
    const { clock, store, fired, service, start } = rig(true)
    const call = await service.scheduleCall(A, clock.wallMs(), {})
    store.rows.get(call.id)!.status = 'firing'
    store.interrupted = [call]
    await start()
    expect(fired).toEqual([])
    expect((await service.get(A, call.id)).status).toBe('fired')
  })

  it('is placed after a crash that came before its record', async () => {
    const { clock, store, fired, service, start } = rig()
    const call = await service.scheduleCall(A, clock.wallMs(), {})
    store.rows.get(call.id)!.status = 'firing'
    store.interrupted = [call]
    await start()
    expect(fired).toEqual([call.callId])
  })

  it('is not placed when it was cancelled, and can not be cancelled when it was placed', async () => {
    const { clock, store, fired, service, start } = rig()
    await start()
    const [one, two] = [
      await service.scheduleCall(A, clock.wallMs(), {}),
      await service.scheduleCall(A, clock.wallMs(), {}),
    ]
    await service.cancel(A, one.id)
    await store.fire(one.id)
    await store.fire(two.id)
    expect(fired).toEqual([two.callId])
    await expect(service.cancel(A, two.id)).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(service.cancel(A, 'none')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('is missed when the server was down for more than an hour', async () => {
    const { store, clock, fired, service, start } = rig()
    await start()
    const call = await service.scheduleCall(A, clock.wallMs(), {})
    clock.jumpWall(3_600_001)
    await store.fire(call.id)
    expect(fired).toEqual([])
    expect(await service.get(A, call.id)).toMatchObject({ status: 'missed', failure: '3600 s late' })
  })

  it('fails with the reason when it is refused, and waits when there is no room', async () => {
    const refused = rig()
    await refused.start(new DomainError('NO_TRUNK'))
    const call = await refused.service.scheduleCall(A, refused.clock.wallMs(), {})
    await refused.store.fire(call.id)
    expect(await refused.service.get(A, call.id)).toMatchObject({
      status: 'failed',
      failure: 'No trunk can take this call.',
    })

    const full = rig()
    await full.start(new DomainError('CAPACITY'))
    const waiting = await full.service.scheduleCall(A, full.clock.wallMs(), {})
    await expect(full.store.fire(waiting.id)).rejects.toMatchObject({ code: 'CAPACITY' })
    expect((await full.service.get(A, waiting.id)).status).toBe('firing')
  })
})
