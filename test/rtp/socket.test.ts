import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { PortPool } from '../../src/rtp/port-pool.ts'
import { RtpSocket } from '../../src/rtp/socket.ts'
import { FakeClock } from '../fakes/clock.ts'

const HOST = '127.0.0.1'
const ignore = (): void => undefined

describe('RtpSocket on loopback', () => {
  it('binds an even-odd pair, carries RTP and RTCP both ways, connected or not', async () => {
    const a = await RtpSocket.open(HOST, 0)
    const b = await RtpSocket.open(HOST, 0)
    const got = (socket: RtpSocket): Promise<[string, string]> =>
      new Promise((resolve) => {
        let rtp = ''
        let rtcp = ''
        const check = (): void => {
          if (rtp && rtcp) resolve([rtp, rtcp])
        }
        socket.listen(
          (data) => ((rtp = data.toString()), check()),
          (data) => ((rtcp = data.toString()), check()),
        )
      })
    a.target(HOST, b.port, b.port + 1)
    b.target(HOST, a.port, a.port + 1)
    for (const round of ['one', 'two']) {
      const both = Promise.all([got(a), got(b)])
      a.sendRtp(Buffer.from(`${round} rtp and more`), 7)
      a.sendRtcp(Buffer.from(`${round} rtcp`), 8)
      b.sendRtp(Buffer.from(`${round} rtp`), 7)
      b.sendRtcp(Buffer.from(`${round} rtcp`), 8)
      expect(await both).toEqual([
        [`${round} rtp`, `${round} rtcp`],
        [`${round} rtp`, `${round} rtcp`],
      ])
      a.settle()
      b.settle()
    }
    // A settled socket can be turned elsewhere.
    const c = await RtpSocket.open(HOST, 0)
    const heard = new Promise((resolve) => c.listen((data) => resolve(data.toString()), ignore))
    a.target(HOST, c.port, c.port + 1)
    a.sendRtp(Buffer.from('three'), 5)
    expect(await heard).toBe('three')
    await Promise.all([a.close(), b.close(), c.close()])
    expect(a.errors).toBe(0)
  })

  it('counts a refused destination and lives on', async () => {
    const gone = await RtpSocket.open(HOST, 0)
    const port = gone.port
    await gone.close()
    const a = await RtpSocket.open(HOST, 0)
    a.target(HOST, port, port + 1)
    a.settle()
    const probe = await RtpSocket.open(HOST, 0)
    for (let i = 0; i < 50 && a.errors === 0; i++) {
      a.sendRtp(Buffer.from('x'), 1)
      // A round through the kernel on another socket gives the error time to come.
      const seen = new Promise<void>((resolve) => probe.listen(() => resolve(), ignore))
      probe.target(HOST, probe.port, probe.port + 1)
      probe.sendRtp(Buffer.from('y'), 1)
      await seen
    }
    expect(a.errors).toBeGreaterThan(0)
    await Promise.all([a.close(), probe.close()])
    a.sendRtp(Buffer.from('x'), 1)
    a.target(HOST, 1, 2)
    await a.close()
  })

  it('takes another pair when one is held by another program, and says CAPACITY when there is none', async () => {
    const other = createSocket('udp4')
    other.bind({ address: HOST, port: 0, exclusive: true })
    await once(other, 'listening')
    const held = other.address().port & ~1
    const pool = new PortPool({ first: held, last: held + 1 }, 1000, new FakeClock())
    await expect(RtpSocket.openFrom(pool, HOST)).rejects.toMatchObject({ code: 'CAPACITY' })
    expect(pool.counts).toEqual({ free: 0, used: 0, resting: 1 })
    other.close()
  })
})
