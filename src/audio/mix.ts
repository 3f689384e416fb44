/** Adding voices, in linear PCM16, with saturation: a sum that wrapped around would be a loud click. */
import { DECODE, ENCODE } from './g711.ts'
import type { Law } from './flow.ts'

const clip = (sample: number): number => (sample > 32_767 ? 32_767 : sample < -32_768 ? -32_768 : sample)

/** `dst += src`, sample by sample over all of `src`. */
export function mixInto(dst: Int16Array, src: Int16Array): void {
  for (let i = 0; i < src.length; i++) dst[i] = clip(dst[i] + src[i])
}

/** Adds to a 32-bit sum, or takes a voice out of it again (`sign` −1): N−1 mixes clip only once, at the end. */
export function sumInto(dst: Int32Array, src: Int16Array, sign: 1 | -1 = 1): void {
  for (let i = 0; i < src.length; i++) dst[i] += sign * src[i]
}

/** A 32-bit sum as PCM16. */
export function clipInto(dst: Int16Array, sum: Int32Array): void {
  for (let i = 0; i < dst.length; i++) dst[i] = clip(sum[i])
}

/** Adds a G.711 frame to another of the same law. */
export function mixLawInto(dst: Uint8Array, src: Uint8Array, law: Law): void {
  const decode = DECODE[law]
  const encode = ENCODE[law]
  for (let i = 0; i < src.length; i++) dst[i] = encode[clip(decode[dst[i]] + decode[src[i]]) & 0xffff]
}

/** Scales PCM in place. */
export function gainInPlace(pcm: Int16Array, factor: number): void {
  for (let i = 0; i < pcm.length; i++) pcm[i] = clip(Math.round(pcm[i] * factor))
}
