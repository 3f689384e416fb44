import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SignalingEvent } from '../../src/calls/ports.ts'
import { registry } from '../../src/telemetry/metrics.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import type { InviteOptions, InviteSession } from '../../src/sip/dialog/session.ts'
import { SipGateway } from '../../src/sip/gateway.ts'
import { TRUNK_DEFAULTS, type TrunkSettings } from '../../src/sip/trunk/settings.ts'
import { UserAgent } from '../../src/sip/user-agent.ts'
import { FakeClock, settle } from '../fakes/clock.ts'
import { FakeNetwork } from './fake-network.ts'

const US = '10.0.0.1'
const CARRIER = '10.0.0.2'
const STRANGER = '10.9.9.9'
const ours = { host: US, port: 20000 }
const theirs = { host: CARRIER, port: 6000 }
const NORMAL = { sipStatus: 0, q850: 16, text: 'done' }

let clock: FakeClock
let net: FakeNetwork
let gateway: SipGateway
let carrier: UserAgent
let events: SignalingEvent[]
let refusals: Record<string, unknown>[]

const trunk = (more: Partial<TrunkSettings> = {}): TrunkSettings => ({
  ...TRUNK_DEFAULTS, codecs: ['pcmu', 'pcma'], allowedCidrs: [`${CARRIER}/32`], id: 't1', accountId: 'acc', name: 'T', host: CARRIER, ...more,
}) // prettier-ignore

async function peer(host: string): Promise<UserAgent> {
  const ua = new UserAgent({
    clock,
    log: silentLog,
    host,
    port: 5060,
    openTransports: () => Promise.resolve(net.transports(host)),
  })
  await ua.listen()
  return ua
}

const call = (from: UserAgent, more: Partial<InviteOptions> = {}): { session: InviteSession; ends: string[] } => {
  const session = from.invite({
    target: `sip:+918000000100@${US}:5060`,
    from: `"Asha" <sip:+919876543210@${CARRIER}>`,
    media: theirs,
    ...more,
  })
  const ends: string[] = []
  session.on('ended', (e) => ends.push(`${e.by} ${e.sipStatus}`))
  return { session, ends }
}

async function run(ms: number): Promise<void> {
  await clock.run(ms, Math.min(500, Math.max(1, ms / 20)))
}

const brief = (): string[] =>
  events.map((e) => {
    if (e.on === 'media') return `media ${e.remote.host}:${e.remote.port}`
    if (e.on === 'ended') return `ended ${e.by} ${e.cause.sipStatus}`
    if (e.on === 'progress') return `progress ${e.sipStatus} ${e.early}`
    return e.on
  })

const incoming = (): Extract<SignalingEvent, { on: 'incoming' }>['leg'] => {
  const found = events.find((e) => e.on === 'incoming')
  if (!found) throw new Error(`no incoming leg: ${JSON.stringify(events)}`)
  return found.leg
}

const metric = async (name: string, label: string): Promise<number> => {
  const m = await registry.getSingleMetric(`trunkline_${name}`)?.get()
  return m?.values.find((v) => Object.values(v.labels).includes(label))?.value ?? 0
}

beforeEach(async () => {
  clock = new FakeClock()
  net = new FakeNetwork(clock)
  events = []
  refusals = []
  const log = {
    ...silentLog,
    info: vi.fn(),
    error: vi.fn(),
    debug: vi.fn(),
    warn: (o: Record<string, unknown>) => refusals.push(o),
  }
  gateway = new SipGateway({
    clock,
    log: log,
    host: US,
    port: 5060,
    openTransports: () => Promise.resolve(net.transports(US)),
  })
  gateway.onEvent((e) => events.push(e))
  await gateway.listen()
  gateway.setTrunks([trunk()])
  carrier = await peer(CARRIER)
})

afterEach(async () => {
  await gateway.close(0)
  await carrier.close(0)
})

describe('incoming', () => {
  it('tells the domain who calls whom, then rings, answers and ends with one `ended`', async () => {
    const { session, ends } = call(carrier, { headers: [['X-Campaign', '7'], ['P-Asserted-Identity', '<sip:+911111111111@x>'], ['Server', 'no']] }) // prettier-ignore
    await run(20)
    const leg = incoming()
    expect(leg).toMatchObject({
      trunkId: 't1', accountId: 'acc', to: '+918000000100', from: '+911111111111', codec: 'pcmu', delayedOffer: false,
      sipCallId: session.callId, maxForwards: 70, headers: { 'x-campaign': '7' },
    }) // prettier-ignore
    expect(leg.legId).toMatch(/^[0-9a-f-]{36}\.1$/)
    gateway.ring(leg.legId)
    gateway.answer(leg.legId, ours)
    await run(20)
    expect(brief()).toEqual(['incoming', `media ${CARRIER}:6000`, 'answered'])
    gateway.hangup(leg.legId, NORMAL)
    gateway.hangup(leg.legId, NORMAL)
    await run(20)
    expect(brief().slice(3)).toEqual(['ended us 0'])
    expect(ends).toEqual(['peer 0'])
    expect(gateway.trunkStatus()).toEqual([{ id: 't1', up: true, calls: 0 }])
  })

  it('never calls back in the middle of a command', async () => {
    call(carrier)
    await run(20)
    const before = events.length
    gateway.hangup(incoming().legId, NORMAL)
    expect(events).toHaveLength(before)
    await settle()
    expect(events).toHaveLength(before + 1)
  })

  it('refuses with one reason word in the answer, the log and the metric', async () => {
    const counted = await metric('calls_rejected_total', 'no_bot')
    const { ends } = call(carrier)
    await run(20)
    gateway.reject(incoming().legId, { sipStatus: 480, q850: 20, text: 'no bot for this number' }, 'no_bot')
    await run(20)
    expect(ends).toEqual(['peer 480'])
    expect(brief()).toEqual(['incoming', 'ended us 480'])
    expect(net.last('480 INVITE')).toMatch(/Reason: Q\.850;cause=20.*no bot/)
    expect(net.last('480 INVITE')).toContain('Warning: 399 trunkline "no_bot"')
    expect(refusals).toEqual([
      expect.objectContaining({ reason: 'no_bot', rule: 'no bot for this number', trunk: 't1', sipStatus: 480 }),
    ])
    expect(JSON.stringify(refusals)).not.toContain('9876543210')
    expect(await metric('calls_rejected_total', 'no_bot')).toBe(counted + 1)
  })

  it('hears nothing from a source that is in no trunk: not even an answer goes back', async () => {
    const stranger = await peer(STRANGER)
    call(stranger)
    await run(5000)
    expect(net.seen(US, STRANGER)).toEqual([])
    expect(events).toEqual([])
    await stranger.close(0)
  })

  it('takes calls from a trunk as soon as it is set, and none when it is gone', async () => {
    gateway.setTrunks([])
    call(carrier)
    await run(100)
    expect(events).toEqual([])
    gateway.setTrunks([trunk()])
    await run(1000)
    expect(brief()).toEqual(['incoming'])
  })

  it('says which trunk is full with 503 and Retry-After', async () => {
    gateway.setTrunks([trunk({ maxCalls: 1 })])
    call(carrier)
    const second = call(carrier)
    await run(20)
    expect(second.ends).toEqual(['peer 503'])
    expect(net.last('503 INVITE')).toContain('Retry-After: 10')
    expect(refusals).toEqual([expect.objectContaining({ reason: 'trunk_capacity', sipStatus: 503 })])
  })

  it('refuses with 503 while draining and keeps live calls', async () => {
    call(carrier)
    await run(20)
    gateway.answer(incoming().legId, ours)
    await run(20)
    gateway.drain()
    const second = call(carrier)
    await run(20)
    expect(second.ends).toEqual(['peer 503'])
    expect(refusals).toEqual([expect.objectContaining({ reason: 'draining' })])
    expect(gateway.counts.legs).toBe(1)
  })

  it('stops a loop with 483', async () => {
    const { ends } = call(carrier, { maxForwards: 0 })
    await run(20)
    expect(ends).toEqual(['peer 483'])
    expect(refusals).toEqual([expect.objectContaining({ reason: 'loop' })])
  })

  it('tells an offer without a codec of ours by an absent codec', async () => {
    gateway.setTrunks([trunk({ codecs: ['pcma'] })])
    call(carrier, { prefs: { codecs: ['pcmu'] } })
    await run(20)
    expect(incoming().codec).toBeUndefined()
    expect(incoming().delayedOffer).toBe(false)
  })

  it('passes CANCEL on as an end by the peer', async () => {
    const { session } = call(carrier)
    await run(20)
    gateway.ring(incoming().legId)
    await run(20)
    session.hangup()
    await run(20)
    expect(brief()).toEqual(['incoming', 'ended peer 487'])
  })

  it('answers 481 to a BYE that does not come from the trunk', async () => {
    const stranger = net.peer('10.0.0.3')
    gateway.setTrunks([trunk(), trunk({ id: 't2', allowedCidrs: ['10.0.0.3'], host: '10.0.0.3' })])
    const { session } = call(carrier)
    await run(20)
    gateway.answer(incoming().legId, ours)
    await run(20)
    const ok = net.last('200 INVITE')
    const header = (name: string): string => new RegExp(`^${name}: .*$`, 'm').exec(ok)?.[0].trim() ?? ''
    stranger.request(`${US}:5060`, 'BYE', `sip:${US}`, [header('From'), header('To'), header('Call-ID'), 'CSeq: 9 BYE'])
    await run(20)
    expect(stranger.lastStatus).toBe(481)
    expect(session.state).toBe('established')
  })
})

describe('digest trunks', () => {
  const auth = { username: 'pbx', password: 'secret' }

  it('admit any source that knows the password', async () => {
    gateway.setTrunks([trunk({ allowedCidrs: [], inboundAuth: auth })])
    const roaming = await peer(STRANGER)
    const { ends } = call(roaming, { credentials: auth })
    await run(50)
    expect(ends).toEqual([])
    expect(incoming().trunkId).toBe('t1')
    gateway.answer(incoming().legId, ours)
    await run(50)
    expect(brief().at(-1)).toBe('answered')
    await roaming.close(0)
  })

  it('refuse a wrong password with 401 and bad_auth', async () => {
    gateway.setTrunks([trunk({ allowedCidrs: [], inboundAuth: auth })])
    const roaming = await peer(STRANGER)
    const { ends } = call(roaming, { credentials: { ...auth, password: 'guess' } })
    await run(50)
    expect(ends).toEqual(['peer 401'])
    expect(refusals).toEqual([expect.objectContaining({ reason: 'bad_auth', rule: 'wrong user or password' })])
    expect(events).toEqual([])
    await roaming.close(0)
  })

  it('with CIDRs want both: the right source and the password', async () => {
    gateway.setTrunks([trunk({ inboundAuth: auth })])
    const { ends } = call(carrier)
    await run(50)
    expect(ends).toEqual(['peer 401'])
    call(carrier, { credentials: auth })
    await run(50)
    expect(brief()).toEqual(['incoming'])
  })
})

describe('several trunks with one source', () => {
  it('are told apart by the number dialled', async () => {
    const two = [trunk(), trunk({ id: 't2', accountId: 'other' })]
    const g = new SipGateway({
      clock,
      log: silentLog,
      host: '10.0.0.7',
      port: 5060,
      openTransports: () => Promise.resolve(net.transports('10.0.0.7')),
      chooseTrunk: (ids, to) => (to === '+918000000200' ? ids[1] : undefined),
    })
    g.onEvent((e) => events.push(e))
    await g.listen()
    g.setTrunks(two)
    call(carrier, { target: 'sip:+918000000200@10.0.0.7:5060' })
    call(carrier, { target: 'sip:+918000000100@10.0.0.7:5060' })
    await run(50)
    expect(events.map((e) => e.on === 'incoming' && e.leg.accountId)).toEqual(['other', 'acc'])
    await g.close(0)
  })
})

describe('outgoing', () => {
  const plan = { trunkId: 't1', to: '+919876543210', from: '+918000000100', media: ours, ringTimeoutMs: 30_000 }

  it('dials through the trunk, tells progress, media, answer and the end', async () => {
    let inc: InviteSession | undefined
    carrier.onInvite((s) => {
      inc = s
      s.progress(theirs)
    })
    gateway.dial('c.1', {
      ...plan,
      fromName: 'Bot "X"',
      headers: { 'X-Ref': 'a', Via: 'evil', 'Bad Name': 'x' },
      maxForwards: 12,
    })
    await run(20)
    const invite = net.last('INVITE', US)
    expect(invite).toMatch(/^INVITE sip:\+919876543210@10\.0\.0\.2 SIP\/2\.0/)
    expect(invite).toContain('From: "Bot \\"X\\"" <sip:+918000000100@10.0.0.2>;tag=')
    expect(invite).toContain('Max-Forwards: 12')
    expect(invite).toContain('X-Ref: a')
    expect(invite).not.toContain('evil')
    inc?.accept(theirs)
    await run(20)
    expect(brief()).toEqual([`media ${CARRIER}:6000`, 'progress 183 true', 'answered'])
    inc?.hangup()
    await run(20)
    expect(brief().slice(3)).toEqual(['ended peer 0'])
    expect(events.every((e) => e.on === 'incoming' || e.legId === 'c.1')).toBe(true)
  })

  it('hands the trunk settings on with the media', async () => {
    gateway.setTrunks([trunk({ rtpSource: 'strict', dtmfMode: 'both', rtpTimeoutAfterMs: 15_000 })])
    carrier.onInvite((s) => s.accept(theirs))
    gateway.dial('c.1', plan)
    await run(20)
    expect(events[0]).toMatchObject({
      on: 'media',
      remote: { source: 'strict', dtmfMode: 'both', timeoutAfterMs: 15_000 },
    })
  })

  it('puts the caller where the trunk wants it', async () => {
    gateway.setTrunks([
      trunk({ callerId: 'pai', fromUser: 'acct9', domain: 'sip.carrier.test', numberFormat: 'digits' }),
    ])
    gateway.dial('c.1', plan)
    await run(20)
    const invite = net.last('INVITE', US)
    expect(invite).toMatch(/^INVITE sip:919876543210@sip\.carrier\.test SIP/)
    expect(invite).toContain('From: <sip:acct9@sip.carrier.test>;tag=')
    expect(invite).toContain('P-Asserted-Identity: <sip:918000000100@sip.carrier.test>')
  })

  it('ends with 408 by timeout when nobody picks up', async () => {
    carrier.onInvite((s) => s.ring())
    gateway.dial('c.1', { ...plan, ringTimeoutMs: 5000 })
    await run(6000)
    expect(brief()).toEqual(['progress 180 false', 'ended timeout 408'])
    expect(net.seen(US, CARRIER)).toEqual(['INVITE', 'CANCEL', 'ACK'])
  })

  it('is cancelled while ringing', async () => {
    carrier.onInvite((s) => s.ring())
    gateway.dial('c.1', plan)
    await run(20)
    gateway.hangup('c.1', { sipStatus: 487, q850: 16, text: 'cancelled' })
    await run(20)
    expect(brief()).toEqual(['progress 180 false', 'ended us 487'])
  })

  it('fails at once, by an event, for an unknown trunk, a full one and nonsense', async () => {
    gateway.setTrunks([trunk({ maxCalls: 0 })])
    gateway.dial('a.1', { ...plan, trunkId: 'nope' })
    gateway.dial('b.1', plan)
    gateway.setTrunks([trunk()])
    gateway.dial('c.1', { ...plan, to: 'what is this' })
    expect(events).toEqual([])
    await settle()
    expect(brief()).toEqual(['ended us 503', 'ended us 503', 'ended us 484'])
  })

  it('answers the trunk’s challenge and no other realm', async () => {
    const gated = new UserAgent({
      clock, log: silentLog, host: '10.0.0.4', port: 5060, openTransports: () => Promise.resolve(net.transports('10.0.0.4')),
      gate: (r) => (r.headers.has('Authorization') ? undefined : { status: 401, headers: [['WWW-Authenticate', 'Digest realm="right", nonce="n"']] }),
    }) // prettier-ignore
    await gated.listen()
    gated.onInvite((s) => s.accept(theirs))
    const at = (realm: string): TrunkSettings =>
      trunk({ host: '10.0.0.4', outboundAuth: { username: 'u', password: 'p', realm } })
    gateway.setTrunks([at('right')])
    gateway.dial('a.1', plan)
    await run(50)
    expect(brief().at(-1)).toBe('answered')
    gateway.setTrunks([at('wrong')])
    gateway.dial('b.1', plan)
    await run(50)
    expect(brief().at(-1)).toBe('ended peer 401')
    await gated.close(0)
  })
})

describe('OPTIONS ping', () => {
  it('takes a trunk down after two misses and up after two answers', async () => {
    gateway.setTrunks([trunk({ optionsIntervalS: 40 })])
    await run(1000)
    expect(net.seen(US, CARRIER)).toEqual(['OPTIONS'])
    net.lose = (p) => p.what === 'OPTIONS'
    // Misses are known 32 s after they were sent: at 72 s and at 112 s.
    await run(110_000)
    expect(gateway.trunkStatus()[0].up).toBe(true)
    await run(3000)
    expect(gateway.trunkStatus()[0].up).toBe(false)
    gateway.dial('c.1', { trunkId: 't1', to: '+919876543210', from: '+91', media: ours, ringTimeoutMs: 1000 })
    await settle()
    expect(brief()).toEqual(['ended network 503'])
    net.lose = () => false
    await run(70_000)
    expect(gateway.trunkStatus()[0].up).toBe(true)
  })

  it('counts any final answer as life', async () => {
    const odd = net.peer('10.0.0.5')
    odd.onRequest = (r) => odd.respond(r, 404, { tag: 'x' })
    gateway.setTrunks([trunk({ host: '10.0.0.5', optionsIntervalS: 30 })])
    await run(200_000)
    expect(gateway.trunkStatus()[0].up).toBe(true)
  })

  it('is answered for trunks, and 405 is for methods that we do not serve', async () => {
    const odd = net.peer(CARRIER, 5070)
    const head = ['From: <sip:a@b>;tag=1', `To: <sip:${US}>`, 'Call-ID: x1']
    odd.request(`${US}:5060`, 'OPTIONS', `sip:${US}`, [...head, 'CSeq: 1 OPTIONS'])
    odd.request(`${US}:5060`, 'REFER', `sip:${US}`, [...head, 'CSeq: 2 REFER'])
    odd.request(`${US}:5060`, 'MESSAGE', `sip:${US}`, [...head, 'CSeq: 3 MESSAGE'])
    odd.request(`${US}:5060`, 'NOTIFY', `sip:${US}`, [...head, 'CSeq: 4 NOTIFY', 'Event: message-summary'])
    await run(20)
    expect(odd.responses.map((r) => r.status)).toEqual([200, 405, 405, 481])
    expect(odd.responses[1].headers.all('Allow').join()).toContain('INVITE')
  })
})

describe('in a live call', () => {
  const established = async (): Promise<{ legId: string; session: InviteSession }> => {
    const { session } = call(carrier)
    await run(20)
    const { legId } = incoming()
    gateway.answer(legId, ours)
    await run(20)
    events.length = 0
    return { legId, session }
  }

  it('tells hold, resume, a moved address and digits by INFO', async () => {
    const { legId, session } = await established()
    session.hold()
    await run(20)
    session.resume()
    await run(20)
    session.reinvite({ host: CARRIER, port: 7000 })
    await run(20)
    session.info('7', 120)
    await run(20)
    expect(brief()).toEqual([
      `media ${CARRIER}:6000`,
      'held',
      `media ${CARRIER}:6000`,
      'resumed',
      `media ${CARRIER}:7000`,
      'digit',
    ])
    expect(events.at(-1)).toEqual({ on: 'digit', legId, digit: '7', durationMs: 120 })
  })

  it('sends digits by INFO', async () => {
    const { legId, session } = await established()
    const digits: string[] = []
    session.on('digit', (d) => digits.push(d.digit))
    for (const d of '12#') gateway.sendInfoDigit(legId, d, 100)
    await run(50)
    expect(digits).toEqual(['1', '2', '#'])
  })

  it('keeps its trunk’s settings when the trunk is taken away', async () => {
    const { legId } = await established()
    gateway.setTrunks([])
    gateway.hangup(legId, NORMAL)
    await run(50)
    expect(brief()).toEqual(['ended us 0'])
    expect(net.last('200 BYE')).not.toBe('')
  })
})

describe('a refer', () => {
  const talking = async (more: Partial<TrunkSettings> = {}): Promise<string> => {
    gateway.setTrunks([trunk(more)])
    call(carrier)
    await run(20)
    const { legId } = incoming()
    gateway.answer(legId, ours)
    await run(20)
    events.length = 0
    return legId
  }

  it('names the number as the trunk writes it, and carries headers and user data for the new call', async () => {
    const legId = await talking({ domain: 'sip.carrier.test', numberFormat: 'digits' })
    gateway.refer(legId, {
      to: '+911140000009',
      headers: { 'X-Ticket': 'a b&c=d', Replaces: 'evil', v: 'evil', 'X-Bad': 'x\r\nEvil: 1' },
      userData: '{"a":1}',
      timeoutMs: 20_000,
    })
    await run(20)
    const text = net.last('REFER', US)
    expect(text).toContain(
      'Refer-To: <sip:911140000009@sip.carrier.test?X-Ticket=a%20b%26c%3Dd&User-to-User=7b2261223a317d%3Bencoding%3Dhex>',
    )
    expect(text).toContain('User-to-User: 7b2261223a317d;encoding=hex')
    expect(text).toContain(`Referred-By: <sip:+918000000100@${US}:5060>`)
    expect(text).not.toMatch(/evil/i)
    // Our own user agent refuses REFER, as any phone may.
    expect(events).toEqual([{ on: 'refer', legId, state: 'failed', sipStatus: 405, text: 'Method Not Allowed' }])
    expect(gateway.counts.legs).toBe(1)
  })

  it('that takes over a leg names its dialog as the target knows it', async () => {
    const legId = await talking()
    carrier.onInvite((s) => s.accept(theirs))
    gateway.dial('c.2', { trunkId: 't1', to: '+911140000009', from: '+918000000100', media: ours, ringTimeoutMs: 9000 })
    await run(20)
    gateway.refer(legId, { to: '+911140000009', replaces: 'c.2', timeoutMs: 10_000 })
    await run(20)
    const ok = net.last('200 INVITE', CARRIER)
    const tag = (header: string): string => new RegExp(`^${header}: .*tag=(\\S+)`, 'm').exec(ok)?.[1] ?? '?'
    const callId = /^Call-ID: (\S+)/m.exec(ok)?.[1]
    expect(net.last('REFER', US)).toContain(
      `Refer-To: <sip:${CARRIER}:5060?Replaces=${callId}%3Bto-tag%3D${tag('To')}%3Bfrom-tag%3D${tag('From')}>`,
    )
  })

  it('fails by an event where there is no such leg, none to take over, and no target', async () => {
    const legId = await talking()
    gateway.refer('none.1', { to: '+911140000009', timeoutMs: 10_000 })
    gateway.refer(legId, { to: '+911140000009', replaces: 'none.2', timeoutMs: 10_000 })
    gateway.refer(legId, { to: 'what is this', timeoutMs: 10_000 })
    expect(events).toEqual([])
    await settle()
    expect(events.map((e) => e.on === 'refer' && `${e.state} ${e.sipStatus}`)).toEqual([
      'failed 481',
      'failed 481',
      'failed 484',
    ])
  })

  it('sends user data on an INVITE too, and the plan’s own header first', async () => {
    const plan = { trunkId: 't1', to: '+919876543210', from: '+918000000100', media: ours, ringTimeoutMs: 30_000 }
    gateway.dial('a.1', { ...plan, userData: 'hi' })
    await run(20)
    expect(net.last('INVITE', US)).toContain('User-to-User: 6869;encoding=hex')
    gateway.dial('b.1', { ...plan, userData: 'hi', headers: { 'user-to-user': 'ffff;encoding=hex' } })
    await run(20)
    expect(net.last('INVITE', US)).toContain('ffff;encoding=hex')
    expect(net.last('INVITE', US)).not.toContain('6869')
  })
})
