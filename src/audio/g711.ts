/**
 * ITU-T G.711, both laws, as table lookups. The tables are filled once from `alawmulaw`, sample by sample: calling it
 * on the audio path costs ten times as much. 64 Ki entries for encoding: a 16 Ki table differs on 381 inputs.
 */
import { createRequire } from 'node:module'
import type * as AlawMulaw from 'alawmulaw'
import type { Law } from './flow.ts'

// The package is CommonJS without a default export in its types, so `import` can reach it by no one spelling.
const { alaw, mulaw } = createRequire(import.meta.url)('alawmulaw') as typeof AlawMulaw
const LAWS = { pcmu: mulaw, pcma: alaw } as const

const decodeTable = (law: Law): Int16Array =>
  Int16Array.from({ length: 256 }, (_, code) => LAWS[law].decodeSample(code))

// Index: the sample's 16 bits read as unsigned.
function encodeTable(law: Law): Uint8Array {
  const table = new Uint8Array(65_536)
  for (let i = 0; i < 65_536; i++) table[i] = LAWS[law].encodeSample((i << 16) >> 16)
  return table
}

/** Law byte to PCM16. */
export const DECODE: Readonly<Record<Law, Int16Array>> = { pcmu: decodeTable('pcmu'), pcma: decodeTable('pcma') }

/** PCM16 (`sample & 0xffff`) to law byte. */
export const ENCODE: Readonly<Record<Law, Uint8Array>> = { pcmu: encodeTable('pcmu'), pcma: encodeTable('pcma') }

/** Law byte to the other law's byte. */
const CROSS: Readonly<Record<Law, Uint8Array>> = {
  pcmu: Uint8Array.from(DECODE.pcmu, (sample) => ENCODE.pcma[sample & 0xffff]),
  pcma: Uint8Array.from(DECODE.pcma, (sample) => ENCODE.pcmu[sample & 0xffff]),
}

/** The byte table from one law to the other; undefined when they are the same (bytes pass untouched). */
export const crossTable = (from: Law, to: Law): Uint8Array | undefined => (from === to ? undefined : CROSS[from])

/** Decodes all of `src` to the start of `dst`. */
export function decodeInto(dst: Int16Array, src: Uint8Array, law: Law): void {
  const table = DECODE[law]
  for (let i = 0; i < src.length; i++) dst[i] = table[src[i]]
}

/** Encodes all of `pcm` to the start of `dst`. */
export function encodeInto(dst: Uint8Array, pcm: Int16Array, law: Law): void {
  const table = ENCODE[law]
  for (let i = 0; i < pcm.length; i++) dst[i] = table[pcm[i] & 0xffff]
}

/** All of `src` to the start of `dst`; the same law is a plain copy, bit for bit. `dst` may be `src`. */
export function transcodeInto(dst: Uint8Array, src: Uint8Array, from: Law, to: Law): void {
  if (from === to) {
    if (dst !== src) dst.set(src)
    return
  }
  const table = CROSS[from]
  for (let i = 0; i < src.length; i++) dst[i] = table[src[i]]
}
