import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { answerChallenge, chooseChallenge, DigestServer, parseChallenges } from '../../../src/sip/auth/digest.ts'
import { digestResponse, parseAuthList } from '../../../src/sip/auth/digest-hash.ts'
import { parseMessage } from '../../../src/sip/message/parse.ts'
import { FakeClock } from '../../fakes/clock.ts'

const field = (value: string, name: string): string | undefined => parseAuthList(value)[0]?.fields.get(name)

describe('digest responses', () => {
  it.each([
    // RFC 7616 §3.9.1.
    ['MD5', 'http-auth@example.org', '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v', 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ', 'Mufasa', 'Circle of Life', '/dir/index.html', 'auth', '8ca523f5e9506fed4657c9700eebdbec'],
    ['SHA-256', 'http-auth@example.org', '7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v', 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ', 'Mufasa', 'Circle of Life', '/dir/index.html', 'auth', '753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1'],
    // RFC 2617 §3.5.
    ['MD5', 'testrealm@host.com', 'dcd98b7102dd2f0e8b11d0f600bfb0c093', '0a4f113b', 'Mufasa', 'Circle Of Life', '/dir/index.html', 'auth', '6629fae49393a05397450978507c4ef1'],
    // RFC 2069 §2.4 as corrected by erratum 749.
    ['MD5', 'testrealm@host.com', 'dcd98b7102dd2f0e8b11d0f600bfb0c093', undefined, 'Mufasa', 'CircleOfLife', '/dir/index.html', undefined, '1949323746fe6a43ef61f9606e7febea'],
  ] as const)('%s in realm %s', (algorithm, realm, nonce, cnonce, username, password, uri, qop, response) => {
    expect(digestResponse({ algorithm, realm, nonce, cnonce, username, password, uri, qop, nc: '00000001', method: 'GET' })).toBe(response)
  }) // prettier-ignore

  it('means SHA-512/256 (FIPS 180-4) by SHA-512-256, not a cut SHA-512', () => {
    const h = (text: string): string => createHash('sha512-256').update(text).digest('hex')
    expect(h('abc')).toBe('53048e2681941ef99b2e29b76b4c7dabe4c2d0c634fc6d46e0e2f13107e7af23')
    const d = { algorithm: 'SHA-512-256', username: 'u', password: 'p', realm: 'r', nonce: 'n', method: 'INVITE', uri: 'sip:h' } as const // prettier-ignore
    expect(digestResponse(d)).toBe(h(`${h('u:r:p')}:n:${h('INVITE:sip:h')}`))
  })

  it('hashes the body for auth-int and the nonces for -sess', () => {
    const d = { algorithm: 'MD5', username: 'u', password: 'p', realm: 'r', nonce: 'n', cnonce: 'c', nc: '00000001', method: 'INVITE', uri: 'sip:h' } as const // prettier-ignore
    const all = [
      digestResponse({ ...d, qop: 'auth' }),
      digestResponse({ ...d, qop: 'auth-int', body: Buffer.from('a') }),
      digestResponse({ ...d, qop: 'auth-int', body: Buffer.from('b') }),
      digestResponse({ ...d, qop: 'auth', algorithm: 'MD5-sess' }),
      digestResponse({ ...d, qop: 'auth', algorithm: 'MD5-sess', cnonce: 'd' }),
    ]
    expect(new Set(all).size).toBe(5)
  })
})

describe('parseChallenges', () => {
  it('reads the challenges of a 407 in order', () => {
    const parsed = parseMessage(
      readFileSync(new URL('../../../fixtures/sip/messages/proxy-auth-407.sip', import.meta.url)),
    )
    if (!parsed.ok) throw new Error(parsed.reason)
    const challenges = parseChallenges(parsed.message.headers.all('Proxy-Authenticate'))
    expect(challenges.map((c) => [c.algorithm, c.realm, c.qop, c.stale])).toEqual([
      ['SHA-256', 'trunk.example.net', ['auth', 'auth-int'], false],
      ['MD5', 'trunk.example.net', ['auth'], false],
    ])
    expect(chooseChallenge(challenges)?.algorithm).toBe('SHA-256')
    expect(chooseChallenge(challenges, 'other')).toBeUndefined()
  })

  it('reads several challenges in one value, in any case, and passes over what it cannot answer', () => {
    const challenges = parseChallenges([
      'Basic realm="x", DIGEST REALM="a,\\"b\\"" , Nonce=n1,STALE=TRUE, Digest realm="c", nonce="n2", algorithm=AKAv1-MD5, digest realm="d",nonce="n3",qop="new-fangled", Digest realm="e",nonce="n4",algorithm=sha-512-256',
      'Digest nonce="no realm"',
    ])
    expect(challenges).toEqual([
      { realm: 'a,"b"', nonce: 'n1', opaque: undefined, algorithm: 'MD5', algorithmNamed: false, qop: [], stale: true },
      {
        realm: 'e',
        nonce: 'n4',
        opaque: undefined,
        algorithm: 'SHA-512-256',
        algorithmNamed: true,
        qop: [],
        stale: false,
      },
    ])
  })

  it.each([
    '',
    'Digest',
    'Digest ',
    ',,,,',
    'Digest realm',
    'Digest realm="',
    'x'.repeat(60_000),
    'Digest a=' + '"\\'.repeat(30_000),
    'a b '.repeat(15_000),
    'Digest ' + 'realm=x,'.repeat(8000),
  ])('is not upset by rubbish', (value) => expect(parseChallenges([value])).toEqual([]))
})

describe('answerChallenge', () => {
  const [challenge] = parseChallenges(['Digest realm="r", nonce="n", opaque="o", qop="auth-int,auth", algorithm=MD5'])

  it('prefers auth, counts in eight hex digits and gives back what it was given', () => {
    const value = answerChallenge(challenge, {
      username: 'u"x',
      password: 'p',
      method: 'INVITE',
      uri: 'sip:h',
      nc: 10,
      cnonce: 'c',
    })
    expect(value).toMatch(
      /^Digest username="u\\"x", realm="r", nonce="n", uri="sip:h", response="[0-9a-f]{32}", algorithm=MD5, cnonce="c", qop=auth, nc=0000000a, opaque="o"$/,
    )
  })

  it('takes a fresh cnonce each time', () => {
    const answer = { username: 'u', password: 'p', method: 'INVITE', uri: 'sip:h' }
    expect(field(answerChallenge(challenge, answer), 'cnonce')).not.toBe(
      field(answerChallenge(challenge, answer), 'cnonce'),
    )
  })

  it('speaks RFC 2069 to a server without qop and algorithm', () => {
    const [old] = parseChallenges(['Digest realm="r", nonce="n"'])
    expect(answerChallenge(old, { username: 'u', password: 'p', method: 'REGISTER', uri: 'sip:h' })).toMatch(
      /^Digest username="u", realm="r", nonce="n", uri="sip:h", response="[0-9a-f]{32}"$/,
    )
  })
})

describe('DigestServer', () => {
  const alice = { username: 'alice', password: 'secret' }
  const SOURCE = '192.0.2.9'
  const setUp = (): {
    clock: FakeClock
    server: DigestServer
    ask: (at?: number) => string
    login: (value: string, more?: Partial<Parameters<typeof answerChallenge>[1]>) => string
  } => {
    const clock = new FakeClock()
    clock.advance(1000)
    const server = new DigestServer({ clock, realm: 'trunkline', secret: 'pepper' })
    return {
      clock,
      server,
      ask: (at = 0) => server.challenge(false, SOURCE)[at],
      login: (value, more = {}) =>
        answerChallenge(parseChallenges([value])[0], { ...alice, method: 'INVITE', uri: 'sip:h', ...more }),
    }
  }

  it('offers SHA-256, then MD5, on one nonce', () => {
    const { server } = setUp()
    const offered = parseChallenges(server.challenge(true, SOURCE))
    expect(offered.map((c) => [c.algorithm, c.qop, c.stale])).toEqual([
      ['SHA-256', ['auth'], true],
      ['MD5', ['auth'], true],
    ])
    expect(offered[0].nonce).toBe(offered[1].nonce)
    expect(parseChallenges(server.challenge(false, SOURCE))[0].stale).toBe(false)
  })

  it.each([0, 1])('lets the right password in by either (%i)', (at) => {
    const { server, ask, login } = setUp()
    expect(server.check(login(ask(at)), 'INVITE', alice, SOURCE)).toBe('ok')
  })

  it('refuses a wrong password, user, method, realm or algorithm, and an unknown user', () => {
    const { server, ask, login } = setUp()
    const value = ask()
    expect(server.check(login(value, { password: 'x' }), 'INVITE', alice, SOURCE)).toBe('bad')
    expect(server.check(login(value, { username: 'bob' }), 'INVITE', alice, SOURCE)).toBe('bad')
    expect(server.check(login(value), 'BYE', alice, SOURCE)).toBe('bad')
    expect(server.check(login(value.replace('trunkline', 'other')), 'INVITE', alice, SOURCE)).toBe('bad')
    expect(server.check(login(value.replace('SHA-256', 'SHA-512-256')), 'INVITE', alice, SOURCE)).toBe('bad')
    expect(server.check(login(value), 'INVITE', undefined, SOURCE)).toBe('bad')
    expect(server.check(login(value, { username: '', password: 'nobody' }), 'INVITE', undefined, SOURCE)).toBe('bad')
    for (const rubbish of ['', 'Basic YTpi', 'Digest', 'Digest nonce="x"'])
      expect(server.check(rubbish, 'INVITE', alice, SOURCE)).toBe('bad')
  })

  it('takes a nonce for five minutes, from its source only, and calls it stale else', () => {
    const { clock, server, ask, login } = setUp()
    const value = ask()
    expect(server.check(login(value), 'INVITE', alice, '192.0.2.10')).toBe('stale')
    clock.advance(300_000)
    expect(server.check(login(value), 'INVITE', alice, SOURCE)).toBe('ok')
    clock.advance(1)
    expect(server.check(login(value, { nc: 2 }), 'INVITE', alice, SOURCE)).toBe('stale')
  })

  it('takes each count of a nonce once', () => {
    const { server, ask, login } = setUp()
    const value = ask()
    const first = login(value, { nc: 1 })
    expect(server.check(first, 'INVITE', alice, SOURCE)).toBe('ok')
    expect(server.check(first, 'INVITE', alice, SOURCE)).toBe('stale')
    expect(server.check(login(value, { nc: 5 }), 'INVITE', alice, SOURCE)).toBe('ok')
    expect(server.check(login(value, { nc: 4 }), 'INVITE', alice, SOURCE)).toBe('stale')
  })

  it('lets a client without qop use a nonce once', () => {
    const { server, ask, login } = setUp()
    const old = login(ask(1).replace('qop="auth"', 'x=y'))
    expect(old).not.toContain('qop')
    expect(server.check(old, 'INVITE', alice, SOURCE)).toBe('ok')
    expect(server.check(old, 'INVITE', alice, SOURCE)).toBe('stale')
  })

  it('knows its own nonces from those of another process, from forged ones and from other spellings', () => {
    const { server, ask, login } = setUp()
    const theirs = setUp().ask()
    expect(server.check(login(theirs), 'INVITE', alice, SOURCE)).toBe('stale')
    const value = ask()
    const nonce = field(value, 'nonce') ?? ''
    for (const forged of [nonce.slice(0, -1), `${nonce}=`, `B${nonce.slice(1)}`, 'x'])
      expect(server.check(login(value.replace(nonce, forged)), 'INVITE', alice, SOURCE)).toBe('stale')
  })

  it('stays bounded under many nonces without letting a forgotten one be used again', () => {
    const { clock, server, ask, login } = setUp()
    const first = login(ask())
    expect(server.check(first, 'INVITE', alice, SOURCE)).toBe('ok')
    clock.advance(1)
    for (let i = 0; i < 10_001; i++) server.check(login(ask(1)), 'INVITE', alice, SOURCE)
    expect(server.check(first, 'INVITE', alice, SOURCE)).toBe('stale')
  })
})
