/**
 * What a bot has said and the caller has not heard yet. Audio of any chunk size goes in, one 20 ms frame per slot comes
 * out; marks, clears and playback events tell the bot what was heard. Positions are samples of G.711 (one byte each).
 * Not here: pacing (media/playout pulls) and wire spelling (dialects/).
 *
 *   positions  0 ───────── read ─────────── write ──▶          played │ queued
 *   notes               ▲ mark "a"     ▲ done
 *   segments   [ item 1        )[ item 2         )
 *   bytes      speech-ring.ts, by position; grows from 2 s up to the cap
 */
import { meanSquare, meanSquareOf } from '../audio/energy.ts'
import { DECODE, ENCODE, crossTable } from '../audio/g711.ts'
import { FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type FrameSource, type Law } from '../audio/flow.ts'
import { Backlog } from './backlog.ts'
import type { ClearedItem, Encoding } from './dialect.ts'
import { SpeechRing } from './speech-ring.ts'

const MAX_MARKS = 1000
const MAX_SEGMENTS = 1024
const XOFF = 0.9
const XON = 0.75
/** Frames below this are silence: there, time is taken out unheard. */
const SILENT = meanSquareOf(-50)
/** In speech one frame is taken out each 100 ms; what would last longer than this goes in one piece. */
const LEADS_MS = [0, 2, 4]
const CUT_EVERY_SLOTS = 5
const MOST_BY_FRAMES = 300 * SAMPLES_PER_MS

/** Told from within `frameInto`, `write` and the rest; must not throw and must not call back into Playback. */
export interface PlaybackListener {
  mark(name: string, status: 'played' | 'cleared', playedMs: number, itemId?: string): void
  playback(state: 'started' | 'drained' | 'underrun', queuedMs: number, itemId?: string): void
  flow(state: 'xoff' | 'xon', queuedMs: number): void
  /** Nothing is queued any more (by play-out or clear) after `notifyWhenEmpty`. */
  empty(): void
}

/** `hold` until open: keep what comes. `drop`: refuse it. `open`: play. */
export type Gate = 'open' | 'hold' | 'drop'

interface Note {
  /** Fires when everything before this position is on the wire. */
  at: number
  /** Absent: the end of an utterance (`response.audio.done`). */
  mark?: string
  itemId?: string
  /** Where "played" counts from; -1: the start of the utterance. */
  base: number
}

interface Segment {
  itemId: string | undefined
  start: number
  end: number
}

const toMs = (samples: number): number => Math.round(samples / SAMPLES_PER_MS)

export class Playback implements FrameSource {
  readonly #listener: PlaybackListener
  readonly #capSamples: number
  readonly #ring = new SpeechRing()
  #encoding: Encoding
  /** The law of the bytes in the ring. */
  #law: Law
  /** First byte of a pcm16 sample whose second has not come yet, or -1. */
  #oddByte = -1
  readonly #joined = new Uint8Array(2)
  #gate: Gate
  #notes: Note[] = []
  #marks = 0
  #segments: Segment[] = []
  #playing = false
  #utteranceStart = 0
  /** Position of the last mark that was played, or -1. */
  #markedAt = -1
  /** Underruns since the queue last ended as it should: a bot that sends in real time needs a lead over its jitter. */
  #underruns = 0
  #waited = false
  #stopped = false
  #xoff = false
  #wantEmpty = false
  readonly #backlog = new Backlog()
  #given = 0
  readonly #fade = new Uint8Array(FRAME_SAMPLES)
  #slotsSinceCut = CUT_EVERY_SLOTS
  readonly stats = { playedFrames: 0, refusedSamples: 0, skippedSamples: 0, clears: 0, underruns: 0 }

  /** @param lawHint the leg's law where it is known: what pcm16 is encoded to */
  constructor(options: {
    encoding: Encoding
    bufferMs: number
    gate: Gate
    lawHint?: Law
    listener: PlaybackListener
  }) {
    this.#listener = options.listener
    this.#capSamples = options.bufferMs * SAMPLES_PER_MS
    this.#encoding = options.encoding
    this.#law = options.encoding === 'pcm16' ? (options.lawHint ?? 'pcmu') : options.encoding
    this.#gate = options.gate
  }

  /**
   * How long the first audio after nothing shall wait, ms: not at all at first; after an underrun a little, then more.
   * Little is enough, for the chunk that ends an underrun is a late one: the others come sooner by its lateness.
   */
  get leadMs(): number {
    return LEADS_MS[Math.min(this.#underruns, LEADS_MS.length - 1)]
  }

  /** Audio has come at the rate of time for seconds. */
  get streaming(): boolean {
    return this.#backlog.steady
  }

  /** Frames that nobody would miss from the front of the queue: taken out one by one, faded. */
  giveUp(frames: number): void {
    this.#given = frames
  }

  /** Frames are being taken, and none has been missing since. */
  get playing(): boolean {
    return this.#playing && this.#gate === 'open'
  }

  get queuedMs(): number {
    return toMs(this.#ring.length)
  }

  get queuedSamples(): number {
    return this.#ring.length
  }

  get encoding(): Encoding {
    return this.#encoding
  }

  /** What follows comes in `encoding`. Bytes already queued stay as they are. */
  setEncoding(encoding: Encoding, lawHint?: Law): void {
    if (encoding === this.#encoding) return
    this.#encoding = encoding
    this.#oddByte = -1
    if (this.#ring.length === 0) this.#law = encoding === 'pcm16' ? (lawHint ?? this.#law) : encoding
  }

  setGate(gate: Gate): void {
    if (gate !== this.#gate) this.#backlog.reset()
    this.#gate = gate
  }

  /** Queues what fits; returns how many samples were refused (the newest). */
  write(bytes: Uint8Array, itemId?: string): number {
    const given = this.#encoding === 'pcm16' ? (bytes.length + (this.#oddByte < 0 ? 0 : 1)) >> 1 : bytes.length
    if (this.#gate === 'drop') {
      this.stats.refusedSamples += given
      return given
    }
    const samples = Math.min(given, this.#capSamples - this.#ring.length)
    if (samples > 0) {
      this.#extendSegment(itemId, samples)
      this.#backlog.arrived(samples)
    }
    if (this.#encoding === 'pcm16') this.#putPcm16(bytes, samples)
    else this.#ring.append(bytes, samples, crossTable(this.#encoding, this.#law))
    this.#waited = false
    if (!this.#xoff && this.#ring.length >= this.#capSamples * XOFF) {
      this.#xoff = true
      this.#listener.flow('xoff', this.queuedMs)
    }
    this.stats.refusedSamples += given - samples
    return given - samples
  }

  #putPcm16(bytes: Uint8Array, samples: number): void {
    if (bytes.length === 0) return
    const table = ENCODE[this.#law]
    let from = 0
    let left = samples
    if (this.#oddByte >= 0) {
      // A sample cut in two by the bot's chunking: its low byte came with the message before.
      if (left > 0) {
        this.#joined[0] = this.#oddByte
        this.#joined[1] = bytes[0]
        this.#ring.appendPcm16(this.#joined, 0, 1, table)
        left--
      }
      from = 1
    }
    if (left > 0) this.#ring.appendPcm16(bytes, from, left, table)
    this.#oddByte = (bytes.length - from) % 2 === 1 ? bytes[bytes.length - 1] : -1
  }

  /** @returns false when too many marks are pending: then it was not taken */
  mark(name: string): boolean {
    const item = this.#segments.at(-1)
    const note: Note = {
      at: this.#ring.write,
      mark: name,
      itemId: item?.itemId,
      base: item?.itemId === undefined ? -1 : item.start,
    }
    if (this.#gate === 'drop') this.#listener.mark(name, 'cleared', 0)
    else if (this.#ring.length === 0) this.#fire(note)
    else {
      if (this.#marks >= MAX_MARKS) return false
      this.#marks++
      this.#notes.push(note)
    }
    return true
  }

  /** The bot has said all of this utterance: `drained` follows when it has been played. */
  done(itemId?: string): boolean {
    this.#oddByte = -1
    const note: Note = { at: this.#ring.write, itemId: itemId ?? this.#segments.at(-1)?.itemId, base: -1 }
    if (this.#ring.length === 0) this.#fire(note)
    else if (this.#notes.length >= 2 * MAX_MARKS) return false
    else this.#notes.push(note)
    return true
  }

  /** `empty` is told once, as soon as nothing is queued: at once if so now. A partial last frame is not waited on. */
  notifyWhenEmpty(): void {
    this.#wantEmpty = true
    this.#checkEmpty()
  }

  /** Throws away what is queued (of one item, or all) and answers what was heard. Notes behind the cut are answered too. */
  clear(itemId?: string): { playedMs: number; discardedMs: number; items: ClearedItem[] } {
    this.stats.clears++
    const items = new Map<string, ClearedItem>()
    const heard = toMs(this.#ring.read - this.#utteranceStart)
    let discarded = 0
    for (const s of this.#segments) {
      if (s.itemId === undefined || (itemId !== undefined && s.itemId !== itemId)) continue
      const gone = s.end - Math.max(s.start, Math.min(this.#ring.read, s.end))
      const cut = items.get(s.itemId) ?? { itemId: s.itemId, playedMs: 0, discardedMs: 0 }
      cut.playedMs += toMs(Math.max(0, Math.min(this.#ring.read, s.end) - s.start))
      cut.discardedMs += toMs(gone)
      if (gone > 0 || itemId !== undefined) items.set(s.itemId, cut)
    }
    if (itemId === undefined) {
      discarded = this.#ring.length
      this.#cut(this.#ring.read, this.#ring.write)
      this.#segments = []
      this.#utteranceStart = this.#ring.read
    } else {
      // From the back, so that the positions of what is still to be cut stay true.
      for (let i = this.#segments.length - 1; i >= 0; i--) {
        const s = this.#segments[i]
        if (s.itemId !== itemId) continue
        const from = Math.max(s.start, this.#ring.read)
        if (from < s.end) {
          discarded += s.end - from
          this.#cut(from, s.end)
        }
      }
      this.#segments = this.#segments.filter((s) => s.itemId !== itemId)
    }
    this.#oddByte = -1
    this.#backlog.reset()
    this.#given = 0
    if (this.#ring.length === 0) {
      this.#playing = false
      this.#underruns = 0
    }
    this.#afterShrink()
    const list = [...items.values()]
    return {
      playedMs: itemId === undefined ? heard : list.reduce((ms, i) => ms + i.playedMs, 0),
      discardedMs: toMs(discarded),
      items: list,
    }
  }

  /** The session is over: pending marks are answered as cleared, nothing is played any more. */
  stop(): void {
    this.clear()
    this.#stopped = true
    this.#gate = 'drop'
  }

  frameInto(dst: Uint8Array, law: Law): boolean {
    if (this.#gate !== 'open' || this.#stopped) return false
    const queued = this.#ring.length
    if (queued === 0) {
      if (this.#playing) this.#ranDry()
      this.#backlog.dry()
      return false
    }
    if (queued < FRAME_SAMPLES && !this.#ending() && !this.#waited) {
      // Less than it takes, and the bot has not said that this is all: one slot of grace, then play what there is.
      this.#waited = true
      this.#backlog.dry()
      return false
    }
    this.#waited = false
    if (!this.#playing) {
      this.#playing = true
      this.#utteranceStart = this.#ring.read
      this.#listener.playback('started', this.queuedMs, this.#itemAtRead())
    }
    const faded = this.#given > 0 ? this.#giveUp(law) : this.#backlog.excess > 0 && this.#catchUp(law)
    const samples = Math.min(this.#ring.length, FRAME_SAMPLES)
    this.#ring.takeInto(dst, samples, crossTable(this.#law, law))
    if (samples < FRAME_SAMPLES) dst.fill(SILENCE[law], samples, FRAME_SAMPLES)
    if (faded) this.#fadeInto(dst, law)
    this.#backlog.taken(this.#ring.length)
    this.#slotsSinceCut++
    this.stats.playedFrames++
    if (this.#notes.length > 0) this.#fireDue()
    this.#dropPlayedSegments()
    this.#afterShrink()
    return true
  }

  /** Slots passed in which this queue was not asked, while the bot may have gone on speaking. */
  skipped(slots: number): void {
    if (this.#playing) this.#backlog.skipped(slots)
  }

  #giveUp(law: Law): boolean {
    if (this.#ring.length < 2 * FRAME_SAMPLES || this.#slotsSinceCut < CUT_EVERY_SLOTS) return false
    this.#given--
    this.#slotsSinceCut = 0
    this.#ring.peekInto(this.#fade, FRAME_SAMPLES, crossTable(this.#law, law))
    this.#skip(FRAME_SAMPLES)
    return true
  }

  // Silent frames go at once, spoken ones one by one. True: the next frame is to be faded from what `#fade` holds.
  #catchUp(law: Law): boolean {
    const backlog = this.#backlog
    for (; backlog.excess > 0; this.#skip(FRAME_SAMPLES)) {
      this.#ring.peekInto(this.#fade, FRAME_SAMPLES)
      if (meanSquare(this.#fade, this.#law) >= SILENT) break
    }
    if (backlog.excess === 0 || this.#slotsSinceCut < CUT_EVERY_SLOTS) return false
    this.#slotsSinceCut = 0
    this.#ring.peekInto(this.#fade, FRAME_SAMPLES, crossTable(this.#law, law))
    this.#skip(Math.max(FRAME_SAMPLES, backlog.excess - MOST_BY_FRAMES))
    return true
  }

  #fadeInto(dst: Uint8Array, law: Law): void {
    const decode = DECODE[law]
    const encode = ENCODE[law]
    for (let i = 0; i < FRAME_SAMPLES; i++) {
      const from = decode[this.#fade[i]]
      dst[i] = encode[(from + ((decode[dst[i]] - from) * i) / FRAME_SAMPLES) & 0xffff]
    }
  }

  // Takes the next `n` samples out unheard: everything that counts what was heard moves up to them.
  #skip(n: number): void {
    const from = this.#ring.read
    const to = from + n
    this.#ring.skip(n)
    this.#backlog.cut(n)
    this.stats.skippedSamples += n
    this.#utteranceStart += n
    for (let i = 0; i < this.#notes.length; i++) {
      const note = this.#notes[i]
      if (note.at < to) note.at = to
      if (note.base >= 0 && note.base < to) note.base = Math.min(to, note.base + n)
    }
    for (let i = 0; i < this.#segments.length; i++) {
      const s = this.#segments[i]
      if (s.end <= from) continue
      if (s.start < to) s.start = Math.min(to, s.start + n)
      s.end = Math.max(s.end, to)
    }
  }

  /** Nothing more is to be expected behind what is queued. */
  #ending(): boolean {
    if (this.#wantEmpty) return true
    const last = this.#notes.at(-1)
    return last !== undefined && last.mark === undefined && last.at === this.#ring.write
  }

  #ranDry(): void {
    this.#playing = false
    this.#given = 0
    // A trailing mark was the bot's way to say where its speech ends; else it fell behind its own stream.
    if (this.#markedAt === this.#ring.read) {
      this.#backlog.reset()
      this.#listener.playback('drained', 0, this.#segments.at(-1)?.itemId)
    } else {
      this.stats.underruns++
      this.#underruns++
      this.#listener.playback('underrun', 0, this.#segments.at(-1)?.itemId)
    }
  }

  #fireDue(): void {
    while (this.#notes.length > 0 && this.#notes[0].at <= this.#ring.read) {
      const note = this.#notes.shift()!
      if (note.mark !== undefined) this.#marks--
      this.#fire(note)
    }
  }

  #fire(note: Note): void {
    if (note.mark !== undefined) {
      this.#markedAt = note.at
      const base = note.base >= 0 ? note.base : this.#utteranceStart
      this.#listener.mark(note.mark, 'played', toMs(Math.max(0, note.at - base)), note.itemId)
      return
    }
    this.#underruns = 0
    this.#listener.playback('drained', this.queuedMs, note.itemId)
    if (this.#ring.length === 0) {
      this.#playing = false
      this.#backlog.reset()
    } else if (this.#playing) {
      // The next utterance follows without a gap, perhaps within this very frame.
      this.#utteranceStart = note.at
      this.#listener.playback('started', this.queuedMs, this.#itemAtRead())
    }
  }

  #itemAtRead(): string | undefined {
    for (const s of this.#segments) if (this.#ring.read < s.end) return s.itemId
    return undefined
  }

  #extendSegment(itemId: string | undefined, samples: number): void {
    const end = this.#ring.write + samples
    const last = this.#segments.at(-1)
    if (last && (last.itemId === itemId || this.#segments.length >= MAX_SEGMENTS)) last.end = end
    else this.#segments.push({ itemId, start: this.#ring.write, end })
  }

  // The last segment stays, even when played: its item may go on.
  #dropPlayedSegments(): void {
    while (this.#segments.length > 1 && this.#segments[0].end <= this.#ring.read) this.#segments.shift()
  }

  /** Takes [from, to) out of the queue; what lies behind moves up, notes within are answered `cleared`. */
  #cut(from: number, to: number): void {
    const gone = to - from
    this.#ring.cut(from, to)
    const kept: Note[] = []
    const cleared: Note[] = []
    for (const n of this.#notes) {
      if (n.at > from && n.at <= to) cleared.push(n)
      else {
        if (n.at > to) {
          n.at -= gone
          if (n.base >= to) n.base -= gone
        }
        kept.push(n)
      }
    }
    this.#notes = kept
    for (const s of this.#segments) {
      if (s.start >= to) s.start -= gone
      if (s.end >= to) s.end -= gone
    }
    for (const n of cleared) {
      if (n.mark === undefined) continue
      this.#marks--
      const base = n.base >= 0 ? n.base : this.#utteranceStart
      this.#listener.mark(n.mark, 'cleared', toMs(Math.max(0, this.#ring.read - base)), n.itemId)
    }
  }

  #afterShrink(): void {
    if (this.#xoff && this.#ring.length <= this.#capSamples * XON) {
      this.#xoff = false
      this.#listener.flow('xon', this.queuedMs)
    }
    this.#checkEmpty()
  }

  #checkEmpty(): void {
    if (this.#ring.length > 0) return
    if (!this.#wantEmpty) return
    this.#wantEmpty = false
    if (this.#playing) {
      // Who waits for the end has said that there is one.
      this.#playing = false
      this.#listener.playback('drained', 0, this.#segments.at(-1)?.itemId)
    }
    this.#listener.empty()
  }
}
