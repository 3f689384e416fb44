/**
 * Speech between the telephone's 8 kHz and a bot's 16 or 24 kHz, by one linear-phase FIR filter read in phases: up, each
 * input gives 2 or 3 outputs of a phase each; down, only every 2nd or 3rd output is computed. The bytes that come out do
 * not depend on how the samples were cut into calls.
 *
 *   dB  0 ▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔▔╲            passes to 3.4 kHz (error −55 dB)
 *                             ╲           4 kHz on: −55 dB, so that nothing folds back into what is heard
 *     −55                      ╲▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
 *         0                 3.4 4.0     8 (12) kHz
 *
 * Steep costs time: the filter's middle comes DELAY_SAMPLES (2.75 ms) after its first tap. What went in so lately is
 * still in the filter (`pending`), and `flush` drives it out with zeros.
 */

export type RateHz = 8000 | 16000 | 24000

const LOW_HZ = 8000
/** Half of the filter, in samples at 8 kHz: the delay of either direction. */
export const DELAY_SAMPLES = 22
const CUTOFF_HZ = 3700
const STOPBAND_DB = 55
/** Input samples taken at a time; the filter's history stands before them. */
const BLOCK = 480
const MOST_FACTOR = 3

// Of all instances: what a call of process() works on. Nothing in it outlives the call.
const LINE = new Float64Array(2 * DELAY_SAMPLES * MOST_FACTOR + BLOCK)
const ZEROS = new Int16Array(DELAY_SAMPLES * MOST_FACTOR)

/** Modified Bessel function of the first kind, order 0: its power series ends soon for the arguments in use. */
function bessel0(x: number): number {
  let term = 1
  let sum = 1
  for (let k = 1; term > sum * 1e-12; k++) {
    term *= (x / (2 * k)) ** 2
    sum += term
  }
  return sum
}

/** Windowed sinc (Kaiser), 2·D·factor + 1 taps at the high rate, gain 1 at 0 Hz. */
function lowPass(factor: number): Float64Array {
  const middle = DELAY_SAMPLES * factor
  const beta = 0.1102 * (STOPBAND_DB - 8.7)
  const taps = new Float64Array(2 * middle + 1)
  for (let i = 0; i < taps.length; i++) {
    const t = i - middle
    const w = (2 * Math.PI * CUTOFF_HZ) / (LOW_HZ * factor)
    const sinc = t === 0 ? w / Math.PI : Math.sin(w * t) / (Math.PI * t)
    taps[i] = (sinc * bessel0(beta * Math.sqrt(1 - (t / middle) ** 2))) / bessel0(beta)
  }
  const gain = taps.reduce((sum, tap) => sum + tap, 0)
  return taps.map((tap) => tap / gain)
}

/** Row p holds the taps of output p of each group, turned round, so that both sides are read forwards. */
function phases(factor: number): Float64Array[] {
  const taps = lowPass(factor)
  return Array.from({ length: factor }, (_, phase) => {
    const row = new Float64Array(2 * DELAY_SAMPLES + 1)
    for (let k = 0; k * factor + phase < taps.length; k++)
      row[2 * DELAY_SAMPLES - k] = factor * taps[k * factor + phase]
    return row
  })
}

// Shared by all instances.
const DOWN: Readonly<Record<number, Float64Array>> = { 2: lowPass(2), 3: lowPass(3) }
const UP: Readonly<Record<number, Float64Array[]>> = { 2: phases(2), 3: phases(3) }

function toPcm16(x: number): number {
  const rounded = Math.floor(x + 0.5)
  return rounded > 32_767 ? 32_767 : rounded < -32_768 ? -32_768 : rounded
}

/**
 * Writes `count` outputs, `apart` places apart, of which each starts `step` samples of LINE after the one before. Four
 * at a time share their samples and taps, which halves the time; each is summed in the same order as one alone, so that
 * no bit depends on how many there are. Taps are gone through in `step` turns: in each, four outputs meet the same tap
 * with samples that follow one another.
 */
function filter(
  taps: Float64Array,
  first: number,
  step: number,
  count: number,
  dst: Int16Array,
  at: number,
  apart: number,
): void {
  let from = first
  let out = at
  let n = 0
  for (; n + 4 <= count; n += 4, from += 4 * step, out += 4 * apart) {
    let a = 0
    let b = 0
    let c = 0
    let d = 0
    for (let turn = 0; turn < step; turn++) {
      let x = LINE[from + turn]
      let y = LINE[from + turn + step]
      let z = LINE[from + turn + 2 * step]
      for (let k = turn, w = from + turn + 3 * step; k < taps.length; k += step, w += step) {
        const tap = taps[k]
        const next = LINE[w]
        a += tap * x
        b += tap * y
        c += tap * z
        d += tap * next
        x = y
        y = z
        z = next
      }
    }
    dst[out] = toPcm16(a)
    dst[out + apart] = toPcm16(b)
    dst[out + 2 * apart] = toPcm16(c)
    dst[out + 3 * apart] = toPcm16(d)
  }
  for (; n < count; n++, from += step, out += apart) {
    let sum = 0
    for (let turn = 0; turn < step; turn++)
      for (let k = turn; k < taps.length; k += step) sum += taps[k] * LINE[from + k]
    dst[out] = toPcm16(sum)
  }
}

export class Resampler {
  readonly fromHz: RateHz
  readonly toHz: RateHz
  readonly #factor: number
  readonly #up: boolean
  readonly #history: Float64Array
  /** Down: inputs until the next one that gives an output. */
  #untilOutput = 0
  #running = false

  constructor(fromHz: RateHz, toHz: RateHz) {
    if ((fromHz === LOW_HZ) === (toHz === LOW_HZ)) throw new Error(`no resampling from ${fromHz} to ${toHz} Hz`)
    this.fromHz = fromHz
    this.toHz = toHz
    this.#up = fromHz === LOW_HZ
    this.#factor = (this.#up ? toHz : fromHz) / LOW_HZ
    this.#history = new Float64Array(2 * DELAY_SAMPLES * (this.#up ? 1 : this.#factor))
  }

  /** Output samples that are still in the filter. */
  get pending(): number {
    return this.#running ? this.delay : 0
  }

  /** Output samples by which all that comes out is late. */
  get delay(): number {
    return DELAY_SAMPLES * (this.#up ? this.#factor : 1)
  }

  /** How many samples the next `n` will give. */
  outputsOf(n: number): number {
    if (this.#up) return n * this.#factor
    return n <= this.#untilOutput ? 0 : 1 + Math.floor((n - this.#untilOutput - 1) / this.#factor)
  }

  /** How many of the next samples give no more than `outputs`. */
  inputsFor(outputs: number): number {
    return this.#up ? Math.floor(outputs / this.#factor) : this.#untilOutput + outputs * this.#factor
  }

  /**
   * Takes `src[0, n)`, writes what comes out to the start of `dst` (outputsOf(n) samples).
   * @returns samples written
   */
  process(src: Int16Array, n: number, dst: Int16Array): number {
    const history = this.#history
    const kept = history.length
    let written = 0
    if (n > 0) this.#running = true
    for (let from = 0; from < n; from += BLOCK) {
      const count = Math.min(BLOCK, n - from)
      LINE.set(history)
      for (let i = 0; i < count; i++) LINE[kept + i] = src[from + i]
      written = this.#up ? this.#raise(count, dst, written) : this.#lower(count, dst, written)
      for (let i = 0; i < kept; i++) history[i] = LINE[count + i]
    }
    return written
  }

  #raise(count: number, dst: Int16Array, at: number): number {
    const factor = this.#factor
    const rows = UP[factor]
    for (let phase = 0; phase < factor; phase++) filter(rows[phase], 0, 1, count, dst, at + phase, factor)
    return at + count * factor
  }

  #lower(count: number, dst: Int16Array, at: number): number {
    const factor = this.#factor
    const first = this.#untilOutput
    const outputs = this.outputsOf(count)
    filter(DOWN[factor], first, factor, outputs, dst, at, 1)
    this.#untilOutput = first + outputs * factor - count
    return at + outputs
  }

  /** Drives out what is pending by zeros, and starts anew. @returns samples written */
  flush(dst: Int16Array): number {
    const pending = this.pending
    if (pending === 0) return 0
    const written = this.process(ZEROS, this.inputsFor(pending), dst)
    this.reset()
    return written
  }

  reset(): void {
    this.#history.fill(0)
    this.#untilOutput = 0
    this.#running = false
  }
}
