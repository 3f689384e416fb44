import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { Pacer } from '../../src/load/pacer.ts'
import { Phone } from '../../src/load/phone.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeBot, type Json } from '../fakes/bot.ts'
import { until } from '../helpers/until.ts'

/** The server as a process of its own, killed without warning in the middle of twenty recorded calls. */
const CALLS = 20
const DID = '+918044440001'
const KEY = 'tl_000000000001_crash-test-key-of-32-characters-'

let dir: string
let bot: FakeBot
let carrier: Phone
let ports: { http: number; sip: number }
const children: ChildProcess[] = []

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'trunkline-crash-'))
  bot = await FakeBot.listen({ echo: true })
  carrier = await Phone.start({ clock: systemClock, log: silentLog, pacer: new Pacer(systemClock) })
  ports = { http: await freePort(), sip: await freePort() }
  const account = {
    id: 'acme',
    name: 'Acme',
    keys: [{ key: KEY, name: 'test' }],
    trunks: [{ id: 'carrier', name: 'carrier', host: '127.0.0.1', port: carrier.port, allowedCidrs: ['127.0.0.1/32'] }],
    bots: [{ id: 'echo', name: 'echo', url: bot.url, transport: 'binary' }],
    numbers: [{ number: DID, trunkId: 'carrier', action: 'bot', botId: 'echo', record: true }],
  }
  writeFileSync(join(dir, 'bootstrap.json'), JSON.stringify({ accounts: [account] }))
})

afterAll(async () => {
  for (const child of children) if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  await carrier.close()
  await bot.close()
  rmSync(dir, { recursive: true, force: true })
})

function start(more: Record<string, string> = {}): { child: ChildProcess; output: () => string } {
  const child = spawn(process.execPath, ['src/main.ts'], {
    env: {
      TRUNKLINE_HTTP_PORT: String(ports.http),
      TRUNKLINE_SIP_PORT: String(ports.sip),
      TRUNKLINE_DATA_DIR: join(dir, 'data'),
      TRUNKLINE_BOOTSTRAP: join(dir, 'bootstrap.json'),
      TRUNKLINE_ALLOW_INSECURE_BOTS: '1',
      TRUNKLINE_RTP_PORTS: '36000-36999',
      TRUNKLINE_DRAIN_S: '0',
      ...more,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let text = ''
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()))
  return { child, output: () => text }
}

const ready = (): Promise<boolean> =>
  until(async () => {
    const response = await fetch(`http://127.0.0.1:${ports.http}/readyz`).catch(() => undefined)
    return response?.status === 200
  }, 30_000)

async function listCalls(): Promise<Json[]> {
  const response = await fetch(`http://127.0.0.1:${ports.http}/v1/calls?limit=50`, { headers: { 'x-api-key': KEY } })
  return ((await response.json()) as { calls: Json[] }).calls
}

it(
  `after kill -9 with ${CALLS} live calls each has its terminal record and a playable recording`,
  { timeout: 90_000 },
  async () => {
    const first = start()
    await ready()
    const calls = await Promise.all(
      Array.from({ length: CALLS }, (_, i) =>
        carrier.call({ target: `sip:${DID}@127.0.0.1:${ports.sip}`, from: `+9198765${10000 + i}` }),
      ),
    )
    await Promise.all(calls.map((c) => c.answered))
    // Four seconds of sound each: what is older than two must have reached the disk.
    await until(() => calls.every((c) => c.media.stats.received > 200))

    const second = start({ TRUNKLINE_HTTP_PORT: '0', TRUNKLINE_SIP_PORT: '0' })
    const [code] = (await once(second.child, 'exit')) as [number]
    expect(code).toBe(1)
    expect(second.output()).toContain(String(first.child.pid))

    first.child.kill('SIGKILL')
    await once(first.child, 'exit')
    const third = start()
    await ready()
    const records = await listCalls()
    expect(records.filter((r) => r.state !== 'ended')).toEqual([])
    expect(records).toHaveLength(CALLS)
    expect(records.every((r) => (r.duration as number) >= 3)).toBe(true)

    const recorded = await until(async () => {
      const found = (await listCalls()).filter((r) => r.recording_url)
      return found.length === CALLS && found
    })
    for (const record of recorded.slice(0, 3)) {
      const wav = Buffer.from(await (await fetch(record.recording_url as string)).arrayBuffer())
      expect(wav.toString('latin1', 0, 4)).toBe('RIFF')
      expect(wav.readUInt32LE(40)).toBe(wav.length - 44)
      expect((wav.length - 44) / (8000 * 4)).toBeGreaterThan(2)
    }
    const reply = await fetch(`http://127.0.0.1:${ports.http}/metrics`)
    expect(await reply.text()).toContain('trunkline_calls_active')
    for (const call of calls) call.hangup()
    third.child.kill('SIGTERM')
    expect(((await once(third.child, 'exit')) as [number])[0]).toBe(0)
  },
)
