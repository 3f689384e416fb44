/**
 * Messages out of a byte stream (RFC 3261 §18.3): headers to the blank line, then Content-Length bytes. Keep-alives are
 * RFC 5626 §3.5.1: CRLFCRLF asks, CRLF answers. Not a parser: hands on whole messages as bytes.
 *
 *   ┌─ between ─┐  CRLF CRLF → onPing     ┌─ head ─┐ CRLFCRLF ┌─ body ─┐ all there → onMessage
 *   └───────────┘ ── any other byte ────▶ └────────┘ ───────▶ └────────┘ ──▶ between
 */
export interface FramerEvents {
  /** The bytes are the listener's to keep. */
  onMessage(message: Buffer): void
  /** The peer wants a CRLF back. */
  onPing(): void
  /** The stream cannot be read on: close it. Nothing is called after this. `head`: the headers whose length is unusable. */
  onError(reason: 'no-content-length' | 'too-large', head?: Buffer): void
}

export const MOST_STREAM_BYTES = 65_535

const CRLF2 = Buffer.from('\r\n\r\n')
const CR = 0x0d
const LF = 0x0a

export class StreamFramer {
  readonly #events: FramerEvents
  // Bytes not yet handed on: #buffer[0, #used).
  #buffer = Buffer.allocUnsafe(2048)
  #used = 0
  /** Where the search for the blank line goes on, so that bytes arriving one by one cost linear time. */
  #searched = 0
  /** Length of the message at the front once its head is complete; -1 before. */
  #wanted = -1
  #crlfs = 0
  #failed = false

  constructor(events: FramerEvents) {
    this.#events = events
  }

  /** Whether a message has begun and is not complete: the owner bounds that in time. */
  get partial(): boolean {
    return this.#used > 0
  }

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length && !this.#failed) {
      if (this.#used === 0) {
        at = this.#skipCrlfs(chunk, at)
        if (at >= chunk.length) return
      }
      // Never hold more than one message: take what it may still need.
      const room = (this.#wanted < 0 ? MOST_STREAM_BYTES : this.#wanted) - this.#used
      const take = Math.min(room, chunk.length - at)
      this.#append(chunk, at, take)
      at += take
      if (this.#wanted < 0 && !this.#readHead()) {
        if (this.#used >= MOST_STREAM_BYTES) this.#fail('too-large')
        continue
      }
      if (this.#failed || this.#used < this.#wanted) continue
      // More than one message may have been taken while the length was unknown: give the surplus back.
      at -= this.#used - this.#wanted
      const message = Buffer.from(this.#buffer.subarray(0, this.#wanted))
      this.#used = 0
      this.#searched = 0
      this.#wanted = -1
      this.#events.onMessage(message)
    }
  }

  #skipCrlfs(chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length && (chunk[at] === CR || chunk[at] === LF)) {
      if (chunk[at] === LF && ++this.#crlfs === 2) {
        this.#crlfs = 0
        this.#events.onPing()
      }
      at++
    }
    if (at < chunk.length) this.#crlfs = 0
    return at
  }

  #append(chunk: Buffer, at: number, bytes: number): void {
    if (this.#used + bytes > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(
        Math.min(MOST_STREAM_BYTES, Math.max(this.#used + bytes, this.#buffer.length * 2)),
      )
      this.#buffer.copy(grown, 0, 0, this.#used)
      this.#buffer = grown
    }
    chunk.copy(this.#buffer, this.#used, at, at + bytes)
    this.#used += bytes
  }

  /** True once #wanted is known (or the stream has failed). */
  #readHead(): boolean {
    const held = this.#buffer.subarray(0, this.#used)
    const end = held.indexOf(CRLF2, this.#searched)
    this.#searched = Math.max(0, this.#used - 3)
    if (end < 0) return false
    const head = held.toString('latin1', 0, end + 2)
    // §18.3: on a stream Content-Length is required. Folding and several values are the parser's to judge.
    const m = /\r\n(?:content-length|l)[ \t]*:\s*(\d{1,9})[ \t]*\r\n/i.exec(head)
    if (!m) {
      this.#fail('no-content-length', Buffer.from(held.subarray(0, end + 4)))
      return true
    }
    this.#wanted = end + 4 + Number(m[1])
    if (this.#wanted > MOST_STREAM_BYTES) this.#fail('too-large')
    return true
  }

  #fail(reason: 'no-content-length' | 'too-large', head?: Buffer): void {
    this.#failed = true
    this.#used = 0
    this.#events.onError(reason, head)
  }
}
