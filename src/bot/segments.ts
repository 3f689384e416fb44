/**
 * Which stretch of the queue is whose: the items that a bot names in its audio, in order of position. Stretches without
 * a name are kept as well, so that together they are all that the bot has sent.
 *
 *   positions  ──────── read ──────────── end
 *              [ item 1     )[ item 2     )
 */
import { SAMPLES_PER_MS } from '../audio/flow.ts'
import type { ClearedItem } from './dialect.ts'

const MAX_SEGMENTS = 1024

export interface Segment {
  itemId: string | undefined
  start: number
  end: number
}

export class Segments {
  #list: Segment[] = []

  get last(): Segment | undefined {
    return this.#list.at(-1)
  }

  /** The first stretch that is not played to its end. */
  at(read: number): Segment | undefined {
    for (const s of this.#list) if (read < s.end) return s
    return undefined
  }

  /** The queue has grown to `end`; the first `leadIn` of it is nobody's. */
  extend(itemId: string | undefined, from: number, leadIn: number, end: number): void {
    const last = this.last
    if (last && (this.#list.length >= MAX_SEGMENTS || (last.itemId === itemId && (leadIn === 0 || itemId)))) {
      last.start += leadIn
      last.end = end
    } else this.#list.push({ itemId, start: from + leadIn, end })
  }

  /** What has been heard of each item (of one, or all that are queued), and what has not. */
  tally(read: number, itemId?: string): ClearedItem[] {
    const items = new Map<string, ClearedItem>()
    for (const s of this.#list) {
      if (s.itemId === undefined || (itemId !== undefined && s.itemId !== itemId)) continue
      const gone = s.end - Math.max(s.start, Math.min(read, s.end))
      const item = items.get(s.itemId) ?? { itemId: s.itemId, playedMs: 0, discardedMs: 0 }
      item.playedMs += toMs(Math.max(0, Math.min(read, s.end) - s.start))
      item.discardedMs += toMs(gone)
      if (gone > 0 || itemId !== undefined) items.set(s.itemId, item)
    }
    return [...items.values()]
  }

  /** Samples that have not been heard yet. */
  unheard(read: number): number {
    let samples = 0
    for (const s of this.#list) samples += s.end - Math.max(s.start, Math.min(read, s.end))
    return samples
  }

  /** The last stretch stays, even when played: its item may go on. */
  dropPlayed(read: number): void {
    while (this.#list.length > 1 && this.#list[0].end <= read) this.#list.shift()
  }

  /** [from, to) will not be heard: what was heard is counted without it. */
  skip(from: number, to: number): void {
    for (let i = 0; i < this.#list.length; i++) {
      const s = this.#list[i]
      if (s.end <= from) continue
      if (s.start < to) s.start = Math.min(to, s.start + to - from)
      s.end = Math.max(s.end, to)
    }
  }

  /** [from, to) is taken out; what lies behind moves up. */
  cut(from: number, to: number): void {
    for (const s of this.#list) {
      if (s.start >= to) s.start -= to - from
      if (s.end >= to) s.end -= to - from
    }
  }

  /** What is left to be heard of an item, the last stretch first, so that positions stay true while it is cut out. */
  unheardOf(itemId: string, read: number): Segment[] {
    return this.#list
      .filter((s) => s.itemId === itemId && s.end > read)
      .map((s) => ({ itemId, start: Math.max(s.start, read), end: s.end }))
      .reverse()
  }

  forget(itemId?: string): void {
    this.#list = itemId === undefined ? [] : this.#list.filter((s) => s.itemId !== itemId)
  }
}

export const toMs = (samples: number): number => Math.round(samples / SAMPLES_PER_MS)
