import { describe, expect, it } from 'vitest'
import { BLOCK_HEADER_BYTES, CAPTURE_HEADER_BYTES, readBlockHeader } from '../../src/audio/capture.ts'
import { SILENCE } from '../../src/audio/flow.ts'
import { Leg } from '../../src/media/leg.ts'
import { Playout } from '../../src/media/playout.ts'
import { Recorder } from '../../src/media/recorder.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../fakes/clock.ts'
import { FakeRtpSocket } from '../fakes/rtp-socket.ts'
import { RtpStream, seeded } from '../helpers/rtp.ts'

const HOST = '127.0.0.9'

/** A leg that records into memory. Its caller's side comes back as one byte a sample, `undefined` where nothing is. */
function setUp() {
  const clock = new FakeClock()
  const playout = new Playout(clock, (err) => {
    throw err
  })
  playout.start()
  const socket = new FakeRtpSocket()
  const leg = new Leg({
    id: 'leg-1',
    clock,
    log: silentLog,
    socket,
    playout,
    onDigit: () => undefined,
    onFirstPacket: () => undefined,
    onRtpTimeout: () => undefined,
  })
  const written: Buffer[] = []
  const recorder = new Recorder({
    dir: '.',
    recordingId: 'r',
    clock,
    onError: (err) => {
      throw err
    },
    files: {
      open: (_path, _flags, _mode, done) => done(null, 3),
      write: (_fd, data, offset, length, _position, done) => {
        written.push(Buffer.from(data.subarray(offset, offset + length)))
        done(null, length)
      },
      close: (_fd, done) => done(),
    },
  })
  leg.setRecorder(recorder)
  leg.connect({
    host: HOST,
    port: 5000,
    rtcpPort: 5001,
    codec: 'pcmu',
    payloadType: 0,
    ptimeMs: 20,
    direction: 'sendrecv',
    source: 'strict',
    timeoutBeforeMs: 0,
    timeoutAfterMs: 0,
    dtmfMode: 'rfc4733',
  })
  const caller = async (): Promise<(number | undefined)[]> => {
    await leg.close()
    await recorder.close()
    const raw = Buffer.concat(written)
    const out: (number | undefined)[] = []
    for (let at = CAPTURE_HEADER_BYTES; at < raw.length;) {
      const block = readBlockHeader(raw, at)
      if (!block) throw new Error('torn')
      if (block.direction === 'rx')
        for (let i = 0; i < block.bytes; i++) out[block.position + i] ??= raw[at + BLOCK_HEADER_BYTES + i]
      at += BLOCK_HEADER_BYTES + block.bytes
    }
    return out
  }
  return { clock, socket, leg, written, caller }
}

/** Loud bytes that are never the same twice in a row of 20 ms. */
const noise = (frames: number, seed = 1): Uint8Array => {
  const random = seeded(seed)
  return Uint8Array.from({ length: frames * 160 }, () => Math.floor(random() * 60) | (random() < 0.5 ? 128 : 0))
}
const frameOf = (bytes: Uint8Array, i: number): Uint8Array => bytes.subarray(i * 160, (i + 1) * 160)

/** Where frame `i` of `bytes` lies in the recording, or −1. */
const placeOf = (recorded: (number | undefined)[], bytes: Uint8Array, i: number): number =>
  Buffer.from(recorded.map((b) => b ?? 0xff)).indexOf(Buffer.from(frameOf(bytes, i)))

describe('the caller’s side of a recording', () => {
  it('lies by timestamp, whatever the jitter buffer stretched and cut, with concealment where packets were lost', async () => {
    const { clock, socket, leg, caller } = setUp()
    const random = seeded(5)
    const bytes = noise(1000)
    for (let i = 200; i < 1000; i += 40) bytes.fill(0xff, i * 160, (i + 8) * 160)
    const stream = new RtpStream({ seq: 65_300, rtpTs: 0xffff_8000 })
    const due: { i: number; atMs: number; data: Buffer }[] = []
    const lost = new Set<number>()
    for (let i = 0; i < 1000; i++) {
      const data = stream.audio(frameOf(bytes, i))
      if (random() < 0.05) lost.add(i)
      // Steady, then jitter of 35 ms, then steady again.
      else due.push({ i, atMs: i * 20 + (i > 100 && i < 500 ? random() * 35 : 0), data })
    }
    due.sort((a, b) => a.atMs - b.atMs)
    for (const { i, atMs, data } of due) {
      clock.advance(Math.max(0, atMs - clock.now()))
      const late = leg.stats().rxLate
      socket.receive(data, HOST, 5000)
      if (leg.stats().rxLate > late) lost.add(i)
    }
    clock.advance(200)
    const stats = leg.stats()
    expect(stats.concealedFrames).toBeGreaterThan(20)
    const recorded = await caller()
    const origin = placeOf(recorded, bytes, 0)
    let silentLost = 0
    for (let i = 0; i < 1000; i++) {
      const there = recorded.slice(origin + i * 160, origin + (i + 1) * 160)
      if (!lost.has(i)) expect(Buffer.from(there.map((b) => b ?? 0)).equals(Buffer.from(frameOf(bytes, i)))).toBe(true)
      else if (there.every((b) => b === undefined || b === SILENCE.pcmu)) silentLost++
    }
    // Most losses were in speech: what was concealed lies in their place.
    expect(silentLost).toBeLessThan(lost.size / 2)
  })

  it('keeps what was cut because of a burst, in its place', async () => {
    const { clock, socket, leg, caller } = setUp()
    const bytes = noise(100)
    const stream = new RtpStream()
    for (let i = 0; i < 30; i++) {
      socket.receive(stream.audio(frameOf(bytes, i)), HOST, 5000)
      clock.advance(20)
    }
    // 400 ms that come at once, twice as many as the buffer holds.
    for (let i = 30; i < 50; i++) socket.receive(stream.audio(frameOf(bytes, i)), HOST, 5000)
    for (let i = 50; i < 100; i++) {
      socket.receive(stream.audio(frameOf(bytes, i)), HOST, 5000)
      clock.advance(20)
    }
    clock.advance(300)
    expect(leg.stats().rxDropped).toBeGreaterThan(0)
    const recorded = await caller()
    const origin = placeOf(recorded, bytes, 0)
    for (let i = 0; i < 50; i++) expect(placeOf(recorded, bytes, i)).toBe(origin + i * 160)
  })

  it.each([
    ['another stream', new RtpStream({ ssrc: 99, seq: 7, rtpTs: 3 })],
    ['a jump of its timestamps', undefined],
  ])('is placed anew by what is heard after %s', async (_, second) => {
    const { clock, socket, caller } = setUp()
    const bytes = noise(120)
    let stream = new RtpStream()
    for (let i = 0; i < 50; i++) {
      socket.receive(stream.audio(frameOf(bytes, i)), HOST, 5000)
      clock.advance(20)
    }
    clock.advance(400)
    if (second) stream = second
    else stream.pause(500_000)
    for (let i = 50; i < 120; i++) {
      socket.receive(stream.audio(frameOf(bytes, i)), HOST, 5000)
      clock.advance(20)
    }
    clock.advance(100)
    const recorded = await caller()
    const gap = placeOf(recorded, bytes, 60) - placeOf(recorded, bytes, 0) - 60 * 160
    expect(gap / 8).toBeGreaterThanOrEqual(380)
    expect(gap / 8).toBeLessThanOrEqual(480)
  })

  it.each([
    ['fast', 1.0005],
    ['slow', 0.9995],
  ])('does not drift away from the bot’s side when the far clock is %s', async (_, rate) => {
    const { clock, socket, caller } = setUp()
    const bytes = noise(9000)
    for (let i = 0; i < 9000; i += 50) bytes.fill(0xff, i * 160, (i + 10) * 160)
    const stream = new RtpStream()
    for (let i = 0; i < 9000; i++) {
      clock.advance(Math.max(0, (i * 20) / rate - clock.now()))
      socket.receive(stream.audio(frameOf(bytes, i)), HOST, 5000)
    }
    clock.advance(200)
    const recorded = Buffer.from((await caller()).map((b) => b ?? 0xff))
    const place = (i: number): number => recorded.indexOf(Buffer.from(frameOf(bytes, i)))
    const origin = place(20) / 8 - (20 * 20) / rate
    for (let i = 20; i < 9000; i += 500)
      expect(Math.abs(place(i) / 8 - (i * 20) / rate - origin)).toBeLessThanOrEqual(80)
    // Only silence was touched.
    for (let i = 11; i < 9000; i += 50)
      expect(recorded.includes(Buffer.from(bytes.subarray(i * 160, (i + 38) * 160)))).toBe(true)
  })

  it('reaches the disk each second while the call is on hold', () => {
    const { clock, socket, leg, written } = setUp()
    const stream = new RtpStream()
    for (let i = 0; i < 20; i++) {
      socket.receive(stream.audio(new Uint8Array(160).fill(0x21)), HOST, 5000)
      clock.advance(20)
    }
    leg.connect({
      host: HOST,
      port: 5000,
      rtcpPort: 5001,
      codec: 'pcmu',
      payloadType: 0,
      ptimeMs: 20,
      direction: 'inactive',
      source: 'strict',
      timeoutBeforeMs: 0,
      timeoutAfterMs: 0,
      dtmfMode: 'rfc4733',
    })
    clock.advance(1500)
    expect(Buffer.concat(written).includes(Buffer.alloc(160, 0x21))).toBe(true)
  })
})
