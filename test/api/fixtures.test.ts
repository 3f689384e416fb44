import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { FastifyInstance, InjectOptions } from 'fastify'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { adminRows } from '../../src/api/admin/index.ts'
import { ivrSolutionsRows } from '../../src/api/ivr-solutions/index.ts'
import { phoneIncRows } from '../../src/api/phone-inc/index.ts'
import type { Row } from '../../src/api/route.ts'
import { twilioRows } from '../../src/api/twilio-shim/index.ts'
import { buildServer } from '../../src/api/server.ts'
import type { ErrorCode } from '../../src/lib/errors.ts'
import { accountSid } from '../../src/lib/sids.ts'
import { ACME, fakeCore, KEYS, type FakeCore } from '../fakes/core.ts'

/**
 * Every `fixtures/api/<facade>/<op>/<case>.json`, replayed. A case needs no code: see fixtures/api/README.md.
 */
const ROOT = join(import.meta.dirname, '../../fixtures/api')
const FACADES: Record<string, readonly Row[]> = {
  admin: adminRows,
  'ivr-solutions': ivrSolutionsRows,
  'phone-inc': phoneIncRows,
  'twilio-shim': twilioRows,
}

const SID = accountSid(ACME)
const basicAuth = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`

interface Fixture {
  given?: { place?: ErrorCode | 'BUG' }
  request: {
    method: InjectOptions['method']
    url: string
    /** A name of KEYS, sent as Bearer; absent: the facade's usual one; 'none': no key. */
    key?: string
    /** User name where keys go as Basic; absent: the sid of the account. */
    user?: string
    headers?: Record<string, string>
    body?: unknown
    form?: Record<string, string>
    multipart?: Record<string, string>
    /** The body as it is, with `headers` telling what it is. */
    raw?: string
    /** A JSON body of about this size. */
    bodyBytes?: number
  }
  reply: { status: number; headers?: Record<string, string>; body?: unknown }
  /** What the core was asked for. */
  then?: { placed?: unknown[]; hungUp?: string[]; causes?: unknown[]; scheduled?: unknown[]; transferred?: unknown[] }
}

for (const [facade, rows] of Object.entries(FACADES)) {
  describe(facade, () => {
    const folders = readdirSync(join(ROOT, facade))

    it('has a fixture for every op, and no fixture without one', () => {
      expect([...folders].sort()).toEqual(rows.map((row) => row.op).sort())
      for (const op of folders) expect(readdirSync(join(ROOT, facade, op)), op).not.toEqual([])
    })

    for (const op of folders)
      for (const file of readdirSync(join(ROOT, facade, op)))
        it(`${op}: ${file.replace('.json', '').replaceAll('-', ' ')}`, async () => {
          const fixture = JSON.parse(readFileSync(join(ROOT, facade, op, file), 'utf8')) as Fixture
          await replay(fixture, facade === 'admin' ? 'admin' : 'acme', facade === 'twilio-shim')
        })
  })
}

// One server for all cases, each with a world of its own: building the server takes longer than a case.
let core: FakeCore
let app: FastifyInstance

beforeAll(async () => {
  core = await fakeCore()
  app = await buildServer(core, { perMinute: 100_000, dialPerMinute: 100_000, authFailuresPerMinute: 100_000 })
})

afterAll(() => app.close())

async function replay({ given, request, reply, then }: Fixture, usualKey: string, basic: boolean): Promise<void> {
  Object.assign(core, await fakeCore())
  if (given?.place) core.failPlacing(given.place)
  const { key = usualKey } = request
  const { payload, contentType } = payloadOf(request)
  const headers: Record<string, string> = { ...contentType, ...request.headers }
  const secret = (KEYS as Record<string, string>)[key] ?? key
  if (key !== 'none') headers.authorization ??= basic ? basicAuth(request.user ?? SID, secret) : `Bearer ${secret}`
  const got = await app.inject({ method: request.method, url: request.url, headers, payload })
  const body: unknown = got.body === '' ? undefined : JSON.parse(got.body)
  expect({ status: got.statusCode, body }).toEqual({ status: reply.status, body: expected(reply.body) })
  for (const [name, value] of Object.entries(reply.headers ?? {}))
    expect(got.headers[name], name).toEqual(expected(value))
  check(then)
}

function check(then: Fixture['then']): void {
  // A refused request must leave no trace, said or not.
  expect(core.placed).toEqual(
    (then?.placed ?? []).map((call) => expect.objectContaining(expected(call) as object) as unknown),
  )
  expect(core.hungUp).toEqual(then?.hungUp ?? [])
  expect(core.causes).toEqual(then?.causes ?? [])
  expect(core.transferred).toEqual(then?.transferred ?? [])
  expect(core.scheduled).toEqual(
    (then?.scheduled ?? []).map((s) => expect.objectContaining(expected(s) as object) as unknown),
  )
}

function payloadOf(request: Fixture['request']): { payload?: string; contentType?: Record<string, string> } {
  const json = { 'content-type': 'application/json' }
  if (request.bodyBytes !== undefined)
    return { payload: JSON.stringify({ filler: 'x'.repeat(request.bodyBytes) }), contentType: json }
  if (request.raw !== undefined) return { payload: request.raw, contentType: json }
  if (request.body !== undefined) return { payload: JSON.stringify(request.body), contentType: json }
  if (request.form)
    return {
      payload: new URLSearchParams(request.form).toString(),
      contentType: { 'content-type': 'application/x-www-form-urlencoded' },
    }
  if (request.multipart) {
    const parts = Object.entries(request.multipart).map(
      ([name, value]) => `--xyz\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
    )
    return {
      payload: `${parts.join('')}--xyz--\r\n`,
      contentType: { 'content-type': 'multipart/form-data; boundary=xyz' },
    }
  }
  return {}
}

/** Words for what differs between runs. */
function expected(value: unknown): unknown {
  if (value === '<any>') return expect.anything()
  if (value === '<uuid>')
    return expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/)
  if (value === '<link>')
    return expect.stringMatching(
      /^https:\/\/voice\.example\.com\/recordings\/[0-9a-f]{32}\.wav\?exp=1778509500&sig=[0-9a-f]{64}$/,
    )
  if (value === '<key>') return expect.stringMatching(/^tl_[0-9a-f]{12}_[\w-]{32}$/)
  if (Array.isArray(value)) return value.map(expected)
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([name, v]) => [name, expected(v)]))
  return value
}
