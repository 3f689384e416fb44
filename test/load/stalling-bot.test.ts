import { describe, expect, it } from 'vitest'
import { Probe } from '../../src/load/probe.ts'
import { StallingBot } from '../../src/load/stalling-bot.ts'
import { FakeClock } from '../fakes/clock.ts'

const setUp = (underWay: () => number | undefined) => {
  const clock = new FakeClock()
  const probe = new Probe(4)
  const did = { sent: 0, pings: 0, paused: false }
  const known: number[] = []
  const socket = {
    send: () => void did.sent++,
    ping: () => void did.pings++,
    pause: () => void (did.paused = true),
  }
  const bot = new StallingBot(socket, {
    clock,
    probe,
    echo: { binary() {}, text() {}, closed() {} },
    underWay,
    recognised: (call) => known.push(call),
  })
  /** Lets every promise run between two steps of time. */
  const pass = async (ms: number): Promise<void> => {
    for (let at = 0; at < ms; at += 5) {
      clock.advance(5)
      for (let i = 0; i < 5; i++) await Promise.resolve()
    }
  }
  return { bot, did, known, probe, pass }
}

describe('StallingBot', () => {
  it('knows its call by the first tagged frame, in either transport', () => {
    const { bot, known, probe } = setUp(() => 0)
    const frame = Buffer.alloc(160, 0x55)
    bot.binary(frame)
    bot.text('{"type":"start"}')
    expect(known).toEqual([])
    probe.sending(frame, 3, 1, 0)
    bot.text(JSON.stringify({ type: 'media', media: { payload: frame.toString('base64') } }))
    bot.binary(frame)
    expect(known).toEqual([3])
  })

  it('stops reading, asks until nothing more fits, and goes on sending signs of life', async () => {
    let bytes = 0
    const { bot, did, pass } = setUp(() => (bytes = Math.min(300_000, bytes + 50_000)))
    let filled = -1
    void bot.stall().then((most) => (filled = most))
    await pass(3000)
    expect(did.paused).toBe(true)
    expect(filled).toBe(300_000)
    const asked = did.sent
    await pass(2000)
    expect(did.sent).toBe(asked)
    expect(did.pings).toBe(5)
    bot.closed()
    await pass(3000)
    expect(did.pings).toBe(5)
  })

  it('gives up filling where the kernel does not tell', async () => {
    const { bot, pass } = setUp(() => undefined)
    let filled = -1
    void bot.stall().then((most) => (filled = most))
    await pass(1000)
    expect(filled).toBe(0)
  })

  it('floods without ceasing to read', async () => {
    const { bot, did, pass } = setUp(() => 0)
    let done = false
    void bot.flood(500).then(() => (done = true))
    await pass(700)
    expect(did).toMatchObject({ paused: false, pings: 0 })
    expect(did.sent).toBeGreaterThan(500)
    expect(done).toBe(true)
  })
})
