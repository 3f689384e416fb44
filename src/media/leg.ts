/**
 * One leg's audio in a worker: wires socket, receiver, jitter buffer, sink and source, sender. Two slots of the worker's
 * playout loop drive it: one takes received frames, aligned with the arrival of packets, one sends.
 *
 *   socket ─▶ Receiver ─▶ JitterBuffer ─▶ rx slot ─▶ FrameSink (bot, other leg)
 *                              └ by timestamp ─▶ CallerTrack ─▶ Recorder (left)
 *   socket ◀─ Sender ◀──────────────────── tx slot ◀─ FrameSource (bot, other leg) or silence
 *                                             └─────▶ Recorder (right)
 *
 * Knows nothing of calls, bots or SDP. Its methods never throw; callbacks come from packets and slots.
 */
import {
  FRAME_MS,
  FRAME_SAMPLES,
  SAMPLES_PER_MS,
  SILENCE,
  type FrameSink,
  type FrameSource,
  type Law,
} from '../audio/flow.ts'
import type { Clock } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import type { RtpTransport } from '../rtp/socket.ts'
import { CallerTrack } from './caller-track.ts'
import { Control } from './control.ts'
import type { Playout, Slot } from './playout.ts'
import { Receiver } from './receiver.ts'
import type { Recorder } from './recorder.ts'
import type { RemoteMedia } from '../calls/ports.ts'
import type { LegStats } from './leg-stats.ts'
import { Sender } from './sender.ts'

const SLOTS_PER_SECOND = 1000 / FRAME_MS
/** Frames given to the sink at once while it catches up with a stall of ours. */
const CATCH_UP_FRAMES = 3
/** Slots that real frames may take to come before a stall is filled with concealment. */
const CATCH_UP_SLOTS = 4
const MAX_BEHIND_MS = 1000
/** A slot is not moved for less. */
const LEAST_MOVE_MS = 2

export interface LegOptions {
  id: string
  clock: Clock
  log: Log
  /** Owned by the leg from here on: close() closes it. */
  socket: RtpTransport
  playout: Playout
  /** At the first packet of the event; `durationMs` is what that packet says so far. */
  onDigit(digit: string, durationMs: number): void
  onFirstPacket(): void
  onRtpTimeout(afterFirst: boolean): void
}

export class Leg {
  readonly id: string
  readonly #options: LegOptions
  readonly #clock: Clock
  readonly #socket: RtpTransport
  readonly #playout: Playout
  readonly #receiver: Receiver
  readonly #sender: Sender
  readonly #control: Control
  readonly #rxSlot: Slot = { tick: (dueMs) => this.#rxTick(dueMs) }
  readonly #txSlot: Slot = { tick: (dueMs, turns) => this.#txTick(dueMs, turns) }
  readonly #halfSlot: Slot = { tick: () => this.#halfTick() }
  readonly #rxFrame = new Uint8Array(FRAME_SAMPLES)

  #remote: RemoteMedia | undefined
  #sink: FrameSink | undefined
  #source: FrameSource | undefined
  #recorder: Recorder | undefined
  #callerTrack: CallerTrack | undefined
  #closed: Promise<void> | undefined

  #connectedAtMs = 0
  #firstSourceAtMs = -1
  #heard = false
  #timedOut = false
  #settled = false
  // The sink's clock: frame n belongs to firstDue + n · 20 ms.
  #firstDueMs = -1
  #framesOut = 0
  #behindSlots = 0
  #slotsToSecond = SLOTS_PER_SECOND
  // The sending slot.
  #txFirstDueMs = -1
  #txEarlyMs = 0
  #idle = true

  constructor(options: LegOptions) {
    this.id = options.id
    this.#options = options
    this.#clock = options.clock
    this.#socket = options.socket
    this.#playout = options.playout
    this.#sender = new Sender(options.socket)
    this.#receiver = new Receiver({
      onDigit: (digit, durationMs) => options.onDigit(digit, durationMs),
      onMoved: (host, port) => this.#moved(host, port),
      onStarted: (nowMs) => this.#align(nowMs),
      onRtcp: (data, address) => this.#receiveRtcp(data, address),
    })
    this.#control = new Control(options.socket, options.clock, this.#sender, this.#receiver)
    options.socket.listen(
      (data, address, port) => this.#receive(data, address, port),
      (data, address) => this.#receiveRtcp(data, address),
    )
  }

  /** The law of what the sink gets and of what the source is asked for; 'pcmu' before connect(). */
  get law(): Law {
    return this.#sender.law
  }

  /** First time: media starts. Again on re-INVITE: new address, codec, direction; re-arms latching. */
  connect(remote: RemoteMedia): void {
    if (this.#closed) return
    const first = !this.#remote
    const nowMs = this.#clock.now()
    this.#remote = remote
    this.#receiver.configure(remote.codec, remote.payloadType, remote.dtmfPayloadType)
    this.#sender.configure(remote.codec, remote.payloadType, remote.dtmfPayloadType, remote.ptimeMs)
    if (this.#receiver.latch.connect(remote.host, remote.port, remote.source === 'strict', nowMs)) {
      // A new address moves our stream at once, before anything comes from there (livekit/sip#661).
      this.#socket.target(remote.host, remote.port, remote.rtcpPort)
      this.#settled = false
    }
    this.#receiver.lastLifeMs = nowMs
    this.#timedOut = false
    if (remote.direction === 'sendonly' || remote.direction === 'inactive') this.#receiver.buffer.expectNothing()
    if (first) {
      this.#connectedAtMs = nowMs
      this.#playout.add(this.#rxSlot)
      this.#playout.add(this.#txSlot)
    }
    this.#playout.remove(this.#halfSlot)
    if (this.#sender.needsHalfSlots) this.#playout.addOpposite(this.#halfSlot, this.#txSlot)
    this.#options.log.debug({ leg: this.id, chain: this.describe() }, first ? 'media connected' : 'media changed')
  }

  setSink(sink: FrameSink | undefined): void {
    this.#sink = sink
  }

  setSource(source: FrameSource | undefined): void {
    this.#source = source
  }

  /**
   * The source has audio again after it had none: it goes out `leadMs` from now, in the next 1 ms slot when that is 0,
   * instead of waiting for its 20 ms slot. The time line may run ahead of time by one slot at the most; it returns in
   * the next silence.
   */
  wake(leadMs = 0): void {
    if (!this.#idle || this.#closed || !this.#sending || this.#sender.events.busy) return
    if (this.#sender.needsHalfSlots) return
    const dueMs = this.#playout.nextDueMs(this.#txSlot)
    this.#playout.moveTo(this.#txSlot, Math.max(this.#clock.now() + leadMs, dueMs - FRAME_MS))
    this.#txEarlyMs = dueMs - this.#playout.nextDueMs(this.#txSlot)
    this.#idle = false
  }

  /** Time until the next frame goes out, in whole ms. */
  get untilSentMs(): number {
    return Math.floor(this.#playout.nextDueMs(this.#txSlot) - this.#clock.now())
  }

  /**
   * What goes out now goes sooner by `ms`, later if negative, as far as the time line may run ahead of time.
   * @returns by how much
   */
  sooner(ms: number): number {
    if (this.#idle || this.#closed || this.#sender.needsHalfSlots) return 0
    const byMs = Math.trunc(Math.max(-this.#txEarlyMs, Math.min(ms, FRAME_MS - this.#txEarlyMs)))
    if (Math.abs(byMs) < LEAST_MOVE_MS) return 0
    const dueMs = this.#playout.nextDueMs(this.#txSlot)
    this.#playout.moveTo(this.#txSlot, dueMs - byMs)
    const movedMs = dueMs - this.#playout.nextDueMs(this.#txSlot)
    this.#txEarlyMs += movedMs
    return movedMs
  }

  /** Queues digits 0-9 * # A-D; 'w' pauses 500 ms. Returns how many were taken: 0 when the peer has no telephone-event. */
  sendDigits(digits: string, durationMs: number, gapMs: number): number {
    if (this.#closed || !this.#sender.canSendEvents) return 0
    return this.#sender.events.queue(digits, durationMs, gapMs)
  }

  /** Digits are still going out: audio waits. */
  get sendingDigits(): boolean {
    return this.#sender.events.busy
  }

  setRecorder(recorder: Recorder | undefined): void {
    this.#recorder = recorder
    this.#callerTrack = recorder && new CallerTrack(recorder)
    this.#receiver.buffer.setTap(this.#callerTrack)
  }

  stats(): LegStats {
    const { buffer, stats } = this.#receiver
    const missing = Math.max(0, buffer.expected - buffer.stats.received - buffer.quietPackets)
    return {
      rxPackets: stats.packets,
      txPackets: this.#sender.packets,
      rxLost: missing + buffer.stats.late,
      rxLate: buffer.stats.late,
      rxDropped: buffer.stats.stray + stats.overRate + Math.ceil(buffer.stats.droppedSamples / FRAME_SAMPLES),
      jitterMs: buffer.jitterMs,
      firstBotAudioMs: this.#firstSourceAtMs < 0 ? undefined : this.#firstSourceAtMs - this.#connectedAtMs,
      concealedFrames: buffer.stats.concealedFrames,
      duplicates: buffer.stats.duplicates,
      strangers: stats.strangers,
      malformed: stats.malformed + stats.unknownType,
      bufferMs: buffer.delayMs,
      rttMs: this.#control.rttMs,
      remoteLossRatio: this.#control.remoteLossRatio,
      socketErrors: this.#socket.errors,
    }
  }

  /** Stops at once, sends RTCP BYE; resolves when both sockets are closed (then PortPool.release). Idempotent. */
  close(): Promise<void> {
    if (this.#closed) return this.#closed
    this.#playout.remove(this.#rxSlot)
    this.#playout.remove(this.#txSlot)
    this.#playout.remove(this.#halfSlot)
    if (this.#remote && this.#sender.packets > 0) this.#control.send(true)
    this.#sink = this.#source = undefined
    this.setRecorder(undefined)
    this.#closed = this.#socket.close()
    return this.#closed
  }

  /** The pipeline in one line, for the log. */
  describe(): string {
    const r = this.#remote
    if (!r) return `rtp:${this.#socket.port} not connected`
    const { latch } = this.#receiver
    return (
      `rtp:${this.#socket.port} ⇄ ${latch.host}:${latch.port} ${r.codec}/${r.payloadType} ${this.#sender.ptimeMs}ms ` +
      `${r.direction} ${r.source} dtmf:${r.dtmfPayloadType ?? 'none'}`
    )
  }

  // ── Packets ───────────────────────────────────────────────────────────────────────────────────────────────────

  #receive(data: Buffer, address: string, port: number): void {
    if (!this.#remote) return
    const { buffer } = this.#receiver
    buffer.nowMs = this.#clock.now()
    buffer.nextTakeMs = this.#playout.nextDueMs(this.#rxSlot)
    this.#receiver.receive(data, address, port)
    if (!this.#heard && this.#receiver.stats.packets > 0) {
      this.#heard = true
      this.#options.onFirstPacket()
    }
  }

  #receiveRtcp(data: Buffer, address: string): void {
    if (!this.#remote) return
    if (this.#control.receive(data, address)) this.#receiver.lastLifeMs = this.#clock.now()
  }

  #moved(host: string, port: number): void {
    const remote = this.#remote as RemoteMedia
    const rtcpPort = host === remote.host && port === remote.port ? remote.rtcpPort : port + 1
    this.#socket.target(host, port, rtcpPort)
    this.#options.log.debug({ leg: this.id, host, port }, 'rtp source latched')
  }

  get #sending(): boolean {
    const r = this.#remote
    return (
      r !== undefined &&
      (r.direction === 'sendrecv' || r.direction === 'sendonly') &&
      r.port > 0 &&
      r.host !== '0.0.0.0'
    )
  }

  // ── Slots ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #rxTick(dueMs: number): void {
    if (this.#firstDueMs < 0) this.#firstDueMs = dueMs
    let behindMs = dueMs - this.#firstDueMs - this.#framesOut * FRAME_MS
    if (behindMs > MAX_BEHIND_MS) {
      // So long a stall is not caught up with; the recording keeps its place in time.
      const skipped = Math.floor(behindMs / FRAME_MS)
      this.#framesOut += skipped
      behindMs -= skipped * FRAME_MS
    }
    this.#housekeep(dueMs)
    // The slot was moved and is a whole frame ahead of the sink's clock.
    if (behindMs <= -FRAME_MS) return
    this.#frameOut()
    behindMs -= FRAME_MS
    if (behindMs < 0) {
      this.#behindSlots = 0
      this.#receiver.buffer.trim()
      return
    }
    // After a stall of ours: what has come meanwhile goes out, a few frames at a time; what has not is filled in.
    const patient = ++this.#behindSlots <= CATCH_UP_SLOTS
    for (let n = 1; n < CATCH_UP_FRAMES && behindMs >= 0; n++, behindMs -= FRAME_MS) {
      if (patient && this.#receiver.buffer.bufferedMs < FRAME_MS) return
      this.#frameOut()
    }
  }

  // A stream began: its frames are taken just after they come. The sink's clock must not notice.
  #align(nowMs: number): void {
    this.#playout.moveTo(this.#rxSlot, nowMs + this.#receiver.buffer.startDelayMs)
    if (this.#firstDueMs < 0) return
    const dueMs = this.#playout.nextDueMs(this.#rxSlot)
    while (dueMs - this.#firstDueMs - this.#framesOut * FRAME_MS >= FRAME_MS) {
      this.#rxFrame.fill(SILENCE[this.law])
      this.#give(FRAME_MS)
    }
  }

  #frameOut(): void {
    const atMs = this.#firstDueMs + this.#framesOut * FRAME_MS
    if (this.#callerTrack) this.#callerTrack.dueMs = atMs
    this.#recorder?.passed(atMs)
    this.#give(this.#receiver.buffer.takeInto(this.#rxFrame))
  }

  #give(lostMs: number): void {
    const frame = this.#rxFrame
    this.#framesOut++
    this.#sink?.frame(frame, this.law, lostMs)
  }

  #txTick(dueMs: number, turns: number): void {
    if (this.#txFirstDueMs < 0) this.#txFirstDueMs = dueMs
    const sender = this.#sender
    if (!this.#sending) {
      this.#idle = true
      sender.skip(turns, this.#source)
      return
    }
    const atMs = this.#txFirstDueMs + (sender.positionSamples + (turns - 1) * FRAME_SAMPLES) / SAMPLES_PER_MS
    const sent = sender.slot(turns, this.#source)
    this.#idle = sent !== 'source'
    if (sent === 'source' && this.#firstSourceAtMs < 0) this.#firstSourceAtMs = dueMs
    this.#recorder?.tx(atMs, sender.frame, sender.law)
    if (this.#idle && this.#txEarlyMs !== 0) {
      this.#playout.moveTo(this.#txSlot, dueMs + FRAME_MS + this.#txEarlyMs)
      this.#txEarlyMs = 0
    }
  }

  #halfTick(): void {
    if (this.#sending) this.#sender.half()
  }

  #housekeep(dueMs: number): void {
    const remote = this.#remote as RemoteMedia
    if (!this.#settled && this.#receiver.latch.locked && this.#heard) {
      this.#settled = true
      this.#socket.settle()
    }
    this.#checkTimeout(remote, dueMs)
    if (--this.#slotsToSecond > 0) return
    this.#slotsToSecond = SLOTS_PER_SECOND
    this.#receiver.refillBudget()
    this.#control.second()
    this.#tighten(dueMs)
  }

  // Lead that no packet has needed lately is given back by taking frames sooner: the slot moves, no sample is touched.
  // The sink's clock may run ahead of time by less than one frame for it.
  #tighten(dueMs: number): void {
    const aheadMs = Math.max(0, this.#firstDueMs + this.#framesOut * FRAME_MS - dueMs)
    const spareMs = Math.min(this.#receiver.buffer.spareLeadMs, FRAME_MS - 1 - aheadMs)
    if (spareMs < LEAST_MOVE_MS) return
    this.#playout.moveTo(this.#rxSlot, dueMs + FRAME_MS - spareMs)
    this.#receiver.buffer.takenSooner(dueMs + FRAME_MS - this.#playout.nextDueMs(this.#rxSlot))
  }

  // Off while nothing has to come (RELIABILITY R23).
  #checkTimeout(remote: RemoteMedia, dueMs: number): void {
    if (remote.direction !== 'sendrecv') {
      this.#receiver.lastLifeMs = dueMs
      return
    }
    const limitMs = this.#heard ? remote.timeoutAfterMs : remote.timeoutBeforeMs
    if (limitMs <= 0 || dueMs - this.#receiver.lastLifeMs < limitMs) {
      this.#timedOut = false
      return
    }
    if (this.#timedOut) return
    this.#timedOut = true
    this.#options.onRtpTimeout(this.#heard)
  }
}
