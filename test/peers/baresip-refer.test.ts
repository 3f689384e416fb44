import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { UserAgent } from '../../src/sip/user-agent.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { until } from '../helpers/until.ts'
import { Baresip } from './baresip.ts'

/** Two softphones that we did not write: we call one and send it to the other by REFER. */
let dir: string
let ua: UserAgent
let phones: Baresip[]
let rtpFirst = 38_000

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const s = createServer().listen(0, '127.0.0.1', () => {
      const { port } = s.address() as { port: number }
      s.close(() => resolve(port))
    })
  })

async function phone(): Promise<Baresip> {
  const [sipPort, ctrlPort] = [await freePort(), await freePort()]
  rtpFirst += 50
  const p = await Baresip.start({
    dir: join(dir, String(sipPort)),
    sipPort,
    ctrlPort,
    rtpFirst,
    toneHz: 440,
    codec: 'PCMU',
    transport: 'udp',
  })
  phones.push(p)
  return p
}

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'trunkline-refer-'))
  phones = []
  ua = new UserAgent({ clock: systemClock, log: silentLog, host: '127.0.0.1', port: 0, userAgentName: 'trunkline' })
  await ua.listen()
})

afterEach(async () => {
  await ua.close(500)
  for (const p of phones) await p.stop()
  rmSync(dir, { recursive: true, force: true })
})

it.each([
  [true, 'completed 200'],
  [false, 'failed'],
])('baresip calls whom we name (there: %s) and tells how it went', async (there, result) => {
  const first = await phone()
  const second = await phone()
  if (!there) await second.stop()
  const told: string[] = []
  const session = ua.invite({
    target: first.uri.replace(/;.*/, ''),
    from: '<sip:200@127.0.0.1>',
    media: { host: '127.0.0.1', port: 40_100 },
  })
  session.on('established', () => session.refer({ referTo: second.uri.replace(/;.*/, ''), timeoutMs: 8000 }))
  session.on('refer', ({ state, status, text }) => told.push(`${state} ${status} ${text}`))
  await until(() => told.some((line) => line.startsWith(result)))
  expect(told[0]).toMatch(/^accepted 202/)
  if (!there) return
  await second.event('CALL_ESTABLISHED')
  session.hangup()
  expect(session.state).toBe('ended')
})
