import { mkdirSync } from 'node:fs'
import { open, rm, stat, type FileHandle } from 'node:fs/promises'
import type { CallEvent } from '../calls/events.ts'
import type { Journal } from '../calls/ports.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { metrics } from '../telemetry/metrics.ts'
import { encodeLine, isBefore, listSegments, readSegment, segmentPath, type Position } from './journal-segment.ts'

export interface JournalOptions {
  dir: string
  clock: Clock
  log: Log
  /** A new file begins after so many bytes. */
  segmentBytes?: number
}

interface Waiting {
  line: string
  resolve(): void
  reject(err: unknown): void
}

// 100,000 events are the traffic of hours; past it the disk is not coming back.
const MAX_WAITING = 100_000
const RETRY_MS = 1000
const READ_BYTES = 256 * 1024

/**
 * The append-only record of what happens to calls, on disk before anything else knows it. Events that arrive while a
 * write is under way go out together with the next one (group commit): one fdatasync serves them all.
 *
 *   append ─▶ #waiting ─▶ [ write + fdatasync ] ─▶ promises resolve, projector is told
 *
 * Each start begins a new file, and so does each failed write: what was torn is never written over or behind.
 */
export class FileJournal implements Journal {
  readonly #options: Required<JournalOptions>
  #waiting: Waiting[] = []
  #file: FileHandle | undefined
  #segment: number
  #oldest: number
  /** Bytes of the current segment that are safely on disk. */
  #offset = 0
  #writing: Promise<void> | undefined
  #closed = false
  /** The disk has refused a write and is tried again later. */
  #failing = false
  #onCommit: (events: number) => void = () => undefined

  private constructor(options: JournalOptions, segments: number[]) {
    this.#options = { segmentBytes: 8 * 1024 * 1024, ...options }
    this.#segment = (segments.at(-1) ?? 0) + 1
    this.#oldest = segments[0] ?? this.#segment
  }

  static async open(options: JournalOptions): Promise<FileJournal> {
    mkdirSync(options.dir, { recursive: true, mode: 0o700 })
    const journal = new FileJournal(options, await listSegments(options.dir))
    await journal.#begin(journal.#segment)
    return journal
  }

  /**
   * Rejects when the event is not on disk (yet): the caller must not do then what must not happen twice. The event
   * itself stays in line and is written once the disk takes it again.
   */
  append(event: CallEvent): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      if (this.#closed) return reject(new Error('the journal is closed'))
      if (this.#waiting.length >= MAX_WAITING) return reject(new Error('the journal is full'))
      this.#waiting.push({ line: encodeLine(event), resolve, reject })
      if (this.#failing) reject(new Error('the journal can not be written'))
      else this.#writing ??= this.#write()
    })
    // Most callers do not wait; the failure is logged here once for all of them.
    written.catch(() => undefined)
    return written
  }

  /** Where the durable part ends. */
  get end(): Position {
    return { segment: this.#segment, offset: this.#offset }
  }

  /** Where reading can begin. */
  get begin(): Position {
    return { segment: this.#oldest, offset: 0 }
  }

  onCommit(listener: (events: number) => void): void {
    this.#onCommit = listener
  }

  /**
   * Durable events from a position on, in order, some at a time (none where only the position moves on to the next file).
   * Ends at what is durable when it gets there.
   */
  async *replay(from: Position): AsyncGenerator<{ events: CallEvent[]; next: Position }> {
    let at = isBefore(from, this.begin) ? this.begin : from
    while (isBefore(at, this.end)) {
      const end = this.end
      const path = segmentPath(this.#options.dir, at.segment)
      const limit = at.segment === end.segment ? end.offset : await sizeOf(path)
      if (limit === undefined) this.#options.log.error({ segment: at.segment }, 'journal file is missing')
      const part = await readSegment(path, at.offset, limit ?? 0, READ_BYTES)
      if (part.damaged)
        this.#options.log.error({ segment: at.segment, lines: part.damaged }, 'damaged journal lines skipped')
      const next = { segment: at.segment, offset: part.endOffset }
      if (part.events.length) yield { events: part.events, next }
      if (part.endOffset > at.offset) at = next
      else {
        if (at.segment >= end.segment) return
        if (limit !== undefined && limit > at.offset)
          this.#options.log.warn({ segment: at.segment, bytes: limit - at.offset }, 'journal ends in a torn line')
        at = { segment: at.segment + 1, offset: 0 }
        yield { events: [], next: at }
      }
    }
  }

  /** Deletes the files before this one. */
  async dropBefore(segment: number): Promise<void> {
    const until = Math.min(segment, this.#segment)
    for (; this.#oldest < until; this.#oldest++) await rm(segmentPath(this.#options.dir, this.#oldest), { force: true })
  }

  /** Writes what is in line; what the disk refuses is lost then, and logged. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#writing
    await this.#file?.close()
    this.#file = undefined
    if (this.#waiting.length)
      this.#options.log.error({ events: this.#waiting.length }, 'journal closed with events that the disk did not take')
  }

  async #write(): Promise<void> {
    const { clock, log, segmentBytes } = this.#options
    while (this.#waiting.length) {
      const batch = this.#waiting
      this.#waiting = []
      const bytes = Buffer.from(batch.map((w) => w.line).join(''))
      const startedMs = clock.now()
      try {
        if (this.#offset >= segmentBytes || !this.#file) await this.#begin(this.#segment + 1)
        await writeAll(this.#file!, bytes)
        await this.#file!.datasync()
      } catch (err) {
        log.error({ err, events: batch.length }, 'journal could not be written')
        for (const waiting of batch) waiting.reject(err)
        this.#waiting = [...batch, ...this.#waiting]
        await this.#file
          ?.close()
          .catch((closeErr: unknown) => log.error({ err: closeErr }, 'journal file could not be closed'))
        this.#file = undefined
        this.#failing = true
        clock.after(RETRY_MS, () => {
          if (!this.#closed) this.#writing ??= this.#write()
        })
        break
      }
      this.#failing = false
      metrics.journalWrite.observe((clock.now() - startedMs) / 1000)
      this.#offset += bytes.length
      this.#onCommit(batch.length)
      for (const waiting of batch) waiting.resolve()
    }
    this.#writing = undefined
  }

  async #begin(segment: number): Promise<void> {
    const { dir } = this.#options
    await this.#file?.close()
    this.#file = undefined
    this.#file = await open(segmentPath(dir, segment), 'ax', 0o600)
    this.#segment = segment
    this.#offset = 0
    // The name must survive a power failure too, not only the bytes.
    const folder = await open(dir, 'r')
    await folder.sync().finally(() => folder.close())
  }
}

async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done)
    done += bytesWritten
  }
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
}
