/**
 * How much of a bot's queue is only delay. A bot that streams in real time (an echo, a realtime model) refills what is
 * played; when slots pass unplayed (our stall, a digit going out, a stall of its own), the audio meant for them stays
 * queued for ever. Says how many samples may be cut; cuts nothing itself and sees no audio. Time is counted in slots.
 *
 *   depth after a take        ┌─ stall: slots passed, the bot went on ─▶ `owed`
 *      15 frames              ▛▀▀▀▀▀▀▚▄▄
 *       0-1      ▂▂▁▂▂▁▂▂▁▂▂▁▌         ▀▀▚▄▄▁▂▂▁▂▂▁      back where it was, never lower
 *
 * A deep queue alone proves nothing: speech sent ahead is to be played whole. So only as much is given up as slots were
 * lost, only from what stood in the queue all the time since, and only while audio has come at the rate of time.
 */
import { FRAME_MS, FRAME_SAMPLES, SAMPLES_PER_MS } from '../audio/flow.ts'

/** The rate is judged by half seconds; four of them in a row make a stream. */
const BIN_SLOTS = 500 / FRAME_MS
const STEADY_BINS = 4
/** What comes late because of a gap has this long to come; before, neither rate nor depth says anything. */
const SETTLE_SLOTS = 5
/** How far a stream may run ahead of time or behind: the network's jitter and the bot's own chunks. */
const JITTER_SAMPLES = 100 * SAMPLES_PER_MS
const MAX_CHUNK_SAMPLES = 250 * SAMPLES_PER_MS
/** So long after slots of ours were lost the standing queue is known; a stall of the bot's says more about the next. */
const SKIP_PATIENCE = 400 / FRAME_MS
const DRY_PATIENCE = 2000 / FRAME_MS
/** What has stood in the queue for so long is not needed for jitter; before, a frame is left. */
const SURE_SLOTS = 2000 / FRAME_MS
const MAX_DRY_PATIENCE = 16_000 / FRAME_MS
/** A dry spell longer than this was a pause. */
const PAUSE_SLOTS = 1000 / FRAME_MS
/** Deeper than this before it ran dry: sent ahead, not streamed. */
const STREAM_DEPTH = 5 * FRAME_SAMPLES
/** Running dry so soon after a cut: it was too much. */
const HASTY_SLOTS = 10_000 / FRAME_MS
/** Nothing to be found standing after so long: the bot has skipped its share itself. */
const FORGET_SLOTS = 5000 / FRAME_MS
/** A bot's clock that runs fast shows over 10 s. */
const DRIFT_BINS = 20
const DRIFT_SAMPLES = 3 * FRAME_SAMPLES

export class Backlog {
  // The half second under way.
  #slots = 0
  #elapsed = 0
  #arrived = 0
  #binLeast = Infinity
  /** Bins in a row at the rate of time, and how far the arrivals are ahead of time since. */
  #steady = 0
  #ahead = 0
  #largestChunk = 0
  #lastBinLeast = Infinity
  // What slots were lost, and the queue since.
  #owed = 0
  #patience = 0
  #least = Infinity
  #sinceGap = 0
  #sinceCut = Infinity
  #dryRun = 0
  #dryPatience = DRY_PATIENCE
  // The queue of a long stream, by 10 s.
  #driftBins = 0
  #driftLeast = Infinity
  #restLeast = Infinity

  /** The queue has been emptied or the bot has paused: what comes next is another stream. */
  reset(): void {
    this.#startBin()
    this.#unsettle()
    this.#owed = 0
    this.#sinceGap = 0
    this.#least = Infinity
    this.#dryRun = 0
  }

  /** The bot sent `samples`. */
  arrived(samples: number): void {
    this.#arrived += samples
    if (samples > this.#largestChunk) this.#largestChunk = Math.min(samples, MAX_CHUNK_SAMPLES)
  }

  /** Slots passed in which the queue was not asked. */
  skipped(slots: number): void {
    this.#elapsed += slots
    this.#owe(slots * FRAME_SAMPLES, SKIP_PATIENCE)
  }

  /** A slot passed in which the queue had nothing to give. */
  dry(): void {
    this.#elapsed++
    if (++this.#dryRun > PAUSE_SLOTS) this.reset()
  }

  /** A frame was taken; `left` samples remain. */
  taken(left: number): void {
    if (this.#dryRun > 0) this.#wet()
    this.#slots++
    this.#elapsed++
    this.#sinceGap++
    this.#sinceCut++
    if (this.#sinceGap > SETTLE_SLOTS && left < this.#least) this.#least = left
    if (left < this.#binLeast) this.#binLeast = left
    if (this.#slots >= BIN_SLOTS && this.#sinceGap >= SETTLE_SLOTS) this.#judgeBin()
  }

  /** Samples, in whole frames, that nobody would miss from the front of the queue. */
  get excess(): number {
    if (this.#owed < FRAME_SAMPLES || this.#steady < STEADY_BINS || this.#sinceGap < this.#patience) return 0
    const samples = Math.min(this.#owed, this.#least - (this.#sinceGap < SURE_SLOTS ? FRAME_SAMPLES : 0))
    if (samples >= FRAME_SAMPLES) return samples - (samples % FRAME_SAMPLES)
    if (this.#sinceGap > this.#patience + FORGET_SLOTS) this.#owed = 0
    return 0
  }

  /** Audio has come at the rate of time for seconds. */
  get steady(): boolean {
    return this.#steady >= STEADY_BINS
  }

  cut(samples: number): void {
    this.#owed = Math.max(0, this.#owed - samples)
    this.#least -= samples
    this.#binLeast -= samples
    this.#sinceCut = 0
    this.#driftBins = 0
    this.#driftLeast = Infinity
  }

  #owe(samples: number, patience: number): void {
    this.#patience = this.#owed === 0 ? patience : Math.max(this.#patience, patience)
    this.#owed += samples
    this.#least = Infinity
    this.#sinceGap = 0
    this.#driftBins = 0
    this.#driftLeast = Infinity
  }

  // The queue has filled again after a dry spell.
  #wet(): void {
    const slots = this.#dryRun
    this.#dryRun = 0
    if (this.#owed > 0 && this.#sinceGap === 0 && slots <= SETTLE_SLOTS) {
      // Our stall again: what waited in the network came a moment after the first slot.
      return
    }
    const streamed = this.#steady >= STEADY_BINS && this.#lastBinLeast <= STREAM_DEPTH
    this.#dryPatience = this.#sinceCut < HASTY_SLOTS ? Math.min(MAX_DRY_PATIENCE, this.#dryPatience * 2) : DRY_PATIENCE
    this.#owe(streamed ? slots * FRAME_SAMPLES : 0, this.#dryPatience)
  }

  #judgeBin(): void {
    const time = this.#elapsed * FRAME_SAMPLES
    this.#ahead += this.#arrived - time
    const spread = this.#arrived > 0 && this.#arrived <= 2 * time
    if (!spread || Math.abs(this.#ahead) > JITTER_SAMPLES + this.#largestChunk) this.#unsettle()
    else {
      this.#steady++
      // Two clocks are never the same: what adds up over minutes is no burst.
      this.#ahead *= 0.98
      this.#lastBinLeast = this.#binLeast
      this.#watchDrift()
    }
    this.#startBin()
  }

  #watchDrift(): void {
    this.#driftLeast = Math.min(this.#driftLeast, this.#binLeast)
    if (++this.#driftBins < DRIFT_BINS) return
    const grown = this.#driftLeast - this.#restLeast
    if (grown > DRIFT_SAMPLES && this.#owed === 0) this.#owe(grown, SKIP_PATIENCE)
    else this.#restLeast = Math.min(this.#restLeast, this.#driftLeast)
    this.#driftBins = 0
    this.#driftLeast = Infinity
  }

  #startBin(): void {
    this.#slots = this.#elapsed = this.#arrived = 0
    this.#binLeast = Infinity
  }

  // Not a stream at the rate of time, or not yet: every sample counts until it is one. What is owed stays owed.
  #unsettle(): void {
    this.#steady = 0
    this.#ahead = 0
    this.#largestChunk = 0
    this.#lastBinLeast = Infinity
    this.#driftBins = 0
    this.#driftLeast = Infinity
    this.#restLeast = Infinity
  }
}
