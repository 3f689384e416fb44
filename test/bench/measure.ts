/** Times a stage over many frames, and how much heap it leaves behind per frame. */
export interface Figure {
  name: string
  value: number
  unit: string
}

const FRAMES = 200_000
const WARM_UP = 20_000

declare const gc: (() => void) | undefined

/** `stage` handles one frame per call. Two figures: median ns of 5 rounds, and bytes of heap per frame (needs --expose-gc). */
export function measure(name: string, stage: (n: number) => void): Figure[] {
  for (let n = 0; n < WARM_UP; n++) stage(n)
  const rounds: number[] = []
  let n = WARM_UP
  for (let round = 0; round < 5; round++) {
    const startNs = process.hrtime.bigint()
    for (let i = 0; i < FRAMES / 5; i++) stage(n++)
    rounds.push(Number(process.hrtime.bigint() - startNs) / (FRAMES / 5))
  }
  rounds.sort((a, b) => a - b)
  const figures: Figure[] = [{ name, value: Math.round(rounds[2]), unit: 'ns/frame' }]
  if (typeof gc === 'function') figures.push({ name, value: allocated(stage, n), unit: 'bytes/frame' })
  return figures
}

// Growth of the heap between two forced collections misses what died young; so pieces short enough to fit into the
// young generation are run, and pieces in which a collection happened (the heap shrank) are left out.
function allocated(stage: (n: number) => void, from: number): number {
  const PIECE = 2000
  let bytes = 0
  let frames = 0
  let n = from
  gc?.()
  for (let piece = 0; piece < FRAMES / PIECE; piece++) {
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < PIECE; i++) stage(n++)
    const grown = process.memoryUsage().heapUsed - before
    if (grown < 0) continue
    bytes += grown
    frames += PIECE
  }
  return frames ? Math.round((bytes / frames) * 10) / 10 : NaN
}
