import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig, type Config } from '../../src/config.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { Pacer } from '../../src/load/pacer.ts'
import { Phone } from '../../src/load/phone.ts'
import { startServer, type RunningServer } from '../../src/server.ts'
import { createLog, silentLog } from '../../src/telemetry/log.ts'

export const ADMIN_KEY = 'test-admin-key-0123456789abcdef'

/** Numbers of the test installation; each leads to the bot of that name. */
export const DIDS = { echo: '+918044440001', talk: '+918044440002', asks: '+918044440003', rejects: '+918044440004' }

export interface TestInstallation {
  /** Bot addresses by name of DIDS. */
  bots: Partial<Record<keyof typeof DIDS, { url: string } & Record<string, unknown>>>
  env?: Record<string, string>
}

export interface TestServer {
  server: RunningServer
  config: Config
  dataDir: string
  /** A simulated carrier on 127.0.0.1: the installation's trunk. */
  carrier: Phone
  target(did: string): string
  api(
    method: string,
    path: string,
    body?: unknown,
    key?: string,
  ): Promise<{ status: number; body: Record<string, unknown> }>
  admin(method: string, path: string, body?: unknown): Promise<{ status: number; body: Record<string, unknown> }>
  accountId: string
  apiKey: string
  close(): Promise<void>
}

/** A whole server in this process, on free ports, in a directory of its own; SIP, RTP and WebSockets are real. */
export async function startTestServer(installation: TestInstallation): Promise<TestServer> {
  const dir = mkdtempSync(join(tmpdir(), 'trunkline-test-'))
  const log = process.env.TEST_LOG ? createLog(process.env.TEST_LOG) : silentLog
  const carrier = await Phone.start({ clock: systemClock, log, pacer: new Pacer(systemClock) })
  const bots = Object.entries(installation.bots)
  writeFileSync(
    join(dir, 'bootstrap.json'),
    JSON.stringify({
      accounts: [
        {
          id: 'test',
          name: 'test',
          trunks: [
            { id: 'carrier', name: 'carrier', host: '127.0.0.1', port: carrier.port, allowedCidrs: ['127.0.0.1/32'] },
          ],
          bots: bots.map(([name, bot]) => ({ id: name, name, ...bot })),
          numbers: [
            ...bots.map(([name]) => ({
              number: DIDS[name as keyof typeof DIDS],
              trunkId: 'carrier',
              action: 'bot',
              botId: name,
              record: true,
            })),
            { number: DIDS.rejects, trunkId: 'carrier', action: 'reject' },
          ],
        },
      ],
    }),
  )
  const config = loadConfig({
    TRUNKLINE_HTTP_PORT: '0',
    TRUNKLINE_SIP_PORT: '0',
    TRUNKLINE_DATA_DIR: join(dir, 'data'),
    TRUNKLINE_BOOTSTRAP: join(dir, 'bootstrap.json'),
    TRUNKLINE_ADMIN_KEY: ADMIN_KEY,
    TRUNKLINE_ALLOW_INSECURE_BOTS: '1',
    TRUNKLINE_MEDIA_WORKERS: '1',
    TRUNKLINE_RTP_PORTS: '34000-35999',
    // test/peers/run.sh: the same stories on a real PostgreSQL.
    ...(process.env.TEST_DATABASE_URL ? { DATABASE_URL: process.env.TEST_DATABASE_URL } : {}),
    ...installation.env,
  })
  const server = await startServer(config, systemClock, log)
  const request = async (
    method: string,
    path: string,
    body: unknown,
    key: string,
  ): Promise<{ status: number; body: Record<string, unknown> }> => {
    const response = await fetch(server.httpUrl + path, {
      method,
      headers: {
        authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    })
    const text = await response.text()
    return { status: response.status, body: (text ? JSON.parse(text) : {}) as Record<string, unknown> }
  }
  const account = (await server.core.accounts.list())[0]
  const key = await server.core.accounts.createKey({ accountId: account.id }, { name: 'test' })
  return {
    server,
    config,
    dataDir: join(dir, 'data'),
    carrier,
    target: (did) => `sip:${did}@127.0.0.1:${server.sipPort}`,
    api: (method, path, body, apiKey = key.text) => request(method, path, body, apiKey),
    admin: (method, path, body) => request(method, path, body, ADMIN_KEY),
    accountId: account.id,
    apiKey: key.text,
    async close() {
      await carrier.close()
      await server.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
