/**
 * What the bot hears of the caller: each frame to the ear (speech, machines, silence), into the memory for a replay, and
 * to the bot, if it is there to listen.
 *
 *   leg ─20 ms─▶ Hearing ─┬─▶ Ear ──▶ speech.started …
 *                         ├─▶ Replay (kept) ··asked··▶ second Uplink ─▶ media, replay
 *                         └─▶ Uplink ─▶ media
 */
import { FRAME_MS, type FrameSink, type Law } from '../audio/flow.ts'
import type { AudioFormat, AudioPlan, Listening, MediaFrame } from './dialect.ts'
import { Ear, type EarListener } from './ear.ts'
import { Replay } from './replay.ts'
import { Uplink } from './uplink.ts'

/** Frames given again per slot: ten times as fast as time. */
const REPLAY_FRAMES = 10
/** As long as so much waits in the socket, the replay waits too, so that live audio is not held up. */
const REPLAY_ROOM_BYTES = 32 * 1024

export interface HearingPort {
  /** The bot's socket is open. */
  readonly open: boolean
  bufferedBytes(): number
  /** How far the bot is behind with reading, ms. */
  lagMs(): number
  /** Writes one frame; returns its bytes on the wire. */
  media(frame: MediaFrame): number
  stuck(): void
}

export class Hearing implements FrameSink {
  readonly #port: HearingPort
  readonly #now: () => number
  readonly #audio: AudioPlan
  readonly #ear: Ear
  readonly #uplink: Uplink
  readonly #replay: Replay | undefined
  #again: Uplink | undefined
  /** Time in which the bot was not there, or did not want to hear, since its last frame. */
  #missedMs = 0
  #missedLost = false
  #mediaMs = 0
  held = false

  /** @param audio the session's formats, as they are at the moment */
  constructor(options: {
    audio: AudioPlan
    listening: Listening
    outbound: boolean
    answered: boolean
    keepsReplay: boolean
    port: HearingPort
    ear: EarListener
    now: () => number
  }) {
    this.#port = options.port
    this.#now = options.now
    this.#audio = options.audio
    this.#ear = new Ear(options.listening, { outbound: options.outbound, answered: options.answered }, options.ear)
    this.#replay = options.keepsReplay ? new Replay() : undefined
    this.#uplink = new Uplink(
      options.audio.input,
      {
        bufferedBytes: () => options.port.bufferedBytes(),
        lagMs: () => options.port.lagMs(),
        sendAudio: (frame) => options.port.media(frame),
        stuck: () => options.port.stuck(),
      },
      options.now,
    )
  }

  get stats(): { sentMs: number; droppedMs: number } {
    return this.#uplink.stats
  }

  frame(frame: Uint8Array, law: Law, lostMs: number): void {
    this.#ear.frame(frame, law, lostMs)
    this.#replay?.keep(frame, law)
    this.#mediaMs += FRAME_MS
    if (!this.#port.open || this.held) {
      this.#missedMs += FRAME_MS
      this.#missedLost ||= !this.held
      return
    }
    if (this.#missedMs > 0) this.#catchUp()
    if (this.#again) this.#giveAgain()
    this.#uplink.frame(frame, law, lostMs)
  }

  #catchUp(): void {
    this.#uplink.missed(this.#missedMs, this.#missedLost)
    this.#missedMs = 0
    this.#missedLost = false
  }

  /** What is heard before the answer is the network, not a person or a machine. */
  answered(): void {
    this.#ear.answered()
  }

  /** A frame of the bot was played in this slot. */
  botSpoke(): void {
    this.#ear.botSpoke()
  }

  listenFor(listening: Partial<Listening>): void {
    this.#ear.update(listening)
  }

  setFormat(format: AudioFormat): void {
    this.#uplink.setFormat(format)
    this.#again = undefined
  }

  /** The last `ms` again. False: nothing is kept. */
  replay(ms: number): boolean {
    if (!this.#replay) return false
    const backMs = this.#replay.ask(ms)
    if (backMs === 0) return true
    const again: MediaFrame = { audio: new Uint8Array(0), chunk: 0, timestampMs: 0, lostMs: 0, replay: true }
    this.#again = new Uplink(
      this.#audio.input,
      {
        // The room is looked at before: nothing of a replay is dropped.
        bufferedBytes: () => 0,
        lagMs: () => 0,
        sendAudio: (frame) => this.#port.media(Object.assign(again, frame, { replay: true })),
        stuck: () => {},
      },
      this.#now,
    )
    this.#again.missed(Math.max(0, this.#mediaMs - backMs), false)
    return true
  }

  #giveAgain(): void {
    if (this.#port.bufferedBytes() > REPLAY_ROOM_BYTES) return
    this.#replay!.giveTo(this.#again!, REPLAY_FRAMES)
    if (!this.#replay!.asked) this.#again = undefined
  }
}
