/** Sounds for the ears' tests: fixtures as PCM, noise that is the same in each run, mixing at a wanted level, frames. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FRAME_SAMPLES, type Law } from '../../src/audio/flow.ts'
import { DECODE, ENCODE } from '../../src/audio/g711.ts'
import { seeded } from './rtp.ts'

const FOLDER = join(import.meta.dirname, '../../fixtures/audio')

/** A fixture's samples. `rate` other than 1 speaks faster and higher, or slower and lower. */
export function fixture(name: string, rate = 1): Int16Array {
  const bytes = readFileSync(join(FOLDER, `${name}.ulaw`))
  const pcm = Int16Array.from(bytes, (b) => DECODE.pcmu[b])
  if (rate === 1) return pcm
  return Int16Array.from({ length: Math.floor((pcm.length - 1) / rate) }, (_, i) => {
    const at = Math.floor(i * rate)
    return pcm[at] + (pcm[at + 1] - pcm[at]) * (i * rate - at)
  })
}

export const silence = (durationMs: number): Int16Array => new Int16Array(durationMs * 8)

const rms = (pcm: ArrayLike<number>): number => {
  // Active level: frames within 30 dB of the loudest, so that pauses do not count (after ITU-T P.56).
  const squares: number[] = []
  for (let at = 0; at + FRAME_SAMPLES <= pcm.length; at += FRAME_SAMPLES) {
    let sum = 0
    for (let i = 0; i < FRAME_SAMPLES; i++) sum += pcm[at + i] ** 2
    squares.push(sum / FRAME_SAMPLES)
  }
  const most = Math.max(...squares)
  const active = squares.filter((s) => s > most / 1000)
  return Math.sqrt(active.reduce((a, b) => a + b, 0) / active.length)
}

/** The same sound with its active level at `dbov` (relative to a full-scale square wave). */
export function atLevel(pcm: Int16Array, dbov: number): Int16Array {
  const gain = (32_768 * 10 ** (dbov / 20)) / rms(pcm)
  return Int16Array.from(pcm, (s) => Math.max(-32_768, Math.min(32_767, Math.round(s * gain))))
}

/** Steady noise. `brown`: most of it low, as in a car. */
export function noise(durationMs: number, dbov: number, colour: 'white' | 'brown' = 'white', seed = 7): Int16Array {
  const random = seeded(seed)
  let held = 0
  const raw = Float64Array.from({ length: durationMs * 8 }, () => {
    const white = random() + random() + random() + random() - 2
    return colour === 'white' ? white : (held = 0.9 * held + white)
  })
  return atLevel(
    Int16Array.from(raw, (s) => s * 2000),
    dbov,
  )
}

export function sequence(...parts: Int16Array[]): Int16Array {
  const pcm = new Int16Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const part of parts) {
    pcm.set(part, at)
    at += part.length
  }
  return pcm
}

/** Both at once, as long as the first. */
export const mixed = (a: Int16Array, b: Int16Array): Int16Array =>
  Int16Array.from(a, (s, i) => Math.max(-32_768, Math.min(32_767, s + (b[i % b.length] ?? 0))))

/** Whole frames; what is left over is padded with silence. */
export function frames(pcm: Int16Array, law: Law = 'pcmu'): Uint8Array[] {
  const out: Uint8Array[] = []
  for (let at = 0; at < pcm.length; at += FRAME_SAMPLES)
    out.push(Uint8Array.from({ length: FRAME_SAMPLES }, (_, i) => ENCODE[law][(pcm[at + i] ?? 0) & 0xffff]))
  return out
}
