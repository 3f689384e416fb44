/**
 * Audio from one leg to another in the same worker: the first leg's sink is the second leg's source. Both run on one
 * playout clock, so one frame comes for each that is taken; a few slots take up where the two phases cross.
 *
 *   leg A ── frame() ──▶ [ slot | slot | slot | slot ] ── frameInto() ──▶ leg B
 *
 * Bytes pass untouched when both laws are the same.
 */
import { meanSquare, meanSquareOf } from '../audio/energy.ts'
import { crossTable } from '../audio/g711.ts'
import { FRAME_SAMPLES, type FrameSink, type FrameSource, type Law } from '../audio/flow.ts'

const SLOTS = 4
/**
 * So many frames taken without the queue once running low: what lay in it all that time is only delay. A silent frame
 * goes next, any frame a little later: the three that may stand are gone within 2 s of speech.
 */
const TRIM_SILENCE_AFTER = 20
const TRIM_AFTER = 30
const SILENT = meanSquareOf(-50)

export class BridgeFeed implements FrameSink, FrameSource {
  readonly #bytes = new Uint8Array(SLOTS * FRAME_SAMPLES)
  readonly #laws: Law[] = new Array<Law>(SLOTS).fill('pcmu')
  #read = 0
  #write = 0
  #leastLeft = SLOTS
  #taken = 0
  readonly stats = { dropped: 0 }

  frame(frame: Uint8Array, law: Law): void {
    if (this.#write - this.#read === SLOTS) {
      // The other side stalled or is held: late speech is worth less than recent speech.
      this.#read++
      this.stats.dropped++
    }
    const slot = this.#write++ & (SLOTS - 1)
    this.#laws[slot] = law
    const at = slot * FRAME_SAMPLES
    for (let i = 0; i < FRAME_SAMPLES; i++) this.#bytes[at + i] = frame[i]
  }

  frameInto(dst: Uint8Array, law: Law): boolean {
    if (this.#write === this.#read) return false
    const slot = this.#read++ & (SLOTS - 1)
    const at = slot * FRAME_SAMPLES
    const table = crossTable(this.#laws[slot], law)
    if (table) for (let i = 0; i < FRAME_SAMPLES; i++) dst[i] = table[this.#bytes[at + i]]
    else for (let i = 0; i < FRAME_SAMPLES; i++) dst[i] = this.#bytes[at + i]
    this.#trim()
    return true
  }

  #trim(): void {
    this.#leastLeft = Math.min(this.#leastLeft, this.#write - this.#read)
    if (++this.#taken < TRIM_SILENCE_AFTER) return
    if (this.#leastLeft > 0) {
      if (this.#taken < TRIM_AFTER && !this.#silentNext()) return
      this.#read++
      this.stats.dropped++
    }
    this.#taken = 0
    this.#leastLeft = SLOTS
  }

  #silentNext(): boolean {
    const slot = this.#read & (SLOTS - 1)
    return meanSquare(this.#bytes, this.#laws[slot], slot * FRAME_SAMPLES, (slot + 1) * FRAME_SAMPLES) < SILENT
  }
}
