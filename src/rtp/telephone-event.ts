/**
 * DTMF as RTP events (RFC 4733, which replaced RFC 2833): reading them with all the sins of the field forgiven, and
 * writing them by the book. No sockets, no clock: the leg calls once per packet and once per slot.
 *
 *   one key press of 100 ms, as sent (each · is 20 ms; all packets carry the timestamp of the first):
 *
 *   audio  aaaaaa                          ssssss aaaa      a = audio, s = silence (gap)
 *   event        M···· ···· ···· E   E   E
 *   duration     160  320  480   800 800 800               M = marker, E = end bit, sent three times
 *
 *   payload   |    event      |E|R| volume    |          duration             |
 */
import { FRAME_SAMPLES, SAMPLES_PER_MS } from '../audio/flow.ts'
import { tsAdd } from '../lib/seq16.ts'

export const EVENT_BYTES = 4
const DIGITS = '0123456789*#ABCD'
const MAX_DURATION = 0xffff
const HISTORY = 8

export interface EventSeen {
  digit: string
  durationMs: number
}

export class EventReader {
  // Events already told, newest last: packets are repeated and reordered. Key: SSRC and timestamp, never the marker
  // (senders forget it).
  readonly #ssrcs = new Float64Array(HISTORY).fill(-1)
  readonly #rtpTs = new Float64Array(HISTORY)
  #next = 0
  #lastEvent = -1
  #lastSsrc = -1
  #lastTs = 0
  #lastDuration = 0
  #lastEnded = true
  /** Reused result. */
  readonly #seen: EventSeen = { digit: '', durationMs: 0 }

  /**
   * Reads one event packet; `data[from, to)` is the payload.
   * @returns the digit when this is the first packet seen of it (borrowed), else undefined
   */
  read(data: Uint8Array, from: number, to: number, rtpTs: number, ssrc: number): EventSeen | undefined {
    if (to - from < EVENT_BYTES) return undefined
    const event = data[from]
    // 16 is flash, above are tones and modem signals: not ours.
    if (event >= DIGITS.length) return undefined
    const ended = (data[from + 1] & 0x80) !== 0
    const duration = (data[from + 2] << 8) | data[from + 3]
    if (this.#known(ssrc, rtpTs)) {
      if (ssrc === this.#lastSsrc && rtpTs === this.#lastTs) {
        this.#lastDuration = Math.max(this.#lastDuration, duration)
        this.#lastEnded ||= ended
      }
      return undefined
    }
    // RFC 4733 §2.5.1.3: an event longer than 65535 ticks goes on in a new segment, at the timestamp where the last
    // one ended and without an end packet between.
    const segment =
      event === this.#lastEvent &&
      ssrc === this.#lastSsrc &&
      !this.#lastEnded &&
      (rtpTs === tsAdd(this.#lastTs, MAX_DURATION) ||
        (this.#lastDuration > 0 && rtpTs === tsAdd(this.#lastTs, this.#lastDuration)))
    this.#remember(ssrc, rtpTs)
    this.#lastEvent = event
    this.#lastSsrc = ssrc
    this.#lastTs = rtpTs
    this.#lastDuration = duration
    this.#lastEnded = ended
    if (segment) return undefined
    this.#seen.digit = DIGITS[event]
    this.#seen.durationMs = Math.round(duration / SAMPLES_PER_MS)
    return this.#seen
  }

  #known(ssrc: number, rtpTs: number): boolean {
    for (let i = 0; i < HISTORY; i++) if (this.#ssrcs[i] === ssrc && this.#rtpTs[i] === rtpTs) return true
    return false
  }

  #remember(ssrc: number, rtpTs: number): void {
    this.#ssrcs[this.#next] = ssrc
    this.#rtpTs[this.#next] = rtpTs
    this.#next = (this.#next + 1) % HISTORY
  }
}

const MAX_QUEUED = 128
const PAUSE_MS = 500
const MIN_MS = 40
const MAX_MS = 8000
/** RFC 4733 §2.5.1.4: the final packet is sent three times. */
const END_PACKETS = 3
const FRAME_MS = FRAME_SAMPLES / SAMPLES_PER_MS

interface Press {
  /** −1: a pause. */
  event: number
  slots: number
  gapSlots: number
}

/** What the leg sends in this slot instead of audio: nothing special, silence, or the event packet just written. */
export type EventSlot = 'audio' | 'silence' | 'event'

export class EventWriter {
  readonly #queue: Press[] = []
  #current: Press | undefined
  #slot = 0
  #ends = 0
  /** Of the event packet: its timestamp stays for the whole press. */
  rtpTs = 0
  marker = false

  get busy(): boolean {
    return this.#current !== undefined || this.#queue.length > 0
  }

  /** Queues key presses; 'w' (or ',') is a pause of 500 ms. Others are left out. @returns how many were taken */
  queue(digits: string, durationMs: number, gapMs: number): number {
    let taken = 0
    for (const char of digits.toUpperCase()) {
      if (this.#queue.length >= MAX_QUEUED) break
      if (char === 'W' || char === ',') this.#queue.push({ event: -1, slots: PAUSE_MS / FRAME_MS, gapSlots: 0 })
      else if (DIGITS.includes(char)) {
        const slots = Math.round(clamp(durationMs, MIN_MS, MAX_MS) / FRAME_MS)
        // The two repeated ends are sent in the gap.
        const gapSlots = Math.max(END_PACKETS, Math.ceil(clamp(gapMs, MIN_MS, MAX_MS) / FRAME_MS))
        this.#queue.push({ event: DIGITS.indexOf(char), slots, gapSlots })
      } else continue
      taken++
    }
    return taken
  }

  clear(): void {
    this.#queue.length = 0
    this.#current = undefined
  }

  /**
   * One 20 ms slot. On 'event' the 4 bytes are at `payload[at]`, with `rtpTs` and `marker` for its header.
   * @param nowTs the timestamp that audio of this slot would have
   */
  slotInto(payload: Uint8Array, at: number, nowTs: number): EventSlot {
    if (!this.#current) {
      this.#current = this.#queue.shift()
      if (!this.#current) return 'audio'
      this.#slot = 0
      this.#ends = 0
      this.rtpTs = nowTs
    }
    const press = this.#current
    const slot = this.#slot++
    if (slot + 1 >= press.slots + press.gapSlots) this.#current = undefined
    if (press.event < 0) return 'silence'
    const isEnd = slot >= press.slots - 1
    if (isEnd && this.#ends++ >= END_PACKETS) return 'silence'
    const duration = Math.min(MAX_DURATION, Math.min(slot + 1, press.slots) * FRAME_SAMPLES)
    payload[at] = press.event
    // Volume −10 dBm0.
    payload[at + 1] = (isEnd ? 0x80 : 0) | 10
    payload[at + 2] = duration >> 8
    payload[at + 3] = duration & 0xff
    this.marker = slot === 0
    return 'event'
  }
}

const clamp = (n: number, min: number, max: number): number => (n >= min ? Math.min(n, max) : min)
