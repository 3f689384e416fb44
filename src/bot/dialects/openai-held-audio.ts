/**
 * Caller audio from the opening of a realtime socket until its server has said in which format it wants it. The last
 * 2 s at most; what is settled after that belongs to the past.
 */
import { DECODE, ENCODE } from '../../audio/g711.ts'
import { Resampler } from '../../audio/resampler.ts'
import type { Encoding, SampleRate } from '../dialect.ts'
import { sameFormat, type WireFormat } from './openai-session.ts'

const bytesPerMs = (f: WireFormat): number => ((f.encoding === 'pcm16' ? 2 : 1) * f.sampleRate) / 1000

/** The last 2 s of caller audio at most, until it is known in which format the server wants it. */
export class HeldAudio {
  static readonly MAX_MS = 2000
  readonly #format: WireFormat
  #bytes: Buffer | undefined
  #filled = 0

  constructor(format: WireFormat) {
    this.#format = { ...format }
  }

  get ms(): number {
    return this.#filled / bytesPerMs(this.#format)
  }

  push(audio: Uint8Array): void {
    const bytes = (this.#bytes ??= Buffer.allocUnsafe(HeldAudio.MAX_MS * bytesPerMs(this.#format)))
    if (audio.length > bytes.length) return
    const surplus = this.#filled + audio.length - bytes.length
    if (surplus > 0) {
      bytes.copyWithin(0, surplus, this.#filled)
      this.#filled -= surplus
    }
    bytes.set(audio, this.#filled)
    this.#filled += audio.length
  }

  /** All of it in `format`; nothing is held any more. */
  take(format: WireFormat): Uint8Array {
    const held = this.#bytes?.subarray(0, this.#filled) ?? new Uint8Array(0)
    this.#bytes = undefined
    this.#filled = 0
    return sameFormat(format, this.#format) ? held : converted(held, this.#format, format)
  }
}

/** Sounds the same; once in a call at most. */
function converted(bytes: Uint8Array, from: WireFormat, to: WireFormat): Uint8Array {
  const { encoding } = to
  const low = resampled(samplesOf(bytes, from.encoding), from.sampleRate, 8000)
  const pcm = resampled(low, 8000, to.sampleRate)
  if (encoding !== 'pcm16') return Uint8Array.from(pcm, (sample) => ENCODE[encoding][sample & 0xffff])
  const le = Buffer.alloc(pcm.length * 2)
  for (let i = 0; i < pcm.length; i++) le.writeInt16LE(pcm[i], i * 2)
  return le
}

function samplesOf(bytes: Uint8Array, encoding: Encoding): Int16Array {
  if (encoding !== 'pcm16') return Int16Array.from(bytes, (code) => DECODE[encoding][code])
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  return Int16Array.from({ length: bytes.length >> 1 }, (_, i) => view.getInt16(i * 2, true))
}

function resampled(pcm: Int16Array, from: SampleRate, to: SampleRate): Int16Array {
  if (from === to || pcm.length === 0) return pcm
  const resampler = new Resampler(from, to)
  const out = new Int16Array(resampler.outputsOf(pcm.length) + resampler.delay)
  const written = resampler.process(pcm, pcm.length, out)
  resampler.flush(out.subarray(written))
  // Without the filter's delay: what comes next is appended at once.
  return out.subarray(resampler.delay)
}
