/**
 * A byte ring of a power of two. Positions count up for ever (doubles are exact past 30,000 years of audio) and are
 * masked only where the slab is touched, so full and empty never look alike and the wrap lives in this file alone.
 *
 *            read                 write
 *             ▼                     ▼
 *   slab  ░░░░█████████████████████░░░░░░░░░     █ readable (length)   ░ writable (free)
 *         0                                 capacity − 1
 *
 *   wrapped: readable bytes are two runs, [read & mask … capacity) and [0 … write & mask)
 *
 * Owns its slab. What is read is copied straight to where it is wanted, through a byte table when the law changes.
 */
export class ByteRing {
  readonly capacity: number
  readonly #slab: Uint8Array
  readonly #mask: number
  #read = 0
  #write = 0

  /** @param capacity a power of two, bytes */
  constructor(capacity: number) {
    if (capacity < 2 || (capacity & (capacity - 1)) !== 0)
      throw new Error(`ring capacity ${capacity} is no power of two`)
    this.capacity = capacity
    this.#mask = capacity - 1
    this.#slab = new Uint8Array(capacity)
  }

  get length(): number {
    return this.#write - this.#read
  }

  get free(): number {
    return this.capacity - this.length
  }

  /** Bytes ever written and ever taken out (read or skipped). */
  get written(): number {
    return this.#write
  }

  get taken(): number {
    return this.#read
  }

  /**
   * Appends `src[from, to)`, through `table` if given. What does not fit is not written: the caller decides whether to
   * skip() old bytes first or to refuse new ones.
   * @returns bytes written
   */
  write(src: Uint8Array, from = 0, to = src.length, table?: Uint8Array): number {
    const n = Math.min(to - from, this.free)
    const slab = this.#slab
    const mask = this.#mask
    let at = this.#write
    // A plain loop beats set(subarray()) up to a few hundred bytes and allocates no view.
    if (table) for (let i = 0; i < n; i++) slab[at++ & mask] = table[src[from + i]]
    else for (let i = 0; i < n; i++) slab[at++ & mask] = src[from + i]
    this.#write = at
    return n
  }

  /** Appends `n` times the same byte (silence). @returns bytes written */
  fill(byte: number, n: number): number {
    const fits = Math.min(n, this.free)
    for (let i = 0; i < fits; i++) this.#slab[this.#write++ & this.#mask] = byte
    return fits
  }

  /**
   * Takes up to `n` bytes out into `dst` at `at`, through `table` if given.
   * @returns bytes taken
   */
  readInto(dst: Uint8Array, n = dst.length, at = 0, table?: Uint8Array): number {
    const fits = Math.min(n, this.length)
    const slab = this.#slab
    const mask = this.#mask
    let from = this.#read
    if (table) for (let i = 0; i < fits; i++) dst[at + i] = table[slab[from++ & mask]]
    else for (let i = 0; i < fits; i++) dst[at + i] = slab[from++ & mask]
    this.#read = from
    return fits
  }

  /** Drops up to `n` of the oldest bytes. @returns bytes dropped */
  skip(n: number): number {
    const fits = Math.min(n, this.length)
    this.#read += fits
    return fits
  }

  clear(): void {
    this.#read = this.#write
  }
}
