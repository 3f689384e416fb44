import { describe, expect, it } from 'vitest'
import type { SipRequest } from '../../../src/sip/message/message.ts'
import { tagOf } from '../../../src/sip/message/headers.ts'
import { Rig, makeRequest } from './rig.ts'

const invite = (): SipRequest =>
  makeRequest('INVITE', {
    headers: [
      ['Route', '<sip:p1;lr>'],
      ['Route', '<sip:p2;lr>'],
      ['Proxy-Authorization', 'Digest username="u"'],
      ['Require', 'timer'],
    ],
  })

describe('INVITE client transaction over UDP', () => {
  it('sends again at T1, doubling without cap, until timer B gives up after 64*T1', () => {
    const rig = new Rig()
    const listener = rig.listener()
    rig.layer.request(invite(), rig.flow, listener)
    rig.clock.advance(40_000)
    expect(rig.times('INVITE')).toEqual([0, 500, 1500, 3500, 7500, 15_500, 31_500])
    expect(listener.heard).toEqual(['32000 timeout'])
    expect(rig.layer.counts.client).toBe(0)
    expect(rig.clock.pending).toBe(0)
  })

  it('takes T1 from the trunk', () => {
    const rig = new Rig()
    const listener = rig.listener()
    rig.layer.request(invite(), rig.flow, listener, { t1Ms: 100 })
    rig.clock.advance(7000)
    expect(rig.times('INVITE')).toEqual([0, 100, 300, 700, 1500, 3100, 6300])
    expect(listener.heard).toEqual(['6400 timeout'])
  })

  it('stops repeating at the first 1xx and then waits as long as it rings', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(invite(), rig.flow, listener)
    rig.clock.advance(600)
    rig.answer(tx.request, 100)
    rig.clock.advance(170_000)
    rig.answer(tx.request, 180)
    expect(rig.times('INVITE')).toEqual([0, 500])
    expect(listener.heard).toEqual(['600 100', '170600 180'])
    expect(rig.clock.pending).toBe(0)
  })

  it('acknowledges 3xx-6xx on the same branch and route, each repeat again, and absorbs them for timer D', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(invite(), rig.flow, listener)
    rig.answer(tx.request, 486)
    rig.clock.advance(500)
    rig.answer(tx.request, 486)
    rig.answer(tx.request, 180)
    rig.answer(tx.request, 200)
    expect(listener.heard).toEqual(['0 486'])
    expect(rig.times('ACK')).toEqual([0, 500])
    const ack = rig.last.message as SipRequest
    expect(ack.uri).toBe(tx.request.uri)
    expect(ack.headers.all('Via')).toEqual([tx.request.headers.get('Via')])
    expect(ack.headers.all('Route')).toEqual(['<sip:p1;lr>', '<sip:p2;lr>'])
    expect(ack.headers.get('CSeq')).toBe('1 ACK')
    expect(tagOf(ack.headers.get('To') ?? '')).toBe('peer')
    expect(ack.headers.get('Proxy-Authorization')).toBe('Digest username="u"')
    expect(ack.headers.has('Require')).toBe(false)
    rig.clock.advance(31_400)
    expect(rig.layer.counts.client).toBe(1)
    rig.clock.advance(200)
    expect(rig.layer.counts.client).toBe(0)
    rig.answer(tx.request, 486)
    expect(rig.times('ACK')).toHaveLength(2)
  })

  it('hands up every 2xx, repeated and forked, until timer M', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(invite(), rig.flow, listener)
    rig.answer(tx.request, 183)
    rig.answer(tx.request, 200, 'one')
    rig.clock.advance(500)
    rig.answer(tx.request, 200, 'one')
    rig.answer(tx.request, 200, 'two')
    rig.answer(tx.request, 486, 'three')
    expect(listener.responses.map((r) => `${r.status} ${tagOf(r.headers.get('To') ?? '')}`)).toEqual([
      '183 peer',
      '200 one',
      '200 one',
      '200 two',
    ])
    expect(rig.times('ACK')).toEqual([])
    rig.clock.advance(31_499)
    rig.answer(tx.request, 200, 'one')
    rig.clock.advance(1)
    rig.answer(tx.request, 200, 'one')
    expect(listener.responses).toHaveLength(5)
    expect(rig.clock.pending).toBe(0)
  })

  it('tells of a datagram that could not be sent', () => {
    const rig = new Rig()
    rig.flow.broken = new Error('ENETUNREACH')
    const listener = rig.listener()
    rig.layer.request(invite(), rig.flow, listener)
    rig.clock.advance(40_000)
    expect(listener.heard).toEqual(['0 ENETUNREACH'])
    expect(rig.clock.pending).toBe(0)
  })

  it('survives a listener that throws', () => {
    const rig = new Rig()
    const listener = { ...rig.listener(), response: () => { throw new Error('bug') } } // prettier-ignore
    const tx = rig.layer.request(invite(), rig.flow, listener)
    rig.answer(tx.request, 404)
    expect(rig.times('ACK')).toEqual([0])
  })
})

describe('INVITE client transaction over TCP', () => {
  it('never repeats, but gives up as late', () => {
    const rig = new Rig('tcp')
    const listener = rig.listener()
    rig.layer.request(invite(), rig.flow, listener)
    rig.clock.advance(40_000)
    expect(rig.times('INVITE')).toEqual([0])
    expect(listener.heard).toEqual(['32000 timeout'])
    expect(rig.flow.listeners).toBe(0)
  })

  it('ends with its final answer: timer D is 0', () => {
    const rig = new Rig('tcp')
    const tx = rig.layer.request(invite(), rig.flow, rig.listener())
    rig.answer(tx.request, 486)
    expect(rig.times('ACK')).toEqual([0])
    expect(rig.layer.counts.client).toBe(0)
    expect(rig.flow.listeners).toBe(0)
  })

  it('still waits 64*T1 for further 2xx', () => {
    const rig = new Rig('tcp')
    const tx = rig.layer.request(invite(), rig.flow, rig.listener())
    rig.answer(tx.request, 200)
    rig.clock.advance(31_999)
    expect(rig.layer.counts.client).toBe(1)
    rig.clock.advance(1)
    expect(rig.layer.counts.client).toBe(0)
  })

  it('reports a lost connection at once while nothing was answered', () => {
    const rig = new Rig('tcp')
    const listener = rig.listener()
    rig.layer.request(invite(), rig.flow, listener)
    rig.clock.advance(100)
    rig.flow.close()
    expect(listener.heard).toEqual(['100 connection reset'])
    expect(rig.clock.pending).toBe(0)
  })

  it('lets the answer come over another connection once it rings', () => {
    const rig = new Rig('tcp')
    const listener = rig.listener()
    const tx = rig.layer.request(invite(), rig.flow, listener)
    rig.answer(tx.request, 180)
    rig.flow.close()
    rig.answer(tx.request, 486)
    expect(listener.heard).toEqual(['0 180', '0 486'])
    expect(rig.last.what).toBe('ACK')
  })
})

describe('CANCEL by the client', () => {
  it('waits for a 1xx, then goes out on the same branch, URI and route, without credentials', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(invite(), rig.flow, listener)
    tx.cancel([['Reason', 'SIP;cause=200;text="Call completed elsewhere"']])
    rig.clock.advance(700)
    expect(rig.times('CANCEL')).toEqual([])
    rig.answer(tx.request, 180)
    expect(rig.times('CANCEL')).toEqual([700])
    const cancel = rig.last.message as SipRequest
    expect(cancel.uri).toBe(tx.request.uri)
    expect(cancel.headers.all('Via')).toEqual([tx.request.headers.get('Via')])
    expect(cancel.headers.all('Route')).toEqual(['<sip:p1;lr>', '<sip:p2;lr>'])
    expect(cancel.headers.get('CSeq')).toBe('1 CANCEL')
    expect(cancel.headers.get('To')).toBe('<sip:b@192.0.2.1>')
    expect(cancel.headers.get('Reason')).toContain('elsewhere')
    expect(cancel.headers.has('Proxy-Authorization') || cancel.headers.has('Require')).toBe(false)
    rig.answer(cancel, 200)
    rig.answer(tx.request, 487)
    expect(listener.heard).toEqual(['700 180', '700 487'])
    expect(rig.times('ACK')).toEqual([700])
  })

  it('is sent once and repeated like any request until answered', () => {
    const rig = new Rig()
    const tx = rig.layer.request(invite(), rig.flow, rig.listener())
    rig.answer(tx.request, 100)
    tx.cancel()
    tx.cancel()
    rig.clock.advance(2000)
    expect(rig.times('CANCEL')).toEqual([0, 500, 1500])
  })

  it('gives the INVITE up 64*T1 later, further 1xx or not', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(invite(), rig.flow, listener)
    rig.answer(tx.request, 100)
    rig.clock.advance(1000)
    tx.cancel()
    rig.answer(rig.last.message, 200)
    rig.clock.advance(20_000)
    rig.answer(tx.request, 180)
    rig.clock.advance(20_000)
    expect(listener.heard).toEqual(['0 100', '21000 180', '33000 timeout'])
    expect(rig.clock.pending).toBe(0)
  })

  it('does nothing once a final answer is there, and leaves a crossing 200 to the core', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(invite(), rig.flow, listener)
    rig.answer(tx.request, 180)
    tx.cancel()
    rig.answer(tx.request, 200)
    expect(listener.heard).toEqual(['0 180', '0 200'])
    const other = rig.layer.request(makeRequest('INVITE', { callId: 'call2' }), rig.flow, rig.listener())
    rig.answer(other.request, 200)
    other.cancel()
    expect(rig.times('CANCEL')).toEqual([0])
  })
})
