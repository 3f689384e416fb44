/**
 * What a bot has said and the caller has not heard yet. Audio of any chunk size goes in, one 20 ms frame per slot comes
 * out; marks, clears and playback events tell the bot what was heard. Positions are samples of G.711 at 8 kHz (one byte
 * each). Not here: pacing (media/playout pulls), formats (intake.ts) and wire spelling (dialects/).
 *
 *   positions  0 ───────── read ─────────── write ┄┄ end       played │ queued ┆ in the filter of the intake
 *   notes               ▲ mark "a"     ▲ done
 *   segments   [ item 1        )[ item 2             )
 *   bytes      speech-ring.ts, by position; grows from 2 s up to the cap
 */
import { meanSquare, meanSquareOf } from '../audio/energy.ts'
import { DECODE, ENCODE, crossTable } from '../audio/g711.ts'
import { FRAME_SAMPLES, SAMPLES_PER_MS, SILENCE, type FrameSource, type Law } from '../audio/flow.ts'
import { Backlog } from './backlog.ts'
import type { ClearedItem, Encoding, SampleRate } from './dialect.ts'
import { Intake } from './intake.ts'
import { Notes, type Note } from './notes.ts'
import { Segments, toMs } from './segments.ts'
import { SpeechRing } from './speech-ring.ts'

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
  playback(state: 'started' | 'drained' | 'underrun' | 'paused' | 'resumed', queuedMs: number, itemId?: string): void
  flow(state: 'xoff' | 'xon', queuedMs: number): void
  /** Nothing is queued any more (by play-out or clear) after `notifyWhenEmpty`. */
  empty(): void
}

/** `hold` until open: keep what comes. `drop`: refuse it. `open`: play. */
export type Gate = 'open' | 'hold' | 'drop'

export class Playback implements FrameSource {
  readonly #listener: PlaybackListener
  readonly #capSamples: number
  readonly #ring = new SpeechRing()
  readonly #intake: Intake
  #gate: Gate
  readonly #notes = new Notes()
  readonly #segments = new Segments()
  #playing = false
  #paused = false
  #utteranceStart = 0
  /** Position of the last mark that was played, or -1. */
  #markedAt = -1
  /** Underruns since the queue last ended as it should: a bot that sends in real time needs a lead over its jitter. */
  #underruns = 0
  #waited = false
  /** Where an utterance ends whose last samples have been driven out of the filter, or -1. */
  #flushedAt = -1
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
    format: { encoding: Encoding; sampleRate: SampleRate }
    bufferMs: number
    gate: Gate
    lawHint?: Law
    listener: PlaybackListener
  }) {
    this.#listener = options.listener
    this.#capSamples = options.bufferMs * SAMPLES_PER_MS
    this.#intake = new Intake(options.format.encoding, options.format.sampleRate, options.lawHint ?? 'pcmu')
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
    return this.#playing && this.#gate === 'open' && !this.#paused
  }

  get paused(): boolean {
    return this.#paused
  }

  /** Names of the marks that are still to be answered, in order. */
  get unplayedMarks(): string[] {
    return this.#notes.marks
  }

  get queuedMs(): number {
    return toMs(this.#ring.length)
  }

  get queuedSamples(): number {
    return this.#ring.length
  }

  get encoding(): Encoding {
    return this.#intake.encoding
  }

  get sampleRate(): SampleRate {
    return this.#intake.sampleRate
  }

  /** Position behind all that the bot has sent. */
  get #end(): number {
    return this.#ring.write + this.#intake.pending
  }

  /** What follows comes in this format. Bytes already queued stay as they are. */
  setFormat(encoding: Encoding, sampleRate: SampleRate, lawHint?: Law): void {
    if (encoding === this.encoding && (encoding !== 'pcm16' || sampleRate === this.sampleRate)) return
    this.#intake.finish(this.#ring)
    this.#intake.setFormat(encoding, sampleRate, this.#ring.length === 0 ? (lawHint ?? this.#intake.law) : undefined)
  }

  setGate(gate: Gate): void {
    if (gate !== this.#gate) this.#backlog.reset()
    this.#gate = gate
    // The last of a stream that ran dry just now: nobody will hear it, and marks behind it are not to wait for it.
    if (gate !== 'drop' || this.#ring.length > 0) return
    this.#clearAll()
    this.#checkEmpty()
  }

  /** Queues what fits; returns how many samples were refused (the newest). */
  write(bytes: Uint8Array, itemId?: string): number {
    const given = this.#intake.samplesOf(bytes.length)
    if (this.#gate === 'drop') {
      this.#intake.ignore(bytes)
      this.stats.refusedSamples += given
      return given
    }
    const samples = Math.min(given, Math.max(0, this.#capSamples - this.#ring.length))
    const from = this.#end
    const leadIn = this.#intake.leadIn
    this.#intake.take(bytes, samples, this.#ring)
    if (this.#end > from) this.#segments.extend(itemId, from, leadIn, this.#end)
    if (samples > 0) this.#backlog.arrived(samples)
    this.#waited = false
    if (!this.#xoff && this.#ring.length >= this.#capSamples * XOFF) {
      this.#xoff = true
      this.#listener.flow('xoff', this.queuedMs)
    }
    this.stats.refusedSamples += given - samples
    return given - samples
  }

  /** @returns false when too many marks are pending: then it was not taken */
  mark(name: string): boolean {
    const item = this.#segments.last
    const note: Note = {
      at: this.#end,
      mark: name,
      itemId: item?.itemId,
      base: item?.itemId === undefined ? -1 : item.start,
    }
    if (this.#gate === 'drop') this.#listener.mark(name, 'cleared', 0)
    else if (note.at === this.#ring.read) this.#fire(note)
    else return this.#notes.add(note)
    return true
  }

  /** The bot has said all of this utterance: `drained` follows when it has been played. */
  done(itemId?: string): boolean {
    this.#intake.finish(this.#ring)
    this.#flushedAt = this.#ring.write
    const note: Note = { at: this.#ring.write, itemId: itemId ?? this.#segments.last?.itemId, base: -1 }
    if (this.#ring.length > 0) return this.#notes.add(note)
    this.#fire(note)
    return true
  }

  /** Nothing is played and no time counts until it ends; by a clear of what was being said, too. */
  pause(paused: boolean): void {
    if (paused === this.#paused || this.#stopped) return
    this.#paused = paused
    // What comes meanwhile stays queued by the bot's own will.
    this.#backlog.reset()
    this.#listener.playback(paused ? 'paused' : 'resumed', this.queuedMs, this.#itemAtRead())
  }

  /** `empty` is told once, as soon as nothing is queued: at once if so now. A partial last frame is not waited on. */
  notifyWhenEmpty(): void {
    this.#wantEmpty = true
    this.#checkEmpty()
  }

  /** Throws away what is queued (of one item, or all) and answers what was heard. Notes behind the cut are answered too. */
  clear(itemId?: string): { playedMs: number; discardedMs: number; items: ClearedItem[] } {
    this.stats.clears++
    const { read } = this.#ring
    const speaking = this.#itemAtRead()
    const items = this.#segments.tally(read, itemId)
    const heard = Math.max(0, read - this.#utteranceStart)
    let discarded = 0
    if (itemId === undefined) {
      discarded = this.#segments.unheard(read)
      this.#clearAll()
    } else {
      this.#intake.finish(this.#ring)
      for (const { start, end } of this.#segments.unheardOf(itemId, read)) {
        discarded += end - start
        this.#cut(start, end)
      }
      this.#segments.forget(itemId)
      if (this.#segments.unheard(read) === 0) this.#clearAll()
    }
    this.#backlog.reset()
    this.#given = 0
    if (this.#ring.length === 0) {
      this.#playing = false
      this.#underruns = 0
    }
    if (this.#ring.length === 0 || itemId === undefined || itemId === speaking) this.pause(false)
    this.#afterShrink()
    return {
      playedMs: itemId === undefined ? toMs(heard) : items.reduce((ms, i) => ms + i.playedMs, 0),
      discardedMs: toMs(discarded),
      items,
    }
  }

  #clearAll(): void {
    const { read } = this.#ring
    this.#cut(read, this.#end)
    this.#intake.reset()
    this.#segments.forget()
    this.#utteranceStart = read
  }

  /** The session is over: pending marks are answered as cleared, nothing is played any more. */
  stop(): void {
    this.#paused = false
    this.clear()
    this.#stopped = true
    this.#gate = 'drop'
  }

  frameInto(dst: Uint8Array, law: Law): boolean {
    if (this.#gate !== 'open' || this.#paused || this.#stopped) return false
    // All that a stream has left is in the filter: it ran dry, and this is its last sound.
    const last = this.#playing && this.#ring.length === 0
    if (this.#ring.length < FRAME_SAMPLES && !this.#scrape()) return false
    this.#waited = false
    if (!this.#playing) {
      this.#playing = true
      this.#startUtterance(this.#ring.read)
    }
    const faded = this.#given > 0 ? this.#giveUp(law) : this.#backlog.excess > 0 && this.#catchUp(law)
    const samples = Math.min(this.#ring.length, FRAME_SAMPLES)
    this.#ring.takeInto(dst, samples, crossTable(this.#intake.law, law))
    if (samples < FRAME_SAMPLES) dst.fill(SILENCE[law], samples, FRAME_SAMPLES)
    if (faded) this.#fadeInto(dst, law)
    if (last) this.#backlog.dry()
    else this.#backlog.taken(this.#ring.length)
    this.#slotsSinceCut++
    this.stats.playedFrames++
    if (this.#notes.length > 0) this.#fireDue()
    this.#segments.dropPlayed(this.#ring.read)
    this.#afterShrink()
    if (last && this.#playing) this.#ranDry()
    return true
  }

  // Less than a frame is queued. True: it shall be played all the same.
  #scrape(): boolean {
    const dry = this.#ring.length === 0
    if (dry && this.#intake.pending === 0) {
      if (this.#playing) this.#ranDry()
      this.#backlog.dry()
      return false
    }
    if (!(dry && this.#playing) && !this.#ending() && !this.#waited) {
      // Less than it takes, and the bot has not said that this is all: one slot of grace, then play what there is.
      this.#waited = true
      this.#backlog.dry()
      return false
    }
    this.#intake.flush(this.#ring)
    this.#flushedAt = this.#ring.write
    return true
  }

  #startUtterance(at: number): void {
    // What stands before its first stretch is the filter's lead-in: nothing that the bot has said.
    this.#utteranceStart = Math.max(at, this.#segments.at(this.#ring.read)?.start ?? at)
    this.#listener.playback('started', this.queuedMs, this.#itemAtRead())
  }

  /** Slots passed in which this queue was not asked, while the bot may have gone on speaking. */
  skipped(slots: number): void {
    if (this.#playing && !this.#paused) this.#backlog.skipped(slots)
  }

  // What the owner gave up; the last frame stays. True: as `#catchUp`.
  #giveUp(law: Law): boolean {
    while (this.#mayGiveUp && this.#skipSilent()) this.#given--
    if (!this.#mayGiveUp || !this.#cutSpoken(FRAME_SAMPLES, law)) return false
    this.#given--
    return true
  }

  get #mayGiveUp(): boolean {
    return this.#given > 0 && this.#ring.length >= 2 * FRAME_SAMPLES
  }

  // Silent frames go at once, spoken ones one by one. True: the next frame is to be faded from what `#fade` holds.
  #catchUp(law: Law): boolean {
    const backlog = this.#backlog
    while (backlog.excess > 0 && this.#skipSilent());
    return backlog.excess > 0 && this.#cutSpoken(Math.max(FRAME_SAMPLES, backlog.excess - MOST_BY_FRAMES), law)
  }

  #skipSilent(): boolean {
    this.#ring.peekInto(this.#fade, FRAME_SAMPLES)
    if (meanSquare(this.#fade, this.#intake.law) >= SILENT) return false
    this.#skip(FRAME_SAMPLES)
    return true
  }

  #cutSpoken(samples: number, law: Law): boolean {
    if (this.#slotsSinceCut < CUT_EVERY_SLOTS) return false
    this.#slotsSinceCut = 0
    this.#ring.peekInto(this.#fade, FRAME_SAMPLES, crossTable(this.#intake.law, law))
    this.#skip(samples)
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
    this.#notes.skip(from, to)
    this.#segments.skip(from, to)
  }

  /** Nothing more is to be expected behind what is queued. */
  #ending(): boolean {
    return this.#wantEmpty || this.#flushedAt === this.#ring.write
  }

  #ranDry(): void {
    this.#playing = false
    this.#given = 0
    // A trailing mark was the bot's way to say where its speech ends; else it fell behind its own stream.
    if (this.#markedAt === this.#ring.read) {
      this.#backlog.reset()
      this.#listener.playback('drained', 0, this.#segments.last?.itemId)
    } else {
      this.stats.underruns++
      this.#underruns++
      this.#listener.playback('underrun', 0, this.#segments.last?.itemId)
    }
  }

  #fireDue(): void {
    for (let note = this.#notes.takeDue(this.#ring.read); note; note = this.#notes.takeDue(this.#ring.read))
      this.#fire(note)
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
      this.#startUtterance(note.at)
    }
  }

  #itemAtRead(): string | undefined {
    return this.#segments.at(this.#ring.read)?.itemId
  }

  /** Takes [from, to) out of the queue; what lies behind moves up, notes within are answered `cleared`. */
  #cut(from: number, to: number): void {
    this.#ring.cut(from, Math.min(to, this.#ring.write))
    if (this.#flushedAt > to) this.#flushedAt -= to - from
    else if (this.#flushedAt > from) this.#flushedAt = -1
    this.#segments.cut(from, to)
    for (const note of this.#notes.cut(from, to)) {
      if (note.mark === undefined) continue
      const base = note.base >= 0 ? note.base : this.#utteranceStart
      this.#listener.mark(note.mark, 'cleared', toMs(Math.max(0, this.#ring.read - base)), note.itemId)
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
    if (!this.#wantEmpty || this.#end > this.#ring.read) return
    this.#wantEmpty = false
    if (this.#playing) {
      // Who waits for the end has said that there is one.
      this.#playing = false
      this.#listener.playback('drained', 0, this.#segments.last?.itemId)
    }
    this.#listener.empty()
  }
}
