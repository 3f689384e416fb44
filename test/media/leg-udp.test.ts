import { expect, it } from 'vitest'
import { SILENCE, type Law } from '../../src/audio/flow.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { Leg } from '../../src/media/leg.ts'
import { Playout } from '../../src/media/playout.ts'
import type { RemoteMedia } from '../../src/calls/ports.ts'
import { RtpSocket } from '../../src/rtp/socket.ts'
import { silentLog } from '../../src/telemetry/log.ts'

const HOST = '127.0.0.1'

it('two legs on real sockets and real time carry audio and a digit', async () => {
  const playout = new Playout(systemClock)
  playout.start()
  const digits: string[] = []
  let onDigit: () => void = () => undefined
  const digitHeard = new Promise<void>((resolve) => (onDigit = resolve))
  const open = async (id: string): Promise<{ leg: Leg; port: number }> => {
    const socket = await RtpSocket.open(HOST, 0)
    const leg = new Leg({
      id,
      clock: systemClock,
      log: silentLog,
      socket,
      playout,
      onDigit: (digit) => {
        digits.push(digit)
        onDigit()
      },
      onFirstPacket: () => undefined,
      onRtpTimeout: () => undefined,
    })
    return { leg, port: socket.port }
  }
  const a = await open('a')
  const b = await open('b')
  const remote = (port: number): RemoteMedia => ({
    host: HOST,
    port,
    rtcpPort: port + 1,
    codec: 'pcmu',
    payloadType: 0,
    dtmfPayloadType: 101,
    ptimeMs: 20,
    direction: 'sendrecv',
    source: 'strict',
    timeoutBeforeMs: 0,
    timeoutAfterMs: 0,
    dtmfMode: 'rfc4733',
  })
  let sent = 0
  a.leg.setSource({
    frameInto(dst: Uint8Array, law: Law) {
      dst.fill(sent < 25 ? 1 + sent++ : SILENCE[law])
      return true
    },
  })
  const heard = new Set<number>()
  const allHeard = new Promise<void>((resolve) => {
    b.leg.setSink({
      frame(frame) {
        if (frame[0] < 26 && frame[0] === frame[159]) heard.add(frame[0])
        if (frame[80] === 25) resolve()
      },
    })
  })
  b.leg.connect(remote(a.port))
  a.leg.connect(remote(b.port))
  await allHeard
  expect(heard.size).toBeGreaterThanOrEqual(23)
  a.leg.sendDigits('5', 40, 40)
  await digitHeard
  expect(digits).toEqual(['5'])
  await Promise.all([a.leg.close(), b.leg.close()])
  expect(b.leg.stats()).toMatchObject({ rxLost: 0, malformed: 0 })
  expect(playout.size).toBe(0)
})
