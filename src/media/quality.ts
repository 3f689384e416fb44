/**
 * How good a call sounds, as a mean opinion score: the E-model of ITU-T G.107 with everything at its default but delay
 * (Idd) and packet loss (Ie,eff); G.711 with concealment as ITU-T G.113 Appendix I gives it. Not a measure of the audio.
 */

/** R of a clear G.711 call with all defaults (G.107, table 2). */
const R_DEFAULT = 93.2
/** G.711 itself impairs nothing; so robust is it against random loss, with concealment (G.113, table I.4). */
const BPL = 25.1
/** Delay up to here impairs nothing, ms. */
const UNHEARD_DELAY_MS = 100

/** G.107, 7-27: what long delay takes away. `delayMs`: mouth to ear, one way. */
function delayImpairment(delayMs: number): number {
  if (delayMs <= UNHEARD_DELAY_MS) return 0
  const x = Math.log2(delayMs / UNHEARD_DELAY_MS)
  return 25 * ((1 + x ** 6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
}

/** G.107, 7-29 with Ie = 0 and BurstR = 1. `lossRatio`: 0 to 1. */
const lossImpairment = (lossRatio: number): number => (95 * lossRatio * 100) / (lossRatio * 100 + BPL)

/** Finite and not below 0: figures come from what the far end reports. */
const sane = (value: number): number => (value > 0 && value < Infinity ? value : 0)

/** The transmission rating, 0 to 93.2. */
export function rating(lossRatio: number, oneWayDelayMs: number, jitterMs: number): number {
  // A jitter buffer that loses little holds about twice the mean deviation (RFC 3550 jitter).
  const delayMs = sane(oneWayDelayMs) + 2 * sane(jitterMs)
  const r = R_DEFAULT - delayImpairment(delayMs) - lossImpairment(Math.min(1, sane(lossRatio)))
  return Math.max(0, r)
}

/**
 * Mean opinion score, 1 to 4.5 (G.107, B-4).
 * @param lossRatio     packets that were not there in time, 0 to 1
 * @param oneWayDelayMs mouth to ear as far as known, without the jitter buffer
 * @param jitterMs      RFC 3550, 6.4.1
 */
export function mos(lossRatio: number, oneWayDelayMs: number, jitterMs: number): number {
  const r = rating(lossRatio, oneWayDelayMs, jitterMs)
  const score = 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6
  return Math.min(4.5, Math.max(1, score))
}
