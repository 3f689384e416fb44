/**
 * What is to be said when the queue has been played up to a position: marks, and ends of utterances. In order of
 * position; each is given out once, as due or as cut away. Says nothing itself (playback.ts does).
 *
 *   positions   read ──────●────────●──▶ write
 *                       mark "a"   end of an utterance
 */
const MAX_MARKS = 1000

export interface Note {
  /** Due when everything before this position is on the wire. */
  at: number
  /** Absent: the end of an utterance (`response.audio.done`). */
  mark?: string
  itemId?: string
  /** Where "played" counts from; -1: the start of the utterance. */
  base: number
}

export class Notes {
  #queue: Note[] = []
  #marks = 0

  get length(): number {
    return this.#queue.length
  }

  get last(): Note | undefined {
    return this.#queue.at(-1)
  }

  /** Names of the marks that wait, in order. */
  get marks(): string[] {
    return this.#queue.flatMap((note) => note.mark ?? [])
  }

  /** @returns false when too many are waiting: then it was not taken */
  add(note: Note): boolean {
    if (note.mark === undefined ? this.#queue.length >= 2 * MAX_MARKS : this.#marks >= MAX_MARKS) return false
    if (note.mark !== undefined) this.#marks++
    this.#queue.push(note)
    return true
  }

  /** Takes the first one out, if it is due. */
  takeDue(read: number): Note | undefined {
    if (this.#queue.length === 0 || this.#queue[0].at > read) return undefined
    const note = this.#queue.shift()!
    if (note.mark !== undefined) this.#marks--
    return note
  }

  /** [from, to) will not be heard but counts as passed. */
  skip(from: number, to: number): void {
    for (let i = 0; i < this.#queue.length; i++) {
      const note = this.#queue[i]
      if (note.at < to) note.at = to
      if (note.base >= 0 && note.base < to) note.base = Math.min(to, note.base + to - from)
    }
  }

  /** [from, to) is taken out; what lies behind moves up. @returns the notes within */
  cut(from: number, to: number): Note[] {
    const kept: Note[] = []
    const cut: Note[] = []
    for (const note of this.#queue) {
      if (note.at > from && note.at <= to) {
        cut.push(note)
        if (note.mark !== undefined) this.#marks--
        continue
      }
      if (note.at > to) {
        note.at -= to - from
        if (note.base >= to) note.base -= to - from
      }
      kept.push(note)
    }
    this.#queue = kept
    return cut
  }
}
