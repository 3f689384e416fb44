/** Is it there, in what a real call brought? Sounds of bots and phones against the clips that were played. */
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { correlate } from '../../src/audio/correlate.ts'
import { Resampler, type RateHz } from '../../src/audio/resampler.ts'
import { pcmOf } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'

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

const PIECE = 1600
/** How far off its place a piece may be, samples. */
const STRAY = 3200
/** Share of pieces that need not be there. */
const LEFT_OUT = 0.25

/**
 * How well `clip` (8 kHz) is found in `signal` (8 kHz), which is to hold all of it: 1 is the same. These are calls in real
 * time on a machine shared with others: pieces of 200 ms may lie 400 ms off where they belong, and a quarter of them may
 * be missing. Cheap, since the phones of the tests live in the same thread.
 */
export function likeness(signal: Int16Array, clip: Int16Array): number {
  const { correlation, lagSamples } = correlate(signal, clip, 0, Math.max(0, signal.length - clip.length))
  if (correlation >= 0.95) return correlation
  const pieces: { xy: number; xx: number; yy: number; fit: number }[] = []
  for (let at = 0; at < clip.length; at += PIECE) {
    const piece = clip.subarray(at, at + PIECE)
    const from = Math.max(0, lagSamples + at - STRAY)
    const near = signal.subarray(from, from + piece.length + 2 * STRAY)
    const { lagSamples: lag, correlation: fit } = correlate(near, piece, 0, Math.max(0, near.length - piece.length))
    let [xy, xx, yy] = [0, 0, 0]
    for (let i = 0; i < piece.length; i++) {
      const y = near[lag + i] ?? 0
      xy += piece[i] * y
      xx += piece[i] * piece[i]
      yy += y * y
    }
    pieces.push({ xy, xx, yy, fit })
  }
  pieces.sort((a, b) => b.fit - a.fit)
  const kept = pieces.slice(0, Math.ceil(pieces.length * (1 - LEFT_OUT)))
  const sum = (of: (p: (typeof pieces)[number]) => number): number => kept.reduce((total, p) => total + of(p), 0)
  return sum((p) => p.xy) / Math.sqrt(sum((p) => p.xx) * sum((p) => p.yy) || 1)
}

/** Which frames of `said` are in `heard`, byte for byte, and of how many that can be told apart. */
export function sameFrames(heard: Uint8Array, said: Uint8Array): { found: number[]; of: number } {
  const frames = (bytes: Uint8Array): string[] =>
    Array.from({ length: Math.floor(bytes.length / FRAME_SAMPLES) }, (_, n) =>
      Buffer.from(bytes.subarray(n * FRAME_SAMPLES, (n + 1) * FRAME_SAMPLES)).toString('latin1'),
    )
  const all = frames(said)
  const places = new Map(all.map((frame, n) => [frame, n]))
  for (const [n, frame] of all.entries()) if (all.indexOf(frame) !== n) places.delete(frame)
  places.delete('\xff'.repeat(FRAME_SAMPLES))
  return { found: frames(heard).flatMap((frame) => places.get(frame) ?? []), of: places.size }
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
