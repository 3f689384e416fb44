import { beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../../../src/telemetry/log.ts'
import { sipfrag } from '../../../src/sip/dialog/refer.ts'
import type { InviteSession } from '../../../src/sip/dialog/session.ts'
import type { SipRequest } from '../../../src/sip/message/message.ts'
import { UserAgent } from '../../../src/sip/user-agent.ts'
import { FakeClock } from '../../fakes/clock.ts'
import { FakeNetwork, sdp, type RawPeer } from '../fake-network.ts'

/** REFER of ours against a far end written by hand: every ending that RFC 3515 has, and those that it has not. */
const US = '10.0.0.1'
const PEER = '10.0.0.2'
const TARGET = 'sip:+911140000009@10.0.0.2'

let clock: FakeClock
let net: FakeNetwork
let ua: UserAgent
let peer: RawPeer
let session: InviteSession
let log: string[]
/** How the peer answers a REFER; everything else gets 200. */
let onRefer: (request: SipRequest) => void
let notifySeq: number

beforeEach(async () => {
  clock = new FakeClock()
  net = new FakeNetwork(clock)
  log = []
  notifySeq = 100
  ua = new UserAgent({ clock, log: silentLog, host: US, port: 5060, openTransports: () => Promise.resolve(net.transports(US)) }) // prettier-ignore
  await ua.listen()
  peer = net.peer(PEER)
  onRefer = (r) => peer.respond(r, 202)
  peer.onRequest = (r) => {
    if (r.method === 'INVITE')
      peer.respond(r, 200, { tag: 'p', headers: [`Contact: <sip:1@${PEER}:5060>`], body: sdp(PEER, 6000) })
    else if (r.method === 'REFER') onRefer(r)
    else if (r.method !== 'ACK') peer.respond(r, 200)
  }
  session = ua.invite({
    target: `sip:1@${PEER}:5060`,
    from: `<sip:2@${US}>`,
    media: { host: US, port: 4000 },
    credentials: { username: 'u', password: 'p' },
  })
  session.on('refer', (p) => log.push(`${p.state} ${p.status} ${p.text}`.trim()))
  session.on('ended', (e) => log.push(`ended ${e.by} ${e.sipStatus}`))
  clock.advance(10)
})

const refer = (timeoutMs = 20_000): void => {
  session.refer({ referTo: TARGET, timeoutMs })
  clock.advance(10)
}

/** A NOTIFY of the peer's in the dialog; returns the status that it gets. */
function notify(
  status: string,
  more: { event?: string; state?: string; type?: string; headers?: string[] } = {},
): number | undefined {
  const invite = peer.last('INVITE')
  const body = status ? `SIP/2.0 ${status}\r\n` : ''
  peer.request(
    `${US}:5060`,
    'NOTIFY',
    `sip:${US}:5060`,
    [
      `From: ${invite.headers.get('To')};tag=p`,
      `To: ${invite.headers.get('From')}`,
      `Call-ID: ${invite.headers.get('Call-ID')}`,
      `CSeq: ${notifySeq++} NOTIFY`,
      `Event: ${more.event ?? 'refer'}`,
      `Subscription-State: ${more.state ?? 'active;expires=60'}`,
      ...(body ? [`Content-Type: ${more.type ?? 'message/sipfrag;version=2.0'}`] : []),
      ...(more.headers ?? []),
    ],
    body,
  )
  clock.advance(10)
  return peer.lastStatus
}

const seqOfRefer = (): string => peer.last('REFER').headers.get('CSeq')?.split(' ')[0] ?? ''

describe('a REFER', () => {
  it('names the target, who asks, and where we are, with the CSeq of the dialog', () => {
    refer()
    const request = peer.last('REFER')
    expect(request.uri).toBe(`sip:1@${PEER}:5060`)
    expect(request.headers.get('Refer-To')).toBe(`<${TARGET}>`)
    expect(request.headers.get('Referred-By')).toBe(`<sip:2@${US}>`)
    expect(request.headers.get('Contact')).toBe(`<sip:${US}:5060>`)
    expect(request.headers.get('To')).toContain('tag=p')
    expect(request.headers.get('CSeq')).toBe('2 REFER')
  })

  it('that is taken is told by its NOTIFYs up to the result, each answered 200', () => {
    refer()
    const statuses = [
      notify('100 Trying'),
      notify('180 Ringing'),
      notify('180 Ringing'),
      notify('200 OK', { state: 'terminated;reason=noresource' }),
    ]
    expect(statuses).toEqual([200, 200, 200, 200])
    expect(log).toEqual(['accepted 202 X', 'progress 100 Trying', 'progress 180 Ringing', 'completed 200 OK'])
    expect(session.state).toBe('established')
    expect(clock.pending).toBeGreaterThan(0)
    session.hangup()
    clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })

  it('that the target refuses has failed with the target’s status', () => {
    refer()
    notify('486 Busy Here', { state: 'terminated;reason=noresource' })
    expect(log).toEqual(['accepted 202 X', 'failed 486 Busy Here'])
  })

  it.each([405, 403, 603, 501, 420])('that gets %i has failed, and the call goes on', (status) => {
    onRefer = (r) => peer.respond(r, status)
    refer()
    expect(log).toEqual([`failed ${status} X`])
    expect(session.state).toBe('established')
    expect(notify('200 OK')).toBe(481)
    expect(log).toHaveLength(1)
  })

  it('that gets 481 finds out that there is no call any more', () => {
    onRefer = (r) => peer.respond(r, 481)
    refer()
    expect(log).toEqual(['ended peer 481'])
  })

  it('that nobody answers has failed when its time is over, and the peer’s late NOTIFY gets 481', () => {
    refer(5000)
    clock.advance(5000)
    expect(log).toEqual(['accepted 202 X', 'failed 408 no result of the REFER in time'])
    expect(notify('200 OK')).toBe(481)
    expect(log).toHaveLength(2)
  })

  it('without an answer is repeated, then has failed by timer F', () => {
    onRefer = () => undefined
    refer(60_000)
    clock.advance(32_000)
    expect(peer.requests.filter((r) => r.method === 'REFER').length).toBeGreaterThan(5)
    expect(log).toEqual(['failed 408 no answer to the REFER'])
  })

  it('whose NOTIFY overtakes the 202 is taken all the same', () => {
    let held: SipRequest | undefined
    onRefer = (r) => (held = r)
    refer()
    expect(notify('100 Trying')).toBe(200)
    notify('200 OK', { state: 'terminated' })
    expect(log).toEqual(['accepted 202 Accepted', 'progress 100 Trying', 'completed 200 OK'])
    if (held) peer.respond(held, 202)
    clock.advance(10)
    expect(log).toHaveLength(3)
  })

  it('that is challenged comes again with credentials, and its subscription has the new number', () => {
    onRefer = (r) =>
      r.headers.has('Authorization')
        ? peer.respond(r, 202)
        : peer.respond(r, 401, { headers: ['WWW-Authenticate: Digest realm="r", nonce="n"'] })
    refer()
    expect(seqOfRefer()).toBe('3')
    expect(notify('200 OK', { event: 'refer;id=2' })).toBe(481)
    expect(notify('200 OK', { event: 'refer;id=3' })).toBe(200)
    expect(log).toEqual(['accepted 202 X', 'completed 200 OK'])
  })

  it('is one at a time', () => {
    refer()
    refer()
    expect(log).toEqual(['accepted 202 X', 'failed 491 another REFER is under way'])
    expect(peer.requests.filter((r) => r.method === 'REFER')).toHaveLength(1)
  })

  it('after a failed one has a subscription of its own, told apart by id', () => {
    refer()
    const first = seqOfRefer()
    // Still active by its own word: what follows belongs to it.
    notify('503 Service Unavailable', { event: `refer;id=${first}` })
    refer()
    const second = seqOfRefer()
    expect(notify('', { event: `refer;id=${first}`, state: 'terminated;reason=timeout' })).toBe(200)
    notify('200 OK', { event: `refer;id=${second}` })
    expect(log).toEqual(['accepted 202 X', 'failed 503 Service Unavailable', 'accepted 202 X', 'completed 200 OK'])
  })

  it('ends with the call: BYE before the last NOTIFY', () => {
    refer()
    notify('100 Trying')
    const invite = peer.last('INVITE')
    peer.request(`${US}:5060`, 'BYE', `sip:${US}:5060`, [
      `From: ${invite.headers.get('To')};tag=p`, `To: ${invite.headers.get('From')}`, `Call-ID: ${invite.headers.get('Call-ID')}`, 'CSeq: 200 BYE',
    ]) // prettier-ignore
    clock.advance(10)
    expect(log).toEqual(['accepted 202 X', 'progress 100 Trying', 'ended peer 0'])
    expect(notify('200 OK')).toBe(481)
    clock.advance(60_000)
    expect(clock.pending).toBe(0)
  })

  it('before the call is established fails at once', () => {
    const ringing = ua.invite({ target: 'sip:1@10.0.0.3:5060', from: `<sip:2@${US}>`, media: { host: US, port: 4000 } })
    ringing.on('refer', (p) => log.push(`${p.state} ${p.status}`))
    ringing.refer({ referTo: TARGET, timeoutMs: 1000 })
    expect(log).toEqual(['failed 481'])
  })
})

describe('a NOTIFY', () => {
  it('without a result at the end of its subscription is no success', () => {
    refer()
    notify('180 Ringing')
    notify('', { state: 'terminated;reason=timeout' })
    expect(log.slice(1)).toEqual(['progress 180 Ringing', 'failed 0 the peer stopped telling'])
  })

  it('that is no sipfrag says nothing, and the next one counts', () => {
    refer()
    expect(notify('')).toBe(200)
    expect(notify('garbage')).toBe(200)
    expect(notify('202 Accepted', { event: 'refer ; id=2', type: 'text/plain' })).toBe(200)
    expect(log).toEqual(['accepted 202 X', 'completed 202 Accepted'])
  })

  it('of an event that we did not ask for gets 489, and of none that lives 481', () => {
    expect(notify('200 OK')).toBe(481)
    expect(notify('200 OK', { event: 'message-summary' })).toBe(489)
    expect(peer.responses.at(-1)?.headers.get('Allow-Events')).toBe('refer')
    refer()
    expect(notify('200 OK', { event: 'refer;id=77' })).toBe(481)
    expect(notify('200 OK', { event: 'refer;id' })).toBe(200)
    expect(log.at(-1)).toBe('completed 200 OK')
  })

  it.each([
    ['SIP/2.0 200 OK\r\nContact: <sip:a@b>\r\n', 200, 'OK'],
    ['sip/2.0 503', 503, ''],
    ['\r\nSIP/2.0 486 Busy Here', 486, 'Busy Here'],
    ['SIP/2.0 999 Odd', undefined, undefined],
    ['INVITE sip:a@b SIP/2.0', undefined, undefined],
    [`SIP/2.0 200 ${'x'.repeat(100_000)}`, 200, 'x'.repeat(188)],
    ['\xff\x00', undefined, undefined],
  ])('body %j is read as %s', (body, status, text) => {
    const said = sipfrag(Buffer.from(body, 'latin1'))
    expect(said?.status).toBe(status)
    expect(said?.text).toBe(text)
  })
})
