import fc from 'fast-check'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FakeBot, type Conversation, type Json } from '../fakes/bot.ts'
import { FakeClock } from '../fakes/clock.ts'
import { planOf } from '../fakes/plan.ts'
import { connected, FRAME, sessionTo, STOP, synced } from '../fakes/session.ts'

/** Real sockets get some turns of the loop while virtual time stands. */
async function breathe(): Promise<void> {
  for (let i = 0; i < 25; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** The `n`th conversation of a bot. Virtual time moves to the next try and then stands, or a slow machine would time out. */
async function conversation(bot: FakeBot, n: number, clock: FakeClock): Promise<Conversation> {
  for (let tries = 0; tries < 10; tries++) {
    clock.advance(300)
    for (let i = 0; i < 400; i++) {
      if (bot.conversations.length >= n) return bot.conversations[n - 1]
      await breathe()
    }
  }
  throw new Error(`the bot was not dialled a ${n}th time`)
}

const ENDS: [string, (t: Conversation) => void][] = [
  ['RST', (t) => (t.socket as unknown as { _socket: { resetAndDestroy(): void } })._socket.resetAndDestroy()],
  ['FIN', (t) => (t.socket as unknown as { _socket: { end(): void } })._socket.end()],
  ['1011', (t) => t.socket.close(1011, 'restart')],
  ['1001', (t) => t.socket.close(1001)],
  ['1012', (t) => t.socket.close(1012)],
]

describe('a bot whose socket is lost', () => {
  it.each(ENDS)('by %s is dialled again, and told what it missed', async (_how, end) => {
    const clock = new FakeClock()
    const { bot, talk, session, told, until, play } = await connected({}, { reconnectMs: 15_000 }, { clock })
    talk.say(new Uint8Array(320).fill(3))
    talk.send({ type: 'mark', mark: { name: 'm7' } })
    await synced(talk)
    end(talk)
    await until('away')
    session.digit('5', 100, 'rfc4733')
    for (let i = 0; i < 10; i++) session.sink.frame(FRAME, 'pcmu', 0)
    const again = await conversation(bot, 2, clock)
    const start = await again.next('start')
    expect(start).toMatchObject({
      seq: 1,
      stream_id: 'c1.1.1.2',
      resume_token: talk.messages[0].resume_token,
      resume: {
        token: talk.messages[0].resume_token,
        count: 1,
        unplayed_marks: ['m7'],
        last_seq: talk.messages.length,
      },
    })
    expect((start.resume as Json).gap_ms).toBeGreaterThanOrEqual(250)
    expect(await again.next('dtmf')).toMatchObject({ dtmf: { digit: '5' } })
    session.sink.frame(FRAME, 'pcmu', 0)
    expect(await again.next('media')).toMatchObject({ lost_ms: 200, media: { timestamp: 200, chunk: 10 } })
    // What was queued plays on, and its mark comes back on the new socket, once.
    expect(play(2)).toEqual(Buffer.alloc(320, 3))
    expect(await again.next('mark')).toMatchObject({ mark: { name: 'm7', status: 'played' } })
    expect(told.map((t) => t.what)).not.toContain('lost')
  })

  it('half-open is found within 5 s', async () => {
    const clock = new FakeClock()
    const { talk, until, told } = await connected({}, { reconnectMs: 15_000 }, { clock })
    const pinged = once(talk.socket, 'ping')
    clock.advance(2000)
    await pinged
    await synced(talk)
    talk.socket.pause()
    const deadAtMs = clock.now()
    while (!told.some((t) => t.what === 'away') && clock.now() - deadAtMs < 10_000) {
      clock.advance(100)
      await breathe()
    }
    expect(await until('away')).toMatchObject({ reason: 'ping_timeout' })
    expect(clock.now() - deadAtMs).toBeLessThanOrEqual(5000)
  })

  it('hears comfort audio until the bot is back, not silence', async () => {
    const clock = new FakeClock()
    const { bot, talk, until, play } = await connected({}, { reconnectMs: 15_000 }, { clock })
    expect(play(5).length).toBe(0)
    talk.socket.terminate()
    await until('away')
    const heard = play(100)
    expect(heard.length).toBe(100 * 160)
    expect(new Set(heard).size).toBeGreaterThan(4)
    await (await conversation(bot, 2, clock)).next('start')
    expect(play(5).length).toBe(0)
  })

  it('gets the last seconds of the caller again when it asks', async () => {
    const clock = new FakeClock()
    const { bot, talk, session, until } = await connected({}, { reconnectMs: 15_000 }, { clock })
    const said = (i: number): Uint8Array => new Uint8Array(160).fill(i + 1)
    for (let i = 0; i < 5; i++) session.sink.frame(said(i), 'pcmu', 0)
    await talk.next('media', 5)
    talk.socket.terminate()
    await until('away')
    for (let i = 5; i < 10; i++) session.sink.frame(said(i), 'pcmu', 0)
    const again = await conversation(bot, 2, clock)
    again.send({ type: 'session.replay', ms: 140 })
    await synced(again)
    session.sink.frame(said(10), 'pcmu', 0)
    await again.next('media', 8)
    const media = again.of('media')
    expect(media.map((m) => m.replay === true)).toEqual([true, true, true, true, true, true, true, false])
    expect(media.map((m) => Buffer.from((m.media as Json).payload as string, 'base64')[0])).toEqual([
      4, 5, 6, 7, 8, 9, 10, 11,
    ])
    expect(media.map((m) => (m.media as Json).timestamp)).toEqual([60, 80, 100, 120, 140, 160, 180, 200])
  })

  it('is given up after its time, each try later than the one before, and told as lost once', async () => {
    const clock = new FakeClock()
    const { bot, talk, until, told } = await connected({}, { reconnectMs: 10_000 }, { clock })
    const { url } = bot
    talk.socket.terminate()
    await until('away')
    await bot.close()
    const tries: number[] = []
    const port = Number(new URL(url).port)
    const server = createServer((s) => {
      tries.push(clock.now())
      s.on('error', () => undefined).destroy()
    }).listen(port, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    for (let ms = 0; ms < 15_000 && !told.some((t) => t.what === 'lost'); ms += 50) {
      clock.advance(50)
      await breathe()
    }
    expect(await until('lost')).toMatchObject({ clean: false, wasOpen: true })
    const gaps = tries.slice(1).map((t, i) => t - tries[i])
    expect(gaps.slice(0, 3).every((g, i) => g >= 400 * 2 ** i)).toBe(true)
    expect(Math.max(...gaps)).toBeLessThan(2600)
    expect(told.filter((t) => t.what === 'lost').length).toBe(1)
  })

  it('that drops each connection as soon as it is open is given up as well', async () => {
    const clock = new FakeClock()
    const bot = await FakeBot.listen({ onConnection: (t) => t.socket.close(1011) })
    onTestFinished(() => bot.close())
    const { told } = sessionTo(planOf(bot.url, { reconnectMs: 5000 }), { clock })
    for (let ms = 0; ms < 20_000 && !told.some((t) => t.what === 'lost'); ms += 50) {
      clock.advance(50)
      await breathe()
    }
    expect(told.at(-1)).toMatchObject({ what: 'lost' })
    expect(bot.conversations.length).toBeLessThan(10)
  })

  it('is not dialled again after stop, nor after its own hang-up', async () => {
    const clock = new FakeClock()
    const { bot, talk, session, until } = await connected({}, { reconnectMs: 15_000 }, { clock })
    talk.socket.terminate()
    await until('away')
    session.stop(STOP)
    await until('ended')
    clock.advance(5000)
    await breathe()
    expect(bot.conversations.length).toBe(1)
    const second = await connected({}, { reconnectMs: 15_000 }, { clock })
    second.talk.send({ type: 'session.hangup' })
    await second.until('request')
    second.talk.socket.terminate()
    expect(await second.until('lost')).toMatchObject({ wasOpen: true })
  })
})

describe('a bot that closes with 1000', () => {
  it('hangs up, or is dialled again, or makes room for a stand-in, as configured', async () => {
    const clock = new FakeClock()
    const hangup = await connected({}, { reconnectMs: 15_000 }, { clock })
    hangup.talk.socket.close(1000)
    expect(await hangup.until('lost')).toMatchObject({ clean: true })
    const again = await connected({}, { reconnectMs: 15_000, onClose: 'reconnect' }, { clock })
    again.talk.socket.close(1000)
    await again.until('away')
    await (await conversation(again.bot, 2, clock)).next('start')
    const standIn = await FakeBot.listen()
    onTestFinished(() => standIn.close())
    const other = await connected({}, { reconnectMs: 15_000, onClose: 'fallback' }, { clock, standIns: [standIn.url] })
    other.talk.socket.close(1000)
    expect(await (await standIn.conversation()).next('start')).toMatchObject({ stand_in: 1, resume: null })
  })
})

describe('the stand-ins', () => {
  it('are dialled in turn when the bot cannot be reached; headers stay with the first address', async () => {
    const standIn = await FakeBot.listen()
    onTestFinished(() => standIn.close())
    const { until } = sessionTo(
      planOf('ws://127.0.0.1:1/', {
        urls: ['ws://127.0.0.1:1/', 'ws://127.0.0.1:2/', standIn.url],
        headers: { Authorization: 'Bearer secret' },
      }),
    )
    const talk = await standIn.conversation()
    expect(talk.request.headers.authorization).toBeUndefined()
    expect(await talk.next('start')).toMatchObject({ stand_in: 2, resume: null })
    expect(await until('opened')).toBeDefined()
  })

  it('start anew: nothing that the bot before them said is played or answered, keys are told', async () => {
    const clock = new FakeClock()
    const standIn = await FakeBot.listen()
    onTestFinished(() => standIn.close())
    const { talk, session, until, play } = await connected({}, {}, { clock, standIns: [standIn.url] })
    talk.say(new Uint8Array(3200).fill(5))
    talk.send({ type: 'mark', mark: { name: 'old' } })
    await synced(talk)
    talk.socket.terminate()
    await until('away')
    session.digit('9', 100, 'rfc4733')
    const other = await standIn.conversation()
    await other.next('dtmf')
    await synced(other)
    expect(other.messages.map((m) => m.type)).toEqual(['start', 'dtmf', 'pong'])
    expect(play(3).length).toBe(0)
  })
})

describe('marks', () => {
  it(
    'are answered exactly once, whatever the order of marks, clears, play-out and losses',
    { timeout: 60_000 },
    async () => {
      const step = fc.constantFrom('say', 'mark', 'clear', 'play', 'lose')
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
          const clock = new FakeClock()
          const rig = await connected({}, { reconnectMs: 15_000 }, { clock })
          let talk = rig.talk
          let marks = 0
          for (const what of steps) {
            if (what === 'say') talk.say(new Uint8Array(480).fill(7))
            if (what === 'mark') talk.send({ type: 'mark', mark: { name: `m${marks++}` } })
            if (what === 'clear') talk.send({ type: 'clear' })
            await synced(talk)
            if (what === 'play') rig.play(4)
            if (what === 'lose') {
              const n = rig.bot.conversations.length
              talk.socket.terminate()
              await rig.until('away')
              rig.told.length = 0
              talk = await conversation(rig.bot, n + 1, clock)
              await talk.next('start')
            }
          }
          rig.session.stop(STOP)
          await talk.ended()
          const names = rig.bot.conversations.flatMap((t) => t.of('mark').map((m) => (m.mark as Json).name))
          expect(names.sort()).toEqual(Array.from({ length: marks }, (_, i) => `m${i}`).sort())
          await rig.bot.close()
        }),
        { numRuns: 25, endOnFailure: true },
      )
    },
  )
})

it('a port that nobody listens on is told as the address of a bot that is not there', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  const { until } = sessionTo(planOf(`ws://127.0.0.1:${port}/`))
  expect(await until('lost')).toMatchObject({ wasOpen: false, reason: 'ECONNREFUSED' })
})
