/** The only place where 16- and 32-bit counters wrap (RFC 3550 §5.1, RFC 1982 in spirit). */

/** Signed distance from `b` to `a` in a 16-bit sequence space: positive when `a` is ahead. */
export const seqDiff = (a: number, b: number): number => ((a - b) << 16) >> 16

/** Signed distance from `b` to `a` in a 32-bit timestamp space. */
export const tsDiff = (a: number, b: number): number => (a - b) | 0

export const seqAdd = (seq: number, n: number): number => (seq + n) & 0xffff

export const tsAdd = (ts: number, n: number): number => (ts + n) >>> 0
