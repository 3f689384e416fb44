import { constants } from 'node:fs'
import { mkdir, open, rename, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { readWavFormat, WAV_HEADER_BYTES } from '../audio/wav.ts'
import type { RecordingFinisher } from '../calls/ports.ts'
import type { CallRecord } from '../calls/record.ts'
import type { Clock } from '../lib/clock.ts'
import { DomainError, errorText } from '../lib/errors.ts'
import type { Log } from '../telemetry/log.ts'
import { fileNameOf, isFileName, signatureIsRight, signatureOf, type Digest } from './link.ts'
import type { CaptureFiles, RecordingStore, UnfinishedRecording } from './ports.ts'

export interface RecordingWorld {
  /** Holds captures while calls run, and the finished files. */
  dir: string
  store: RecordingStore
  files: CaptureFiles
  digest: Digest
  clock: Clock
  log: Log
}

/** A recording that is open for reading; `stream` or `close` ends it. */
export interface OpenRecording {
  sizeBytes: number
  /** Bytes `first` to `last`, both included. Closes the file at its end. */
  stream(first: number, last: number): Readable
  close(): Promise<void>
}

/** What became of a recording that an earlier run left: to be told to its call as an event. */
export type RecoveredRecording = UnfinishedRecording &
  ({ ready: true; durationMs: number; bytes: number } | { ready: false; reason: string })

export interface LeftOvers {
  /** Ids of captures on disk. */
  captures: Set<string>
  rows: UnfinishedRecording[]
}

type Owned = Pick<CallRecord, 'id' | 'accountId'>

const LINK_LIFE_S = 15 * 60
// Finishing reads and writes whole files: many at once would only fight for the disk.
const AT_ONCE = 2

/**
 * Recordings from the closed capture to the signed link. The database is not asked: rows follow from the call's events.
 *
 *   capture (raw, by the worker) ──▶ WAV ──▶ rename to its unguessable name ──▶ link
 */
export class RecordingService implements RecordingFinisher {
  readonly #world: RecordingWorld
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(world: RecordingWorld) {
    this.#world = world
  }

  /** Makes the file of a closed capture. Rejects when there is nothing to make it of. */
  async finish(call: Owned, recordingId: string): Promise<{ durationMs: number; bytes: number }> {
    const { dir, files } = this.#world
    await this.#turn()
    try {
      const { path, durationMs, bytes } = await files.finishCapture(dir, recordingId)
      await rename(path, this.#pathOf(call, recordingId))
      return { durationMs, bytes }
    } finally {
      this.#running--
      this.#waiting.shift()?.()
    }
  }

  /** What a dead process left half done: to be asked before calls are taken, for those of live calls look the same. */
  async leftOvers(): Promise<LeftOvers> {
    const { dir, files, store } = this.#world
    await mkdir(dir, { recursive: true })
    return { captures: new Set(await files.unfinishedCaptures(dir)), rows: await store.listUnfinished() }
  }

  /** Finishes them; calls may go on meanwhile. */
  async recover({ captures, rows }: LeftOvers): Promise<RecoveredRecording[]> {
    const { log } = this.#world
    const recovered: RecoveredRecording[] = []
    for (const row of rows) {
      const owner = { id: row.callId, accountId: row.accountId }
      try {
        // Died after the rename: the file is whole, only the event is missing.
        const done = await finishedFile(this.#pathOf(owner, row.id))
        recovered.push({ ...row, ready: true, ...(done ?? (await this.finish(owner, row.id))) })
      } catch (err) {
        log.error({ recordingId: row.id, err }, 'recording of an earlier run is lost')
        recovered.push({ ...row, ready: false, reason: errorText(err) })
      }
      captures.delete(row.id)
    }
    for (const recordingId of captures) log.warn({ recordingId }, 'capture that belongs to no call: left alone')
    return recovered
  }

  /**
   * The link to a call's recording, once it is ready: `<baseUrl>/recordings/<file>?exp=…&sig=…`. It lives 15 minutes,
   * so it is made for each reply and kept nowhere.
   */
  link(call: CallRecord, baseUrl: string, lifeS = LINK_LIFE_S): string | undefined {
    if (call.recordingStatus !== 'ready' || !call.recordingId) return undefined
    const { clock, digest } = this.#world
    const path = `/recordings/${fileNameOf(digest, call.accountId, call.recordingId)}`
    const expiresAtS = Math.floor(clock.wallMs() / 1000) + lifeS
    return `${baseUrl}${path}?exp=${expiresAtS}&sig=${signatureOf(digest, path, expiresAtS)}`
  }

  /** Opens what a link names. FORBIDDEN: not our link, or not any more. NOT_FOUND: rightly signed, but gone. */
  async open(file: string, expiresAtS: number, signature: string): Promise<OpenRecording> {
    const { clock, dir, digest } = this.#world
    const inTime = clock.wallMs() < expiresAtS * 1000
    if (!isFileName(file) || !inTime || !signatureIsRight(digest, `/recordings/${file}`, expiresAtS, signature))
      throw new DomainError('FORBIDDEN', 'This link is not valid, or not any more.')
    const handle = await openFile(join(dir, file))
    const { size } = await handle.stat()
    return {
      sizeBytes: size,
      stream: (first, last) => handle.createReadStream({ start: first, end: last }),
      close: () => handle.close(),
    }
  }

  /** Where a recording's finished file lies: for the demo and for tests. */
  pathOf(call: CallRecord): string | undefined {
    return call.recordingId === undefined ? undefined : this.#pathOf(call, call.recordingId)
  }

  #pathOf({ accountId }: Owned, recordingId: string): string {
    return join(this.#world.dir, fileNameOf(this.#world.digest, accountId, recordingId))
  }

  async #turn(): Promise<void> {
    while (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    this.#running++
  }
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    // The name is made by us; a link that someone put in its place is not followed all the same.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (err) {
    throw new DomainError('NOT_FOUND', 'The recording is gone.', { cause: err })
  }
}

async function finishedFile(path: string): Promise<{ durationMs: number; bytes: number } | undefined> {
  let handle: FileHandle
  try {
    handle = await open(path, 'r')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
  try {
    const header = Buffer.alloc(WAV_HEADER_BYTES)
    const { bytesRead } = await handle.read(header, 0, header.length, 0)
    const { size } = await handle.stat()
    const { dataBytes, channels, rateHz } = readWavFormat(header.subarray(0, bytesRead), size)
    return { durationMs: Math.round((dataBytes / (channels * 2) / rateHz) * 1000), bytes: size }
  } finally {
    await handle.close()
  }
}
