import { afterEach, describe, expect, it } from 'vitest'
import { pino } from 'pino'
import type { Log } from '../../src/telemetry/log.ts'
import { adminRows } from '../../src/api/admin/index.ts'
import { ivrSolutionsRows } from '../../src/api/ivr-solutions/index.ts'
import { phoneIncRows } from '../../src/api/phone-inc/index.ts'
import { twilioRows } from '../../src/api/twilio-shim/index.ts'
import type { Limits } from '../../src/api/route.ts'
import { buildServer, type ApiServer } from '../../src/api/server.ts'
import { ACME, fakeCore, KEYS, type FakeCore } from '../fakes/core.ts'

const DIAL = { customer_no: '09876543210', wss_url: 'wss://example.com/stream' }

let app: ApiServer
let core: FakeCore

async function server(limits: Partial<Limits> = {}, log?: Log): Promise<void> {
  core = await fakeCore({ log })
  app = await buildServer(core, limits)
}

afterEach(() => app.close())

const bearer = (key: string): { authorization: string } => ({ authorization: `Bearer ${key}` })
const dial = (headers: Record<string, string> = {}, body: object = DIAL) =>
  app.inject({
    method: 'POST',
    url: '/api/dial_by_aivoicebot',
    headers: { ...bearer(KEYS.acme), ...headers },
    payload: body,
  })

describe('the server', () => {
  it('tells health and metrics without a key', async () => {
    await server()
    expect((await app.inject('/healthz')).json()).toEqual({ status: 'ok' })
    expect((await app.inject('/readyz')).json()).toEqual({ status: 'ready', checks: { database: 'ok', sip: 'ok' } })
    core.health = async () => ({ ready: false, checks: { database: 'down', sip: 'ok' } })
    const notReady = await app.inject('/readyz')
    expect(notReady.statusCode).toBe(503)
    expect(notReady.json()).toEqual({ status: 'not_ready', checks: { database: 'down', sip: 'ok' } })
    const metrics = await app.inject('/metrics')
    expect(metrics.headers['content-type']).toContain('text/plain')
    expect(metrics.body).toMatch(/trunkline_http_request_seconds_count\{op="health.ready",status="5xx"\} \d/)
  })

  it('keeps each facade’s own 404, as far as the shared prefixes allow', async () => {
    await server()
    const of = async (url: string): Promise<unknown> => (await app.inject(url)).json()
    expect(await of('/api/nothing')).toEqual({ status: 404, message: 'There is no such endpoint.' })
    expect(await of('/ivrappv2/nothing')).toEqual({ status: 404, message: 'There is no such endpoint.' })
    expect(await of('/v1/nothing')).toEqual({ status: 404, message: 'There is no such endpoint.' })
    expect(await of('/v1/calls/a/b')).toEqual({ error: 'Not found' })
    expect(await of('/api/v1/nothing')).toEqual({ error: 'Not found' })
    expect(await of('/admin/nothing')).toMatchObject({ status: 404, code: 'NOT_FOUND', type: 'about:blank' })
    expect(await of('/nothing')).toMatchObject({ status: 404, code: 'NOT_FOUND', type: 'about:blank' })
  })

  it('answers the eleventh wrong key within a minute with 429, in the facade’s shape, and lets good keys pass', async () => {
    await server()
    const wrong = () => app.inject({ url: '/v1/calls', headers: { 'x-api-key': 'phk_wrong' } })
    for (let i = 0; i < 10; i++) expect((await wrong()).statusCode).toBe(401)
    const limited = await wrong()
    expect(limited.statusCode).toBe(429)
    expect(limited.headers['retry-after']).toBe('60')
    expect(limited.json()).toEqual({ error: 'Too many failed keys from this address.' })
    expect((await app.inject({ url: '/v1/calls', headers: bearer(KEYS.acme) })).statusCode).toBe(200)
    core.clock.advance(60_000)
    expect((await wrong()).statusCode).toBe(401)
  })

  it('tries no admin key at all once an address has failed ten times', async () => {
    await server()
    const get = (key: string) => app.inject({ url: '/admin/v1/accounts', headers: bearer(key) })
    for (let i = 0; i < 10; i++) expect((await get('wrong')).statusCode).toBe(401)
    expect((await get(KEYS.admin)).statusCode).toBe(429)
    core.clock.advance(60_000)
    expect((await get(KEYS.admin)).statusCode).toBe(200)
  })

  it('limits requests per key, says so in headers, and keeps dialling in a bucket of its own', async () => {
    await server({ perMinute: 3, dialPerMinute: 1 })
    const first = await dial()
    expect(first.statusCode).toBe(200)
    expect(first.headers).toMatchObject({ 'ratelimit-limit': '1', 'ratelimit-remaining': '0' })
    const second = await dial()
    expect(second.statusCode).toBe(429)
    expect(second.json()).toEqual({ status: 429, message: 'Too many requests.' })
    expect(Number(second.headers['retry-after'])).toBeGreaterThan(0)
    const status = (key: string) => app.inject({ url: '/api/get_call_status', headers: bearer(key) })
    for (let i = 0; i < 3; i++) expect((await status(KEYS.acme)).statusCode).toBe(200)
    expect((await status(KEYS.acme)).json()).toEqual({ status: false, message: 'Too many requests.' })
    // Another key of the same address.
    expect((await status(KEYS.other)).statusCode).toBe(200)
    expect(core.placed).toHaveLength(1)
  })

  it('refuses URLs over 8 KiB and NUL in URLs', async () => {
    await server()
    expect((await app.inject(`/api/get_call_status?x=${'y'.repeat(8200)}`)).statusCode).toBe(414)
    expect((await app.inject('/v1/calls?phone_number=%00')).statusCode).toBe(400)
    expect((await app.inject('/v1/calls/%zz')).statusCode).toBe(400)
  })

  it('refuses multipart bombs and files', async () => {
    await server()
    const send = (payload: string) =>
      app.inject({
        method: 'POST',
        url: '/api/dial_by_aivoicebot',
        headers: { ...bearer(KEYS.acme), 'content-type': 'multipart/form-data; boundary=x' },
        payload,
      })
    const part = (name: string, value: string, more = ''): string =>
      `--x\r\ncontent-disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
    const many = Array.from({ length: 10_000 }, (_, i) => part(`f${i}`, 'v')).join('')
    expect((await send(`${many}--x--\r\n`)).statusCode).toBe(413)
    expect((await send(`${part('customer_no', '9'.repeat(70_000))}--x--\r\n`)).statusCode).toBeGreaterThanOrEqual(400)
    expect((await send(`${part('f', 'bytes', '; filename="a.wav"')}--x--\r\n`)).statusCode).toBe(413)
    expect((await send(part('customer_no', '09876543210'))).statusCode).toBeGreaterThanOrEqual(400)
    expect(core.placed).toEqual([])
  })

  it('writes one log line per request, without keys, and with numbers masked', async () => {
    const lines: Record<string, unknown>[] = []
    const log: Log = pino(
      { level: 'info' },
      { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    )
    await server({}, log)
    await app.inject(`/api/get_call_status?logid=1006&token=${KEYS.acme}`)
    await app.inject(`/v1/calls?phone_number=%2B919876543210&api_key=${KEYS.acme}`)
    expect(lines).toHaveLength(2)
    expect(lines[0]).toMatchObject({
      op: 'ivr.callstatus.get',
      method: 'GET',
      url: '/api/get_call_status?logid=1006&token=***',
      status: 200,
      account: ACME,
    })
    expect(lines[1]).toMatchObject({ url: '/v1/calls?phone_number=+9198******10&api_key=***' })
    expect(JSON.stringify(lines)).not.toContain(KEYS.acme)
  })

  it('logs a bug with its stack and tells the caller nothing of it', async () => {
    const lines: string[] = []
    await server({}, pino({ level: 'error' }, { write: (line: string) => void lines.push(line) }))
    core.failPlacing('BUG')
    const got = await dial()
    expect(got.statusCode).toBe(500)
    expect(got.body).not.toContain('secret')
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('a bug with a secret in its text')
  })
})

describe('Idempotency-Key', () => {
  const key = { 'idempotency-key': 'order-17' }

  it('dials once for two requests in sequence and gives the first answer again', async () => {
    await server()
    const [first, second] = [await dial(key), await dial(key)]
    expect(second.statusCode).toBe(200)
    expect(second.json()).toEqual(first.json())
    expect(core.placed).toHaveLength(1)
  })

  it('dials once for twenty in parallel: the others get the answer, or 409 while it runs', async () => {
    await server()
    const all = await Promise.all(Array.from({ length: 20 }, () => dial(key)))
    expect(core.placed).toHaveLength(1)
    expect(all.filter((r) => r.statusCode !== 200 && r.statusCode !== 409)).toEqual([])
  })

  it('answers the same key with another body with 422, in another account with a call', async () => {
    await server()
    await dial(key)
    const other = await dial(key, { ...DIAL, text: 'another' })
    expect(other.statusCode).toBe(422)
    expect(other.json()).toMatchObject({ status: 422 })
    await dial({ ...key, ...bearer(KEYS.other) })
    expect(core.placed.map((p) => p.accountId)).toEqual([ACME, expect.not.stringContaining(ACME)])
  })

  it('lets a refused request be repeated, and one that broke not', async () => {
    await server()
    core.failPlacing('CAPACITY')
    expect((await dial(key)).statusCode).toBe(429)
    core.failPlacing('BUG')
    expect((await dial(key)).statusCode).toBe(500)
    expect((await dial(key)).statusCode).toBe(409)
    expect(core.placed).toEqual([])
  })

  it('finds the call of a run that died, and places it under the promised id when there is none', async () => {
    await server()
    const rows = (
      core.idempotency as unknown as { rows: Map<string, { callId?: string; reply?: unknown; crashed?: boolean }> }
    ).rows
    await dial(key)
    const [row] = rows.values()
    Object.assign(row, { reply: undefined, crashed: true })
    // The call was placed before the crash.
    core.stored.push({ ...core.stored[0], id: row.callId!, logId: 4242 })
    expect((await dial(key)).json()).toMatchObject({ status: 200, call_id: row.callId, logid: 4242 })
    expect(core.placed).toHaveLength(1)
    // It was not.
    core.stored.pop()
    Object.assign(row, { reply: undefined, crashed: true })
    expect((await dial(key)).json()).toMatchObject({ status: 200, call_id: row.callId })
    expect(core.placed[1].ids?.callId).toBe(row.callId)
  })

  it('refuses a key of the wrong shape', async () => {
    await server()
    expect((await dial({ 'idempotency-key': 'x'.repeat(256) })).statusCode).toBe(400)
  })
})

describe('a scheduled call', () => {
  it('has its status under the logid that was given, before and after its time', async () => {
    await server()
    const when = { ...DIAL, schedule_datetime: '2026-05-12 09:00:00', did_num: '+911143104567' }
    const { logid, call_id } = (await dial({}, when)).json<{ logid: number; call_id: string }>()
    const status = async (): Promise<unknown> =>
      (await app.inject({ url: `/api/get_call_status?logid=${logid}`, headers: bearer(KEYS.acme) })).json()
    expect(await status()).toMatchObject({
      status: true,
      data: {
        logid,
        call_id,
        call_status: 'scheduled',
        client_no: '+919876543210',
        did_no: '+911143104567',
        call_time: '2026-05-12 09:00:00',
        call_duration: null,
      },
    })
    core.scheduled[0].status = 'missed'
    expect(await status()).toMatchObject({ data: { call_status: 'failed' } })
    core.stored.push({ ...core.stored[5], id: call_id, logId: logid })
    expect(await status()).toMatchObject({ data: { call_status: 'answered', call_duration: 187 } })
  })
})

describe('/docs/json', () => {
  it('is OpenAPI 3.1 with every op once, under its documented path', async () => {
    await server()
    const doc = (await app.inject('/docs/json')).json<{
      openapi: string
      paths: Record<string, Record<string, { operationId?: string }>>
    }>()
    expect(doc.openapi).toBe('3.1.0')
    const ids = Object.values(doc.paths).flatMap((path) => Object.values(path).map((op) => op.operationId))
    expect(new Set(ids).size).toBe(ids.length)
    for (const { op, url } of [...adminRows, ...ivrSolutionsRows, ...phoneIncRows, ...twilioRows]) {
      expect(ids, op).toContain(op)
      expect(Object.keys(doc.paths)).toContain(url.replace(/:(\w+)/g, '{$1}'))
    }
    expect(Object.keys(doc.paths).filter((path) => path.startsWith('/ivrappv2') || path.startsWith('/api/v1'))).toEqual(
      [],
    )
    expect((await app.inject('/docs/')).statusCode).toBe(200)
  })

  it('documents no password in a reply', async () => {
    await server()
    const doc = (await app.inject('/docs/json')).json<{
      paths: Record<string, Record<string, { responses: unknown }>>
    }>()
    for (const path of Object.values(doc.paths))
      for (const { responses } of Object.values(path)) expect(JSON.stringify(responses)).not.toContain('"password"')
  })
})
