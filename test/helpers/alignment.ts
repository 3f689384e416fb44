/**
 * How well `piece` is found in `signal` at a lag of 0 to `maxLag` samples, where it may have been stretched or cut once,
 * as a jitter buffer does: two lags, one for what comes before and one for what comes after that place (10 ms steps).
 */
export function alignedCorrelation(signal: Int16Array, piece: Int16Array, maxLag: number): number {
  const chunks = Math.floor(piece.length / CHUNK)
  const own = new Float64Array(chunks)
  const cross: Float64Array[] = []
  const energy: Float64Array[] = []
  for (let k = 0; k < chunks; k++) {
    cross.push(new Float64Array(maxLag + 1))
    energy.push(new Float64Array(maxLag + 1))
    for (let i = k * CHUNK; i < (k + 1) * CHUNK; i++) own[k] += piece[i] * piece[i]
    for (let lag = 0; lag <= maxLag; lag++) {
      let xy = 0
      let yy = 0
      for (let i = k * CHUNK; i < (k + 1) * CHUNK; i++) {
        const y = signal[i + lag] ?? 0
        xy += piece[i] * y
        yy += y * y
      }
      cross[k][lag] = xy
      energy[k][lag] = yy
    }
  }
  const sum = (rows: Float64Array[], lag: number, from: number, to: number): number => {
    let total = 0
    for (let k = from; k < to; k++) total += rows[k][lag]
    return total
  }
  // The best lag for chunks [from, to): cross product, energy there, energy of the piece.
  const best = (from: number, to: number): [number, number, number] => {
    const energyOwn = own.subarray(from, to).reduce((a, b) => a + b, 0)
    let found: [number, number, number] = [0, 0, energyOwn]
    let top = -1
    for (let lag = 0; lag <= maxLag && from < to; lag++) {
      const xy = sum(cross, lag, from, to)
      const yy = sum(energy, lag, from, to)
      const score = yy > 0 && energyOwn > 0 ? xy / Math.sqrt(yy * energyOwn) : 0
      if (score <= top) continue
      top = score
      found = [xy, yy, energyOwn]
    }
    return found
  }
  let result = -1
  for (let k = 0; k < chunks; k++) {
    const [xy1, yy1, xx1] = best(0, k)
    const [xy2, yy2, xx2] = best(k, chunks)
    const norm = Math.sqrt((yy1 + yy2) * (xx1 + xx2))
    result = Math.max(result, norm > 0 ? (xy1 + xy2) / norm : 0)
  }
  return result
}

const CHUNK = 80
