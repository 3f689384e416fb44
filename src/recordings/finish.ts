/**
 * Makes the stereo WAV of a call (left: caller, right: bot) from its raw capture, also from one that a crash has torn.
 * Places both directions by position; what is missing is silence. Works in pieces of half a second of audio with a read
 * or a write between: never holds the event loop for more than a few ms, never holds a whole recording in memory.
 */
import { open, readdir, rename, rm, stat, type FileHandle } from 'node:fs/promises'
import { DECODE } from '../audio/g711.ts'
import {
  BLOCK_HEADER_BYTES,
  CAPTURE_HEADER_BYTES,
  capturePath,
  readBlockHeader,
  readCaptureHeader,
  type CaptureDirection,
} from '../audio/capture.ts'
import { SAMPLES_PER_MS, type Law } from '../audio/flow.ts'
import { readWavFormat, wavHeader, WAV_HEADER_BYTES } from '../audio/wav.ts'

export interface FinishedRecording {
  path: string
  durationMs: number
  bytes: number
}

const CHUNK_SAMPLES = 4000
const SCAN_BYTES = 65_536
/** 24 h: positions beyond are a torn header, not a call. */
const MAX_SAMPLES = 24 * 3600 * 1000 * SAMPLES_PER_MS

const wavPath = (dir: string, recordingId: string): string => `${dir}/${recordingId}.wav`

/**
 * Turns `<dir>/<recordingId>.raw` into `<dir>/<recordingId>.wav` and removes the capture. Doing it twice, or again after
 * a crash in the middle, gives the same result. Rejects when there is neither a capture nor a WAV.
 */
export async function finishCapture(dir: string, recordingId: string): Promise<FinishedRecording> {
  const path = wavPath(dir, recordingId)
  const done = await finishedWav(path)
  if (done) {
    // The WAV appears by rename, whole: a capture beside it is only waiting to be removed.
    await rm(capturePath(dir, recordingId), { force: true })
    return done
  }
  const raw = await open(capturePath(dir, recordingId), 'r')
  try {
    const tracks = await indexCapture(raw)
    const part = `${path}.part`
    const wav = await open(part, 'w', 0o640)
    try {
      await writeTracks(raw, wav, tracks)
      await wav.datasync()
    } finally {
      await wav.close()
    }
    await rename(part, path)
  } finally {
    await raw.close()
  }
  await rm(capturePath(dir, recordingId), { force: true })
  const finished = await finishedWav(path)
  if (!finished) throw new Error(`recording ${recordingId}: the WAV is unreadable after writing`)
  return finished
}

/** Recordings that a crash or a restart left as captures. */
export async function unfinishedCaptures(dir: string): Promise<string[]> {
  let names: string[]
  try {
    names = await readdir(dir)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw err
  }
  return names.filter((name) => name.endsWith('.raw')).map((name) => name.slice(0, -'.raw'.length))
}

async function finishedWav(path: string): Promise<FinishedRecording | undefined> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
  try {
    const head = Buffer.alloc(WAV_HEADER_BYTES)
    const { bytesRead } = await file.read(head, 0, head.length, 0)
    const { size } = await stat(path)
    const format = readWavFormat(head.subarray(0, bytesRead), size)
    return {
      path,
      durationMs: Math.round((format.dataBytes / (format.channels * 2) / format.rateHz) * 1000),
      bytes: size,
    }
  } finally {
    await file.close()
  }
}

// ── Reading the capture ──────────────────────────────────────────────────────────────────────────────────────────

interface Piece {
  law: Law
  position: number
  bytes: number
  fileOffset: number
}

type Tracks = Record<CaptureDirection, Piece[]>

// Walks the block headers; stops at the first that is none (a torn tail) and cuts a last block short.
async function indexCapture(raw: FileHandle): Promise<Tracks> {
  const { size } = await raw.stat()
  const window = Buffer.alloc(SCAN_BYTES)
  let windowAt = 0
  let { bytesRead } = await raw.read(window, 0, SCAN_BYTES, 0)
  const tracks: Tracks = { rx: [], tx: [] }
  // The process died before its first write: an empty recording, not a broken one.
  if (size < CAPTURE_HEADER_BYTES) return tracks
  if (readCaptureHeader(window.subarray(0, bytesRead)) === undefined) throw new Error('this file is no capture')
  for (let at = CAPTURE_HEADER_BYTES; at + BLOCK_HEADER_BYTES <= size;) {
    if (at + BLOCK_HEADER_BYTES > windowAt + bytesRead) {
      windowAt = at
      ;({ bytesRead } = await raw.read(window, 0, SCAN_BYTES, at))
    }
    const block = readBlockHeader(window.subarray(0, bytesRead), at - windowAt)
    if (!block || block.position + block.bytes > MAX_SAMPLES) break
    const fileOffset = at + BLOCK_HEADER_BYTES
    const bytes = Math.min(block.bytes, size - fileOffset)
    if (bytes > 0) tracks[block.direction].push({ law: block.law, position: block.position, bytes, fileOffset })
    at = fileOffset + block.bytes
  }
  return { rx: inOrder(tracks.rx), tx: inOrder(tracks.tx) }
}

// By position, without overlaps: where two pieces cover the same time the earlier one is heard.
function inOrder(pieces: Piece[]): Piece[] {
  const out: Piece[] = []
  let end = 0
  for (const piece of pieces.sort((a, b) => a.position - b.position)) {
    const late = Math.max(0, end - piece.position)
    if (late >= piece.bytes) continue
    out.push({
      ...piece,
      position: piece.position + late,
      bytes: piece.bytes - late,
      fileOffset: piece.fileOffset + late,
    })
    end = piece.position + piece.bytes
  }
  return out
}

const endOf = (pieces: Piece[]): number => {
  const last = pieces.at(-1)
  return last ? last.position + last.bytes : 0
}

// ── Writing the WAV ──────────────────────────────────────────────────────────────────────────────────────────────

async function writeTracks(raw: FileHandle, wav: FileHandle, tracks: Tracks): Promise<void> {
  const samples = Math.max(endOf(tracks.rx), endOf(tracks.tx))
  const dataBytes = samples * 4
  let fileAt = (await wav.write(wavHeader(dataBytes, 2), 0, WAV_HEADER_BYTES, 0)).bytesWritten
  const left = new Track(raw, tracks.rx)
  const right = new Track(raw, tracks.tx)
  const stereo = new Int16Array(CHUNK_SAMPLES * 2)
  for (let at = 0; at < samples; at += CHUNK_SAMPLES) {
    const n = Math.min(CHUNK_SAMPLES, samples - at)
    stereo.fill(0)
    await left.readInto(stereo, 0, at, n)
    await right.readInto(stereo, 1, at, n)
    const { bytesWritten } = await wav.write(littleEndian(stereo, n * 2), 0, n * 4, fileAt)
    if (bytesWritten < n * 4) throw new Error('the disk takes no more bytes')
    fileAt += bytesWritten
  }
}

const LITTLE = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1

function littleEndian(pcm: Int16Array, samples: number): Buffer {
  const bytes = Buffer.from(pcm.buffer, pcm.byteOffset, samples * 2)
  return LITTLE ? bytes : Buffer.from(bytes).swap16()
}

/** One direction, read forward. */
class Track {
  readonly #raw: FileHandle
  readonly #pieces: Piece[]
  readonly #bytes = Buffer.alloc(CHUNK_SAMPLES)
  #next = 0

  constructor(raw: FileHandle, pieces: Piece[]) {
    this.#raw = raw
    this.#pieces = pieces
  }

  /** Samples `[at, at + n)` into every second place of `stereo`, from `channel`. */
  async readInto(stereo: Int16Array, channel: 0 | 1, at: number, n: number): Promise<void> {
    while (this.#next < this.#pieces.length) {
      const piece = this.#pieces[this.#next]
      const from = Math.max(at, piece.position)
      const to = Math.min(at + n, piece.position + piece.bytes)
      if (from < to) {
        const { bytesRead } = await this.#raw.read(this.#bytes, 0, to - from, piece.fileOffset + from - piece.position)
        const decode = DECODE[piece.law]
        for (let i = 0; i < bytesRead; i++) stereo[(from - at + i) * 2 + channel] = decode[this.#bytes[i]]
      }
      if (piece.position + piece.bytes > at + n) return
      this.#next++
    }
  }
}
