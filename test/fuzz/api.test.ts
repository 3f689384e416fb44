import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildServer, type ApiServer } from '../../src/api/server.ts'
import { redactUrl } from '../../src/api/access-log.ts'
import { rangeOf } from '../../src/api/recordings.ts'
import { DialByAiVoicebot } from '../../src/api/ivr-solutions/voicebots.ts'
import { accountSid, callSid } from '../../src/lib/sids.ts'
import { ACME, fakeCore, KEYS } from '../fakes/core.ts'

const BUDGET = { interruptAfterTimeLimit: 2000, numRuns: 400 }

let app: ApiServer
beforeAll(async () => {
  app = await buildServer(await fakeCore(), { perMinute: 1e6, dialPerMinute: 1e6 })
})
afterAll(() => app.close())

const post = (payload: string, type: string) =>
  app.inject({
    method: 'POST',
    url: '/api/dial_by_aivoicebot',
    headers: { authorization: `Bearer ${KEYS.acme}`, 'content-type': type },
    payload,
  })

describe('the API under nonsense', () => {
  it('never answers a strange dial request with a fault of its own', async () => {
    const names = fc.constantFrom(...Object.keys(DialByAiVoicebot.properties), '__proto__', 'token')
    const body = fc.dictionary(
      names,
      fc.oneof(fc.jsonValue(), fc.string({ unit: 'binary' }), fc.constant('09876543210')),
    )
    await fc.assert(
      fc.asyncProperty(body, async (fields) => {
        const { statusCode } = await post(JSON.stringify(fields), 'application/json')
        expect(statusCode).toBeLessThan(500)
      }),
      BUDGET,
    )
  })

  it('never answers a torn body with a fault of its own', async () => {
    const type = fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'text/plain',
    )
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 300 }), type, async (text, contentType) => {
        expect((await post(text, contentType)).statusCode).toBeLessThan(500)
      }),
      BUDGET,
    )
  })

  it('never answers a strange update of a call with a fault of its own', async () => {
    const value = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.constantFrom('completed', '<Response><Dial>+1</Dial></Response>', '<Response><Dial callerId="x">'),
    )
    const form = fc.array(fc.tuple(fc.constantFrom('Status', 'Twiml', 'Url', '__proto__', 'Twiml[]'), value), {
      maxLength: 4,
    })
    const sid = fc.oneof(fc.constant(callSid('0193f4ba-1234-7c00-9e3d-000000000003')), fc.string({ maxLength: 200 }))
    const authorization = `Basic ${Buffer.from(`${accountSid(ACME)}:${KEYS.acme}`).toString('base64')}`
    await fc.assert(
      fc.asyncProperty(form, sid, async (fields, call) => {
        const { statusCode } = await app.inject({
          method: 'POST',
          url: `/2010-04-01/Accounts/${accountSid(ACME)}/Calls/${encodeURIComponent(call)}.json`,
          headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
          payload: new URLSearchParams(fields).toString(),
        })
        expect(statusCode).toBeLessThan(500)
      }),
      BUDGET,
    )
  })

  it('never answers a strange query with a fault of its own', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.webQueryParameters(),
        fc.constantFrom('/v1/calls', '/api/get_call_status', '/recordings/x.wav'),
        async (query, path) => {
          const got = await app.inject({ url: `${path}?${query}`, headers: { authorization: `Bearer ${KEYS.acme}` } })
          expect(got.statusCode).toBeLessThan(500)
        },
      ),
      BUDGET,
    )
  })

  it('redacts any URL without throwing', () => {
    fc.assert(fc.property(fc.string(), (url) => void redactUrl(url)))
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'abcdef0123456789'), minLength: 8 }),
        (key) => !redactUrl(`/x?token=${key}`).includes(key),
      ),
    )
  })

  it('gives only ranges within the file', () => {
    fc.assert(
      fc.property(fc.string(), fc.nat(), fc.nat(), fc.nat(1e6), (noise, a, b, size) => {
        for (const header of [noise, `bytes=${a}-${b}`, `bytes=${a}-`, `bytes=-${b}`]) {
          const range = rangeOf(header, size)
          if (typeof range !== 'object') continue
          expect(range.first >= 0 && range.first <= range.last && range.last < size).toBe(true)
        }
      }),
    )
  })
})
