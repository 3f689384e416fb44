/** Is it there, in what a real call brought? Sounds of bots and phones against the clips that were played. */
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { correlate } from '../../src/audio/correlate.ts'
import { Resampler, type RateHz } from '../../src/audio/resampler.ts'
import { pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { alignedCorrelation } from './alignment.ts'

/** PCM16 little-endian bytes as samples. */
export const samplesOf = (bytes: Uint8Array): Int16Array =>
  Int16Array.from({ length: bytes.length >> 1 }, (_, i) => Buffer.from(bytes.buffer, bytes.byteOffset).readInt16LE(i * 2)) // prettier-ignore

/** Samples as PCM16 little-endian bytes. */
export function bytesOf(pcm: Int16Array): Buffer {
  const bytes = Buffer.alloc(pcm.length * 2)
  for (let i = 0; i < pcm.length; i++) bytes.writeInt16LE(pcm[i], i * 2)
  return bytes
}

export function atRate(pcm: Int16Array, fromHz: RateHz, toHz: RateHz): Int16Array {
  if (fromHz === toHz) return pcm
  const resampler = new Resampler(fromHz, toHz)
  const out = new Int16Array(resampler.outputsOf(pcm.length))
  resampler.process(pcm, pcm.length, out)
  return out
}

/**
 * How well `clip` (8 kHz) is found in `signal` (8 kHz): 1 is the same. One place where a jitter buffer has stretched or
 * cut it is forgiven, as the ear forgives it: tests share two cores with others.
 */
export function likeness(signal: Int16Array, clip: Int16Array): number {
  const { correlation, lagSamples } = correlate(signal, clip)
  if (correlation >= 0.9) return correlation
  const from = Math.max(0, lagSamples - 480)
  return Math.max(correlation, alignedCorrelation(signal.subarray(from), clip, 960))
}

/** What the phone has heard from byte `from` of its capture on. */
export const heardBy = (call: PhoneCall, from = 0): Int16Array => pcmOf(call.media.heard().subarray(from))

/** Which of these µ-law frames are not silence. */
export function voicedFrames(ulaw: Uint8Array): number[] {
  const found: number[] = []
  for (let n = 0; (n + 1) * FRAME_SAMPLES <= ulaw.length; n++)
    if (ulaw.subarray(n * FRAME_SAMPLES, (n + 1) * FRAME_SAMPLES).some((b) => b !== 0xff)) found.push(n)
  return found
}
