/** Is this sound in that recording, and where: normalised cross-correlation with a search over the lag. */

export interface Match {
  /** −1 to 1; 1 is the same shape at any volume. */
  correlation: number
  /** Where `reference` starts in `signal`, samples; negative when its beginning was cut off. */
  lagSamples: number
}

/** Correlation of `reference` with `signal` shifted by `lag`, over the part where they overlap. */
export function correlationAt(signal: Int16Array, reference: Int16Array, lag: number): number {
  const from = Math.max(0, -lag)
  const to = Math.min(reference.length, signal.length - lag)
  let cross = 0
  let a = 0
  let b = 0
  for (let i = from; i < to; i++) {
    const x = reference[i]
    const y = signal[i + lag]
    cross += x * y
    a += x * x
    b += y * y
  }
  return a > 0 && b > 0 ? cross / Math.sqrt(a * b) : 0
}

const STEP = 4
/** Places of the coarse search that are looked at in full. */
const PLACES = 8

/**
 * The best lag in `[minLag, maxLag]` (default: everywhere that at least half of the reference lies inside). Coarse to
 * fine: both signals averaged over 4 samples first, then the best few places at full rate.
 */
export function correlate(
  signal: Int16Array,
  reference: Int16Array,
  minLag = -Math.floor(reference.length / 2),
  maxLag = signal.length - Math.ceil(reference.length / 2),
): Match {
  const coarseSignal = averaged(signal)
  const coarseReference = averaged(reference)
  const best: Match[] = []
  // Only tops count: the slopes of one period of a voice would crowd out the others, and averaging may hide the true one.
  let before = -1
  let here = -1
  for (let lag = Math.floor(minLag / STEP); lag <= Math.ceil(maxLag / STEP) + 1; lag++) {
    const after = lag > Math.ceil(maxLag / STEP) ? -1 : correlationAt(coarseSignal, coarseReference, lag)
    if (here >= before && here >= after && !(best.length === PLACES && here <= best[PLACES - 1].correlation)) {
      best.push({ correlation: here, lagSamples: (lag - 1) * STEP })
      best.sort((x, y) => y.correlation - x.correlation)
      if (best.length > PLACES) best.pop()
    }
    before = here
    here = after
  }
  let match: Match = { correlation: 0, lagSamples: 0 }
  for (const { lagSamples } of best) {
    for (let lag = lagSamples - STEP; lag <= lagSamples + STEP; lag++) {
      if (lag < minLag || lag > maxLag) continue
      const correlation = correlationAt(signal, reference, lag)
      if (correlation > match.correlation) match = { correlation, lagSamples: lag }
    }
  }
  return match
}

function averaged(pcm: Int16Array): Int16Array {
  const out = new Int16Array(Math.floor(pcm.length / STEP))
  for (let i = 0; i < out.length; i++) {
    const at = i * STEP
    out[i] = (pcm[at] + pcm[at + 1] + pcm[at + 2] + pcm[at + 3]) / STEP
  }
  return out
}
