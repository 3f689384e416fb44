import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { buildResponse } from '../../../src/sip/message/build.ts'
import { parseVia } from '../../../src/sip/message/headers.ts'
import type { SipMessage } from '../../../src/sip/message/message.ts'
import { parseMessage } from '../../../src/sip/message/parse.ts'
import type { NatMode, ServerTransaction } from '../../../src/sip/transaction/layer.ts'
import { Rig, makeRequest } from './rig.ts'

/** A rig whose core answers every request but ACK with this. */
function answering(status: number, options: ConstructorParameters<typeof Rig>[1] = {}): { rig: Rig; heard: string[] } {
  const rig = new Rig('udp', options)
  const heard: string[] = []
  rig.layer.onRequest((request, tx) => {
    heard.push(request.method)
    tx?.respond(buildResponse(request, status, undefined, { toTag: 'ours' }))
  })
  return { rig, heard }
}

const fixture = (name: string): SipMessage => {
  const parsed = parseMessage(readFileSync(new URL(`../../../fixtures/sip/torture/${name}.sip`, import.meta.url)))
  if (!parsed.ok) throw new Error(parsed.reason)
  return parsed.message
}

describe('requests that we send', () => {
  it('carry our Via with a branch of their own and rport, and Max-Forwards; the given request stays as it was', () => {
    const rig = new Rig()
    const given = makeRequest('OPTIONS')
    given.headers.delete('Max-Forwards')
    const one = rig.layer.request(given, rig.flow, rig.listener()).request
    const two = rig.layer.request(given, rig.flow, rig.listener()).request
    const via = parseVia(one.headers.get('Via') ?? '')
    expect(one.headers.all('Via')).toHaveLength(1)
    expect(via).toMatchObject({ transport: 'UDP', host: '192.0.2.1', port: 5060 })
    expect(via?.params.has('rport')).toBe(true)
    expect(via?.params.get('branch')).toMatch(/^z9hG4bK[0-9a-f]{24}$/)
    expect(two.headers.get('Via')).not.toBe(one.headers.get('Via'))
    expect(one.headers.get('Max-Forwards')).toBe('70')
    expect(given.headers.get('Via')).toContain('192.0.2.9')
  })

  it('send the ACK to a 2xx on a new branch each time', () => {
    const rig = new Rig()
    rig.layer.sendAck(makeRequest('ACK'), rig.flow)
    rig.layer.sendAck(makeRequest('ACK'), rig.flow)
    const [one, two] = rig.sent.map((s) => s.message.headers.get('Via'))
    expect(one).not.toBe(two)
    expect(rig.layer.counts.client).toBe(0)
  })

  it('match answers by branch and method only', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(makeRequest('OPTIONS'), rig.flow, listener)
    const other = buildResponse(tx.request, 200)
    other.headers.set('CSeq', '1 INFO')
    rig.deliver(other)
    rig.deliver(fixture('invalid/bcast'))
    expect(listener.heard).toEqual([])
    rig.answer(tx.request, 200)
    expect(listener.heard).toEqual(['0 200'])
  })
})

describe('where answers go over UDP', () => {
  const cases: [string, NatMode, string, number][] = [
    ['SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKn1', 'auto', '192.0.2.9', 5070],
    ['SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKn2', 'auto', '192.0.2.9', 5060],
    ['SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKn3;rport', 'auto', '192.0.2.9', 6000],
    ['SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKn4', 'auto', '192.0.2.9', 6000],
    ['SIP/2.0/UDP pbx.example.com:5070;branch=z9hG4bKn7', 'auto', '192.0.2.9', 5070],
    ['SIP/2.0/UDP 192.0.2.9:5070;branch=z9hG4bKn5', 'always', '192.0.2.9', 6000],
    ['SIP/2.0/UDP 10.0.0.1:5070;branch=z9hG4bKn6;rport', 'never', '192.0.2.9', 5070],
  ]
  it.each(cases)('%s with nat %s: %s:%i', (via, nat, host, port) => {
    const rig = new Rig()
    rig.layer.onRequest((request, tx) => {
      if (!tx) return
      tx.nat = nat
      tx.respond(buildResponse(request, 200))
    })
    rig.deliver(makeRequest('OPTIONS', { via }), rig.flowTo('udp', '192.0.2.9', 6000))
    expect(rig.last.to).toBe(`${host}:${port}`)
  })

  it('writes received and rport into the Via it gives back, whatever the request claimed', () => {
    const { rig } = answering(200)
    const via = 'SIP/2.0/UDP 192.0.2.9:5070;received=203.0.113.66;branch=z9hG4bKr;rport'
    rig.deliver(makeRequest('OPTIONS', { via }), rig.flowTo('udp', '192.0.2.9', 6000))
    const back = parseVia(rig.last.message.headers.get('Via') ?? '')
    expect(back?.params.get('received')).toBe('192.0.2.9')
    expect(back?.params.get('rport')).toBe('6000')
    expect(back?.params.get('branch')).toBe('z9hG4bKr')
  })
})

describe('matching of requests', () => {
  it('tells sent-by and methods of one branch apart', () => {
    const { rig, heard } = answering(200)
    rig.deliver(makeRequest('OPTIONS', { branch: 'z9hG4bKx' }))
    rig.deliver(makeRequest('INFO', { branch: 'z9hG4bKx', callId: 'b' }))
    rig.deliver(makeRequest('OPTIONS', { via: 'SIP/2.0/UDP 192.0.2.9:5099;branch=z9hG4bKx', callId: 'c' }))
    rig.deliver(makeRequest('OPTIONS', { branch: 'z9hG4bKx' }))
    expect(heard).toEqual(['OPTIONS', 'INFO', 'OPTIONS'])
  })

  it.each([
    'SIP/2.0/UDP 192.0.2.9:5060',
    'SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bK',
    'SIP/2.0/UDP 192.0.2.9:5060;branch=390skdjuw',
  ])('falls back to RFC 2543 for %s', (via) => {
    const { rig, heard } = answering(486)
    rig.deliver(makeRequest('INVITE', { via }))
    rig.deliver(makeRequest('INVITE', { via }))
    rig.deliver(makeRequest('ACK', { via, toTag: 'ours' }))
    rig.deliver(makeRequest('INVITE', { via, cseq: 2 }))
    expect(heard).toEqual(['INVITE', 'INVITE'])
    expect(rig.sent.map((s) => s.what)).toEqual(['486 INVITE', '486 INVITE', '486 INVITE'])
    rig.clock.advance(600)
    // Only the second, unacknowledged one is repeated.
    expect(rig.times('486 INVITE')).toEqual([0, 0, 0, 500])
  })

  it('takes the INVITE of RFC 2543 without From tag and branch', () => {
    const { rig, heard } = answering(200)
    rig.deliver(fixture('invalid/inv2543'))
    expect(heard).toEqual(['INVITE'])
  })

  it('answers a merged request with 482', () => {
    const { rig, heard } = answering(180)
    rig.deliver(makeRequest('INVITE', { branch: 'z9hG4bKpath1' }))
    rig.deliver(makeRequest('INVITE', { branch: 'z9hG4bKpath2' }))
    rig.deliver(makeRequest('INVITE', { branch: 'z9hG4bKpath3', cseq: 2 }))
    expect(heard).toEqual(['INVITE', 'INVITE'])
    expect(rig.sent.map((s) => s.what)).toEqual(['180 INVITE', '482 INVITE', '180 INVITE'])
  })

  it('takes the same request again when the first is long over', () => {
    const { rig, heard } = answering(200)
    rig.deliver(makeRequest('OPTIONS', { branch: 'z9hG4bKa' }))
    rig.clock.advance(33_000)
    rig.deliver(makeRequest('OPTIONS', { branch: 'z9hG4bKb' }))
    expect(heard).toEqual(['OPTIONS', 'OPTIONS'])
  })
})

describe('limits and faults', () => {
  it('answers 503 without state when it holds as many transactions as it may', () => {
    const { rig, heard } = answering(180, { maxTransactions: 2 })
    for (let i = 0; i < 4; i++) rig.deliver(makeRequest('INVITE', { branch: `z9hG4bK${i}x`, callId: `c${i}` }))
    expect(heard).toHaveLength(2)
    expect(rig.times('503 INVITE')).toHaveLength(2)
    expect(rig.last.message.headers.get('Retry-After')).toBe('5')
    expect(rig.layer.counts.server).toBe(2)
    // An ACK to the 503 finds nothing and harms nothing.
    rig.deliver(makeRequest('ACK', { branch: 'z9hG4bK3x', callId: 'c3' }))
    expect(rig.layer.counts.server).toBe(2)
  })

  it('answers 500 when the core throws, and 503 while there is none', () => {
    const rig = new Rig()
    rig.deliver(makeRequest('OPTIONS'))
    rig.layer.onRequest(() => {
      throw new Error('bug')
    })
    rig.deliver(makeRequest('OPTIONS', { branch: 'z9hG4bK2', callId: 'c2' }))
    expect(rig.sent.map((s) => s.what)).toEqual(['503 OPTIONS', '500 OPTIONS'])
  })

  it('uses the timers of the trunk that the request came from', () => {
    const { rig } = answering(486, {
      timersFor: (host) => (host === '192.0.2.9' ? { t1Ms: 100, t2Ms: 200 } : undefined),
    })
    rig.deliver(makeRequest('INVITE'))
    rig.clock.advance(800)
    expect(rig.times('486 INVITE')).toEqual([0, 100, 300, 500, 700])
  })

  it('ends everything when closed, and tells those who wait', () => {
    const rig = new Rig()
    let tx: ServerTransaction | undefined
    rig.layer.onRequest((_, transaction) => (tx = transaction))
    rig.deliver(makeRequest('INVITE'))
    const waiting = rig.listener()
    const answered = rig.listener()
    rig.layer.request(makeRequest('INVITE', { callId: 'x' }), rig.flow, waiting)
    rig.answer(rig.layer.request(makeRequest('OPTIONS'), rig.flow, answered).request, 200)
    rig.layer.close()
    expect(waiting.heard).toEqual(['0 the SIP stack is closing'])
    expect(answered.heard).toEqual(['0 200'])
    expect(rig.layer.counts).toEqual({ client: 0, server: 0 })
    expect(rig.clock.pending).toBe(0)
    tx?.respond(buildResponse(makeRequest('INVITE'), 200))
    expect(rig.times('200 INVITE')).toEqual([])
  })
})
