import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { correlate } from '../../src/audio/correlate.ts'
import { decodeInto, encodeInto } from '../../src/audio/g711.ts'
import { ByteRing } from '../../src/audio/ring.ts'
import { sine } from '../../src/audio/tone.ts'
import { FRAME_SAMPLES, SILENCE, type FrameSink, type FrameSource, type Law } from '../../src/audio/flow.ts'
import { tsDiff } from '../../src/lib/seq16.ts'
import { Leg } from '../../src/media/leg.ts'
import { Playout } from '../../src/media/playout.ts'
import type { RemoteMedia } from '../../src/calls/ports.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../fakes/clock.ts'
import { FakeRtpSocket } from '../fakes/rtp-socket.ts'
import { alignedCorrelation } from '../helpers/alignment.ts'
import { parseRtp, rtpPacket, RtpStream, seeded, speechLike, type ParsedRtp } from '../helpers/rtp.ts'

const HOST = '127.0.0.9'
const REMOTE: RemoteMedia = {
  host: HOST,
  port: 5000,
  rtcpPort: 5001,
  codec: 'pcmu',
  payloadType: 0,
  dtmfPayloadType: 101,
  ptimeMs: 20,
  direction: 'sendrecv',
  source: 'strict',
  timeoutBeforeMs: 30_000,
  timeoutAfterMs: 15_000,
  dtmfMode: 'rfc4733',
}

/** Collects everything that a sink hears. */
class Ear implements FrameSink {
  readonly bytes: number[] = []
  readonly lost: number[] = []
  law: Law = 'pcmu'
  frame(frame: Uint8Array, law: Law, lostMs: number): void {
    this.law = law
    this.bytes.push(...frame)
    this.lost.push(lostMs)
  }
  get pcm(): Int16Array {
    const pcm = new Int16Array(this.bytes.length)
    decodeInto(pcm, Uint8Array.from(this.bytes), this.law)
    return pcm
  }
}

/** Says again what it hears, one frame later. */
class Echo implements FrameSink, FrameSource {
  readonly ring = new ByteRing(65_536)
  frame(frame: Uint8Array): void {
    this.ring.write(frame)
  }
  frameInto(dst: Uint8Array, law: Law): boolean {
    if (this.ring.length === 0) return false
    dst.fill(SILENCE[law], this.ring.readInto(dst))
    return true
  }
}

class Mouth implements FrameSource {
  readonly ring = new ByteRing(65_536)
  frameInto(dst: Uint8Array, law: Law): boolean {
    if (this.ring.length === 0) return false
    dst.fill(SILENCE[law], this.ring.readInto(dst))
    return true
  }
}

function setUp(remote: Partial<RemoteMedia> = {}) {
  const clock = new FakeClock()
  const playout = new Playout(clock, (err) => {
    throw err
  })
  playout.start()
  const socket = new FakeRtpSocket()
  const digits: string[] = []
  const timeouts: boolean[] = []
  let firstPackets = 0
  const leg = new Leg({
    id: 'leg-1',
    clock,
    log: silentLog,
    socket,
    playout,
    onDigit: (digit) => digits.push(digit),
    onFirstPacket: () => firstPackets++,
    onRtpTimeout: (afterFirst) => timeouts.push(afterFirst),
  })
  leg.connect({ ...REMOTE, ...remote })
  const rtp = (): ParsedRtp[] => socket.take().map(parseRtp)
  return { clock, playout, socket, leg, digits, timeouts, rtp, firstPackets: () => firstPackets }
}

const randomBytes = (n: number, seed: number): Uint8Array => {
  const random = seeded(seed)
  return Uint8Array.from({ length: n }, () => Math.floor(random() * 256))
}

describe('sending', () => {
  it('sends silence from connect on, 20 ms apart, with a marker on the first packet only', () => {
    const { clock, rtp } = setUp()
    clock.advance(1000)
    const sent = rtp()
    expect(sent.length).toBeGreaterThanOrEqual(49)
    expect(sent.length).toBeLessThanOrEqual(50)
    expect(sent.map((p) => p.marker)).toEqual(sent.map((_, i) => i === 0))
    for (let i = 1; i < sent.length; i++) {
      expect(tsDiff(sent[i].rtpTs, sent[i - 1].rtpTs)).toBe(160)
      expect((sent[i].seq - sent[i - 1].seq) & 0xffff).toBe(1)
    }
    expect(sent.every((p) => p.ssrc === sent[0].ssrc && p.payload.every((b) => b === 0xff))).toBe(true)
  })

  it.each([10, 20, 30, 40, 50, 60])('re-frames to a ptime of %i ms without losing a byte', (ptimeMs) => {
    const { clock, leg, socket } = setUp({ ptimeMs })
    const mouth = new Mouth()
    const speech = randomBytes(160 * 60, ptimeMs)
    mouth.ring.write(speech)
    leg.setSource(mouth)
    const at: number[] = []
    socket.onSent = (d) => {
      if (d.kind === 'rtp') at.push(clock.now())
    }
    clock.advance(1500)
    const sent = socket.take().map(parseRtp)
    expect(sent.every((p) => p.payload.length === ptimeMs * 8)).toBe(true)
    const heard = Buffer.concat(sent.map((p) => p.payload))
    expect(heard.indexOf(Buffer.from(speech))).toBeGreaterThanOrEqual(0)
    for (let i = 1; i < sent.length; i++) expect(tsDiff(sent[i].rtpTs, sent[i - 1].rtpTs)).toBe(ptimeMs * 8)
    for (let i = 2; i < at.length; i++) expect(at[i] - at[i - 1]).toBe(ptimeMs)
  })

  it('advances the timestamp by the time of a hold, keeps SSRC and sequence, and marks the first packet after', () => {
    const { clock, leg, rtp } = setUp()
    clock.advance(200)
    const before = rtp().at(-1) as ParsedRtp
    leg.connect({ ...REMOTE, direction: 'inactive' })
    clock.advance(1000)
    expect(rtp()).toEqual([])
    leg.connect(REMOTE)
    clock.advance(20)
    const after = rtp()[0]
    expect(after.ssrc).toBe(before.ssrc)
    expect((after.seq - before.seq) & 0xffff).toBe(1)
    expect(tsDiff(after.rtpTs, before.rtpTs)).toBe(160 * 51)
    expect(after.marker).toBe(true)
  })

  it('after a stall of 300 ms sends one packet with the timestamp of now, not a burst', () => {
    const { clock, rtp, socket } = setUp()
    clock.advance(100)
    const before = rtp().at(-1) as ParsedRtp
    // Nothing of ours runs for 300 ms: the timers that were due fire together afterwards.
    clock.stall(300)
    const burst = socket.sent.filter((d) => d.kind === 'rtp').length
    expect(burst).toBe(1)
    clock.advance(40)
    const after = rtp()
    expect(after.length).toBeLessThanOrEqual(3)
    expect(tsDiff(after[0].rtpTs, before.rtpTs) % 160).toBe(0)
    expect(tsDiff(after[0].rtpTs, before.rtpTs)).toBeGreaterThanOrEqual(300 * 8 - 160)
  })

  it('wake() sends waiting audio in the next slot and later returns to its place, keeping the average rate', () => {
    const { clock, leg, socket } = setUp()
    const mouth = new Mouth()
    leg.setSource(mouth)
    clock.advance(1000)
    const at: number[] = []
    socket.onSent = () => at.push(clock.now())
    clock.advance(20)
    const usual = at[0]
    clock.advance(usual + 20 + 5 - clock.now())
    mouth.ring.write(randomBytes(320, 1))
    leg.wake()
    leg.wake()
    clock.advance(2)
    expect(at.at(-1)).toBeLessThanOrEqual(usual + 20 + 6)
    clock.advance(3000)
    expect(((at.at(-1) as number) - usual) % 20).toBe(0)
    expect(leg.stats().txPackets).toBeCloseTo(clock.now() / 20, -0.5)
  })

  it('sooner() moves a stream to an earlier slot, by 20 ms in all, and back', () => {
    const { clock, leg, socket } = setUp()
    const mouth = new Mouth()
    leg.setSource(mouth)
    clock.advance(1000)
    mouth.ring.write(randomBytes(160 * 20, 1))
    const at: number[] = []
    socket.onSent = () => at.push(clock.now())
    clock.advance(40)
    const usual = at[0]
    clock.advance(usual + 41 - clock.now())
    const phase = (): number => ((at.at(-1) as number) - usual + 10_000) % 20
    const earlyMs = leg.sooner(6.4)
    expect(earlyMs).toBe(6)
    clock.advance(40)
    expect(phase()).toBe(14)
    const restMs = leg.sooner(100)
    expect(restMs).toBeLessThanOrEqual(14)
    expect(leg.sooner(5)).toBe(0)
    expect(leg.sooner(-8)).toBe(-8)
    clock.advance(40)
    expect(phase()).toBe((20 - (earlyMs + restMs - 8)) % 20)
  })

  it('wake() with a lead lets the audio wait that long, and the time line never runs ahead by more than one slot', () => {
    const { clock, leg, socket } = setUp()
    const mouth = new Mouth()
    leg.setSource(mouth)
    clock.advance(1000)
    const startMs = clock.now()
    const sentBefore = leg.stats().txPackets
    const at: number[] = []
    socket.onSent = () => at.push(clock.now())
    clock.advance(20)
    mouth.ring.write(randomBytes(160, 1))
    const askedMs = clock.now()
    leg.wake(4)
    clock.advance(6)
    expect(at.at(-1)).toBeGreaterThanOrEqual(askedMs + 4)
    expect(at.at(-1)).toBeLessThanOrEqual(askedMs + 5)
    // Runs dry and wakes again and again, 3 ms after each missed slot.
    for (let i = 0; i < 200; i++) {
      clock.advance(23)
      mouth.ring.write(randomBytes(160, i))
      leg.wake(2)
    }
    clock.advance(100)
    const slots = (clock.now() - startMs) / 20
    expect(Math.abs(leg.stats().txPackets - sentBefore - slots)).toBeLessThanOrEqual(2)
  })
})

describe('a source that is not asked', () => {
  it('is told of the slots that passed: a stall, digits, hold', () => {
    const { clock, leg } = setUp()
    let skipped = 0
    let asked = 0
    leg.setSource({
      frameInto: () => {
        asked++
        return false
      },
      skipped: (slots) => {
        skipped += slots
      },
    })
    clock.advance(1000)
    expect(skipped).toBe(0)
    clock.stall(300)
    expect(skipped).toBe(14)
    leg.sendDigits('12', 100, 100)
    clock.advance(1000)
    leg.connect({ ...REMOTE, direction: 'inactive' })
    clock.advance(1000)
    expect(skipped + asked).toBe(3300 / 20)
    expect(skipped).toBeGreaterThan(14 + 50 + 15)
  })
})

describe('receiving', () => {
  it('gives the sink exactly one frame per 20 ms from connect on, also when nothing comes', () => {
    const { clock, leg } = setUp()
    const ear = new Ear()
    leg.setSink(ear)
    clock.advance(2000)
    expect(ear.lost.length).toBe(100)
    expect(ear.bytes.every((b) => b === 0xff)).toBe(true)
  })

  it.each(['pcmu', 'pcma'] as const)('passes every byte untouched from far end to echo and back (%s)', (codec) => {
    const { clock, leg, socket, rtp } = setUp({ codec, payloadType: codec === 'pcmu' ? 0 : 8 })
    const echo = new Echo()
    leg.setSink(echo)
    leg.setSource(echo)
    const stream = new RtpStream({ seq: 65_500, rtpTs: 0xffff_f000, payloadType: codec === 'pcmu' ? 0 : 8 })
    const speech = randomBytes(160 * 200, 7)
    clock.advance(107)
    for (let i = 0; i < 200; i++) {
      socket.receive(stream.audio(speech.subarray(i * 160, (i + 1) * 160)), HOST, 5000)
      clock.advance(20)
    }
    clock.advance(200)
    const heard = Buffer.concat(rtp().map((p) => p.payload))
    expect(heard.indexOf(Buffer.from(speech))).toBeGreaterThanOrEqual(0)
    expect(leg.stats()).toMatchObject({ rxPackets: 200, rxLost: 0 })
  })

  it.each([10, 20, 30, 40, 50, 60])('re-frames packets of %i ms without losing or adding a byte', (ptimeMs) => {
    const { clock, leg, socket } = setUp()
    const ear = new Ear()
    leg.setSink(ear)
    const stream = new RtpStream({ rtpTs: 0xffff_ff00 })
    const n = 8 * ptimeMs
    const speech = randomBytes(n * 50, ptimeMs)
    clock.advance(33)
    for (let i = 0; i < 50; i++) {
      socket.receive(stream.audio(speech.subarray(i * n, (i + 1) * n)), HOST, 5000)
      clock.advance(ptimeMs)
    }
    clock.advance(100)
    expect(Buffer.from(ear.bytes).indexOf(Buffer.from(speech))).toBeGreaterThanOrEqual(0)
    const spoken = Math.floor(speech.length / 160)
    expect(ear.lost.slice(0, spoken).every((ms) => ms === 0)).toBe(true)
  })

  it('adds no more than the frame and a few ms at rest', () => {
    const { clock, leg, socket } = setUp()
    let arrivedAtMs = 0
    const waits: number[] = []
    leg.setSink({
      frame: (frame) => {
        if (frame[0] === 0x21) waits.push(clock.now() - arrivedAtMs)
      },
    })
    const stream = new RtpStream()
    clock.advance(211)
    for (let i = 0; i < 100; i++) {
      arrivedAtMs = clock.now()
      socket.receive(stream.audio(new Uint8Array(160).fill(0x21)), HOST, 5000)
      clock.advance(20)
    }
    expect(waits.length).toBe(100)
    expect(Math.max(...waits)).toBeLessThanOrEqual(8)
  })

  it('gives back by moving its slot what lateness that has passed has cost, and touches no sample for it', () => {
    const { clock, leg, socket } = setUp()
    const waits: number[] = []
    const sentAtMs = new Map<number, number>()
    const order: number[] = []
    leg.setSink({
      frame: (frame, _law, lostMs) => {
        if (lostMs > 0) return
        // Speech, as loud as it gets: nothing of it can be cut as silence.
        const n = frame[0] * 100 + frame[1]
        const atMs = sentAtMs.get(n)
        if (atMs === undefined) return
        order.push(n)
        waits.push(clock.now() - atMs)
      },
    })
    const stream = new RtpStream()
    const send = (n: number, lateMs: number): void => {
      const frame = new Uint8Array(160).fill(0x00)
      frame[0] = Math.floor(n / 100)
      frame[1] = n % 100
      sentAtMs.set(n, clock.now() + lateMs)
      clock.advance(lateMs)
      socket.receive(stream.audio(frame), HOST, 5000)
      clock.advance(20 - lateMs)
    }
    clock.advance(211)
    for (let i = 0; i < 1500; i++) send(i, i === 100 ? 14 : 0)
    expect(waits[50]).toBeLessThanOrEqual(8)
    expect(waits[150]).toBeGreaterThan(18)
    expect(waits.at(-1)).toBeLessThanOrEqual(14)
    expect(order).toEqual(order.map((_, i) => i))
  })

  it('transcodes the other law at any moment', () => {
    const { clock, leg, socket } = setUp()
    const ear = new Ear()
    leg.setSink(ear)
    const tone = sine(440, 400)
    const law = new Uint8Array(tone.length)
    encodeInto(law, tone, 'pcma')
    const stream = new RtpStream({ payloadType: 8 })
    for (let i = 0; i < 20; i++) {
      socket.receive(stream.audio(law.subarray(i * 160, i * 160 + 160)), HOST, 5000)
      clock.advance(20)
    }
    clock.advance(60)
    expect(ear.law).toBe('pcmu')
    expect(correlate(ear.pcm, tone, 0, 800).correlation).toBeGreaterThan(0.995)
  })

  it.each([42, 7, 11, 13, 36])(
    'comes through 5 % loss, 30 ms jitter and 2 % reorder (seed %i): each piece outside lost frames, DTMF exact',
    (seed) => {
      const { clock, leg, socket, digits } = setUp()
      const random = seeded(seed)
      const ear = new Ear()
      leg.setSink(ear)
      const speech = speechLike(20_000, 3)
      const law = new Uint8Array(speech.length)
      encodeInto(law, speech, 'pcmu')
      const stream = new RtpStream({ seq: 65_000, rtpTs: 0xffff_0000 })
      const due: { i: number; atMs: number; data: Buffer; again: boolean }[] = []
      const lost = new Set<number>()
      const keys = '159#'
      const put = (i: number, data: Buffer): boolean => {
        if (random() < 0.05) return false
        const reorder = random() < 0.02 ? 25 : 0
        const atMs = i * 20 + random() * 30 + reorder
        due.push({ i, atMs, data, again: false })
        if (random() < 0.02) due.push({ i, atMs: atMs + random() * 30, data, again: true })
        return true
      }
      const frames = Math.floor(law.length / 160)
      for (let i = 0; i < frames; i++) {
        const press = Math.floor(i / 200)
        const inPress = i % 200
        if (press < keys.length && inPress >= 100 && inPress < 107) {
          // Five packets, the last twice again; audio pauses, its time goes on. The key stands for 100 ms.
          const event = '0123456789*#'.indexOf(keys[press])
          const step = Math.min(inPress - 100, 4)
          put(i, stream.event(event, (step + 1) * 160, inPress >= 104))
          if (inPress === 106) stream.pause(7 * 160)
          lost.add(i)
          continue
        }
        if (!put(i, stream.audio(law.subarray(i * 160, i * 160 + 160)))) lost.add(i)
      }
      due.sort((a, b) => a.atMs - b.atMs)
      const startMs = clock.now()
      const slow: { atMs: number; delayMs: number }[] = []
      let late = 0
      for (const { i, atMs, data, again } of due) {
        if (startMs + atMs > clock.now()) clock.advance(startMs + atMs - clock.now())
        socket.receive(data, HOST, 5000)
        if (again) continue
        const delayMs = atMs - i * 20
        if (leg.stats().rxLate > late) {
          // Too late counts as lost where nothing had told that packets may take so long: not twice in 8 s.
          late++
          const told = slow.filter((s) => s.atMs > atMs - 8000 && s.delayMs >= delayMs).length
          expect(told).toBeLessThan(2)
          lost.add(i)
        }
        slow.push({ atMs, delayMs })
      }
      clock.advance(300)
      expect(digits.join('')).toBe(keys)
      expect(late).toBeLessThanOrEqual(5)
      // Each 100 ms of what was sent whole must be found in what was heard, near its time.
      const heard = ear.pcm
      const scores: number[] = []
      for (let i = 0; i + 5 < frames; i += 5) {
        if ([0, 1, 2, 3, 4].some((k) => lost.has(i + k))) continue
        const piece = speech.subarray(i * 160, (i + 5) * 160)
        if (piece.reduce((sum, s) => sum + s * s, 0) / piece.length < 100_000) continue
        scores.push(alignedCorrelation(heard.subarray(i * 160, (i + 5) * 160 + 250 * 8), piece, 250 * 8))
      }
      expect(scores.length).toBeGreaterThan(90)
      expect(Math.min(...scores)).toBeGreaterThanOrEqual(0.9)
      expect(scores.filter((s) => s > 0.99).length / scores.length).toBeGreaterThan(0.9)
      // A clock without gaps, less than one frame ahead of time.
      const slots = Math.floor((clock.now() - startMs) / 20)
      expect([slots, slots + 1]).toContain(ear.lost.length)
    },
  )

  it('does not lose audio that waited in the kernel during a stall, and keeps the sink in time', () => {
    const { clock, leg, socket } = setUp()
    const ear = new Ear()
    leg.setSink(ear)
    const stream = new RtpStream()
    const speech = randomBytes(160 * 150, 5)
    const packet = (i: number): Buffer => stream.audio(speech.subarray(i * 160, i * 160 + 160))
    clock.advance(55)
    for (let i = 0; i < 50; i++) {
      socket.receive(packet(i), HOST, 5000)
      clock.advance(20)
    }
    clock.stall(300, () => {
      for (let i = 50; i < 65; i++) socket.receive(packet(i), HOST, 5000)
    })
    for (let i = 65; i < 150; i++) {
      socket.receive(packet(i), HOST, 5000)
      clock.advance(20)
    }
    clock.advance(200)
    expect(Buffer.from(ear.bytes).indexOf(Buffer.from(speech))).toBeGreaterThanOrEqual(0)
    expect(Math.abs(ear.lost.length - clock.now() / 20)).toBeLessThanOrEqual(1)
    expect(leg.stats().bufferMs).toBeLessThan(30)
  })
})

describe('sources', () => {
  const audio = (stream: RtpStream): Buffer => stream.audio(new Uint8Array(160).fill(0x55))

  it('strict: drops and counts strangers, also 5,000 packets a second of them', () => {
    const { clock, leg, socket } = setUp()
    const ear = new Ear()
    leg.setSink(ear)
    const stream = new RtpStream()
    const forger = new RtpStream({ ssrc: 99 })
    for (let i = 0; i < 50; i++) {
      socket.receive(audio(stream), HOST, 5000)
      for (let k = 0; k < 100; k++) socket.receive(forger.audio(new Uint8Array(160).fill(0x11)), '127.0.0.66', 5000)
      clock.advance(20)
    }
    expect(leg.stats()).toMatchObject({ rxPackets: 50, strangers: 5000, rxLost: 0 })
    expect(ear.bytes.includes(0x11)).toBe(false)
  })

  it('drops and counts another SSRC, wrong versions, types and lies from the right address', () => {
    const { clock, leg, socket } = setUp()
    const stream = new RtpStream()
    const forger = new RtpStream({ ssrc: 99 })
    const hostile = [
      Buffer.alloc(0),
      Buffer.of(0x80),
      Buffer.alloc(12),
      Buffer.concat([Buffer.of(0x8f, 0, 0, 0), Buffer.alloc(20)]),
      Buffer.concat([Buffer.of(0xa0, 0, 0, 0), Buffer.alloc(20, 255)]),
      Buffer.concat([Buffer.of(0x90, 0, 0, 0), Buffer.alloc(8), Buffer.of(0, 0, 255, 255)]),
      rtpPacket(34, 1, 1, 1, new Uint8Array(160)),
      rtpPacket(97, 1, 1, 1, new Uint8Array(160)),
    ]
    for (let i = 0; i < 30; i++) {
      socket.receive(audio(stream), HOST, 5000)
      socket.receive(forger.audio(new Uint8Array(160)), HOST, 5000)
      socket.receive(hostile[i % hostile.length], HOST, 5000)
      clock.advance(20)
    }
    const stats = leg.stats()
    expect(stats.malformed).toBe(30)
    expect(stats.rxDropped).toBe(30)
    expect(stats.rxLost).toBe(0)
  })

  it('caps the rate per leg', () => {
    const { clock, leg, socket } = setUp()
    clock.advance(100)
    const stream = new RtpStream()
    for (let i = 0; i < 2000; i++) socket.receive(audio(stream), HOST, 5000)
    expect(leg.stats().rxPackets).toBe(300)
  })

  it('latch: sends to the SDP address, then to where the packets come from, then stays', () => {
    const { clock, socket, leg } = setUp({ source: 'latch', host: '10.0.0.1', port: 4000, rtcpPort: 4001 })
    const stream = new RtpStream()
    clock.advance(40)
    expect(socket.sent.at(-1)).toMatchObject({ host: '10.0.0.1', port: 4000 })
    socket.receive(audio(stream), HOST, 7000)
    clock.advance(40)
    expect(socket.sent.at(-1)).toMatchObject({ host: HOST, port: 7000 })
    for (let i = 0; i < 200; i++) {
      socket.receive(audio(stream), HOST, 7000)
      clock.advance(20)
    }
    socket.receive(audio(stream), '127.0.0.77', 7000)
    clock.advance(20)
    expect(socket.sent.at(-1)).toMatchObject({ host: HOST, port: 7000 })
    expect(leg.stats().strangers).toBe(1)
    expect(socket.settled).toBeGreaterThan(0)
  })

  it('moves at once when a re-INVITE gives a new port, though late packets still come from the old one', () => {
    const { clock, socket, leg } = setUp({ source: 'latch' })
    const stream = new RtpStream()
    for (let i = 0; i < 200; i++) {
      socket.receive(audio(stream), HOST, 5000)
      clock.advance(20)
    }
    leg.connect({ ...REMOTE, source: 'latch', port: 6000, rtcpPort: 6001 })
    socket.receive(audio(stream), HOST, 5000)
    clock.advance(40)
    expect(socket.sent.at(-1)).toMatchObject({ host: HOST, port: 6000 })
    socket.receive(audio(stream), HOST, 6000)
    clock.advance(40)
    expect(socket.sent.at(-1)).toMatchObject({ host: HOST, port: 6000 })
    leg.connect({ ...REMOTE, source: 'latch', port: 6000, rtcpPort: 6001 })
    clock.advance(40)
    expect(socket.sent.at(-1)).toMatchObject({ host: HOST, port: 6000 })
  })

  it('follows a new SSRC of the same source once the old stream has stopped', () => {
    const { clock, socket, leg } = setUp()
    const ear = new Ear()
    leg.setSink(ear)
    const first = new RtpStream()
    const second = new RtpStream({ ssrc: 77, seq: 3, rtpTs: 9 })
    for (let i = 0; i < 20; i++) {
      socket.receive(audio(first), HOST, 5000)
      clock.advance(20)
    }
    const speech = randomBytes(160 * 30, 8)
    for (let i = 0; i < 30; i++) {
      socket.receive(second.audio(speech.subarray(i * 160, i * 160 + 160)), HOST, 5000)
      clock.advance(20)
    }
    clock.advance(100)
    expect(Buffer.from(ear.bytes).indexOf(Buffer.from(speech.subarray(160 * 3)))).toBeGreaterThan(0)
    expect(ear.lost.length).toBe(clock.now() / 20)
  })
})

describe('timeouts and RTCP', () => {
  it('reports RTP silence once, before and after the first packet, and not while held', () => {
    const { clock, socket, leg, timeouts, firstPackets } = setUp()
    clock.advance(29_900)
    expect(timeouts).toEqual([])
    clock.advance(200)
    expect(timeouts).toEqual([false])
    const stream = new RtpStream()
    socket.receive(stream.audio(new Uint8Array(160)), HOST, 5000)
    socket.receive(stream.audio(new Uint8Array(160)), HOST, 5000)
    expect(firstPackets()).toBe(1)
    clock.advance(14_900)
    expect(timeouts).toEqual([false])
    clock.advance(60_000)
    expect(timeouts).toEqual([false, true])
    leg.connect({ ...REMOTE, direction: 'sendonly' })
    clock.advance(100_000)
    expect(timeouts).toEqual([false, true])
    leg.connect(REMOTE)
    clock.advance(14_000)
    expect(timeouts).toEqual([false, true])
    clock.advance(1_100)
    expect(timeouts).toEqual([false, true, true])
  })

  it('counts RTCP of the far end as life, a packet of 4 bytes too, and no one else’s', () => {
    const { clock, socket, timeouts, leg } = setUp()
    for (let i = 0; i < 10; i++) {
      clock.advance(10_000)
      socket.receiveRtcp(Buffer.of(0x80, 201, 0, 0), HOST, 5001)
    }
    expect(timeouts).toEqual([])
    for (let i = 0; i < 4; i++) {
      clock.advance(10_000)
      socket.receiveRtcp(Buffer.of(0x80, 201, 0, 0), '127.0.0.66', 5001)
    }
    expect(timeouts).toEqual([false])
    expect(leg.stats().strangers).toBe(4)
  })

  it('sends a report each 5 s and a BYE at the end', async () => {
    const { clock, socket, leg, playout } = setUp()
    clock.advance(21_000)
    const reports = socket.take('rtcp')
    expect([4, 5]).toContain(reports.length)
    expect(reports.every((r) => r[1] === 200)).toBe(true)
    await leg.close()
    await leg.close()
    const last = socket.take('rtcp')
    expect(last.length).toBe(1)
    expect(last[0].includes(Buffer.of(0x81, 203, 0, 1))).toBe(true)
    expect(socket.closed).toBe(true)
    expect(playout.size).toBe(0)
    expect(clock.pending).toBe(0)
  })
})

describe('digits', () => {
  it('sends them as RFC 4733 asks: marker, fixed timestamp, rising duration, three ends, a gap, audio paused', () => {
    const { clock, leg, rtp } = setUp()
    clock.advance(100)
    const mouth = new Mouth()
    mouth.ring.write(randomBytes(160 * 10, 2))
    leg.setSource(mouth)
    rtp()
    expect(leg.sendDigits('1x#', 100, 60)).toBe(2)
    clock.advance(600)
    const sent = rtp()
    const events = sent.filter((p) => p.payloadType === 101)
    const first = events.filter((p) => p.payload[0] === 1)
    expect(first.map((p) => p.payload.readUInt16BE(2))).toEqual([160, 320, 480, 640, 800, 800, 800])
    expect(first.map((p) => p.payload[1] >> 7)).toEqual([0, 0, 0, 0, 1, 1, 1])
    expect(first.map((p) => p.marker)).toEqual([true, false, false, false, false, false, false])
    expect(new Set(first.map((p) => p.rtpTs)).size).toBe(1)
    const second = events.filter((p) => p.payload[0] === 11)
    expect(second.length).toBe(7)
    expect(tsDiff(second[0].rtpTs, first[0].rtpTs)).toBe(160 * 8)
    // Sequence is one line over both kinds; the source waited for the end.
    sent.reduce((a, b) => {
      expect((b.seq - a.seq) & 0xffff).toBe(1)
      return b
    })
    const audioAfter = sent.slice(sent.indexOf(events.at(-1) as ParsedRtp) + 1)
    expect(tsDiff(audioAfter[0].rtpTs, second[0].rtpTs)).toBe(160 * 7)
    expect(Buffer.concat(audioAfter.map((p) => p.payload)).includes(Buffer.from(randomBytes(160 * 10, 2)))).toBe(true)
  })

  it('takes none when the peer has no telephone-event', () => {
    const { leg } = setUp({ dtmfPayloadType: undefined })
    expect(leg.sendDigits('1', 100, 100)).toBe(0)
  })

  it('hears a digit from another payload type than agreed, and one of which only the end came', () => {
    const { socket, digits, clock } = setUp()
    const stream = new RtpStream()
    for (let i = 0; i < 3; i++) socket.receive(stream.event(7, 800, true, 119), HOST, 5000)
    clock.advance(100)
    expect(digits).toEqual(['7'])
  })

  it('hears the digit of a stream of its own that starts with duration 0, as sipp plays them', () => {
    const { socket, digits, clock, leg } = setUp()
    const file = new URL('../../fixtures/rtp/dtmf-own-ssrc.json', import.meta.url)
    const { packets } = JSON.parse(readFileSync(file, 'utf8')) as { packets: { atMs: number; hex: string }[] }
    let nowMs = 0
    for (const { atMs, hex } of packets) {
      clock.advance(atMs - nowMs)
      nowMs = atMs
      socket.receive(Buffer.from(hex, 'hex'), HOST, 5000)
    }
    clock.advance(100)
    expect(digits).toEqual(['1'])
    expect(leg.stats()).toMatchObject({ rxLost: 0, malformed: 0, rxDropped: 0 })
  })

  it('plays silence, not concealment, while the peer sends an event, and does not gain delay', () => {
    const { socket, leg, clock } = setUp()
    const ear = new Ear()
    leg.setSink(ear)
    const stream = new RtpStream()
    const speech = new Uint8Array(160).fill(0x22)
    for (let i = 0; i < 20; i++) {
      socket.receive(stream.audio(speech), HOST, 5000)
      clock.advance(20)
    }
    for (let i = 0; i < 10; i++) {
      socket.receive(stream.event(5, (i + 1) * 160, i > 7), HOST, 5000)
      clock.advance(20)
    }
    stream.pause(10 * 160)
    for (let i = 0; i < 20; i++) {
      socket.receive(stream.audio(speech), HOST, 5000)
      clock.advance(20)
    }
    expect(leg.stats()).toMatchObject({ rxLost: 0, concealedFrames: 0 })
    expect(leg.stats().bufferMs).toBeLessThan(10)
    expect(ear.bytes.length).toBeGreaterThan(FRAME_SAMPLES * 49)
  })
})
