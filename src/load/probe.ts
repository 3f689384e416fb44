/**
 * Latency through a bit-exact path: every frame that a simulated caller sends carries its own number, in the audio.
 *
 *    0       4      6          10                    160
 *    | magic | call | frame no. | fixture audio …      |     one 20 ms µ-law frame
 *
 * The echo bot and the phone live in this process, so that one clock times both ways:
 *
 *    phone sends ──▶ bot hears      up   = heard - sent
 *    bot echoes  ──▶ phone hears    down = returned - echoed
 *
 * A frame may come shifted (the bridge may drop or insert 10 ms against clock drift), so the magic is searched for.
 */
import { LatencyHistogram } from './stats.ts'

const MAGIC = [0x2b, 0xd4, 0x17, 0xe8] as const
export const TAG_BYTES = 10
// 512 frames = 10 s: a frame that takes longer is lost for all that anyone hears.
const REMEMBERED = 512

export interface ProbeCounts {
  sent: number
  /** Frames that reached the bot, and that came back to the phone. */
  heard: number
  returned: number
}

export class Probe {
  readonly up = new LatencyHistogram()
  readonly down = new LatencyHistogram()
  /** What each call saw beyond its own least delay: the standing delay (packet, jitter buffer, slot) taken off. */
  readonly upBeyond = new LatencyHistogram()
  readonly downBeyond = new LatencyHistogram()
  readonly counts: ProbeCounts = { sent: 0, heard: 0, returned: 0 }
  #measuring = false
  readonly #calls: number
  readonly #sentAt: Float64Array
  readonly #echoedAt: Float64Array
  readonly #frameNo: Uint32Array
  /** Bit 0: sent while measuring; 1: heard; 2: returned. */
  readonly #seen: Uint8Array
  readonly #ignored: Uint8Array
  readonly #leastUp: Float64Array
  readonly #leastDown: Float64Array

  constructor(calls: number) {
    this.#calls = calls
    this.#sentAt = new Float64Array(calls * REMEMBERED)
    this.#echoedAt = new Float64Array(calls * REMEMBERED)
    this.#frameNo = new Uint32Array(calls * REMEMBERED)
    this.#seen = new Uint8Array(calls * REMEMBERED)
    this.#ignored = new Uint8Array(calls)
    this.#leastUp = new Float64Array(calls).fill(Infinity)
    this.#leastDown = new Float64Array(calls).fill(Infinity)
  }

  /** Frames sent from now on count; those before only teach each call's least delay. */
  startMeasuring(): void {
    this.#measuring = true
  }

  /** Frames sent from now on do not count; those under way still do. */
  stopMeasuring(): void {
    this.#measuring = false
  }

  /** From here on this call's frames do not count. */
  ignore(call: number): void {
    this.#ignored[call] = 1
  }

  /** Forgets the figures and each call's least delay: a new phase. */
  reset(): void {
    for (const histogram of [this.up, this.down, this.upBeyond, this.downBeyond]) histogram.reset()
    this.#leastUp.fill(Infinity)
    this.#leastDown.fill(Infinity)
    this.counts.sent = this.counts.heard = this.counts.returned = 0
  }

  /** Which call a frame is of; -1: it carries no tag. */
  callOf(frame: Uint8Array): number {
    const at = this.#find(frame)
    return at < 0 ? -1 : Math.floor(at / REMEMBERED)
  }

  /** Writes the tag over the first bytes of `frame` and notes the time. */
  sending(frame: Uint8Array, call: number, frameNo: number, nowMs: number): void {
    frame[0] = MAGIC[0]
    frame[1] = MAGIC[1]
    frame[2] = MAGIC[2]
    frame[3] = MAGIC[3]
    frame[4] = call >> 8
    frame[5] = call
    frame[6] = frameNo >>> 24
    frame[7] = frameNo >>> 16
    frame[8] = frameNo >>> 8
    frame[9] = frameNo
    const at = call * REMEMBERED + (frameNo % REMEMBERED)
    this.#sentAt[at] = nowMs
    this.#frameNo[at] = frameNo
    const counted = this.#measuring && !this.#ignored[call]
    this.#seen[at] = counted ? 1 : 0
    if (counted) this.counts.sent++
  }

  /** The bot got `frame` and is about to echo it. */
  heard(frame: Uint8Array, nowMs: number): void {
    const at = this.#find(frame)
    if (at < 0 || this.#seen[at] & 2) return
    this.#seen[at] |= 2
    this.#echoedAt[at] = nowMs
    const ms = nowMs - this.#sentAt[at]
    const call = Math.floor(at / REMEMBERED)
    if (ms < this.#leastUp[call]) this.#leastUp[call] = ms
    if (!(this.#seen[at] & 1)) return
    this.counts.heard++
    this.up.record(ms)
    this.upBeyond.record(ms - this.#leastUp[call])
  }

  /** The phone got `frame` back. */
  returned(frame: Uint8Array, nowMs: number): void {
    const at = this.#find(frame)
    if (at < 0 || (this.#seen[at] & 6) !== 2) return
    this.#seen[at] |= 4
    const ms = nowMs - this.#echoedAt[at]
    const call = Math.floor(at / REMEMBERED)
    if (ms < this.#leastDown[call]) this.#leastDown[call] = ms
    if (!(this.#seen[at] & 1)) return
    this.counts.returned++
    this.down.record(ms)
    this.downBeyond.record(ms - this.#leastDown[call])
  }

  /** Index into the tables of the frame whose tag lies in `bytes`, or -1. */
  #find(bytes: Uint8Array): number {
    const last = bytes.length - TAG_BYTES
    for (let i = 0; i <= last; i++) {
      if (bytes[i] !== MAGIC[0] || bytes[i + 1] !== MAGIC[1] || bytes[i + 2] !== MAGIC[2] || bytes[i + 3] !== MAGIC[3])
        continue
      const call = (bytes[i + 4] << 8) | bytes[i + 5]
      const frameNo = ((bytes[i + 6] << 24) | (bytes[i + 7] << 16) | (bytes[i + 8] << 8) | bytes[i + 9]) >>> 0
      if (call >= this.#calls) return -1
      const at = call * REMEMBERED + (frameNo % REMEMBERED)
      return this.#frameNo[at] === frameNo ? at : -1
    }
    return -1
  }
}
