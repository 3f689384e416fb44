/**
 * The bytes behind Playback: a ring addressed by sample position that grows by powers of two, up to whatever its owner
 * lets in, and from whose middle a stretch can be taken out. audio/ring.ts is the fixed one for everything else.
 *
 *   position   read ──────────── write          byte of position p: slab[p & mask]
 *
 * It starts with 2 s, and gives a slab that one long utterance has blown up back once it has run empty.
 */
const FIRST_BYTES = 16_384
const KEEP_BYTES = 131_072

export class SpeechRing {
  #slab = new Uint8Array(FIRST_BYTES)
  #mask = FIRST_BYTES - 1
  #read = 0
  #write = 0

  get read(): number {
    return this.#read
  }

  get write(): number {
    return this.#write
  }

  get length(): number {
    return this.#write - this.#read
  }

  get capacity(): number {
    return this.#slab.length
  }

  /** Appends the first `n` bytes of `src`, through `table` if given. */
  append(src: Uint8Array, n: number, table?: Uint8Array): void {
    this.#makeRoom(n)
    const slab = this.#slab
    const mask = this.#mask
    let w = this.#write
    if (table) for (let i = 0; i < n; i++) slab[w++ & mask] = table[src[i]]
    else if (n <= 320) for (let i = 0; i < n; i++) slab[w++ & mask] = src[i]
    else {
      // Two pieces at most: up to the seam, and on from the start of the slab.
      const at = w & mask
      const first = Math.min(n, slab.length - at)
      slab.set(src.subarray(0, first), at)
      if (first < n) slab.set(src.subarray(first, n), 0)
      w += n
    }
    this.#write = w
  }

  /** Appends `n` little-endian 16-bit samples that start at `src[from]`, each as one byte of `table`. */
  appendPcm16(src: Uint8Array, from: number, n: number, table: Uint8Array): void {
    this.#makeRoom(n)
    const slab = this.#slab
    const mask = this.#mask
    let w = this.#write
    // Byte by byte: a WebSocket payload may stand at an odd address, where no Int16Array can look.
    for (let i = from, end = from + 2 * n; i < end; i += 2) slab[w++ & mask] = table[src[i] | (src[i + 1] << 8)]
    this.#write = w
  }

  /** Appends the first `n` samples of `src`, each as one byte of `table`. */
  appendSamples(src: Int16Array, n: number, table: Uint8Array): void {
    this.#makeRoom(n)
    const slab = this.#slab
    const mask = this.#mask
    let w = this.#write
    for (let i = 0; i < n; i++) slab[w++ & mask] = table[src[i] & 0xffff]
    this.#write = w
  }

  /** Takes `n` bytes (no more than `length`) out into `dst`. */
  takeInto(dst: Uint8Array, n: number, table?: Uint8Array): void {
    const slab = this.#slab
    const mask = this.#mask
    let r = this.#read
    if (table) for (let i = 0; i < n; i++) dst[i] = table[slab[r++ & mask]]
    else for (let i = 0; i < n; i++) dst[i] = slab[r++ & mask]
    this.#read = r
    if (r === this.#write) this.#shrink()
  }

  /** Copies the first `n` bytes into `dst` without taking them. */
  peekInto(dst: Uint8Array, n: number, table?: Uint8Array): void {
    const read = this.#read
    for (let i = 0; i < n; i++) {
      const byte = this.#slab[(read + i) & this.#mask]
      dst[i] = table ? table[byte] : byte
    }
  }

  /** Drops the first `n` bytes (no more than `length`). */
  skip(n: number): void {
    this.#read += n
  }

  /** Takes positions [from, to) out; what lies behind moves up by as many. */
  cut(from: number, to: number): void {
    const slab = this.#slab
    const mask = this.#mask
    for (let src = to, dst = from; src < this.#write; src++, dst++) slab[dst & mask] = slab[src & mask]
    this.#write -= to - from
    if (this.#write === this.#read) this.#shrink()
  }

  #shrink(): void {
    if (this.#slab.length > KEEP_BYTES) this.#resize(FIRST_BYTES)
  }

  #makeRoom(n: number): void {
    const needed = this.length + n
    if (needed <= this.#slab.length) return
    let size = this.#slab.length
    while (size < needed) size *= 2
    this.#resize(size)
  }

  #resize(size: number): void {
    const next = new Uint8Array(size)
    for (let p = this.#read; p < this.#write; p++) next[p & (size - 1)] = this.#slab[p & this.#mask]
    this.#slab = next
    this.#mask = size - 1
  }
}
