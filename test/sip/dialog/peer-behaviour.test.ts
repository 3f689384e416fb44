import { beforeEach, describe, expect, it } from 'vitest'
import { silentLog } from '../../../src/telemetry/log.ts'
import type { InviteOptions, InviteSession } from '../../../src/sip/dialog/session.ts'
import { UserAgent } from '../../../src/sip/user-agent.ts'
import { FakeClock } from '../../fakes/clock.ts'
import { FakeNetwork, sdp, type RawPeer } from '../fake-network.ts'

/** Peers written by hand, for what a well-behaved user agent would not do. */
const US = '10.0.0.1'
const PEER = '10.0.0.2'
const at = `${US}:5060`
const ours = { host: US, port: 4000 }

let clock: FakeClock
let net: FakeNetwork
let ua: UserAgent
let peer: RawPeer
let log: string[]

beforeEach(async () => {
  clock = new FakeClock()
  net = new FakeNetwork(clock)
  log = []
  ua = new UserAgent({ clock, log: silentLog, host: US, port: 5060, random: () => 0.5, openTransports: () => Promise.resolve(net.transports(US)) }) // prettier-ignore
  await ua.listen()
  peer = net.peer(PEER)
})

const watch = (session: InviteSession): InviteSession => {
  session.on('progress', (p) => log.push(`progress ${p.status}`))
  session.on('media', (m) => log.push(`media ${m.port} ${m.direction}`))
  session.on('established', () => log.push('established'))
  session.on('held', () => log.push('held'))
  session.on('resumed', () => log.push('resumed'))
  session.on('digit', (d) => log.push(`digit ${d.digit}`))
  session.on('ended', (e) => log.push(`ended ${e.by} ${e.sipStatus} ${e.q850} ${e.text}`))
  return session
}

const dial = (more: Partial<InviteOptions> = {}): InviteSession =>
  watch(ua.invite({ target: `sip:1@${PEER}:5060`, from: `<sip:2@${US}>`, media: ours, ...more }))

const contact = (host = PEER): string => `Contact: <sip:1@${host}:5060>`
const ok = (tag = 'p', port = 6000): { tag: string; headers: string[]; body: string } => ({
  tag,
  headers: [contact()],
  body: sdp(PEER, port),
})
const statuses = (): number[] => peer.responses.map((r) => r.status)
const methods = (): string[] => peer.requests.map((r) => r.method)

describe('as caller', () => {
  /** The peer answers the INVITE by `answer`, everything else with 200. */
  const answering = (answer: () => void): void => {
    peer.onRequest = (r) => {
      if (r.method === 'INVITE') answer()
      else if (r.method !== 'ACK') peer.respond(r, 200)
    }
  }

  it('acknowledges every repeat of the 2xx', () => {
    dial()
    clock.advance(10)
    const invite = peer.last('INVITE')
    for (let i = 0; i < 3; i++) peer.respond(invite, 200, ok())
    clock.advance(10)
    expect(methods()).toEqual(['INVITE', 'ACK', 'ACK', 'ACK'])
    expect(log).toEqual(['media 6000 sendrecv', 'established'])
  })

  it('keeps the first of forked 2xx and ends the others with ACK and BYE', () => {
    dial()
    clock.advance(10)
    const invite = peer.last('INVITE')
    peer.onRequest = (r) => r.method === 'BYE' && peer.respond(r, 200)
    peer.respond(invite, 200, ok('one'))
    peer.respond(invite, 200, ok('two', 7000))
    peer.respond(invite, 200, ok('two', 7000))
    clock.advance(10)
    expect(methods()).toEqual(['INVITE', 'ACK', 'ACK', 'BYE', 'ACK'])
    expect(peer.last('BYE').headers.get('To')).toContain('tag=two')
    expect(log).toEqual(['media 6000 sendrecv', 'established'])
  })

  it('follows several early dialogs and takes the SDP of the one that answers', () => {
    dial()
    clock.advance(10)
    const invite = peer.last('INVITE')
    peer.respond(invite, 183, { ...ok('one'), body: sdp(PEER, 6001) })
    peer.respond(invite, 183, { ...ok('two'), body: sdp(PEER, 6002) })
    peer.respond(invite, 200, { tag: 'one', headers: [contact()] })
    clock.advance(10)
    expect(log).toEqual([
      'media 6001 sendrecv',
      'progress 183',
      'media 6002 sendrecv',
      'progress 183',
      'media 6001 sendrecv',
      'established',
    ])
  })

  it('sends ACK and BYE along the route set, in reverse of Record-Route', () => {
    const call = dial()
    clock.advance(10)
    const proxy = net.peer('10.0.0.9')
    peer.respond(peer.last('INVITE'), 200, {
      ...ok(),
      headers: ['Record-Route: <sip:10.0.0.8;lr>', 'Record-Route: <sip:10.0.0.9;lr>', contact('10.0.0.77')],
    })
    clock.advance(10)
    call.hangup()
    clock.advance(10)
    expect(proxy.requests.map((r) => r.method)).toEqual(['ACK', 'BYE'])
    expect(proxy.last('BYE').uri).toBe('sip:1@10.0.0.77:5060')
    expect(proxy.last('BYE').headers.all('Route')).toEqual(['<sip:10.0.0.9;lr>', '<sip:10.0.0.8;lr>'])
  })

  it('falls back to strict routing for a proxy without lr', () => {
    const call = dial()
    clock.advance(10)
    const proxy = net.peer('10.0.0.9')
    peer.respond(peer.last('INVITE'), 200, { ...ok(), headers: ['Record-Route: <sip:10.0.0.9>', contact()] })
    clock.advance(10)
    call.hangup()
    clock.advance(10)
    expect(proxy.last('BYE').uri).toBe('sip:10.0.0.9')
    expect(proxy.last('BYE').headers.all('Route')).toEqual([`<sip:1@${PEER}:5060>`])
  })

  it('talks to the source of a peer whose Contact is a private address behind NAT', async () => {
    const nat = net.peer('203.0.113.5')
    nat.onRequest = (r) => {
      if (r.method === 'INVITE')
        nat.respond(r, 200, { tag: 'p', headers: ['Contact: <sip:1@192.168.1.9:5060>'], body: sdp('203.0.113.5', 6000) }) // prettier-ignore
      else if (r.method === 'BYE') nat.respond(r, 200)
    }
    const call = dial({ target: 'sip:1@203.0.113.5:5060' })
    clock.advance(10)
    call.hangup()
    clock.advance(10)
    expect(nat.requests.map((r) => r.method)).toEqual(['INVITE', 'ACK', 'BYE'])
    expect(nat.last('BYE').uri).toBe('sip:1@192.168.1.9:5060')
  })

  it('acknowledges reliable provisionals with PRACK, each once and in order', () => {
    dial()
    clock.advance(10)
    const invite = peer.last('INVITE')
    expect(invite.headers.all('Supported').join()).toContain('100rel')
    peer.onRequest = (r) => r.method === 'PRACK' && peer.respond(r, 200)
    const reliable = (rseq: number): Parameters<RawPeer['respond']>[2] => ({
      ...ok(),
      headers: [contact(), 'Require: 100rel', `RSeq: ${rseq}`],
    })
    peer.respond(invite, 183, reliable(10))
    peer.respond(invite, 183, reliable(10))
    peer.respond(invite, 183, reliable(12))
    clock.advance(10)
    peer.respond(invite, 180, reliable(11))
    clock.advance(10)
    const pracks = peer.requests.filter((r) => r.method === 'PRACK')
    expect(pracks.map((r) => r.headers.get('RAck'))).toEqual(['10 1 INVITE', '11 1 INVITE'])
    peer.respond(invite, 200, { tag: 'p', headers: [contact()] })
    clock.advance(10)
    expect(log.at(-1)).toBe('established')
  })

  it('ends a call whose 2xx has no usable SDP, after the ACK', () => {
    answering(() => peer.respond(peer.last('INVITE'), 200, { tag: 'p', headers: [contact()] }))
    dial()
    clock.advance(10)
    expect(methods()).toEqual(['INVITE', 'ACK', 'BYE'])
    expect(log).toEqual(['ended us 488 65 no usable SDP in the answer'])
  })

  it('does not follow a redirection', () => {
    answering(() => peer.respond(peer.last('INVITE'), 302, { tag: 'p', headers: ['Contact: <sip:evil@10.6.6.6>'] }))
    dial()
    clock.advance(5000)
    expect(log).toEqual(['ended peer 302 31 X'])
    expect(net.packets.some((p) => p.to.startsWith('10.6.6.6'))).toBe(false)
  })

  it('reads the Reason header of a refusal, also without cause', () => {
    answering(() =>
      peer.respond(peer.last('INVITE'), 480, { tag: 'p', headers: ['Reason: Q.850;cause=19;text="no answer"'] }),
    )
    dial()
    clock.advance(10)
    answering(() => peer.respond(peer.last('INVITE'), 480, { tag: 'p', headers: ['Reason: X.int;reasoncode=0x1'] }))
    dial()
    clock.advance(10)
    expect(log).toEqual(['ended peer 480 19 no answer', 'ended peer 480 18 X'])
  })

  it('tries 407 and 401 of two realms, then stale once', () => {
    const challenges = [
      [407, 'Proxy-Authenticate: Digest realm="proxy", nonce="a"'],
      [401, 'WWW-Authenticate: Digest realm="home", nonce="b", qop="auth", algorithm=SHA-256'],
      [401, 'WWW-Authenticate: Digest realm="home", nonce="c", qop="auth", algorithm=SHA-256, stale=true'],
      [401, 'WWW-Authenticate: Digest realm="home", nonce="d", qop="auth", algorithm=SHA-256, stale=true'],
    ] as const
    let n = 0
    answering(() => {
      const [status, header] = challenges[n++]
      peer.respond(peer.last('INVITE'), status, { tag: `p${n}`, headers: [header] })
    })
    dial({ credentials: { username: 'u', password: 'p' } })
    clock.advance(100)
    expect(log).toEqual(['ended peer 401 21 X'])
    expect(n).toBe(4)
    const last = peer.last('INVITE')
    expect(last.headers.get('Proxy-Authorization')).toContain('realm="proxy"')
    expect(last.headers.get('Authorization')).toContain('nonce="c"')
    expect(last.headers.get('CSeq')).toBe('4 INVITE')
    expect(new Set(peer.requests.filter((r) => r.method === 'INVITE').map((r) => r.headers.get('Call-ID'))).size).toBe(
      1,
    )
  })

  it('refreshes by re-INVITE with unchanged SDP when the peer does not allow UPDATE', () => {
    answering(() => peer.respond(peer.last('INVITE'), 200, { ...ok(), headers: [contact(), 'Session-Expires: 100;refresher=uac', 'Allow: INVITE, BYE'] })) // prettier-ignore
    dial({ timer: { expiresS: 100, minS: 90 } })
    clock.advance(51_000)
    const invites = peer.requests.filter((r) => r.method === 'INVITE')
    expect(invites).toHaveLength(2)
    expect(invites[1].body.toString()).toBe(invites[0].body.toString())
    expect(invites[1].headers.get('Session-Expires')).toBe('100;refresher=uac')
    expect(log).toEqual(['media 6000 sendrecv', 'established'])
  })

  it('leaves the refresh to the peer when told so', () => {
    answering(() =>
      peer.respond(peer.last('INVITE'), 200, { ...ok(), headers: [contact(), 'Session-Expires: 100;refresher=uas'] }),
    )
    dial({ timer: { expiresS: 100, minS: 90 } })
    clock.advance(66_000)
    expect(methods()).toEqual(['INVITE', 'ACK'])
    clock.advance(3000)
    expect(methods().at(-1)).toBe('BYE')
    expect(log.at(-1)).toContain('ended timeout 408')
  })

  it('drops a header that would break the line', () => {
    dial({ headers: [['X-A', 'b\r\nEvil: 1'], ['X-C', 'd']] }) // prettier-ignore
    clock.advance(10)
    expect(peer.last('INVITE').headers.get('Evil')).toBeUndefined()
    expect(peer.last('INVITE').headers.get('X-C')).toBe('d')
  })
})

describe('as callee', () => {
  let session: InviteSession
  const from = `From: <sip:1@${PEER}>;tag=p`
  const invite = (headers: string[] = [], body = sdp(PEER, 6000)): string =>
    peer.request(at, 'INVITE', `sip:2@${US}`, [from, `To: <sip:2@${US}>`, 'Call-ID: c1', 'CSeq: 1 INVITE', contact(), ...headers], body) // prettier-ignore
  const inDialog = (
    method: string,
    seq: number,
    more: { headers?: string[]; body?: string; tag?: string } = {},
  ): void => {
    const to = peer.responses.map((r) => r.headers.get('To') ?? '').find((t) => t.includes('tag='))
    const head = [
      more.tag ? `From: <sip:1@${PEER}>;tag=${more.tag}` : from,
      `To: ${to}`,
      'Call-ID: c1',
      `CSeq: ${seq} ${method}`,
      contact(),
    ]
    peer.request(at, method, `sip:${US}:5060`, [...head, ...(more.headers ?? [])], more.body)
    clock.advance(10)
  }
  const accepted = (headers: string[] = []): void => {
    ua.onInvite((s) => {
      session = watch(s)
      s.accept(ours)
    })
    invite(headers)
    clock.advance(10)
    inDialog('ACK', 1)
    expect(log.splice(0)).toEqual(['media 6000 sendrecv', 'established'])
    peer.responses.splice(0, peer.responses.length - 1)
    answeringAll()
  }
  const answeringAll = (): void => {
    peer.onRequest = (r) => r.method !== 'ACK' && peer.respond(r, 200, r.method === 'INVITE' ? ok() : {})
  }

  it('answers hold in each of its spellings and never with 0.0.0.0', () => {
    accepted()
    const offers = [
      [sdp(PEER, 6000, { direction: 'sendonly', version: 2 }), 'a=recvonly'],
      [sdp(PEER, 6000, { version: 3 }), 'a=sendrecv'],
      [sdp(PEER, 6000, { direction: 'inactive', version: 4 }), 'a=inactive'],
      [sdp(PEER, 6000, { version: 5 }), 'a=sendrecv'],
      [sdp('0.0.0.0', 6000, { version: 6 }), 'a=recvonly'],
      [sdp(PEER, 6000, { version: 7 }).replace(/\r\n$/, ''), 'a=sendrecv'],
    ]
    offers.forEach(([offer, answer], i) => {
      inDialog('INVITE', 2 + i, { body: offer })
      inDialog('ACK', 2 + i)
      const body = peer.responses.at(-1)?.body.toString() ?? ''
      expect(body).toContain(answer)
      expect(body).toContain(`c=IN IP4 ${US}`)
    })
    expect(log.filter((l) => l === 'held' || l === 'resumed')).toEqual([
      'held',
      'resumed',
      'held',
      'resumed',
      'held',
      'resumed',
    ])
  })

  it('offers in the 200 to a re-INVITE without SDP and takes the new port from the ACK', () => {
    accepted()
    inDialog('INVITE', 2)
    expect(peer.responses.at(-1)?.body.toString()).toContain('m=audio 4000')
    inDialog('ACK', 2, { body: sdp(PEER, 6500, { version: 2 }) })
    expect(log).toEqual(['media 6500 sendrecv'])
  })

  it('answers UPDATE at once: a refresh without SDP, and hold with SDP', () => {
    accepted(['Session-Expires: 200;refresher=uac', 'Supported: timer'])
    inDialog('UPDATE', 2, { headers: ['Session-Expires: 200;refresher=uac', 'Supported: timer'] })
    expect(peer.responses.at(-1)?.headers.get('Session-Expires')).toBe('200;refresher=uac')
    inDialog('UPDATE', 3, { body: sdp(PEER, 6000, { direction: 'sendonly', version: 2 }) })
    expect(peer.responses.at(-1)?.body.toString()).toContain('a=recvonly')
    expect(log).toEqual(['media 6000 recvonly', 'held'])
  })

  it('says 422 with Min-SE to a refresh that is too frequent', () => {
    accepted()
    inDialog('UPDATE', 2, { headers: ['Session-Expires: 30', 'Supported: timer'] })
    expect(peer.lastStatus).toBe(422)
    expect(peer.responses.at(-1)?.headers.get('Min-SE')).toBe('90')
  })

  it('says 488 to a re-INVITE without a codec of ours and goes on', () => {
    accepted()
    inDialog('INVITE', 2, { body: sdp(PEER, 6000, { formats: '18' }) })
    expect(peer.lastStatus).toBe(488)
    inDialog('INFO', 3, { headers: ['Content-Type: application/dtmf-relay'], body: 'Signal=4\r\nDuration=100\r\n' })
    expect(log).toEqual(['digit 4'])
  })

  it('says 500 with Retry-After to a second INVITE before the first is answered', () => {
    ua.onInvite((s) => s.ring())
    invite()
    clock.advance(10)
    inDialog('INVITE', 2, { body: sdp(PEER, 6000) })
    expect(statuses()).toEqual([180, 500])
    expect(Number(peer.responses[1].headers.get('Retry-After'))).toBeLessThanOrEqual(10)
  })

  it('says 500 to a CSeq from the past', () => {
    accepted()
    inDialog('OPTIONS', 20)
    expect(peer.lastStatus).toBe(200)
    inDialog('OPTIONS', 19)
    expect(peer.lastStatus).toBe(500)
  })

  it('says 481 to unknown dialogs, wrong tags, and to everything after BYE', () => {
    peer.request(at, 'BYE', `sip:${US}`, [from, 'To: <sip:x@y>;tag=nobody', 'Call-ID: zz', 'CSeq: 1 BYE'])
    clock.advance(10)
    expect(peer.lastStatus).toBe(481)
    peer.responses.length = 0
    accepted()
    inDialog('BYE', 2, { tag: 'stranger' })
    expect(peer.lastStatus).toBe(481)
    expect(log).toEqual([])
    inDialog('BYE', 3, { headers: ['Reason: SIP;cause=200;text="Call completed elsewhere"'] })
    expect(peer.lastStatus).toBe(200)
    expect(log).toEqual(['ended peer 0 16 Call completed elsewhere'])
    inDialog('INFO', 4)
    inDialog('INVITE', 5, { body: sdp(PEER, 6000) })
    expect(statuses().slice(-2)).toEqual([481, 481])
  })

  it('answers a BYE that crosses our BYE with 200, and later ones with 481', () => {
    accepted()
    peer.onRequest = () => undefined
    session.hangup()
    inDialog('BYE', 2)
    expect(peer.lastStatus).toBe(200)
    peer.respond(peer.last('BYE'), 200)
    clock.advance(10)
    inDialog('BYE', 3)
    expect(peer.lastStatus).toBe(481)
    expect(log).toEqual(['ended us 0 16 Normal call clearing'])
  })

  it('takes BYE instead of CANCEL on a ringing call', () => {
    ua.onInvite((s) => watch(s).ring())
    invite()
    clock.advance(10)
    inDialog('BYE', 2)
    expect(statuses()).toEqual([180, 200, 487])
    expect(log).toEqual(['ended peer 0 16 BYE'])
  })

  it('says 420 to Require it does not know, and never to Supported', () => {
    ua.onInvite((s) => s.ring())
    invite(['Require: 100rel'])
    clock.advance(10)
    expect(peer.responses[0].status).toBe(420)
    expect(peer.responses[0].headers.get('Unsupported')).toBe('100rel')
    peer.request(at, 'INVITE', `sip:2@${US}`, [from, `To: <sip:2@${US}>`, 'Call-ID: c2', 'CSeq: 1 INVITE', contact(), 'Supported: 100rel, replaces'], sdp(PEER, 6000)) // prettier-ignore
    clock.advance(10)
    expect(peer.lastStatus).toBe(180)
  })

  it('says 415 to bodies that are no SDP, with what it accepts', () => {
    ua.onInvite((s) => s.ring())
    invite(['Content-Type: application/isup'], 'x')
    clock.advance(10)
    expect(peer.lastStatus).toBe(415)
    expect(peer.responses[0].headers.all('Accept').join()).toContain('application/sdp')
  })

  it('finds the SDP in a multipart body', () => {
    const body = `--b1\r\nContent-Type: application/ISUP\r\n\r\nxyz\r\n--b1\r\nContent-Type: application/sdp\r\n\r\n${sdp(PEER, 6000)}--b1--\r\n`
    ua.onInvite((s) => watch(s).accept(ours))
    invite(['Content-Type: multipart/mixed;boundary=b1'], body)
    clock.advance(10)
    expect(log).toEqual(['media 6000 sendrecv'])
  })

  it('says 483 when Max-Forwards is used up', () => {
    ua.onInvite((s) => s.ring())
    const text = [`INVITE sip:2@${US} SIP/2.0`, `Via: SIP/2.0/UDP ${PEER}:5060;branch=z9hG4bKmf`, 'Max-Forwards: 0', from, `To: <sip:2@${US}>`, 'Call-ID: c9', 'CSeq: 1 INVITE', contact(), 'Content-Length: 0', '', ''] // prettier-ignore
    net.send(`${PEER}:5060`, at, Buffer.from(text.join('\r\n')))
    clock.advance(10)
    expect(peer.lastStatus).toBe(483)
  })

  it('says 415 to INFO it does not know, 200 to an empty one, and ignores flash', () => {
    accepted()
    inDialog('INFO', 2, { headers: ['Content-Type: application/media_control+xml'], body: '<x/>' })
    expect(peer.lastStatus).toBe(415)
    inDialog('INFO', 3)
    expect(peer.lastStatus).toBe(200)
    inDialog('INFO', 4, { headers: ['Content-Type: application/dtmf-relay'], body: 'Signal=16\r\nDuration=100' })
    expect(peer.lastStatus).toBe(200)
    inDialog('INFO', 5, { headers: ['Content-Type: application/dtmf'], body: '11' })
    expect(log).toEqual(['digit #'])
  })

  it('answers 200 in dialog to OPTIONS and 405 with Allow to what it does not serve', () => {
    accepted()
    inDialog('OPTIONS', 2)
    inDialog('NOTIFY', 3)
    inDialog('REFER', 4)
    expect(statuses().slice(-3)).toEqual([200, 481, 405])
    expect(peer.responses.at(-1)?.headers.all('Allow').join()).toContain('UPDATE')
  })

  it('ends the call with BYE when the ACK to its delayed offer brings no answer', () => {
    ua.onInvite((s) => watch(s).accept(ours))
    invite([], '')
    clock.advance(10)
    answeringAll()
    inDialog('ACK', 1)
    expect(peer.requests.map((r) => r.method)).toEqual(['BYE'])
    expect(log).toEqual(['ended peer 488 65 no usable answer in the ACK'])
  })

  it('moves its remote target with the Contact of a re-INVITE', () => {
    accepted()
    const moved = net.peer('10.0.0.44')
    const to = peer.responses.map((r) => r.headers.get('To') ?? '').find((t) => t.includes('tag='))
    peer.request(at, 'INVITE', `sip:${US}`, [from, `To: ${to}`, 'Call-ID: c1', 'CSeq: 2 INVITE', 'Contact: <sip:1@10.0.0.44:5060>'], sdp(PEER, 6000)) // prettier-ignore
    clock.advance(10)
    inDialog('ACK', 2)
    session.hangup()
    clock.advance(10)
    expect(moved.requests.map((r) => r.method)).toEqual(['BYE'])
  })

  it('refreshes itself when the caller knows no session timers but a proxy asked for them', () => {
    accepted(['Session-Expires: 200'])
    clock.advance(101_000)
    expect(peer.requests.map((r) => r.method)).toEqual(['INVITE', 'ACK'])
    expect(peer.last('INVITE').headers.get('Session-Expires')).toBe('200;refresher=uac')
  })
})
