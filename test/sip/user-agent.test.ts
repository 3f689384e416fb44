import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../../src/telemetry/log.ts'
import type { InviteOptions, InviteSession, SessionEnd } from '../../src/sip/dialog/session.ts'
import type { NegotiatedMedia } from '../../src/sip/sdp/negotiate.ts'
import { UserAgent, type UserAgentOptions } from '../../src/sip/user-agent.ts'
import { FakeClock } from '../fakes/clock.ts'
import { FakeNetwork } from './fake-network.ts'

const A = '10.0.0.1'
const B = '10.0.0.2'
const mediaA = { host: A, port: 4000 }
const mediaB = { host: B, port: 6000 }

let clock: FakeClock
let net: FakeNetwork
let a: UserAgent
let b: UserAgent

async function agent(host: string, more: Partial<UserAgentOptions> = {}): Promise<UserAgent> {
  const ua = new UserAgent({
    clock, log: silentLog, host, port: 5060, random: () => 0.5,
    openTransports: () => Promise.resolve(net.transports(host)), ...more,
  }) // prettier-ignore
  await ua.listen()
  return ua
}

/** Everything that a session tells, in order. */
function watch(session: InviteSession): string[] {
  const log: string[] = []
  session.on('progress', (p) => log.push(`progress ${p.status}${p.early ? ' early' : ''}`))
  session.on('media', (m) => log.push(`media ${m.host}:${m.port} ${m.codec} ${m.direction}`))
  session.on('established', () => log.push('established'))
  session.on('digit', (d) => log.push(`digit ${d.digit} ${d.durationMs}`))
  session.on('held', () => log.push('held'))
  session.on('resumed', () => log.push('resumed'))
  session.on('ended', (e: SessionEnd) => log.push(`ended ${e.by} ${e.sipStatus} ${e.q850}`))
  return log
}

const call = (more: Partial<InviteOptions> = {}): InviteSession =>
  a.invite({ target: `sip:100@${B}:5060`, from: `<sip:200@${A}>`, media: mediaA, ...more })

beforeEach(async () => {
  clock = new FakeClock()
  net = new FakeNetwork(clock)
  a = await agent(A)
  b = await agent(B)
})

afterEach(async () => {
  await a.close(0)
  await b.close(0)
})

/** A call set up between the two. */
function established(more: Partial<InviteOptions> = {}): {
  out: InviteSession
  inc: InviteSession
  outLog: string[]
  incLog: string[]
} {
  let inc: InviteSession | undefined
  let incLog: string[] = []
  b.onInvite((s) => {
    inc = s
    incLog = watch(s)
    s.ring()
    s.accept(mediaB)
  })
  const out = call(more)
  const outLog = watch(out)
  clock.advance(100)
  if (!inc) throw new Error('no INVITE came')
  expect(out.state).toBe('established')
  expect(inc.state).toBe('established')
  outLog.length = 0
  incLog.length = 0
  return { out, inc, outLog, incLog }
}

describe('a plain call', () => {
  it('rings, is answered, carries media descriptions both ways and ends by BYE from the caller', () => {
    let incLog: string[] = []
    b.onInvite((s) => {
      incLog = watch(s)
      s.ring()
      s.accept(mediaB)
    })
    const out = call()
    const outLog = watch(out)
    clock.advance(50)
    expect(outLog).toEqual(['progress 180', `media ${B}:6000 pcmu sendrecv`, 'established'])
    expect(incLog).toEqual([`media ${A}:4000 pcmu sendrecv`, 'established'])
    out.hangup()
    clock.advance(50)
    expect(outLog.at(-1)).toBe('ended us 0 16')
    expect(incLog.at(-1)).toBe('ended peer 0 16')
    expect(net.seen(A, B)).toEqual(['INVITE', 'ACK', 'BYE'])
    expect(net.seen(B, A)).toEqual(['180 INVITE', '200 INVITE', '200 BYE'])
  })

  it('is ended by the callee, with its Reason told', () => {
    const { inc, outLog } = established()
    const ends: SessionEnd[] = []
    inc.on('ended', (e) => ends.push(e))
    inc.hangup({ q850: 31, text: 'enough' })
    clock.advance(50)
    expect(outLog).toEqual(['ended peer 0 31'])
    expect(ends).toHaveLength(1)
    expect(net.last('BYE')).toContain('Reason: Q.850;cause=31;text="enough"')
  })

  it('carries early media by 183 and does not repeat the media event when the 200 says the same', () => {
    b.onInvite((s) => {
      s.progress(mediaB)
      clock.after(1000, () => s.accept(mediaB))
    })
    const out = call()
    const log = watch(out)
    clock.advance(500)
    expect(log).toEqual([`media ${B}:6000 pcmu sendrecv`, 'progress 183 early'])
    clock.advance(1000)
    expect(log.slice(2)).toEqual(['established'])
    const versions = [net.last('183 INVITE'), net.last('200 INVITE')].map((t) => /^o=.*$/m.exec(t)?.[0])
    expect(versions[0]).toBe(versions[1])
  })

  it('takes a 200 whose SDP differs from the 183', () => {
    b.onInvite((s) => {
      s.progress(mediaB)
      clock.after(100, () => s.accept({ host: B, port: 7000 }))
    })
    const log = watch(call())
    clock.advance(500)
    expect(log).toEqual([
      `media ${B}:6000 pcmu sendrecv`,
      'progress 183 early',
      `media ${B}:7000 pcmu sendrecv`,
      'established',
    ])
  })

  it('passes a refusal up with status and Q.850 cause', () => {
    b.onInvite((s) => s.reject(486))
    const log = watch(call())
    clock.advance(50)
    expect(log).toEqual(['ended peer 486 17'])
    expect(net.seen(A, B)).toEqual(['INVITE', 'ACK'])
  })

  it('answers an offer without a codec of ours with 488 and tells both sides', () => {
    let incLog: string[] = []
    b.onInvite((s) => {
      s.configure({ prefs: { codecs: ['pcma'] } })
      incLog = watch(s)
      s.accept(mediaB)
    })
    const log = watch(call({ prefs: { codecs: ['pcmu'] } }))
    clock.advance(50)
    expect(log).toEqual(['ended peer 488 65'])
    expect(incLog).toEqual(['ended us 488 65'])
    expect(net.last('488 INVITE')).toContain('Warning: 304 ')
  })

  it('repeats 18x each 60 s so that proxies keep the call', () => {
    b.onInvite((s) => s.ring())
    call()
    clock.advance(150_000)
    expect(net.seen(B, A)).toEqual(['180 INVITE', '180 INVITE', '180 INVITE'])
  })

  it('leaves nothing behind', () => {
    const { out } = established()
    out.hangup()
    clock.advance(120_000)
    expect(a.counts).toEqual({ sessions: 0, transactions: 0 })
    expect(b.counts).toEqual({ sessions: 0, transactions: 0 })
    expect(clock.pending).toBe(0)
  })
})

describe('delayed offer', () => {
  it('offers in the 200 and takes the answer from the ACK', () => {
    let incLog: string[] = []
    b.onInvite((s) => {
      incLog = watch(s)
      s.accept(mediaB)
    })
    const log = watch(call({ delayedOffer: true }))
    clock.advance(50)
    expect(log).toEqual([`media ${B}:6000 pcmu sendrecv`, 'established'])
    expect(incLog).toEqual([`media ${A}:4000 pcmu sendrecv`, 'established'])
    expect(net.last('INVITE')).toContain('Content-Length: 0')
    expect(net.last('ACK')).toContain('m=audio 4000')
  })

  it('answers a re-INVITE without SDP the same way', () => {
    const { out, incLog } = established()
    out.reinvite(undefined, true)
    clock.advance(50)
    expect(net.last('200 INVITE')).toContain('m=audio 6000')
    expect(net.last('ACK')).toContain('m=audio 4000')
    expect(incLog).toEqual([])
    out.hangup()
    clock.advance(50)
    expect(incLog).toEqual(['ended peer 0 16'])
  })
})

describe('re-INVITE', () => {
  it('holds and resumes, answered at once', () => {
    const { out, outLog, incLog } = established()
    out.hold()
    clock.advance(50)
    expect(net.last('200 INVITE')).toContain('a=recvonly')
    expect(outLog).toEqual([`media ${B}:6000 pcmu sendonly`])
    expect(incLog).toEqual([`media ${A}:4000 pcmu recvonly`, 'held'])
    out.resume()
    clock.advance(50)
    expect(outLog.slice(1)).toEqual([`media ${B}:6000 pcmu sendrecv`])
    expect(incLog.slice(2)).toEqual([`media ${A}:4000 pcmu sendrecv`, 'resumed'])
  })

  it('moves to a new address', () => {
    const { out, incLog } = established()
    out.reinvite({ host: A, port: 4444 })
    clock.advance(50)
    expect(incLog).toEqual([`media ${A}:4444 pcmu sendrecv`])
  })

  it('raises the version in o= by one with each change and not without one', () => {
    const { out } = established()
    const version = (): number => Number(/^o=- \d+ (\d+) /m.exec(net.last('INVITE', A, B))?.[1])
    expect(version()).toBe(1)
    out.reinvite()
    clock.advance(50)
    expect(version()).toBe(1)
    out.hold()
    clock.advance(50)
    expect(version()).toBe(2)
  })

  it('meets the other one on the way: 491 both, then each tries again in its own window and one wins', () => {
    const { out, inc, outLog, incLog } = established()
    out.hold()
    inc.reinvite({ host: B, port: 6666 })
    clock.advance(50)
    expect(net.seen(A, B).filter((w) => w === '491 INVITE')).toHaveLength(1)
    expect(net.seen(B, A).filter((w) => w === '491 INVITE')).toHaveLength(1)
    const before = net.packets.length
    clock.advance(5000)
    const invites = net.packets.slice(before).filter((p) => p.what === 'INVITE')
    // RFC 3261 §14.1: 0-2 s for the callee, 2.1-4 s for the one who made the Call-ID; random is 0.5 here.
    expect(invites.map((p) => [p.from.split(':')[0], Math.round(p.atMs / 10) * 10])).toEqual([
      [B, 1100],
      [A, 3150],
    ])
    expect(outLog).toContain(`media ${B}:6666 pcmu sendrecv`)
    expect(incLog).toContain('held')
  })

  it('leaves the session as it was when refused', () => {
    const { out, inc, outLog } = established()
    inc.configure({ prefs: { codecs: ['pcma'] } })
    out.configure({ prefs: { codecs: ['pcmu'] } })
    out.hold()
    clock.advance(50)
    expect(net.last('488 INVITE')).not.toBe('')
    expect(outLog).toEqual([])
    expect(out.state).toBe('established')
    expect(out.media?.direction).toBe('sendrecv')
  })

  it('ends the session when the peer does not know the dialog any more', () => {
    const { out, inc, outLog } = established()
    net.lose = (p) => p.what === 'BYE'
    inc.hangup()
    clock.advance(40_000)
    net.lose = () => false
    out.hold()
    clock.advance(50)
    expect(net.last('481 INVITE')).not.toBe('')
    expect(outLog).toEqual(['ended peer 481 41'])
  })
})

describe('CANCEL', () => {
  it('ends a ringing call with 487 on both sides', () => {
    let incLog: string[] = []
    b.onInvite((s) => {
      incLog = watch(s)
      s.ring()
    })
    const out = call()
    const log = watch(out)
    clock.advance(50)
    out.hangup()
    expect(log.at(-1)).toBe('ended us 487 16')
    clock.advance(50)
    expect(incLog).toEqual(['ended peer 487 16'])
    expect(net.seen(A, B)).toEqual(['INVITE', 'CANCEL', 'ACK'])
    expect(net.seen(B, A)).toEqual(['180 INVITE', '200 CANCEL', '487 INVITE'])
  })

  it('waits for a provisional answer before it is sent', () => {
    b.onInvite((s) => {
      clock.after(300, () => s.ring())
    })
    const out = call()
    clock.advance(50)
    out.hangup()
    clock.advance(100)
    expect(net.seen(A, B)).toEqual(['INVITE'])
    clock.advance(500)
    expect(net.seen(A, B)).toEqual(['INVITE', 'CANCEL', 'ACK'])
  })

  it('crosses a 200: ACK and BYE, and the callee hears one end', () => {
    let inc: InviteSession | undefined
    let incLog: string[] = []
    b.onInvite((s) => {
      inc = s
      incLog = watch(s)
      s.ring()
    })
    const out = call()
    const log = watch(out)
    clock.advance(50)
    out.hangup()
    inc?.accept(mediaB)
    clock.advance(200)
    expect(net.seen(A, B)).toEqual(['INVITE', 'CANCEL', 'ACK', 'BYE'])
    expect(log.filter((l) => l.startsWith('ended'))).toEqual(['ended us 487 16'])
    expect(incLog.filter((l) => l.startsWith('ended'))).toEqual(['ended peer 0 16'])
    clock.advance(100_000)
    expect(clock.pending).toBe(0)
  })

  it('follows when nobody answers in the ring time, and the end is a 408 by timeout', () => {
    b.onInvite((s) => s.ring())
    const log = watch(call({ ringTimeoutMs: 20_000 }))
    clock.advance(20_100)
    expect(log).toEqual(['progress 180', 'ended timeout 408 19'])
    expect(net.seen(A, B)).toEqual(['INVITE', 'CANCEL', 'ACK'])
  })

  it('of a refusing callee is too late and harms nothing', () => {
    b.onInvite((s) => s.reject(486))
    const out = call()
    clock.advance(1.5)
    out.hangup()
    clock.advance(60_000)
    expect(net.seen(A, B)).toEqual(['INVITE', 'ACK'])
  })
})

describe('loss', () => {
  it('repeats the 2xx at 0, 0.5, 1.5 and 3.5 s until the ACK comes', () => {
    let incLog: string[] = []
    b.onInvite((s) => {
      incLog = watch(s)
      s.accept(mediaB)
    })
    let acks = 0
    net.lose = (p) => p.what === 'ACK' && ++acks <= 3
    call()
    clock.advance(10_000)
    const sent = net.packets.filter((p) => p.what === '200 INVITE').map((p) => Math.round(p.atMs / 100) / 10)
    expect(sent).toEqual([0, 0.5, 1.5, 3.5])
    expect(incLog.at(-1)).toBe('established')
    expect(net.seen(A, B).filter((w) => w === 'ACK')).toHaveLength(4)
  })

  it('gives up on the ACK after 64*T1 with BYE', () => {
    let incLog: string[] = []
    b.onInvite((s) => {
      incLog = watch(s)
      s.accept(mediaB)
    })
    net.lose = (p) => p.what === 'ACK'
    const log = watch(call())
    clock.advance(33_000)
    expect(incLog.at(-1)).toBe('ended timeout 408 102')
    expect(log.at(-1)).toBe('ended peer 0 102')
  })

  it('hung up before the ACK, the callee waits with its BYE until the ACK is there', () => {
    b.onInvite((s) => {
      s.accept(mediaB)
      s.hangup()
    })
    let acks = 0
    net.lose = (p) => p.what === 'ACK' && ++acks <= 1
    const log = watch(call())
    clock.advance(400)
    expect(net.seen(B, A)).toEqual(['200 INVITE'])
    clock.advance(1000)
    expect(net.seen(B, A)).toEqual(['200 INVITE', '200 INVITE', 'BYE'])
    expect(log.at(-1)).toBe('ended peer 0 16')
  })

  it('reports 408 by timeout when the peer is silent', () => {
    net.lose = () => true
    const log = watch(call())
    clock.advance(33_000)
    expect(log).toEqual(['ended timeout 408 102'])
  })

  it('completes 60 of 60 calls at 20 % loss', () => {
    let seed = 7
    net.lose = () => (seed = (seed * 1103515245 + 12345) % 2 ** 31) / 2 ** 31 < 0.2
    let callees = 0
    b.onInvite((s) => {
      s.on('ended', (e) => (callees += e.by === 'peer' && e.sipStatus === 0 ? 1 : 0))
      s.ring()
      s.accept(mediaB)
    })
    let done = 0
    for (let i = 0; i < 60; i++) {
      const out = call()
      out.on('established', () => clock.after(1000, () => out.hangup()))
      out.on('ended', (e) => (done += e.by === 'us' && e.sipStatus === 0 ? 1 : 0))
    }
    clock.advance(180_000)
    expect([done, callees]).toEqual([60, 60])
    expect(clock.pending).toBe(0)
  })
})

describe('other requests', () => {
  it('tells a digit that came by INFO', () => {
    const { out, incLog } = established()
    out.info('5', 200)
    out.info('#', 160)
    clock.advance(50)
    expect(incLog).toEqual(['digit 5 200', 'digit # 160'])
  })

  it('answers OPTIONS with 200, and 503 while draining', async () => {
    const to = { target: `sip:${B}`, from: `sip:${A}`, nextHop: { protocol: 'udp', host: B, port: 5060 } as const }
    const first = a.ping(to)
    await clock.run(50, 10)
    expect((await first).status).toBe(200)
    expect(net.last('200 OPTIONS')).toContain('Allow: INVITE')
    b.drain()
    const second = a.ping(to)
    await clock.run(50, 10)
    expect((await second).status).toBe(503)
  })

  it('refuses INVITEs with 503 and Retry-After while draining', () => {
    b.drain()
    const log = watch(call())
    clock.advance(50)
    expect(log).toEqual(['ended peer 503 41'])
    expect(net.last('503 INVITE')).toContain('Retry-After: 30')
  })

  it('survives a handler that throws', () => {
    b.onInvite(() => {
      throw new Error('bug')
    })
    const log = watch(call())
    clock.advance(50)
    expect(log).toEqual(['ended peer 500 41'])
  })
})

describe('digest', () => {
  const gate =
    (seen: string[]): UserAgentOptions['gate'] =>
    (request) => {
      const given = request.headers.get('Authorization')
      seen.push(given ?? 'none')
      return given
        ? undefined
        : {
            status: 401,
            headers: [['WWW-Authenticate', 'Digest realm="b", nonce="n1", qop="auth", algorithm=SHA-256']],
          }
    }

  it('answers a challenge once, with the next CSeq, and the ACK keeps the credentials', async () => {
    const seen: string[] = []
    const c = await agent('10.0.0.3', { gate: gate(seen) })
    c.onInvite((s) => s.accept({ host: '10.0.0.3', port: 1 }))
    const log = watch(call({ target: 'sip:1@10.0.0.3:5060', credentials: { username: 'u', password: 'p' } }))
    clock.advance(50)
    expect(log.at(-1)).toBe('established')
    expect(seen).toHaveLength(2)
    expect(net.packets.filter((p) => p.what === 'INVITE').map((p) => /CSeq: (\d+)/.exec(p.text)?.[1])).toEqual([
      '1',
      '2',
    ])
    expect(net.last('ACK')).toContain('Authorization: Digest username="u"')
  })

  it('gives up when asked again for the same realm', async () => {
    const c = await agent('10.0.0.3', {
      gate: () => ({ status: 401, headers: [['WWW-Authenticate', 'Digest realm="b", nonce="n1"']] }),
    })
    void c
    const log = watch(call({ target: 'sip:1@10.0.0.3:5060', credentials: { username: 'u', password: 'p' } }))
    clock.advance(50)
    expect(log).toEqual(['ended peer 401 21'])
    expect(net.packets.filter((p) => p.what === 'INVITE')).toHaveLength(2)
  })

  it('answers only the realm that it is configured for', async () => {
    await agent('10.0.0.3', { gate: gate([]) })
    const log = watch(
      call({ target: 'sip:1@10.0.0.3:5060', credentials: { username: 'u', password: 'p', realm: 'other' } }),
    )
    clock.advance(50)
    expect(log).toEqual(['ended peer 401 21'])
    expect(net.packets.filter((p) => p.what === 'INVITE')).toHaveLength(1)
  })
})

describe('next address', () => {
  it('is tried after 4 s of silence, and after a 503 at once', async () => {
    net.dns.set('trunk.test', ['10.0.0.9', '10.0.0.8', B])
    const busy = await agent('10.0.0.8')
    busy.onInvite((s) => s.reject(503))
    b.onInvite((s) => s.accept(mediaB))
    const log = watch(call({ target: 'sip:1@trunk.test:5060' }))
    await clock.run(10, 1)
    clock.advance(5000)
    expect(log.at(-1)).toBe('established')
    const answered = net.packets.find((p) => p.what === '200 INVITE')
    expect(answered?.atMs).toBeGreaterThan(4000)
    expect(answered?.atMs).toBeLessThan(4100)
  })

  it('ends with 503 by network when the name leads nowhere', async () => {
    const log = watch(call({ target: 'sip:1@nowhere.test:5060' }))
    await clock.run(10, 1)
    expect(log).toEqual(['ended network 503 38'])
  })
})

describe('session timers', () => {
  it('are refreshed by the caller at half the interval and keep the call', () => {
    const { out, outLog, incLog } = established({ timer: { expiresS: 200, minS: 90 } })
    expect(net.last('200 INVITE')).toContain('Session-Expires: 200;refresher=uac')
    clock.advance(450_000)
    expect(net.seen(A, B).filter((w) => w === 'UPDATE')).toHaveLength(4)
    expect([...outLog, ...incLog]).toEqual([])
    expect(out.state).toBe('established')
  })

  it('end the call with BYE when the refreshes stop', () => {
    const { incLog } = established({ timer: { expiresS: 200, minS: 90 } })
    net.lose = (p) => p.from.startsWith(A)
    clock.advance(200_000)
    // SE - min(32, SE/3)
    expect(incLog).toEqual(['ended timeout 408 102'])
    const bye = net.packets.find((p) => p.what === 'BYE' && p.from.startsWith(B))
    expect(Math.round((bye?.atMs ?? 0) / 1000)).toBe(168)
  })

  it('are raised after a 422', async () => {
    const c = await agent('10.0.0.3', { timer: { expiresS: 1800, minS: 300 } })
    c.onInvite((s) => s.accept({ host: '10.0.0.3', port: 1 }))
    const log = watch(call({ target: 'sip:1@10.0.0.3:5060', timer: { expiresS: 120, minS: 90 } }))
    clock.advance(50)
    expect(log.at(-1)).toBe('established')
    expect(net.last('422 INVITE')).toContain('Min-SE: 300')
    expect(net.last('INVITE')).toContain('Session-Expires: 300')
  })
})

it('types of media events carry what the media plane needs', () => {
  const { out } = established()
  const m: NegotiatedMedia | undefined = out.media
  expect(m).toEqual({
    host: B, port: 6000, rtcpPort: 6001, codec: 'pcmu', payloadType: 0, dtmfPayloadType: 101, ptimeMs: 20, direction: 'sendrecv',
  }) // prettier-ignore
})
