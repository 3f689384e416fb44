import { describe, expect, it } from 'vitest'
import { buildResponse } from '../../../src/sip/message/build.ts'
import { tagOf } from '../../../src/sip/message/headers.ts'
import type { ServerTransaction } from '../../../src/sip/transaction/layer.ts'
import type { Protocol } from '../../../src/sip/transport/transport.ts'
import { Rig, makeRequest } from './rig.ts'

const invite = makeRequest('INVITE')
const ackTo = (toTag = 'ours'): ReturnType<typeof makeRequest> => makeRequest('ACK', { toTag })

/** An INVITE has come in; `log` holds what the core hears. */
function incoming(protocol: Protocol = 'udp'): {
  rig: Rig
  tx: ServerTransaction
  log: string[]
  say: (status: number) => void
} {
  const rig = new Rig(protocol)
  const log: string[] = []
  let tx: ServerTransaction | undefined
  rig.layer.onRequest((request, transaction) => {
    log.push(`${rig.clock.now()} ${request.method}${transaction ? '' : ' without transaction'}`)
    if (request.method !== 'INVITE' || !transaction) return
    tx = transaction
    tx.onCancel(() => log.push(`${rig.clock.now()} cancelled`))
    tx.onAck(() => log.push(`${rig.clock.now()} acknowledged`))
    tx.onTimeout(() => log.push(`${rig.clock.now()} timeout`))
    tx.onTransportError((err) => log.push(`${rig.clock.now()} ${err.message}`))
    tx.onTerminated(() => log.push(`${rig.clock.now()} over`))
  })
  rig.deliver(invite)
  if (!tx) throw new Error('no transaction')
  const found = tx
  return {
    rig,
    tx: found,
    log,
    say: (status) => found.respond(buildResponse(invite, status, undefined, { toTag: 'ours' })),
  }
}

describe('INVITE server transaction over UDP', () => {
  it('says 100 after 200 ms of silence, and not if something was said', () => {
    const { rig } = incoming()
    rig.clock.advance(1000)
    expect(rig.times('100 INVITE')).toEqual([200])
    const spoken = incoming()
    spoken.rig.clock.advance(150)
    spoken.say(180)
    spoken.rig.clock.advance(1000)
    expect(spoken.rig.sent.map((s) => s.what)).toEqual(['180 INVITE'])
  })

  it('gives a repeated INVITE the last provisional again, byte for byte, and tells the core once', () => {
    const { rig, log, say } = incoming()
    say(180)
    say(183)
    rig.clock.advance(500)
    rig.deliver(invite)
    expect(rig.sent.map((s) => s.what)).toEqual(['180 INVITE', '183 INVITE', '183 INVITE'])
    expect(rig.sent[2].bytes.equals(rig.sent[1].bytes)).toBe(true)
    expect(log).toEqual(['0 INVITE'])
  })

  it('answers a repeat with 100 when nothing was said yet', () => {
    const { rig } = incoming()
    rig.clock.advance(100)
    rig.deliver(invite)
    expect(rig.times('100 INVITE')).toEqual([100])
  })

  it('repeats 3xx-6xx at T1 doubling to T2 until timer H gives up', () => {
    const { rig, log, say } = incoming()
    say(486)
    rig.clock.advance(40_000)
    expect(rig.times('486 INVITE')).toEqual([0, 500, 1500, 3500, 7500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500])
    expect(log).toEqual(['0 INVITE', '32000 timeout', '32000 over'])
    expect(rig.clock.pending).toBe(0)
  })

  it('stops repeating at the ACK, absorbs further ACKs for timer I, then ends', () => {
    const { rig, log, say } = incoming()
    say(486)
    rig.clock.advance(600)
    rig.deliver(ackTo())
    rig.deliver(ackTo())
    rig.clock.advance(4999)
    rig.deliver(ackTo())
    expect(rig.layer.counts.server).toBe(1)
    rig.clock.advance(1)
    expect(rig.times('486 INVITE')).toEqual([0, 500])
    expect(log).toEqual(['0 INVITE', '600 acknowledged', '5600 over'])
    expect(rig.layer.counts.server).toBe(0)
  })

  it('gives a repeated INVITE the final answer again at once', () => {
    const { rig, say } = incoming()
    say(404)
    rig.clock.advance(100)
    rig.deliver(invite)
    expect(rig.times('404 INVITE')).toEqual([0, 100])
    expect(rig.sent[1].bytes.equals(rig.sent[0].bytes)).toBe(true)
  })

  it('leaves the repeats of a 2xx to the core, absorbs repeated INVITEs and ends with timer L', () => {
    const { rig, log, say } = incoming()
    say(200)
    rig.deliver(invite)
    rig.clock.advance(1000)
    expect(rig.times('200 INVITE')).toEqual([0])
    say(200)
    say(486)
    say(180)
    expect(rig.sent.map((s) => s.what)).toEqual(['200 INVITE', '200 INVITE'])
    rig.clock.advance(30_999)
    expect(rig.layer.counts.server).toBe(1)
    rig.clock.advance(1)
    expect(log).toEqual(['0 INVITE', '32000 over'])
  })

  it('passes the ACK to a 2xx up, on a branch of its own or (wrongly) on that of the INVITE', () => {
    const { rig, log, say } = incoming()
    say(200)
    rig.deliver(makeRequest('ACK', { branch: 'z9hG4bKack', toTag: 'ours' }))
    rig.deliver(ackTo())
    expect(log).toEqual(['0 INVITE', '0 ACK without transaction', '0 ACK without transaction'])
  })
})

describe('INVITE server transaction over TCP', () => {
  it('repeats nothing, but waits for the ACK as long', () => {
    const { rig, log, say } = incoming('tcp')
    say(486)
    rig.clock.advance(40_000)
    expect(rig.times('486 INVITE')).toEqual([0])
    expect(log).toEqual(['0 INVITE', '32000 timeout', '32000 over'])
  })

  it('ends at the ACK: timer I is 0', () => {
    const { rig, log, say } = incoming('tcp')
    say(486)
    rig.deliver(ackTo())
    expect(log).toEqual(['0 INVITE', '0 acknowledged', '0 over'])
    expect(rig.clock.pending).toBe(0)
  })

  it('keeps timer L', () => {
    const { rig, say } = incoming('tcp')
    say(200)
    rig.clock.advance(31_999)
    expect(rig.layer.counts.server).toBe(1)
    rig.clock.advance(1)
    expect(rig.layer.counts.server).toBe(0)
  })

  it('opens a new connection to the sent-by port when the old one is gone', () => {
    const { rig, say } = incoming('tcp')
    rig.flow.close()
    say(486)
    expect(rig.last).toMatchObject({ what: '486 INVITE', to: '192.0.2.9:5060' })
  })
})

describe('CANCEL to the server', () => {
  const cancel = makeRequest('CANCEL')

  it('gets 200 with the tag of the INVITE, and the owner hears of it once', () => {
    const { rig, log, say } = incoming()
    say(180)
    rig.deliver(cancel)
    rig.deliver(cancel)
    expect(rig.times('200 CANCEL')).toEqual([0, 0])
    expect(tagOf(rig.last.message.headers.get('To') ?? '')).toBe('ours')
    expect(log).toEqual(['0 INVITE', '0 cancelled'])
    say(487)
    expect(rig.last.what).toBe('487 INVITE')
  })

  it('gets 200 and changes nothing after the final answer', () => {
    const { rig, log, say } = incoming()
    say(200)
    rig.deliver(cancel)
    expect(rig.last.what).toBe('200 CANCEL')
    expect(log).toEqual(['0 INVITE'])
  })

  it('gets 481 when there is nothing to cancel', () => {
    const { rig } = incoming()
    rig.deliver(makeRequest('CANCEL', { branch: 'z9hG4bKother' }))
    expect(rig.sent.map((s) => s.what)).toEqual(['481 CANCEL'])
  })

  it('ends the INVITE with 487 itself when the core does not care', () => {
    const rig = new Rig()
    rig.layer.onRequest(() => undefined)
    rig.deliver(invite)
    rig.deliver(cancel)
    expect(rig.sent.map((s) => s.what)).toEqual(['200 CANCEL', '487 INVITE'])
    expect(tagOf(rig.sent[0].message.headers.get('To') ?? '')).toBe(tagOf(rig.sent[1].message.headers.get('To') ?? ''))
  })
})
