/**
 * One leg inside a worker: its RTP leg, its bot, its recorder and the bridge to another leg, wired together. Whatever is
 * thrown in here ends this leg and no other.
 *
 *              ┌──────── frame() ────────▶ bot uplink            (a bot is attached and joined)
 *   rtp leg ──┤                         └▶ peer's BridgeFeed     (bridged)
 *              └◀─────── frameInto() ───── own BridgeFeed │ bot's voice │ prompt │ nothing: silence
 */
import type { FrameSink, FrameSource, Law } from '../audio/flow.ts'
import { InbandDtmf } from '../audio/inband-dtmf.ts'
import { BotSession } from '../bot/session.ts'
import type { BotPlan, RecordPlan, RecordingStatus, RemoteMedia, Stop, TransferStatus } from '../calls/ports.ts'
import { callIdOf, type LegId } from '../calls/ids.ts'
import type { EgressTarget } from '../egress/egress.ts'
import type { Clock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import { Leg } from '../media/leg.ts'
import type { Playout } from '../media/playout.ts'
import { mos } from '../media/quality.ts'
import { Recorder } from '../media/recorder.ts'
import type { RtpTransport } from '../rtp/socket.ts'
import type { Log } from '../telemetry/log.ts'
import { BridgeFeed } from './bridge-feed.ts'
import { DigitFilter, type DigitMethod } from './digit-filter.ts'
import { Prompt, readPrompt } from './prompt.ts'
import type { BotSummary, Event } from './protocol.ts'

// A digit that is relayed over a bridge: its full length is not known when it starts.
const RELAYED_DIGIT_MS = 160
const RELAYED_GAP_MS = 60
// A press in the audio is told when it is sure; how long it will last is not known then.
const INBAND_DIGIT_MS = 40

export interface LegHouse {
  clock: Clock
  log: Log
  playout: Playout
  recordingsDir: string
  promptsDir: string
  resolve(url: string): Promise<EgressTarget>
  emit(event: Event): void
  /** This leg has failed by a bug: end it. */
  fault(legId: LegId, err: unknown): void
  counts: { botSockets: number; recordings: number }
}

export class LegSession implements FrameSink, FrameSource {
  readonly id: LegId
  readonly port: number
  readonly #house: LegHouse
  readonly #leg: Leg
  readonly #digits = new DigitFilter()
  #remote: RemoteMedia | undefined
  /** Only for a peer that sends its digits no other way. */
  #inband: InbandDtmf | undefined
  #bot: BotSession | undefined
  #botSeq = 0
  #firstBotAudioMs: number | undefined
  #prompt: Prompt | undefined
  #told = { rxPackets: 0, rxLost: 0 }
  #recorder: Recorder | undefined
  #capturing: Promise<void> = Promise.resolve()
  #peer: LegSession | undefined
  #fromPeer: BridgeFeed | undefined
  #toPeer: BridgeFeed | undefined
  #early = false
  #answered = false
  #closed: Promise<void> | undefined

  constructor(id: LegId, socket: RtpTransport, house: LegHouse) {
    this.id = id
    this.port = socket.port
    this.#house = house
    this.#leg = new Leg({
      id,
      clock: house.clock,
      log: house.log,
      socket,
      playout: house.playout,
      onDigit: (digit, durationMs) => this.#guard(() => this.#heard(digit, durationMs, 'rfc4733')),
      onFirstPacket: () => house.emit({ on: 'firstPacket', legId: id }),
      onRtpTimeout: (afterFirst) => house.emit({ on: 'rtpTimeout', legId: id, afterFirst }),
    })
    this.#leg.setSink(this)
    this.#leg.setSource(this)
  }

  // ── Audio, each 20 ms ──────────────────────────────────────────────────────────────────────────────────────────

  frame(frame: Uint8Array, law: Law, lostMs: number): void {
    try {
      const digit = this.#inband?.frame(frame, law)
      // Over a bridge the tones themselves go on.
      if (digit !== undefined && !this.#toPeer) this.#heard(digit, INBAND_DIGIT_MS, 'inband')
      if (this.#toPeer) this.#toPeer.frame(frame, law)
      else if (this.#bot?.listening === true) this.#bot.sink.frame(frame, law, lostMs)
    } catch (err) {
      this.#house.fault(this.id, err)
    }
  }

  frameInto(dst: Uint8Array, law: Law): boolean {
    try {
      if (this.#fromPeer) return this.#fromPeer.frameInto(dst, law)
      const source = this.#bot?.source ?? this.#prompt
      return source ? source.frameInto(dst, law) : false
    } catch (err) {
      this.#house.fault(this.id, err)
      return false
    }
  }

  skipped(slots: number): void {
    if (!this.#fromPeer) this.#bot?.source.skipped?.(slots)
  }

  // ── Commands ───────────────────────────────────────────────────────────────────────────────────────────────────

  connect(remote: RemoteMedia): void {
    this.#remote = remote
    if (remote.dtmfPayloadType !== undefined || remote.dtmfMode === 'info') this.#inband = undefined
    else this.#inband ??= new InbandDtmf()
    this.#leg.connect(remote)
  }

  callProgress(sipStatus: number): void {
    if (sipStatus === 183) this.#early = true
    this.#bot?.progress(sipStatus)
  }

  callAnswered(): void {
    this.#answered = true
    this.#bot?.answered()
  }

  digit(digit: string, durationMs: number): void {
    this.#heard(digit, durationMs, 'info')
  }

  held(held: boolean): void {
    this.#bot?.held(held)
  }

  transferStatus(status: TransferStatus): void {
    this.#bot?.transferStatus(status)
  }

  recordingStatus(status: RecordingStatus): void {
    this.#bot?.recordingStatus(status)
  }

  /** `played` follows, once. */
  play(name: string): void {
    const house = this.#house
    const played = (ok: boolean, reason?: string): void => {
      this.#prompt = undefined
      house.emit({ on: 'played', legId: this.id, ok, reason })
    }
    readPrompt(house.promptsDir, name).then(
      (codes) => {
        if (this.#closed) return
        this.#prompt = new Prompt(codes, () => played(true))
        this.#leg.wake(0)
      },
      (err: unknown) => played(false, errorText(err)),
    )
  }

  attachBot(plan: BotPlan): void {
    this.detachBot({ reason: 'replaced', sipStatus: 200, q850: 16 })
    const house = this.#house
    const { counts, clock, log } = house
    const emit = (event: Event): void => house.emit(event)
    const legId = this.id
    let end: BotSummary['end'] = 'stopped'
    const bot = new BotSession({
      plan,
      callId: callIdOf(legId),
      streamId: `${legId}.${++this.#botSeq}`,
      law: this.#remote?.codec,
      state: this.#answered ? 'answered' : this.#early ? 'early' : 'ringing',
      clock,
      log,
      resolve: (url) => house.resolve(url),
      owner: {
        opened: ({ resumed, standIn }) => emit({ on: 'bot', legId, state: 'open', resumed, standIn }),
        away: (reason) => emit({ on: 'bot', legId, state: 'reconnecting', reason }),
        lost: (clean, wasOpen, reason) => {
          end = !wasOpen ? 'never_open' : clean ? 'clean' : 'lost'
          log.info({ legId, clean, wasOpen, reason }, 'bot lost')
          emit({ on: 'bot', legId, state: 'lost', clean, wasOpen, reason })
        },
        request: (request) => emit({ on: 'botRequest', legId, request }),
        sendDigits: (digits, durationMs, gapMs, method) => this.#sendDigits(digits, durationMs, gapMs, method),
        wake: (leadMs) => {
          if (!this.#fromPeer) this.#leg.wake(leadMs)
        },
        untilTakenMs: () => this.#leg.untilSentMs,
        sooner: (ms) => (this.#fromPeer ? 0 : this.#leg.sooner(ms)),
        quality: () => this.#quality(),
        fault: (err) => this.#house.fault(legId, err),
        ended: () => {
          counts.botSockets--
          const { firstAudioMs, connectMs, droppedToBotMs, caughtUpMs, reconnects, errors } = bot.stats
          this.#firstBotAudioMs ??= firstAudioMs
          if (this.#bot === bot) this.#bot = undefined
          // `lost` is told right after this; the summary waits for it.
          queueMicrotask(() =>
            emit({
              on: 'botSummary',
              summary: { end, connectMs, firstAudioMs, droppedToBotMs, caughtUpMs, reconnects, errors },
            }),
          )
        },
      },
    })
    counts.botSockets++
    this.#bot = bot
    if (this.#peer) bot.setJoined(false)
  }

  detachBot(stop: Stop): void {
    const bot = this.#bot
    if (!bot) return
    this.#firstBotAudioMs ??= bot.stats.firstAudioMs
    this.#bot = undefined
    bot.stop(stop)
  }

  // Since the last time that it was asked for.
  #quality(): { rxLoss: number; rxJitterMs: number; rttMs?: number; mos: number } {
    const { rxPackets, rxLost, jitterMs, rttMs, bufferMs } = this.#leg.stats()
    const lost = Math.max(0, rxLost - this.#told.rxLost)
    const all = Math.max(0, rxPackets - this.#told.rxPackets) + lost
    this.#told = { rxPackets, rxLost }
    const rxLoss = all === 0 ? 0 : lost / all
    return { rxLoss, rxJitterMs: jitterMs, rttMs, mos: mos(rxLoss, (rttMs ?? 0) / 2 + bufferMs, jitterMs) }
  }

  bridge(other: LegSession): void {
    this.unbridge()
    other.unbridge()
    const toOther = new BridgeFeed()
    const toThis = new BridgeFeed()
    this.#join(other, toThis, toOther)
    other.#join(this, toOther, toThis)
  }

  #join(other: LegSession, fromPeer: BridgeFeed, toPeer: BridgeFeed): void {
    this.#peer = other
    this.#fromPeer = fromPeer
    this.#toPeer = toPeer
    this.#bot?.setJoined(false)
  }

  unbridge(): void {
    const peer = this.#peer
    this.#part()
    if (peer) peer.#part()
  }

  #part(): void {
    if (!this.#peer) return
    this.#peer = undefined
    this.#fromPeer = this.#toPeer = undefined
    this.#bot?.setJoined(true)
  }

  record(plan: RecordPlan): void {
    if (this.#recorder?.recordingId === plan.recordingId) return
    this.#endCapture()
    const { recordingId } = plan
    this.#house.counts.recordings++
    this.#recorder = new Recorder({
      dir: this.#house.recordingsDir,
      recordingId,
      clock: this.#house.clock,
      onError: (err) =>
        this.#house.log.error(
          { legId: this.id, recordingId, err },
          'recording stopped: the capture file cannot be written',
        ),
    })
    this.#leg.setRecorder(this.#recorder)
  }

  pauseRecording(paused: boolean): void {
    if (this.#recorder) this.#recorder.paused = paused
  }

  /** `captured` follows once the file is on disk. */
  stopRecording(): void {
    this.#endCapture()
  }

  #endCapture(): void {
    const recorder = this.#recorder
    if (!recorder) return
    this.#recorder = undefined
    this.#leg.setRecorder(undefined)
    this.#capturing = this.#capturing
      .then(() => recorder.close())
      .then(() => {
        this.#house.counts.recordings--
        this.#house.emit({ on: 'captured', legId: this.id, recordingId: recorder.recordingId })
      })
  }

  /** Resolves when the RTP port is free again; `captured` and `closed` have been told by then. */
  close(stop: Stop): Promise<void> {
    this.#closed ??= this.#close(stop)
    return this.#closed
  }

  async #close(stop: Stop): Promise<void> {
    this.unbridge()
    this.detachBot(stop)
    const stats = { ...this.#leg.stats(), firstBotAudioMs: this.#firstBotAudioMs }
    const socketsClosed = this.#leg.close()
    this.#endCapture()
    await this.#capturing
    this.#house.emit({ on: 'closed', legId: this.id, stats })
    await socketsClosed
  }

  // ── Digits ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #heard(digit: string, durationMs: number, method: DigitMethod): void {
    if (!this.#digits.take(digit, method, this.#house.clock.now(), durationMs)) return
    this.#house.emit({ on: 'digit', legId: this.id, digit, durationMs, method })
    // Telephone-events end at each leg: over a bridge they are sent anew.
    if (this.#peer) this.#peer.#sendDigits(digit, RELAYED_DIGIT_MS, RELAYED_GAP_MS, 'auto')
    else this.#bot?.digit(digit, durationMs, method)
  }

  #sendDigits(digits: string, durationMs: number, gapMs: number, method: 'auto' | DigitMethod): boolean {
    const remote = this.#remote
    if (!remote) return false
    const canEvents = remote.dtmfPayloadType !== undefined
    const byEvents = method === 'rfc4733' || (method === 'auto' && canEvents && remote.dtmfMode !== 'info')
    const byInfo = method === 'info' || (method === 'auto' && (!canEvents || remote.dtmfMode !== 'rfc4733'))
    if (byEvents && (!canEvents || this.#leg.sendDigits(digits, durationMs, gapMs) === 0)) return false
    if (byInfo)
      this.#house.emit({ on: 'botRequest', legId: this.id, request: { ask: 'infoDigits', digits, durationMs, gapMs } })
    return true
  }

  #guard(fn: () => void): void {
    try {
      fn()
    } catch (err) {
      this.#house.log.error({ legId: this.id, err: errorText(err) }, 'leg failed')
      this.#house.fault(this.id, err)
    }
  }
}
