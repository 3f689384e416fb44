import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { DigestServer } from '../../src/sip/auth/digest.ts'
import type { InviteSession, SessionEnd } from '../../src/sip/dialog/session.ts'
import { UserAgent, type UserAgentOptions } from '../../src/sip/user-agent.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { count, LossyPath, sipp, type SippRun } from './sipp.ts'

/** A SIP stack that we did not write, against ours. Needs sipp 3.6 (test/peers/install.sh). */
const media = { host: '127.0.0.1', port: 40_000 }
let ua: UserAgent
let ends: SessionEnd[]
let log: string[]

async function start(more: Partial<UserAgentOptions> = {}): Promise<void> {
  ua = new UserAgent({
    clock: systemClock,
    log: silentLog,
    host: '127.0.0.1',
    port: 0,
    userAgentName: 'trunkline',
    ...more,
  })
  await ua.listen()
  ua.onInvite((s) => {
    watch(s)
    s.ring()
    s.accept(media)
  })
}

function watch(session: InviteSession): InviteSession {
  session.on('held', () => log.push('held'))
  session.on('resumed', () => log.push('resumed'))
  session.on('media', (m) => log.push(`media ${m.codec} ${m.direction}`))
  session.on('ended', (e) => ends.push(e))
  return session
}

const to = (): string => `127.0.0.1:${ua.port}`
const passed = (run: SippRun): void => expect(run.code, run.report).toBe(0)

beforeEach(() => {
  ends = []
  log = []
})

afterEach(() => ua.close(300))

describe('sipp calls us', () => {
  it.each(['u1', 't1'])('20 plain calls (-t %s)', async (transport) => {
    await start()
    const run = await sipp(['-sn', 'uac', to(), '-m', '20', '-r', '20', '-d', '100', '-t', transport])
    passed(run)
    expect(ends.map((e) => `${e.by} ${e.sipStatus}`)).toEqual(Array(20).fill('peer 0'))
  })

  it('repeats the 200 at 0, 0.5, 1.5 and 3.5 s while the ACK is lost', async () => {
    await start()
    const run = await sipp([to(), '-m', '1'], { scenario: 'lost-ack' })
    passed(run)
    expect(count(run.received, '200')).toBe(5)
  })

  it('repeats 486 until the ACK', async () => {
    await start()
    ua.onInvite((s) => s.reject(486))
    const run = await sipp([to(), '-m', '1'], { scenario: 'busy-repeat' })
    passed(run)
    expect(count(run.received, '486')).toBe(4)
  })

  it('answers CANCEL and repeats 487 until the ACK', async () => {
    await start()
    ua.onInvite((s) => watch(s).ring())
    const run = await sipp([to(), '-m', '1'], { scenario: 'cancel-repeat' })
    passed(run)
    expect(count(run.received, '487')).toBe(4)
    expect(ends.map((e) => `${e.by} ${e.sipStatus}`)).toEqual(['peer 487'])
  })

  it('takes a CANCEL right after the 100', async () => {
    await start()
    ua.onInvite((s) => watch(s))
    passed(await sipp([to(), '-m', '1'], { scenario: 'cancel-early' }))
    expect(ends.map((e) => `${e.by} ${e.sipStatus}`)).toEqual(['peer 487'])
  })

  it('takes a CANCEL after the 200 for what it is: too late', async () => {
    await start()
    passed(await sipp([to(), '-m', '1'], { scenario: 'cancel-late' }))
    expect(ends.map((e) => `${e.by} ${e.sipStatus}`)).toEqual(['peer 0'])
  })

  it('is challenged and gets in with the right password', async () => {
    const server = new DigestServer({ clock: systemClock, realm: 'trunkline', secret: 's' })
    await start({
      gate: (request, flow) => {
        const given = request.headers.get('Authorization')
        const known = { username: 'alice', password: 'secret' }
        if (given && server.check(given, request.method, known, flow.remoteHost) === 'ok') return undefined
        // sipp reads the first challenge only and knows MD5 alone.
        const md5 = server.challenge(false, flow.remoteHost).filter((v) => v.endsWith('MD5'))
        return { status: 401, headers: md5.map((v) => ['WWW-Authenticate', v]) }
      },
    })
    passed(await sipp([to(), '-m', '1'], { scenario: 'digest-uac' }))
  })

  it('offers late: no SDP in INVITE and re-INVITE', async () => {
    await start()
    passed(await sipp([to(), '-m', '1'], { scenario: 'delayed-offer' }))
    expect(log[0]).toBe('media pcma sendrecv')
  })

  it('holds and resumes', async () => {
    await start()
    passed(await sipp([to(), '-m', '1'], { scenario: 'hold' }))
    expect(log).toEqual(['media pcma sendrecv', 'media pcma recvonly', 'held', 'media pcma sendrecv', 'resumed'])
  })

  it('meets our re-INVITE half way', async () => {
    await start()
    ua.onInvite((s) => {
      watch(s)
      s.on('established', () => s.reinvite({ ...media, port: 40_010 }))
      s.accept(media)
    })
    const run = await sipp([to(), '-m', '1'], { scenario: 'glare' })
    passed(run)
    expect(count(run.received, '491')).toBe(1)
    expect(count(run.received, 'INVITE')).toBe(2)
  })

  it('hears 481 at once inside a dialog that has ended', async () => {
    await start()
    passed(await sipp([to(), '-m', '1'], { scenario: 'after-bye' }))
  })

  it('completes 60 of 60 calls while 20 % of the messages are lost', async () => {
    await start()
    const args = ['-sn', 'uac', to(), '-m', '60', '-r', '20', '-l', '60', '-d', '100', '-lost', '20']
    const run = await sipp(args, { timeoutS: 60 })
    passed(run)
  })

  it('makes 20 calls a second for 10 s', async () => {
    await start()
    passed(await sipp(['-sn', 'uac', to(), '-m', '200', '-r', '20', '-d', '500']))
    expect(ends).toHaveLength(200)
    expect(ua.counts.sessions).toBe(0)
  })
})

describe('we call sipp', () => {
  const call = (
    port: number,
    more: { credentials?: { username: string; password: string }; delayedOffer?: boolean } = {},
  ): InviteSession =>
    watch(ua.invite({ target: `sip:service@127.0.0.1:${port}`, from: '<sip:200@127.0.0.1>', media, ...more }))

  it('20 plain calls to the stock UAS', async () => {
    await start()
    const run = await sipp(['-sn', 'uas', '-m', '20'], {
      started: (port) => {
        for (let i = 0; i < 20; i++) {
          const s = call(port)
          s.on('established', () => s.hangup())
        }
      },
    })
    passed(run)
    expect(ends.map((e) => `${e.by} ${e.sipStatus}`)).toEqual(Array(20).fill('us 0'))
  })

  it.each([1, 6, 20261121])('60 of 60 calls over a path that loses 20 % (seed %i)', async (seed) => {
    // The path stands where a NAT would: everything in the dialog goes back through it.
    await start({ nat: 'always' })
    const path = new LossyPath(0.2, seed)
    let sippPort = 0
    await path.open(() => sippPort)
    await sipp([], {
      scenario: 'uas-lossy',
      timeoutS: 60,
      started: (port, stop) => {
        sippPort = port
        path.onEnded = () => path.ended.size === 60 && stop()
        for (let i = 0; i < 60; i++) {
          const s = call(path.port)
          // Not at once: a BYE that overtakes repeats of the 200 would bring late ACKs, which sipp cannot take.
          s.on('established', () => systemClock.after(6000, () => s.hangup()))
        }
      },
    })
    path.close()
    expect(path.ended.size).toBe(60)
    expect(ends.map((e) => `${e.by} ${e.sipStatus}`)).toEqual(Array(60).fill('us 0'))
  })

  it('answers its challenge', async () => {
    await start()
    const run = await sipp(['-m', '1'], {
      scenario: 'digest-uas',
      started: (port) => {
        const s = call(port, { credentials: { username: 'alice', password: 'secret' } })
        s.on('established', () => s.hangup())
      },
    })
    passed(run)
    expect(ends.map((e) => `${e.by} ${e.sipStatus}`)).toEqual(['us 0'])
  })

  it('is refused with 486', async () => {
    await start()
    passed(await sipp(['-m', '1'], { scenario: 'uas-486', started: (port) => void call(port) }))
    expect(ends.map((e) => `${e.by} ${e.sipStatus} ${e.q850}`)).toEqual(['peer 486 17'])
  })

  it('cancels while it rings', async () => {
    await start()
    const run = await sipp(['-m', '1'], {
      scenario: 'uas-cancelled',
      started: (port) => {
        const s = call(port)
        s.on('progress', () => s.hangup())
      },
    })
    passed(run)
    expect(run.received).toEqual(['INVITE', 'CANCEL', 'ACK'])
  })

  /** Asks it to call the target as soon as the call stands; hangs up when the result is there. */
  const transfer = (port: number): string[] => {
    const told: string[] = []
    const s = call(port)
    s.on('established', () =>
      s.refer({ referTo: 'sip:+911140000009@carrier.test?User-to-User=6869%3Bencoding%3Dhex', timeoutMs: 10_000 }),
    )
    s.on('refer', ({ state, status }) => {
      told.push(`${state} ${status}`)
      if (state === 'completed' || state === 'failed') s.hangup()
    })
    return told
  }

  it.each([
    ['uas-refer', ['accepted 202', 'progress 100', 'progress 180', 'completed 200']],
    ['uas-refer-busy', ['accepted 202', 'failed 486']],
    ['uas-refer-405', ['failed 405']],
  ])('and asks it to call somebody else (%s)', async (scenario, expected) => {
    await start()
    let told: string[] = []
    passed(await sipp(['-m', '1'], { scenario, started: (port) => (told = transfer(port)) }))
    expect(told).toEqual(expected)
    expect(ends.map((e) => e.by)).toEqual(['us'])
  })

  it('and asks it to call somebody else, which it does without a word', async () => {
    await start()
    let told: string[] = []
    passed(await sipp(['-m', '1'], { scenario: 'uas-refer-bye', started: (port) => (told = transfer(port)) }))
    expect(told).toEqual(['accepted 202'])
    expect(ends.map((e) => e.by)).toEqual(['peer'])
  })
})
