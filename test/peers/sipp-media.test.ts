import { afterAll, beforeAll, expect, it } from 'vitest'
import { levelDb } from '../../src/audio/energy.ts'
import { FakeBot, type Json } from '../fakes/bot.ts'
import { DIDS, startTestServer, type TestServer } from '../helpers/server.ts'
import { sipp } from './sipp.ts'

/** sipp plays its own captures through the whole server. It needs a raw socket for that: run as root. */
let bot: FakeBot
let t: TestServer

beforeAll(async () => {
  bot = await FakeBot.listen()
  t = await startTestServer({ bots: { talk: { url: bot.url, transport: 'binary' } } })
})

afterAll(async () => {
  await t.close()
  await bot.close()
})

it('hears PCMA speech in 30 ms packets and the keys of sipp’s captures, each once', async () => {
  const run = await sipp([`127.0.0.1:${t.server.sipPort}`, '-s', DIDS.talk, '-m', '1'], { scenario: 'dtmf' })
  expect(run.code, run.report).toBe(0)
  const talk = await bot.conversation()
  expect(await talk.next('stop')).toMatchObject({ reason: 'caller_hangup' })
  expect(talk.of('dtmf').map((m) => (m.dtmf as Json).digit)).toEqual(['1', '#'])
  const heard = Buffer.concat(talk.frames)
  const loudest = Math.max(
    ...Array.from({ length: Math.floor(heard.length / 160) }, (_, i) =>
      levelDb(heard.subarray(i * 160, (i + 1) * 160), 'pcmu'),
    ),
  )
  expect(loudest).toBeGreaterThan(-40)
})
