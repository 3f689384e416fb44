import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeInto } from '../../src/audio/g711.ts'
import { toneShare } from '../../src/audio/goertzel.ts'
import { readWav } from '../../src/audio/wav.ts'
import { loadClip } from '../../src/load/clips.ts'
import { FakeBot, type Json } from '../fakes/bot.ts'
import { DIDS, startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'
import { Baresip } from './baresip.ts'

/** A softphone that we did not write calls in: tones both ways, hold, DTMF both ways. */
let bot: FakeBot
let t: TestServer
let dir: string
let rtpFirst = 36_000

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'trunkline-baresip-'))
  bot = await FakeBot.listen()
  t = await startTestServer({ bots: { talk: { url: bot.url, transport: 'binary' } } })
})

afterAll(async () => {
  await t.close()
  await bot.close()
  rmSync(dir, { recursive: true, force: true })
})

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const s = createServer().listen(0, '127.0.0.1', () => {
      const { port } = s.address() as { port: number }
      s.close(() => resolve(port))
    })
  })

async function phone(codec: 'PCMU' | 'PCMA', transport: 'udp' | 'tcp'): Promise<Baresip> {
  const [sipPort, ctrlPort] = [await freePort(), await freePort()]
  rtpFirst += 50
  return Baresip.start({
    dir: join(dir, `${codec}-${transport}-${sipPort}`),
    sipPort,
    ctrlPort,
    rtpFirst,
    toneHz: 440,
    codec,
    transport,
  })
}

/**
 * The tone's share of the power, 1 = nothing else is there: the median over pieces of 100 ms, since a jitter buffer may
 * shift the tone by a frame when the machine is late.
 */
function share(pcm: Int16Array, hz: number): number {
  const shares: number[] = []
  for (let at = 8000; at + 800 <= pcm.length - 800; at += 800) shares.push(toneShare(pcm, hz, 8000, at, at + 800))
  return shares.sort((a, b) => a - b)[shares.length >> 1]
}

async function call(p: Baresip, transport: 'udp' | 'tcp') {
  const before = bot.conversations.length
  await p.command('dial', `${t.target(DIDS.talk)};transport=${transport}`)
  await p.event('CALL_ESTABLISHED')
  return until(() => bot.conversations[before])
}

describe.each(['PCMU', 'PCMA'] as const)('baresip on %s', (codec) => {
  it.each(['udp', 'tcp'] as const)('over %s hears the bot and is heard by it', async (transport) => {
    const p = await phone(codec, transport)
    try {
      const talk = await call(p, transport)
      talk.socket.send(loadClip('tone-600'))
      talk.socket.send(loadClip('tone-600'))
      await until(() => talk.frames.length > 150)
      await p.command('hangup')
      expect(await talk.next('stop')).toMatchObject({ reason: 'caller_hangup' })
      const heard = Buffer.concat(talk.frames)
      const pcm = new Int16Array(heard.length)
      decodeInto(pcm, heard, 'pcmu')
      expect(share(pcm, 440)).toBeGreaterThan(0.9)
      const dump = await until(async () => (await p.dump('dec').catch(() => undefined)) ?? false)
      await p.stop()
      const wav = readWav(readFileSync(dump))
      expect(share(wav.pcm, 600)).toBeGreaterThan(0.9)
    } finally {
      await p.stop()
    }
  })
})

describe('baresip', () => {
  it('holds and resumes, and the bot is told', async () => {
    const p = await phone('PCMU', 'udp')
    try {
      const talk = await call(p, 'udp')
      await p.command('hold')
      await talk.next('hold')
      await p.command('resume')
      await talk.next('resume')
      const before = talk.frames.length
      await until(() => talk.frames.length > before + 25)
      await p.command('hangup')
    } finally {
      await p.stop()
    }
  })

  it('presses keys that the bot gets once each, and hears the keys that the bot presses', async () => {
    const p = await phone('PCMU', 'udp')
    try {
      const talk = await call(p, 'udp')
      for (const digit of ['5', '#']) await p.command('sndcode', digit)
      await talk.next('dtmf', 2)
      talk.send({ type: 'dtmf.send', digits: '90' })
      await until(() => p.events.filter((e) => e.type === 'CALL_DTMF_START').length >= 2)
      expect(talk.of('dtmf').map((m) => (m.dtmf as Json).digit)).toEqual(['5', '#'])
      expect(p.events.filter((e) => e.type === 'CALL_DTMF_START').map((e) => e.param)).toEqual(['9', '0'])
      await p.command('hangup')
    } finally {
      await p.stop()
    }
  })
})
