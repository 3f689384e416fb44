/**
 * Power spectrum of 256 real samples at 8 kHz under a Hann window: 129 bins of 31.25 Hz. The 256 samples go in as 128
 * complex ones (even: real, odd: imaginary), a radix-2 transform of 128, then the two halves are taken apart.
 */
export const SPECTRUM_SAMPLES = 256
export const BIN_HZ = 8000 / SPECTRUM_SAMPLES

const HALF = SPECTRUM_SAMPLES / 2
const BITS = 7

const WINDOW = Float64Array.from(
  { length: SPECTRUM_SAMPLES },
  (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / SPECTRUM_SAMPLES),
)
// cos and sin of 2πk/256: steps of two serve the transform of 128.
const COS = Float64Array.from({ length: HALF }, (_, k) => Math.cos((2 * Math.PI * k) / SPECTRUM_SAMPLES))
const SIN = Float64Array.from({ length: HALF }, (_, k) => Math.sin((2 * Math.PI * k) / SPECTRUM_SAMPLES))
const REVERSED = Uint8Array.from({ length: HALF }, (_, i) => {
  let r = 0
  for (let bit = 0; bit < BITS; bit++) r |= ((i >> bit) & 1) << (BITS - 1 - bit)
  return r
})

// Shared by all: used and left within one call.
const re = new Float64Array(HALF)
const im = new Float64Array(HALF)

/** Power of `x[from, from + 256)` to `power[0, 128]`. Scale: a sine of amplitude A gives about (A·64)² in its bin. */
export function powerInto(power: Float64Array, x: Float64Array, from = 0): void {
  for (let i = 0; i < HALF; i++) {
    const at = REVERSED[i] * 2
    re[i] = x[from + at] * WINDOW[at]
    im[i] = x[from + at + 1] * WINDOW[at + 1]
  }
  for (let size = 2; size <= HALF; size *= 2) {
    const half = size / 2
    const step = SPECTRUM_SAMPLES / size
    for (let k = 0; k < half; k++) {
      const c = COS[k * step]
      const s = SIN[k * step]
      for (let a = k; a < HALF; a += size) {
        const b = a + half
        const tr = re[b] * c + im[b] * s
        const ti = im[b] * c - re[b] * s
        re[b] = re[a] - tr
        im[b] = im[a] - ti
        re[a] += tr
        im[a] += ti
      }
    }
  }
  power[0] = (re[0] + im[0]) * (re[0] + im[0])
  power[HALF] = (re[0] - im[0]) * (re[0] - im[0])
  for (let k = 1; k < HALF; k++) {
    const m = HALF - k
    const er = (re[k] + re[m]) / 2
    const ei = (im[k] - im[m]) / 2
    const or = (im[k] + im[m]) / 2
    const oi = (re[m] - re[k]) / 2
    const xr = er + COS[k] * or + SIN[k] * oi
    const xi = ei + COS[k] * oi - SIN[k] * or
    power[k] = xr * xr + xi * xi
  }
}
