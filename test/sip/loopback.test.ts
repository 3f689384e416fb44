import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import type { InviteSession, SessionEnd, SessionEvents } from '../../src/sip/dialog/session.ts'
import { UserAgent, type UserAgentOptions } from '../../src/sip/user-agent.ts'
import { silentLog } from '../../src/telemetry/log.ts'

/** Real sockets, real time: only that the parts fit. Behaviour is in user-agent.test.ts. */
const agents: UserAgent[] = []

async function agent(more: Partial<UserAgentOptions> = {}): Promise<UserAgent> {
  const ua = new UserAgent({
    clock: systemClock,
    log: silentLog,
    host: '127.0.0.1',
    port: 0,
    userAgentName: 'test',
    ...more,
  })
  agents.push(ua)
  await ua.listen()
  return ua
}

const event = <K extends keyof SessionEvents>(session: InviteSession, name: K): Promise<SessionEvents[K]> =>
  new Promise((resolve) => session.on(name, resolve))

afterEach(async () => {
  await Promise.all(agents.splice(0).map((ua) => ua.close(200)))
})

describe.each(['udp', 'tcp'] as const)('over %s on loopback', (protocol) => {
  it('calls, holds, sends a digit, hangs up', async () => {
    const a = await agent({ timers: { t1Ms: 50 } })
    const b = await agent({ timers: { t1Ms: 50 } })
    const incoming = new Promise<InviteSession>((resolve) => b.onInvite(resolve))
    const out = a.invite({
      target: `sip:100@127.0.0.1:${b.port}${protocol === 'tcp' ? ';transport=tcp' : ''}`,
      from: '<sip:200@127.0.0.1>',
      media: { host: '127.0.0.1', port: 4000 },
    })
    const answered = event(out, 'established')
    const inc = await incoming
    expect(inc.remote.protocol).toBe(protocol)
    inc.ring()
    const confirmed = event(inc, 'established')
    inc.accept({ host: '127.0.0.1', port: 6000 })
    await Promise.all([answered, confirmed])
    expect(out.media?.port).toBe(6000)
    const held = event(inc, 'held')
    out.hold()
    await held
    const digit = event(inc, 'digit')
    out.info('9', 160)
    expect((await digit).digit).toBe('9')
    const ended = event(out, 'ended')
    inc.hangup()
    expect((await ended).by).toBe('peer')
  })

  it('answers a ping', async () => {
    const a = await agent()
    const b = await agent()
    const result = await a.ping({
      target: 'sip:127.0.0.1',
      from: 'sip:me@127.0.0.1',
      nextHop: { protocol, host: '127.0.0.1', port: b.port },
    })
    expect(result).toEqual({ status: 200, received: '127.0.0.1' })
  })

  it('reports a peer that is not there', async () => {
    const gone = await agent()
    const { port } = gone
    await gone.close()
    const a = await agent({ timers: { t1Ms: 10 } })
    const out = a.invite({
      target: `sip:1@127.0.0.1:${port}${protocol === 'tcp' ? ';transport=tcp' : ''}`,
      from: '<sip:2@127.0.0.1>',
      media: { host: '127.0.0.1', port: 4000 },
    })
    const end: SessionEnd = await event(out, 'ended')
    expect(['timeout', 'network']).toContain(end.by)
    expect([408, 503]).toContain(end.sipStatus)
  })
})

it('carries 200 calls at once and leaves nothing behind', async () => {
  const a = await agent()
  const b = await agent()
  b.onInvite((s) => s.accept({ host: '127.0.0.1', port: 6000 }))
  const ends = Array.from({ length: 200 }, () => {
    const out = a.invite({
      target: `sip:100@127.0.0.1:${b.port}`,
      from: '<sip:200@127.0.0.1>',
      media: { host: '127.0.0.1', port: 4000 },
    })
    out.on('established', () => out.hangup())
    return event(out, 'ended')
  })
  expect((await Promise.all(ends)).filter((e) => e.sipStatus === 0)).toHaveLength(200)
  expect(a.counts.sessions).toBe(0)
})
