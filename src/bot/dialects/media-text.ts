/**
 * Audio in a text frame: what stands before it, its base64, what stands behind, in one buffer that is used for every
 * frame of the session. For the dialects whose audio travels as JSON.
 */
import type { Wire } from '../dialect.ts'

const FIRST_BYTES = 4096

export class MediaText {
  readonly #wire: Wire
  #text = Buffer.allocUnsafeSlow(FIRST_BYTES)
  /** The part of `#text` that was written last: most frames have the length of the one before. */
  #written = this.#text.subarray(0, 0)
  // The session hands over the same array each time.
  #audio: Uint8Array | undefined
  #view: Buffer = this.#written

  constructor(wire: Wire) {
    this.#wire = wire
  }

  /**
   * Writes one frame.
   * @param head ASCII, as is `tail`
   * @returns its bytes
   */
  write(head: string, audio: Uint8Array, tail: string): number {
    const chars = head.length + 4 * Math.ceil(audio.length / 3) + tail.length
    if (chars > this.#text.length) this.#text = Buffer.allocUnsafeSlow(chars * 2)
    const text = this.#text
    let bytes = text.write(head, 0, 'latin1')
    bytes += text.write(this.#base64(audio), bytes, 'latin1')
    bytes += text.write(tail, bytes, 'latin1')
    if (this.#written.buffer !== text.buffer || this.#written.length !== bytes) this.#written = text.subarray(0, bytes)
    this.#wire.text(this.#written)
    return bytes
  }

  #base64(audio: Uint8Array): string {
    if (audio !== this.#audio) {
      this.#audio = audio
      this.#view = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength)
    }
    return this.#view.toString('base64')
  }
}
