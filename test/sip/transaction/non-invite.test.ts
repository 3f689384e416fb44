import { describe, expect, it } from 'vitest'
import { buildResponse } from '../../../src/sip/message/build.ts'
import type { ServerTransaction } from '../../../src/sip/transaction/layer.ts'
import type { Protocol } from '../../../src/sip/transport/transport.ts'
import { Rig, makeRequest } from './rig.ts'

const options = makeRequest('OPTIONS')

describe('non-INVITE client transaction', () => {
  it('repeats at T1 doubling to T2 over UDP until timer F gives up', () => {
    const rig = new Rig()
    const listener = rig.listener()
    rig.layer.request(options, rig.flow, listener)
    rig.clock.advance(40_000)
    expect(rig.times('OPTIONS')).toEqual([0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500])
    expect(listener.heard).toEqual(['32000 timeout'])
    expect(rig.clock.pending).toBe(0)
  })

  it('repeats each T2 once a 1xx came, and still gives up after 64*T1', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(options, rig.flow, listener)
    rig.clock.advance(100)
    rig.answer(tx.request, 100)
    rig.clock.advance(13_000)
    expect(rig.times('OPTIONS')).toEqual([0, 500, 4500, 8500, 12_500])
    rig.clock.advance(20_000)
    expect(listener.heard).toEqual(['100 100', '32000 timeout'])
  })

  it('hears one final answer and absorbs its repeats for timer K', () => {
    const rig = new Rig()
    const listener = rig.listener()
    const tx = rig.layer.request(options, rig.flow, listener)
    rig.answer(tx.request, 200)
    rig.answer(tx.request, 200)
    rig.clock.advance(4999)
    rig.answer(tx.request, 200)
    expect(rig.layer.counts.client).toBe(1)
    rig.clock.advance(1)
    expect(rig.layer.counts.client).toBe(0)
    expect(listener.heard).toEqual(['0 200'])
    expect(rig.times('OPTIONS')).toEqual([0])
  })

  it('does not repeat over TCP and ends with its answer', () => {
    const rig = new Rig('tcp')
    const listener = rig.listener()
    const silent = rig.layer.request(options, rig.flow, listener)
    rig.clock.advance(31_000)
    expect(rig.times('OPTIONS')).toEqual([0])
    rig.answer(silent.request, 404)
    expect(rig.layer.counts.client).toBe(0)
    expect(rig.clock.pending).toBe(0)
    expect(rig.flow.listeners).toBe(0)
  })

  it('reports a lost connection', () => {
    const rig = new Rig('tcp')
    const listener = rig.listener()
    rig.layer.request(options, rig.flow, listener)
    rig.flow.close()
    expect(listener.heard).toEqual(['0 connection reset'])
  })
})

function incoming(protocol: Protocol = 'udp'): { rig: Rig; say: (status: number) => void; heard: string[] } {
  const rig = new Rig(protocol)
  const heard: string[] = []
  let tx: ServerTransaction | undefined
  rig.layer.onRequest((request, transaction) => {
    heard.push(request.method)
    tx = transaction
    tx?.onTerminated(() => heard.push(`${rig.clock.now()} over`))
  })
  rig.deliver(options)
  return { rig, heard, say: (status) => tx?.respond(buildResponse(options, status, undefined, { toTag: 'ours' })) }
}

describe('non-INVITE server transaction', () => {
  it('is silent to repeats until answered, then repeats the same bytes for timer J', () => {
    const { rig, heard, say } = incoming()
    rig.deliver(options)
    expect(rig.sent).toEqual([])
    say(200)
    say(404)
    rig.clock.advance(31_999)
    rig.deliver(options)
    expect(rig.sent.map((s) => s.what)).toEqual(['200 OPTIONS', '200 OPTIONS'])
    expect(rig.sent[1].bytes.equals(rig.sent[0].bytes)).toBe(true)
    rig.clock.advance(1)
    expect(heard).toEqual(['OPTIONS', '32000 over'])
    expect(rig.clock.pending).toBe(0)
  })

  it('repeats a provisional', () => {
    const { rig, say } = incoming()
    say(100)
    rig.deliver(options)
    expect(rig.times('100 OPTIONS')).toHaveLength(2)
  })

  it('is over with its answer on TCP', () => {
    const { rig, heard, say } = incoming('tcp')
    say(200)
    expect(heard).toEqual(['OPTIONS', '0 over'])
    expect(rig.layer.counts.server).toBe(0)
    expect(rig.clock.pending).toBe(0)
  })

  it('is forgotten when the core never answers', () => {
    const { rig, heard } = incoming()
    rig.clock.advance(60_000)
    expect(heard).toEqual(['OPTIONS', '37000 over'])
    expect(rig.layer.counts.server).toBe(0)
  })
})
