/** Twilio's own client and pipecat's way of hanging up, against the shim over real HTTP. */
import type { AddressInfo } from 'node:net'
import twilio from 'twilio'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildServer, type ApiServer } from '../../../src/api/server.ts'
import { accountSid, callSid } from '../../../src/lib/sids.ts'
import { ACME, fakeCore, KEYS, type FakeCore } from '../../fakes/core.ts'

/** The client with nothing changed but where its requests go. */
function client(key: string = KEYS.acme): ReturnType<typeof twilio> {
  const httpClient = new twilio.RequestClient({ timeout: 5000 })
  httpClient.axios.interceptors.request.use((config) => {
    config.url = config.url?.replace('https://api.twilio.com', base)
    return config
  })
  return twilio(SID, key, { httpClient })
}

const TALKING = '0193f4ba-1234-7c00-9e3d-000000000003'
const ENDED = '0193f4ba-1234-7c00-9e3d-000000000006'
const SID = accountSid(ACME)

let core: FakeCore
let app: ApiServer
let base: string

beforeEach(async () => {
  core = await fakeCore()
  app = await buildServer(core)
  await app.listen({ host: '127.0.0.1', port: 0 })
  base = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
})
afterEach(() => app.close())

describe('the twilio package', () => {
  it('fetches a call and reads every time of it', async () => {
    const call = await client().calls(callSid(ENDED)).fetch()
    expect(call).toMatchObject({
      sid: callSid(ENDED),
      accountSid: SID,
      status: 'completed',
      direction: 'outbound-api',
      from: '+911143104567',
      to: '+919876543210',
      duration: '187',
    })
    expect(call.startTime).toEqual(new Date('2026-05-11T14:00:00Z'))
    expect(call.endTime).toEqual(new Date('2026-05-11T14:03:10Z'))
    expect(call.dateCreated).toEqual(new Date('2026-05-11T14:00:00Z'))
  })

  it('hangs up', async () => {
    const call = await client().calls(callSid(TALKING)).update({ status: 'completed' })
    expect(call.status).toBe('completed')
    expect(core.hungUp).toEqual([TALKING])
  })

  it('transfers with a document that its builder has made', async () => {
    const twiml = new twilio.twiml.VoiceResponse()
    const dial = twiml.dial({ callerId: '+911143104567', timeout: 15 })
    dial.sip('sip:agent@pbx.example.com?X-Ticket=a%20b&X-Queue=sales')
    const call = await client().calls(callSid(TALKING)).update({ twiml })
    expect(call.status).toBe('in-progress')
    expect(core.transferred).toEqual([
      {
        callId: TALKING,
        request: {
          mode: 'bridge',
          target: 'sip:agent@pbx.example.com',
          callerId: '+911143104567',
          timeoutMs: 15_000,
          onFail: 'hangup',
          headers: { 'X-Ticket': 'a b', 'X-Queue': 'sales' },
        },
      },
    ])
  })

  it('refers with a document that its builder has made', async () => {
    const twiml = new twilio.twiml.VoiceResponse()
    twiml.refer().sip('sip:agent@pbx.example.com')
    await client().calls(callSid(TALKING)).update({ twiml: twiml.toString() })
    expect(core.transferred).toMatchObject([{ request: { mode: 'blind', target: 'sip:agent@pbx.example.com' } }])
  })

  it('throws its own exception with the code of each refusal', async () => {
    const { calls } = client()
    await expect(calls(callSid(ENDED)).update({ status: 'completed' })).rejects.toMatchObject({
      status: 404,
      code: 20404,
      moreInfo: 'https://www.twilio.com/docs/errors/20404',
    })
    await expect(
      calls(callSid(ENDED)).update({ twiml: '<Response><Dial>+919876543210</Dial></Response>' }),
    ).rejects.toMatchObject({ status: 400, code: 21220 })
    await expect(calls(callSid(TALKING)).update({ url: 'https://example.com/' })).rejects.toMatchObject({
      status: 400,
      code: 21205,
    })
    await expect(client('wrong').calls(callSid(TALKING)).fetch()).rejects.toMatchObject({ status: 401, code: 20003 })
    await expect(client(KEYS.other).calls(callSid(TALKING)).fetch()).rejects.toMatchObject({ status: 401, code: 20003 })
    expect(core.hungUp).toEqual([])
  })
})

describe('pipecat’s serializer', () => {
  // TwilioFrameSerializer._hang_up_call with base_url: one form field, Basic, and 404/20404 taken as "ended before".
  const hangUp = (callId: string): Promise<Response> =>
    fetch(`${base}/2010-04-01/Accounts/${SID}/Calls/${callSid(callId)}.json`, {
      method: 'POST',
      headers: { authorization: `Basic ${Buffer.from(`${SID}:${KEYS.acme}`).toString('base64')}` },
      body: new URLSearchParams({ Status: 'completed' }),
    })

  it('hangs up once and is told that the call has ended when it comes again', async () => {
    expect((await hangUp(TALKING)).status).toBe(200)
    const again = await hangUp(TALKING)
    expect(again.status).toBe(404)
    expect(await again.json()).toMatchObject({ code: 20404, status: 404 })
    expect(core.hungUp).toEqual([TALKING])
  })
})
