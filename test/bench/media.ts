/** One leg's stages: ns and bytes allocated per 20 ms frame, sockets and disk left out. */
import { FRAME_SAMPLES, type FrameSource } from '../../src/audio/flow.ts'
import { Concealer } from '../../src/media/concealment.ts'
import { JitterBuffer } from '../../src/media/jitter-buffer.ts'
import { Leg } from '../../src/media/leg.ts'
import { Playout } from '../../src/media/playout.ts'
import { Recorder } from '../../src/media/recorder.ts'
import { readRtp, RtpHeader, writeRtp } from '../../src/rtp/packet.ts'
import { EventReader } from '../../src/rtp/telephone-event.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import type { Clock } from '../../src/lib/clock.ts'
import { FakeRtpSocket } from '../fakes/rtp-socket.ts'
import { measure, type Figure } from './measure.ts'

/** A clock for one timer, moved by hand: FakeClock's bookkeeping would be measured with the leg. */
class BenchClock implements Clock {
  nowMs = 0
  #fn: (() => void) | undefined
  readonly #timer = { cancel: () => (this.#fn = undefined) }
  now(): number {
    return this.nowMs
  }
  wallMs(): number {
    return this.nowMs
  }
  after(_delayMs: number, fn: () => void): { cancel(): void } {
    this.#fn = fn
    return this.#timer
  }
  step(ms: number): void {
    this.nowMs += ms
    this.#fn?.()
  }
}

export async function bench(): Promise<Figure[]> {
  const frame = Uint8Array.from({ length: FRAME_SAMPLES }, (_, i) => (i * 7) & 255)
  const packet = Buffer.alloc(12 + FRAME_SAMPLES)
  packet.set(frame, 12)
  writeRtp(packet, 0, false, 1, 160, 7)
  const header = new RtpHeader()
  const dst = new Uint8Array(FRAME_SAMPLES)
  const out: Figure[] = [
    ...measure('rtp header read', () => {
      readRtp(header, packet)
    }),
    ...measure('rtp header write', (n) => writeRtp(packet, 0, false, n & 0xffff, n * 160, 7)),
  ]

  const buffer = new JitterBuffer()
  out.push(
    ...measure('jitter buffer put + take', (n) => {
      buffer.put(n & 0xffff, (n * 160) >>> 0, 7, frame, 0, FRAME_SAMPLES, 'pcmu', n * 20, n * 20 + 6)
      buffer.takeInto(dst)
    }),
  )
  const crossing = new JitterBuffer('pcma')
  out.push(
    ...measure('jitter buffer, other law', (n) => {
      crossing.put(n & 0xffff, (n * 160) >>> 0, 7, frame, 0, FRAME_SAMPLES, 'pcmu', n * 20, n * 20 + 6)
      crossing.takeInto(dst)
    }),
  )
  const concealer = new Concealer()
  out.push(
    ...measure('good frame, remembered', () => concealer.good(frame, 'pcmu')),
    ...measure('conceal the first lost frame', () => {
      concealer.good(frame, 'pcmu')
      concealer.concealInto(dst, 'pcmu')
    }),
  )
  const reader = new EventReader()
  const event = Uint8Array.of(5, 10, 1, 0)
  out.push(
    ...measure('dtmf detector, event packet', (n) => {
      reader.read(event, 0, 4, n >> 3, 7)
    }),
  )
  out.push(...legSlot(packet), ...(await recorderFrame(frame)))
  return out
}

function legSlot(packet: Buffer): Figure[] {
  const clock = new BenchClock()
  const playout = new Playout(clock)
  const socket = new FakeRtpSocket()
  socket.keep = false
  const leg = new Leg({
    id: 'bench',
    clock,
    log: silentLog,
    socket,
    playout,
    onDigit: () => undefined,
    onFirstPacket: () => undefined,
    onRtpTimeout: () => undefined,
  })
  playout.start()
  leg.connect({
    host: '127.0.0.1',
    port: 4000,
    rtcpPort: 4001,
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
  const source: FrameSource = {
    frameInto(dst) {
      dst.fill(0x55)
      return true
    },
  }
  leg.setSource(source)
  leg.setSink({ frame: () => undefined })
  return measure('leg: packet in, rx slot, tx slot', (n) => {
    writeRtp(packet, 0, false, n & 0xffff, (n * 160) >>> 0, 7)
    socket.receive(packet, '127.0.0.1', 4000)
    clock.step(10)
    clock.step(10)
  })
}

async function recorderFrame(frame: Uint8Array): Promise<Figure[]> {
  const recorder = new Recorder({
    dir: '.',
    recordingId: 'bench',
    clock: new BenchClock(),
    onError: () => undefined,
    files: {
      open: (_path, _flags, _mode, done) => done(null, 99),
      write: (_fd, _data, _offset, length, _position, done) => done(null, length),
      close: (_fd, done) => done(),
    },
  })
  const figures = measure('recorder, both directions', (n) => {
    recorder.rx((n % 1_000_000) * 20, frame, 'pcmu')
    recorder.tx((n % 1_000_000) * 20, frame, 'pcmu')
  })
  await recorder.close()
  return figures
}
