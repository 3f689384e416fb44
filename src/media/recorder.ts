/**
 * Captures one leg in both directions as raw G.711 (format: audio/capture.ts). Frames are copied into a block per
 * direction; once a second the blocks go to the file in one write. Not an encoder: the WAV is made later by
 * recordings/finish.ts, also after a crash, which loses what was not yet written: about a second.
 *
 *   rx frames ─▶ │ block rx │─┐
 *                             ├─▶ write buffer (one of 4) ─▶ fs.write, one at a time
 *   tx frames ─▶ │ block tx │─┘
 */
import { open, write, close, mkdirSync, type PathLike } from 'node:fs'
import {
  BLOCK_HEADER_BYTES,
  CAPTURE_HEADER_BYTES,
  capturePath,
  writeBlockHeader,
  writeCaptureHeader,
  type CaptureDirection,
} from '../audio/capture.ts'
import { SAMPLES_PER_MS, type Law } from '../audio/flow.ts'
import type { Clock } from '../lib/clock.ts'

const FLUSH_SAMPLES = 1000 * SAMPLES_PER_MS
// A second, and some for frames that come while catching up.
const BLOCK_BYTES = FLUSH_SAMPLES + 2000
const BUFFER_BYTES = 2 * (BLOCK_BYTES + BLOCK_HEADER_BYTES) + 4096
const BUFFERS = 4

/** The file functions that it needs; tests give one with a full disk. */
export interface CaptureFiles {
  open(path: PathLike, flags: string, mode: number, done: (err: Error | null, fd: number) => void): void
  write(
    fd: number,
    data: Buffer,
    offset: number,
    length: number,
    position: null,
    done: (err: Error | null, written: number) => void,
  ): void
  close(fd: number, done: (err?: Error | null) => void): void
}

export interface RecorderOptions {
  dir: string
  recordingId: string
  clock: Clock
  /** The disk is full or broken: nothing more is captured; what is there stays readable. Called at most once. */
  onError(err: Error): void
  files?: CaptureFiles
}

/** A run of contiguous bytes of one direction and law. */
class Block {
  readonly direction: CaptureDirection
  readonly bytes = new Uint8Array(BLOCK_BYTES)
  law: Law = 'pcmu'
  position = 0
  length = 0

  constructor(direction: CaptureDirection) {
    this.direction = direction
  }
}

export class Recorder {
  readonly recordingId: string
  readonly #files: CaptureFiles
  readonly #onError: (err: Error) => void
  readonly #startMs: number
  readonly #rx = new Block('rx')
  readonly #tx = new Block('tx')
  readonly #buffers = Array.from({ length: BUFFERS }, () => Buffer.allocUnsafeSlow(BUFFER_BYTES))
  readonly #lengths = new Int32Array(BUFFERS)
  /** The buffer being filled, the one being written (equal: none), and how far that is. */
  #filling = 0
  #writing = 0
  #offset = 0
  #busy = false
  #fd = -1
  #flushAt = FLUSH_SAMPLES
  #state: 'recording' | 'closing' | 'failed' | 'closed' = 'recording'
  #closed: { promise: Promise<void>; resolve: () => void } | undefined
  /** Samples that a slow disk made us leave out. */
  droppedSamples = 0
  /** While true nothing is captured; time goes on, so that the recording is silent there. */
  paused = false

  constructor(options: RecorderOptions) {
    this.recordingId = options.recordingId
    this.#files = options.files ?? { open, write, close }
    this.#onError = (err) => options.onError(err)
    this.#startMs = options.clock.now()
    writeCaptureHeader(this.#buffers[0], options.clock.wallMs())
    this.#lengths[0] = CAPTURE_HEADER_BYTES
    try {
      mkdirSync(options.dir, { recursive: true })
    } catch (err) {
      this.#fail(err as Error)
      return
    }
    // 'wx': a capture is never overwritten.
    this.#files.open(capturePath(options.dir, options.recordingId), 'wx', 0o640, (err, fd) => {
      if (err) return this.#fail(err)
      this.#fd = fd
      if (this.#state === 'failed') return this.#finish()
      // The header alone at once: the finisher finds the recording even if the process dies in its first second.
      this.#flush()
      this.#finish()
    })
  }

  get failed(): boolean {
    return this.#state === 'failed'
  }

  /** `bytes[from, to)` of the far end, at a monotonic time. Where nothing is given there is silence. */
  rx(atMs: number, bytes: Uint8Array, law: Law, from = 0, to = bytes.length): void {
    this.#take(this.#rx, atMs, bytes, law, from, to)
  }

  tx(atMs: number, bytes: Uint8Array, law: Law): void {
    this.#take(this.#tx, atMs, bytes, law, 0, bytes.length)
  }

  /** Time has come to `atMs`, with or without audio: what was captured a second ago goes to the file. */
  passed(atMs: number): void {
    const position = (atMs - this.#startMs) * SAMPLES_PER_MS
    if (this.#state === 'recording' && position >= this.#flushAt) this.#flushUpTo(position)
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = Promise.withResolvers<void>()
      if (this.#state === 'recording') {
        this.#state = 'closing'
        this.#flush()
      }
      this.#pump()
      this.#finish()
    }
    return this.#closed.promise
  }

  #take(block: Block, atMs: number, bytes: Uint8Array, law: Law, from: number, to: number): void {
    if (this.#state !== 'recording' || this.paused) return
    let position = Math.round((atMs - this.#startMs) * SAMPLES_PER_MS)
    if (position < 0) {
      from = Math.min(to, from - position)
      position = 0
    }
    const samples = to - from
    if (samples === 0) return
    const contiguous = block.length > 0 && block.law === law && block.position + block.length === position
    if (block.length > 0 && (!contiguous || block.length + samples > BLOCK_BYTES)) this.#seal(block)
    if (block.length === 0) {
      block.position = position
      block.law = law
    }
    for (let i = 0; i < samples; i++) block.bytes[block.length + i] = bytes[from + i]
    block.length += samples
    if (position + samples >= this.#flushAt) this.#flushUpTo(position + samples)
  }

  #flushUpTo(position: number): void {
    this.#flushAt = position + FLUSH_SAMPLES
    this.#flush()
  }

  // Moves a block into the buffer that is being filled; drops it when the disk is four seconds behind.
  #seal(block: Block): void {
    if (block.length === 0) return
    const need = BLOCK_HEADER_BYTES + block.length
    if (this.#lengths[this.#filling] + need > BUFFER_BYTES) this.#nextBuffer()
    const at = this.#lengths[this.#filling]
    if (at + need > BUFFER_BYTES) this.droppedSamples += block.length
    else {
      const dst = this.#buffers[this.#filling]
      writeBlockHeader(dst, at, block.direction, block.law, block.length, block.position)
      dst.set(block.bytes.subarray(0, block.length), at + BLOCK_HEADER_BYTES)
      this.#lengths[this.#filling] = at + need
    }
    block.length = 0
  }

  #nextBuffer(): void {
    const next = (this.#filling + 1) % BUFFERS
    if (next === this.#writing) return
    this.#filling = next
    this.#lengths[next] = 0
    this.#pump()
  }

  #flush(): void {
    this.#seal(this.#rx)
    this.#seal(this.#tx)
    if (this.#lengths[this.#filling] > 0) this.#nextBuffer()
    this.#pump()
  }

  #pump(): void {
    if (this.#busy || this.#fd < 0 || this.#state === 'failed' || this.#writing === this.#filling) return
    this.#busy = true
    const at = this.#offset
    this.#files.write(
      this.#fd,
      this.#buffers[this.#writing],
      at,
      this.#lengths[this.#writing] - at,
      null,
      this.#written,
    )
  }

  readonly #written = (err: Error | null, written: number): void => {
    this.#busy = false
    if (err ?? written === 0) this.#fail(err ?? new Error('the disk takes no more bytes'))
    else {
      this.#offset += written
      if (this.#offset >= this.#lengths[this.#writing]) {
        this.#offset = 0
        this.#writing = (this.#writing + 1) % BUFFERS
        // A flush that found every buffer taken may go on now.
        if (this.#state === 'closing' && this.#lengths[this.#filling] > 0) this.#nextBuffer()
      }
      this.#pump()
    }
    this.#finish()
  }

  #fail(err: Error): void {
    if (this.#state === 'failed' || this.#state === 'closed') return
    this.#state = 'failed'
    this.#rx.length = this.#tx.length = 0
    this.#onError(err)
    this.#finish()
  }

  // Closes the file when nothing is left to do.
  #finish(): void {
    if (this.#state === 'recording' || this.#state === 'closed' || this.#busy) return
    if (this.#fd < 0) {
      if (this.#state === 'failed') this.#closed?.resolve()
      return
    }
    if (this.#state === 'closing' && this.#writing !== this.#filling) return
    const fd = this.#fd
    this.#fd = -1
    const failed = this.#state === 'failed'
    if (!failed) this.#state = 'closed'
    this.#files.close(fd, (err) => {
      if (err && !failed) this.#onError(err)
      this.#closed?.resolve()
    })
  }
}
