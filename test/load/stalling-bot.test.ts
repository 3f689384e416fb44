import { describe, expect, it } from 'vitest'
import { Probe } from '../../src/load/probe.ts'
import { StallingBot } from '../../src/load/stalling-bot.ts'
import { FakeClock } from '../fakes/clock.ts'

function setUp() {
  const clock = new FakeClock()
  const probe = new Probe(4)
  const did = { pings: 0, paused: false }
  const known: number[] = []
  const socket = { ping: () => void did.pings++, pause: () => void (did.paused = true) }
  const echo = { binary() {}, text() {}, closed() {} }
  const bot = new StallingBot(socket, { clock, probe, echo, recognised: (call) => known.push(call) })
  return { bot, did, known, probe, clock }
}

describe('StallingBot', () => {
  it('knows its call by the first tagged frame, in either transport', () => {
    const { bot, known, probe } = setUp()
    const frame = Buffer.alloc(160, 0x55)
    bot.binary(frame)
    bot.text('{"type":"start"}')
    expect(known).toEqual([])
    probe.sending(frame, 3, 1, 0)
    bot.text(JSON.stringify({ type: 'media', media: { payload: frame.toString('base64') } }))
    bot.binary(frame)
    expect(known).toEqual([3])
  })

  it('stops reading, and goes on sending signs of life until it is closed', () => {
    const { bot, did, clock } = setUp()
    bot.stall()
    clock.advance(3000)
    expect(did).toEqual({ paused: true, pings: 3 })
    bot.closed()
    clock.advance(3000)
    expect(did.pings).toBe(3)
  })
})
