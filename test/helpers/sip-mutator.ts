/** SIP messages from fixtures/sip and seeded mutations of them, in the spirit of PROTOS c07-sip. */
import { readFileSync, readdirSync } from 'node:fs'

const FIXTURES = new URL('../../fixtures/sip/', import.meta.url)
export const corpus = ['messages/', 'torture/valid/', 'torture/invalid/'].flatMap((folder) =>
  readdirSync(new URL(folder, FIXTURES))
    .filter((f) => f.endsWith('.sip'))
    .map((f) => readFileSync(new URL(folder + f, FIXTURES))),
)

/** Mulberry32: whole numbers from 0 to below `below`, the same in every run. */
export function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

// What the PROTOS suite throws at each field: overflow, format strings, bad UTF-8, NUL, quotes, signs and sizes.
export const POISON = [
  '\0', '\r', '\n', '\r\n', '\r\n\r\n', '\r\n ', '"', '\\', '<', '>', '<<>>', ';', ';;;;', ',', ',,', ':', '@', '%', '%00', '%n%s%x',
  '-1', '0', '4294967296', '99999999999999999999', '1e9', '\t', ' ', '[', ']', '[::', '*', 'SIP/2.0', 'z9hG4bK', 'Content-Length: 5\r\n',
  'l: 99999\r\n', 'v: SIP/2.0/UDP x\r\n', ';tag=', '"\\"', 'sip:', 'tel:', '?a=b',
].map((s) => Buffer.from(s)) // prettier-ignore
POISON.push(
  Buffer.from([0xff, 0xfe]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.alloc(300, 0x41),
  Buffer.alloc(5000, 0x22),
  Buffer.alloc(30_000, 0x2c),
)

/** One to four changes: a byte flipped, poison put in or over, a piece cut, doubled or moved. */
export function mutate(bytes: Buffer, random: (below: number) => number): Buffer {
  let out = bytes
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(out.length + 1)
    const length = random(Math.min(80, out.length - at + 1))
    const before = out.subarray(0, at)
    const piece = out.subarray(at, at + length)
    const after = out.subarray(at + length)
    const poison = POISON[random(POISON.length)]
    const other = corpus[random(corpus.length)]
    const parts = [
      [before, Buffer.from([random(256)]), after],
      [before, poison, piece, after],
      [before, poison, after],
      [before, after],
      [before, piece, piece, piece, after],
      [before, other.subarray(0, random(other.length)), after],
    ][random(6)]
    out = Buffer.concat(parts).subarray(0, 65_535)
  }
  return out
}
