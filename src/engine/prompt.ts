/**
 * A WAV file of the operator's, played to a caller once: the last word when no bot is left. 8 kHz, mono or the left
 * channel; read whole, bounded, and encoded before it starts.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { FRAME_SAMPLES, SILENCE, type FrameSource, type Law } from '../audio/flow.ts'
import { crossTable, ENCODE } from '../audio/g711.ts'
import { readWav, WavError } from '../audio/wav.ts'

const MAX_BYTES = 10 * 1024 * 1024

/** Rejects when there is no such file, or none that can be played. `name`: a plain file name. */
export async function readPrompt(dir: string, name: string): Promise<Uint8Array> {
  if (!/^[A-Za-z0-9._-]{1,104}$/.test(name) || name.startsWith('.')) throw new Error('not the name of a prompt')
  const file = await open(join(dir, name), 'r')
  try {
    const { size } = await file.stat()
    if (size > MAX_BYTES) throw new WavError(`the file is larger than ${MAX_BYTES} bytes`)
    const { pcm, format } = readWav(await file.readFile())
    if (format.rateHz !== 8000) throw new WavError(`a prompt must have 8000 samples a second, not ${format.rateHz}`)
    const codes = new Uint8Array(pcm.length)
    for (let i = 0; i < pcm.length; i++) codes[i] = ENCODE.pcmu[pcm[i] & 0xffff]
    return codes
  } finally {
    await file.close()
  }
}

export class Prompt implements FrameSource {
  readonly #codes: Uint8Array
  readonly #done: () => void
  #at = 0

  /** @param codes µ-law; `done` is called once, in the slot after the last frame */
  constructor(codes: Uint8Array, done: () => void) {
    this.#codes = codes
    this.#done = done
  }

  frameInto(dst: Uint8Array, law: Law): boolean {
    if (this.#at > this.#codes.length) return false
    if (this.#at === this.#codes.length) {
      this.#at++
      this.#done()
      return false
    }
    const end = Math.min(this.#codes.length, this.#at + FRAME_SAMPLES)
    const table = crossTable('pcmu', law)
    let n = 0
    for (; this.#at < end; this.#at++) dst[n++] = table ? table[this.#codes[this.#at]] : this.#codes[this.#at]
    dst.fill(SILENCE[law], n, FRAME_SAMPLES)
    return true
  }
}
