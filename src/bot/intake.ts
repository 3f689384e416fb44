/**
 * What a bot sends, on its way into the queue: bytes of any cut become G.711 samples at 8 kHz. Keeps what does not fit
 * the cut: the first half of a 16-bit sample, and what is still in the resampler's filter. Not here: how much may go in
 * (playback.ts).
 *
 *   pcmu, pcma ──────────────── table ─────────▶ ring
 *   pcm16 ─▶ odd byte ─▶ resampler (16, 24 kHz) ─▶ table ─▶ ring
 *                        └ `pending` samples
 */
import { ENCODE, crossTable } from '../audio/g711.ts'
import type { Law } from '../audio/flow.ts'
import { DELAY_SAMPLES, Resampler } from '../audio/resampler.ts'
import type { Encoding, SampleRate } from './dialect.ts'
import type { SpeechRing } from './speech-ring.ts'

const BLOCK = 480
// Of all intakes: nothing in them outlives a call.
const SAMPLES = new Int16Array(BLOCK)
const LOW = new Int16Array(BLOCK)
const JOINED = new Uint8Array(2)

export class Intake {
  #encoding: Encoding
  #sampleRate: SampleRate = 8000
  #law: Law
  #resampler: Resampler | undefined
  /** First byte of a pcm16 sample whose second has not come yet, or -1. */
  #oddByte = -1

  /** @param law what pcm16 is encoded to */
  constructor(encoding: Encoding, sampleRate: SampleRate, law: Law) {
    this.#encoding = encoding
    this.#law = encoding === 'pcm16' ? law : encoding
    this.#setRate(sampleRate)
  }

  get encoding(): Encoding {
    return this.#encoding
  }

  get sampleRate(): SampleRate {
    return this.#sampleRate
  }

  /** The law of the bytes in the ring. */
  get law(): Law {
    return this.#law
  }

  /** Samples (at 8 kHz) that have come but are not in the ring yet. */
  get pending(): number {
    return this.#resampler?.pending ?? 0
  }

  /** Samples of near silence that stand before the next ones: the filter's delay, where it starts anew. */
  get leadIn(): number {
    return this.#resampler && this.#resampler.pending === 0 ? DELAY_SAMPLES : 0
  }

  /** What is pending must have been flushed. `law`: only where the ring is empty. */
  setFormat(encoding: Encoding, sampleRate: SampleRate, law: Law | undefined): void {
    this.#encoding = encoding
    this.#oddByte = -1
    if (law !== undefined) this.#law = encoding === 'pcm16' ? law : encoding
    this.#setRate(sampleRate)
  }

  #setRate(sampleRate: SampleRate): void {
    // G.711 exists at 8 kHz only.
    this.#sampleRate = this.#encoding === 'pcm16' ? sampleRate : 8000
    this.#resampler = this.#sampleRate === 8000 ? undefined : new Resampler(this.#sampleRate, 8000)
  }

  /** How many samples `bytes` more bytes will add to the ring. */
  samplesOf(bytes: number): number {
    if (this.#encoding !== 'pcm16') return bytes
    const samples = (bytes + (this.#oddByte < 0 ? 0 : 1)) >> 1
    return this.#resampler ? this.#resampler.outputsOf(samples) : samples
  }

  /** Puts the first `most` samples of `bytes` into the ring; the rest is lost. */
  take(bytes: Uint8Array, most: number, ring: SpeechRing): void {
    if (this.#encoding !== 'pcm16') ring.append(bytes, most, crossTable(this.#encoding, this.#law))
    else if (bytes.length > 0) this.#takePcm16(bytes, most, ring)
  }

  #takePcm16(bytes: Uint8Array, most: number, ring: SpeechRing): void {
    let left = this.#resampler ? this.#resampler.inputsFor(most) : most
    let from = 0
    if (this.#oddByte >= 0) {
      // A sample cut in two by the bot's chunking: its low byte came with the message before.
      JOINED[0] = this.#oddByte
      JOINED[1] = bytes[0]
      if (left > 0) this.#put(JOINED, 0, 1, ring)
      left--
      from = 1
    }
    const whole = (bytes.length - from) >> 1
    if (left > 0) this.#put(bytes, from, Math.min(left, whole), ring)
    this.#oddByte = (bytes.length - from) % 2 === 1 ? bytes[bytes.length - 1] : -1
  }

  #put(bytes: Uint8Array, from: number, samples: number, ring: SpeechRing): void {
    const table = ENCODE[this.#law]
    if (!this.#resampler) return ring.appendPcm16(bytes, from, samples, table)
    let at = from
    for (let left = samples; left > 0;) {
      const n = Math.min(left, BLOCK)
      for (let i = 0; i < n; i++, at += 2) SAMPLES[i] = bytes[at] | (bytes[at + 1] << 8)
      ring.appendSamples(LOW, this.#resampler.process(SAMPLES, n, LOW), table)
      left -= n
    }
  }

  /** Lets `bytes` pass unheard: only where samples begin is kept. */
  ignore(bytes: Uint8Array): void {
    if (this.#encoding !== 'pcm16' || bytes.length === 0) return
    const odd = (bytes.length + (this.#oddByte < 0 ? 0 : 1)) % 2 === 1
    this.#oddByte = odd ? bytes[bytes.length - 1] : -1
  }

  /** All of an utterance has come: what is pending goes into the ring, half a sample is forgotten. */
  finish(ring: SpeechRing): void {
    this.#oddByte = -1
    this.flush(ring)
  }

  /** Nothing more has come in time: what is pending goes into the ring. */
  flush(ring: SpeechRing): void {
    if (this.#resampler) ring.appendSamples(LOW, this.#resampler.flush(LOW), ENCODE[this.#law])
  }

  /** What is pending is forgotten. */
  reset(): void {
    this.#oddByte = -1
    this.#resampler?.reset()
  }
}
