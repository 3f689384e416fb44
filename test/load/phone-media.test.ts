import { createSocket } from 'node:dgram'
import { afterEach, describe, expect, it } from 'vitest'
import { correlate } from '../../src/audio/correlate.ts'
import type { Law } from '../../src/audio/flow.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import { Pacer } from '../../src/load/pacer.ts'
import { PhoneMedia, type PhoneMediaOptions } from '../../src/load/phone-media.ts'
import { LatencyHistogram } from '../../src/load/stats.ts'
import { FakeClock } from '../fakes/clock.ts'

const open: PhoneMedia[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((m) => m.close()))
})

async function pair(
  a: Partial<PhoneMediaOptions> = {},
  b: Partial<PhoneMediaOptions> = {},
  codec: Law = 'pcmu',
): Promise<[PhoneMedia, PhoneMedia]> {
  const shared = { clock: systemClock, pacer: new Pacer(systemClock), host: '127.0.0.1' }
  const left = await PhoneMedia.open({ ...shared, ...a })
  const right = await PhoneMedia.open({ ...shared, ...b })
  open.push(left, right)
  const way = { codec, payloadType: codec === 'pcmu' ? 0 : 8, dtmfPayloadType: 101 }
  left.connect({ host: right.host, port: right.port, ...way })
  right.connect({ host: left.host, port: left.port, ...way })
  return [left, right]
}

/** Resolves when `media` has got `count` packets. */
const arrivals = (count: number): { done: Promise<void>; arrived: () => void } => {
  let left = count
  let resolve = (): void => {}
  const done = new Promise<void>((r) => (resolve = r))
  return { done, arrived: () => --left === 0 && resolve() }
}

describe('PhoneMedia', () => {
  it('carries a clip byte for byte, in 20 ms packets without loss', async () => {
    const clip = loadClip('bot-goodbye')
    const interArrival = new LatencyHistogram()
    const enough = arrivals(clip.length / 160 + 10)
    const heard: Buffer[] = []
    const arrived = (payload: Uint8Array): void => {
      heard.push(Buffer.from(payload))
      enough.arrived()
    }
    const [a, b] = await pair({}, { interArrival, arrived })
    await a.play(clip)
    await enough.done
    expect(Buffer.concat(heard).indexOf(clip)).toBeGreaterThanOrEqual(0)
    expect(b.stats).toMatchObject({ lost: 0, strange: 0 })
    expect(interArrival.count).toBeGreaterThan(20)
    expect(interArrival.percentile(0.5)).toBeLessThan(5)
  })

  it('speaks A-law when that was agreed', async () => {
    const clip = loadClip('bot-goodbye')
    const enough = arrivals(clip.length / 160 + 5)
    const [a, b] = await pair({}, { captureMs: 3000, arrived: enough.arrived }, 'pcma')
    await a.play(clip)
    await enough.done
    expect(correlate(pcmOf(b.heard(), 'pcma'), pcmOf(clip)).correlation).toBeGreaterThan(0.99)
  })

  it('keeps what it heard, placed by timestamp', async () => {
    const clip = loadClip('bot-goodbye')
    const clock = new FakeClock()
    let arrived = (): void => {}
    const [a, b] = await pair({ clock, pacer: new Pacer(clock) }, { clock, captureMs: 1000, arrived: () => arrived() })
    void a.play(clip)
    // Virtual time: every packet has come before the next one leaves, so no stall can move it.
    for (let sent = 0; sent <= clip.length / 160; sent++) {
      const here = new Promise<void>((resolve) => (arrived = resolve))
      clock.advance(20)
      await here
    }
    expect(b.heard().indexOf(clip)).toBe(0)
    expect(b.heard().length).toBe(clip.length + 160)
  })

  it('sends keys by RFC 4733, each reported once, and goes on with audio', async () => {
    const keys: string[] = []
    const [a] = await pair({}, { digit: (d) => keys.push(d) })
    await a.press('5#', 60, 40)
    expect(keys).toEqual(['5', '#'])
    await expect(a.press('x')).rejects.toThrow('not a telephone key')
  })

  it('numbers its frames for a probe and can be cut off', async () => {
    const frameNos: number[] = []
    const enough = arrivals(3)
    const [a, b] = await pair({ sending: (_frame, no) => frameNos.push(no) }, { arrived: enough.arrived })
    await enough.done
    expect(frameNos.slice(0, 3)).toEqual([0, 1, 2])
    a.paused = true
    const before = b.stats.received
    await a.play(Buffer.alloc(480))
    // At most the packet that was under way.
    expect(b.stats.received - before).toBeLessThanOrEqual(1)
  })

  it('counts datagrams that are not its stream and lives on', async () => {
    const enough = arrivals(10)
    const [, b] = await pair({}, { arrived: enough.arrived })
    const stranger = createSocket('udp4')
    for (const junk of [Buffer.from('x'), Buffer.alloc(200, 0xff), Buffer.alloc(0)])
      stranger.send(junk, b.port, '127.0.0.1')
    await enough.done
    await new Promise<void>((r) => stranger.close(() => r()))
    expect(b.stats.lost).toBe(0)
  })
})
