import { describe, expect, it } from 'vitest'
import { buildResponse } from '../../../src/sip/message/build.ts'
import type { SipRequest } from '../../../src/sip/message/message.ts'
import { TransactionLayer } from '../../../src/sip/transaction/layer.ts'
import type { Timer } from '../../../src/lib/clock.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../fakes/clock.ts'
import { FakeNetwork } from '../fake-network.ts'
import { makeRequest } from './rig.ts'

/** Mulberry32: the same losses in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const TRANSACTIONS = 60

/** Two layers joined by a network that loses a fifth of the datagrams each way. */
function lossy(seed: number): {
  clock: FakeClock
  network: FakeNetwork
  uac: TransactionLayer
  uas: TransactionLayer
  send: (request: SipRequest, heard: (status: number) => void) => void
} {
  const clock = new FakeClock()
  const network = new FakeNetwork(clock)
  const random = seeded(seed)
  network.lose = () => random() < 0.2
  network.delayMs = 20
  const here = network.transports('192.0.2.9')
  const uac = new TransactionLayer({ clock, transports: here, log: silentLog })
  const uas = new TransactionLayer({ clock, transports: network.transports('192.0.2.1'), log: silentLog })
  const flow = here.flowTo('udp', '192.0.2.1', 5060)
  const send = (request: SipRequest, heard: (status: number) => void): void => {
    uac.request(request, flow, {
      response(response) {
        if (response.status < 200) return
        heard(response.status)
        if (request.method !== 'INVITE' || response.status >= 300) return
        const ack = makeRequest('ACK', { callId: request.headers.get('Call-ID'), toTag: 'ours' })
        uac.sendAck(ack, flow)
      },
      timeout: () => heard(408),
      transportError: () => heard(503),
    })
  }
  return { clock, network, uac, uas, send }
}

describe.each([1, 2, 3])('with 20 %% of all datagrams lost each way (seed %i)', (seed) => {
  it(`completes ${TRANSACTIONS} of ${TRANSACTIONS} refused INVITEs, with one call of the core each and no ACK missing`, () => {
    const { clock, uac, uas, send } = lossy(seed)
    const finals = new Map<number, number>()
    const asked: string[] = []
    let acknowledged = 0
    uas.onRequest((request, tx) => {
      asked.push(request.headers.get('Call-ID') ?? '')
      tx?.onAck(() => acknowledged++)
      clock.after(50, () => tx?.respond(buildResponse(request, 486, undefined, { toTag: 'ours' })))
    })
    for (let i = 0; i < TRANSACTIONS; i++)
      clock.after(i * 100, () => send(makeRequest('INVITE', { callId: `c${i}` }), (status) => finals.set(i, status)))
    clock.advance(120_000)
    expect([...finals.values()].filter((status) => status === 486)).toHaveLength(TRANSACTIONS)
    expect(new Set(asked).size).toBe(asked.length)
    expect(acknowledged).toBe(TRANSACTIONS)
    expect([uac.counts, uas.counts, clock.pending]).toEqual([{ client: 0, server: 0 }, { client: 0, server: 0 }, 0])
  })

  it(`completes ${TRANSACTIONS} of ${TRANSACTIONS} answered INVITEs when the core repeats its 2xx`, () => {
    const { clock, uac, uas, send } = lossy(seed)
    const finals = new Map<number, number>()
    const repeats = new Map<string, Timer>()
    const acknowledged = new Set<string>()
    uas.onRequest((request, tx) => {
      const callId = request.headers.get('Call-ID') ?? ''
      if (request.method === 'ACK') {
        repeats.get(callId)?.cancel()
        acknowledged.add(callId)
        return
      }
      const ok = buildResponse(request, 200, undefined, { toTag: 'ours' })
      const say = (intervalMs: number): void => {
        tx?.respond(ok)
        repeats.set(callId, clock.after(intervalMs, () => say(Math.min(4000, intervalMs * 2)))) // prettier-ignore
      }
      say(500)
    })
    for (let i = 0; i < TRANSACTIONS; i++)
      clock.after(i * 100, () => send(makeRequest('INVITE', { callId: `c${i}` }), (status) => finals.set(i, status)))
    clock.advance(120_000)
    expect([...finals.values()].filter((status) => status === 200)).toHaveLength(TRANSACTIONS)
    expect(acknowledged.size).toBe(TRANSACTIONS)
    expect([uac.counts, uas.counts, clock.pending]).toEqual([{ client: 0, server: 0 }, { client: 0, server: 0 }, 0])
  })

  it(`completes ${TRANSACTIONS} of ${TRANSACTIONS} other requests`, () => {
    const { clock, uac, uas, send } = lossy(seed)
    const finals = new Map<number, number>()
    let asked = 0
    uas.onRequest((request, tx) => {
      asked++
      tx?.respond(buildResponse(request, 200, undefined, { toTag: 'ours' }))
    })
    for (let i = 0; i < TRANSACTIONS; i++)
      send(makeRequest('INFO', { callId: `c${i}` }), (status) => finals.set(i, status))
    clock.advance(120_000)
    expect([...finals.values()].filter((status) => status === 200)).toHaveLength(TRANSACTIONS)
    expect(asked).toBe(TRANSACTIONS)
    expect([uac.counts, uas.counts, clock.pending]).toEqual([{ client: 0, server: 0 }, { client: 0, server: 0 }, 0])
  })

  it('cancels what rings, and nothing stays behind', () => {
    const { clock, uac, uas, send } = lossy(seed)
    const finals = new Map<number, number>()
    uas.onRequest((request, tx) => {
      tx?.respond(buildResponse(request, 180, undefined, { toTag: 'ours' }))
      tx?.onCancel(() => tx.respond(buildResponse(request, 487, undefined, { toTag: 'ours' })))
    })
    const original = uac.request.bind(uac)
    uac.request = (...args) => {
      const tx = original(...args)
      clock.after(3000, () => tx.cancel())
      return tx
    }
    for (let i = 0; i < TRANSACTIONS; i++)
      send(makeRequest('INVITE', { callId: `c${i}` }), (status) => finals.set(i, status))
    clock.advance(120_000)
    expect([...finals.values()].filter((status) => status === 487)).toHaveLength(TRANSACTIONS)
    expect([uac.counts, uas.counts, clock.pending]).toEqual([{ client: 0, server: 0 }, { client: 0, server: 0 }, 0])
  })
})
