/**
 * Caller audio on its way to the bot: 20 ms frames gathered into the bot's frame size, encoding and rate, and held back
 * when the bot does not read. What it may hold is bounded; the oldest is dropped then, and the next frame says how much.
 *
 *   leg ─20 ms─▶ gather ──▶ [ waiting frames, oldest first ] ──▶ socket buffer ──▶ kernel
 *                            └ together 500 ms at most ───────────────┘
 */
import { DECODE, crossTable } from '../audio/g711.ts'
import { FRAME_SAMPLES, SAMPLES_PER_MS, type FrameSink, type Law } from '../audio/flow.ts'
import { Resampler } from '../audio/resampler.ts'
import type { AudioFormat, MediaFrame } from './dialect.ts'

const HELD_MS = 500
/** What may lie in the socket's own buffer, from where nothing can be dropped any more. */
const IN_SOCKET_MS = 100
const STUCK_MS = 10_000
/** A bot so far behind gets nothing more until it has read: the kernel's buffers alone would hold minutes. */
const MOST_LAG_MS = 5000

// Of all uplinks: nothing in them outlives a call.
const LOW = new Int16Array(FRAME_SAMPLES)
const HIGH = new Int16Array(FRAME_SAMPLES * 3)

export interface UplinkPort {
  /** Bytes that the kernel has not taken. */
  bufferedBytes(): number
  /** How far the bot is behind with reading, ms. */
  lagMs(): number
  /** Writes one frame; returns its bytes on the wire. The object is the same each time, and borrowed. */
  sendAudio(frame: MediaFrame): number
  /** The bot has not read anything for so long that it counts as dead. */
  stuck(): void
}

export class Uplink implements FrameSink {
  readonly #port: UplinkPort
  readonly #now: () => number
  #format: AudioFormat
  #frame: Uint8Array
  #resampler: Resampler | undefined
  #filled = 0
  /** Concealed by the leg within the frame that is being gathered. */
  #lostMs = 0
  /** Dropped here since the last frame that was sent. */
  #gapMs = 0
  /** Frames since media start, dropped ones included. */
  #chunk = 0
  #mediaMs = 0
  #waiting: Uint8Array
  #waitingLostMs: number[] = []
  #firstWaiting = 0
  #waitingCount = 0
  #wireBytesPerFrame: number
  #blockedSinceMs = -1
  #lastBufferedBytes = 0
  readonly #media: MediaFrame
  readonly stats = { sentMs: 0, droppedMs: 0 }

  constructor(format: AudioFormat, port: UplinkPort, now: () => number) {
    this.#port = port
    this.#now = now
    this.#format = format
    this.#frame = new Uint8Array(bytesOf(format))
    this.#resampler = resamplerTo(format)
    this.#waiting = new Uint8Array(0)
    this.#wireBytesPerFrame = roughWireBytes(format)
    this.#media = { audio: this.#frame, chunk: 0, timestampMs: 0, lostMs: 0, replay: false }
  }

  /** From the next frame on. What is gathered or waiting in the old format is given up as lost. */
  setFormat(format: AudioFormat): void {
    this.#giveUp()
    this.#format = format
    this.#frame = new Uint8Array(bytesOf(format))
    this.#resampler = resamplerTo(format)
    this.#waiting = new Uint8Array(0)
    this.#waitingLostMs = []
    this.#firstWaiting = 0
    this.#wireBytesPerFrame = roughWireBytes(format)
  }

  /**
   * Time in which no frames came here, because the bot did not want them (hold) or was not there (`lost`: the next frame
   * says so). What still waits is older than that, and given up as lost.
   */
  missed(ms: number, lost: boolean): void {
    if (ms <= 0) return
    const unsentMs = this.#giveUp() + ms
    this.#chunk += Math.round(unsentMs / this.#format.frameMs)
    this.#mediaMs += Math.round(ms)
    if (lost) this.#gapMs += Math.round(ms)
    this.#blockedSinceMs = -1
    this.#resampler?.reset()
  }

  /** What waits or is gathered will not be sent. @returns ms that were gathered */
  #giveUp(): number {
    while (this.#waitingCount > 0) this.#dropOldest()
    const gatheredMs = (this.#filled / this.#frame.length) * this.#format.frameMs
    this.#mediaMs += gatheredMs
    this.#gapMs += gatheredMs
    this.#lostMs = 0
    this.#filled = 0
    return gatheredMs
  }

  frame(frame: Uint8Array, law: Law, lostMs: number): void {
    this.#lostMs += lostMs
    this.#gather(frame, law)
    if (this.#filled < this.#frame.length) return
    this.#filled = 0
    this.#deliver()
  }

  #gather(frame: Uint8Array, law: Law): void {
    const out = this.#frame
    let at = this.#filled
    const encoding = this.#format.encoding
    if (encoding === 'pcm16') {
      const table = DECODE[law]
      let samples = LOW
      let n = FRAME_SAMPLES
      for (let i = 0; i < FRAME_SAMPLES; i++) LOW[i] = table[frame[i]]
      if (this.#resampler) {
        n = this.#resampler.process(LOW, FRAME_SAMPLES, HIGH)
        samples = HIGH
      }
      for (let i = 0; i < n; i++) {
        const sample = samples[i]
        out[at++] = sample
        out[at++] = sample >> 8
      }
    } else {
      const table = crossTable(law, encoding)
      if (table) for (let i = 0; i < FRAME_SAMPLES; i++) out[at++] = table[frame[i]]
      else for (let i = 0; i < FRAME_SAMPLES; i++) out[at++] = frame[i]
    }
    this.#filled = at
  }

  #deliver(): void {
    const buffered = this.#port.bufferedBytes()
    if (this.#waitingCount === 0 && this.#fitsIn(buffered)) {
      this.#blockedSinceMs = -1
      this.#send(this.#frame, this.#takeLost())
      return
    }
    this.#keep()
    let bufferedNow = buffered
    while (this.#waitingCount > 0 && this.#fitsIn(bufferedNow)) {
      this.#sendOldest()
      bufferedNow = this.#port.bufferedBytes()
    }
    this.#watch(buffered)
  }

  #fitsIn(bufferedBytes: number): boolean {
    const mostBytes = (this.#wireBytesPerFrame * IN_SOCKET_MS) / this.#format.frameMs
    return bufferedBytes <= mostBytes && this.#port.lagMs() <= MOST_LAG_MS
  }

  #send(audio: Uint8Array, lostMs: number): void {
    const ms = this.#format.frameMs
    const media = this.#media
    media.audio = audio
    media.chunk = this.#chunk++
    media.timestampMs = this.#mediaMs
    media.lostMs = lostMs + this.#gapMs
    this.#wireBytesPerFrame = this.#port.sendAudio(media)
    this.#gapMs = 0
    this.#mediaMs += ms
    this.stats.sentMs += ms
  }

  #takeLost(): number {
    const ms = this.#lostMs
    this.#lostMs = 0
    return ms
  }

  #keep(): void {
    const bytes = this.#frame.length
    const slots = Math.max(2, Math.floor((HELD_MS - IN_SOCKET_MS) / this.#format.frameMs))
    if (this.#waiting.length === 0) {
      this.#waiting = new Uint8Array(slots * bytes)
      this.#waitingLostMs = new Array<number>(slots).fill(0)
      this.#firstWaiting = 0
    }
    const lostMs = this.#takeLost()
    if (this.#waitingCount === slots) this.#dropOldest()
    const slot = (this.#firstWaiting + this.#waitingCount++) % slots
    this.#waiting.set(this.#frame, slot * bytes)
    this.#waitingLostMs[slot] = lostMs
  }

  #sendOldest(): void {
    const bytes = this.#frame.length
    const slot = this.#firstWaiting
    this.#firstWaiting = (slot + 1) % this.#waitingLostMs.length
    this.#waitingCount--
    this.#send(this.#waiting.subarray(slot * bytes, (slot + 1) * bytes), this.#waitingLostMs[slot])
  }

  #dropOldest(): void {
    const ms = this.#format.frameMs
    this.#firstWaiting = (this.#firstWaiting + 1) % this.#waitingLostMs.length
    this.#waitingCount--
    this.#chunk++
    this.#mediaMs += ms
    // Told by the next frame that gets through; what the leg had lost of this one is part of it.
    this.#gapMs += ms
    this.stats.droppedMs += ms
  }

  /** Dead is who takes nothing for 10 s; who takes a little is only slow. */
  #watch(bufferedBytes: number): void {
    const nowMs = this.#now()
    if (this.#waitingCount === 0 || this.#blockedSinceMs < 0 || bufferedBytes < this.#lastBufferedBytes)
      this.#blockedSinceMs = nowMs
    this.#lastBufferedBytes = bufferedBytes
    if (nowMs - this.#blockedSinceMs >= STUCK_MS) {
      this.#blockedSinceMs = nowMs
      this.#port.stuck()
    }
  }
}

const bytesOf = ({ encoding, sampleRate, frameMs }: AudioFormat): number =>
  encoding === 'pcm16' ? (frameMs * sampleRate * 2) / 1000 : frameMs * SAMPLES_PER_MS

const resamplerTo = ({ encoding, sampleRate }: AudioFormat): Resampler | undefined =>
  encoding === 'pcm16' && sampleRate !== 8000 ? new Resampler(8000, sampleRate) : undefined

/** Until the first frame has told: base64 and a JSON envelope. */
const roughWireBytes = (format: AudioFormat): number => bytesOf(format) * 1.34 + 160
