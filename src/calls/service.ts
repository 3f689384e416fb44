import { DomainError } from '../lib/errors.ts'
import { metrics } from '../telemetry/metrics.ts'
import type { Call, CallLeg } from './call.ts'
import { CallCore, NORMAL_CLEARING, type CallWorld } from './core.ts'
import { Fallback } from './fallback.ts'
import { addNote } from './free-data.ts'
import { InboundCalls } from './inbound.ts'
import { OutboundCalls, type PlaceCall, type PlacedCall } from './outbound.ts'
import { resultOfStatus, type EndReason, type Outcome } from './outcome.ts'
import type { BotRequest, CallStore, Cause, MediaEvent, SignalingEvent } from './ports.ts'
import { CallReads } from './reads.ts'
import { CallRecordings } from './recording.ts'
import { Transfers, type TransferRequest } from './transfers.ts'

/**
 * The use cases of calls, and the switchboard between what the phone side reports, what the bot side reports, and the
 * parts that decide: inbound.ts, outbound.ts, transfers.ts, recording.ts, fallback.ts. Everything here is synchronous; nothing waits for storage.
 */
export class CallService {
  readonly reads: CallReads
  readonly #core: CallCore
  readonly #inbound: InboundCalls
  readonly #outbound: OutboundCalls
  readonly #transfers: Transfers
  readonly #recordings: CallRecordings
  readonly #fallback: Fallback

  constructor(world: CallWorld, store: CallStore) {
    this.#core = new CallCore(world)
    this.#transfers = new Transfers(this.#core, (call, reason) => this.#fallback.next(call, reason))
    this.#fallback = new Fallback(this.#core, this.#transfers)
    this.#inbound = new InboundCalls(this.#core, this.#fallback)
    this.#outbound = new OutboundCalls(this.#core)
    this.#recordings = new CallRecordings(this.#core)
    this.reads = new CallReads(this.#core.registry, store)
    world.signaling.onEvent((event) => this.#onSignaling(event))
    world.media.onEvent((event) => this.#onMedia(event))
  }

  place(request: PlaceCall): Promise<PlacedCall> {
    return this.#outbound.place(request)
  }

  /** An operator or API client ends a live call. Throws NOT_FOUND for unknown, foreign and ended calls. */
  hangup(accountId: string | undefined, callId: string, cause?: { sipStatus?: number; q850?: number }): void {
    this.#endFrom(this.#live(accountId, callId), 'operator', 'us', undefined, cause)
  }

  /**
   * An operator or API client sends a live call elsewhere; how it goes is told to its bot. Throws NOT_FOUND as `hangup`
   * does, INVALID for a target that is none, CONFLICT where the call is not in a state for it, and NO_TRUNK.
   */
  transfer(accountId: string | undefined, callId: string, request: TransferRequest): void {
    const refusal = this.#transfers.start(this.#live(accountId, callId), request, 'us')
    if (refusal)
      throw new DomainError(
        refusal.code,
        `Not transferred: ${refusal.text}.`,
        refusal.code === 'INVALID' ? { field: 'target' } : {},
      )
  }

  #live(accountId: string | undefined, callId: string): Call {
    const call = this.#core.registry.get(callId)
    if (!call || call.ended || (accountId !== undefined && call.record.accountId !== accountId))
      throw new DomainError('NOT_FOUND', 'There is no such live call.')
    return call
  }

  get live(): number {
    return this.#core.registry.live
  }

  /** Calls that hold anything still: for the leak test. */
  get held(): number {
    return this.#core.registry.size
  }

  refuseNew(): void {
    this.#core.draining = true
  }

  /** Takes no new calls; resolves when the live ones are over, or have been ended after `limitMs`. */
  async drain(limitMs: number): Promise<void> {
    this.refuseNew()
    const timer = this.#core.world.clock.after(limitMs, () => this.endAll())
    await this.#core.registry.empty()
    timer.cancel()
  }

  /** Resolves when nothing is held any more, or after `limitMs`. */
  settledWithin(limitMs: number): Promise<void> {
    const { clock } = this.#core.world
    return new Promise((resolve) => {
      const timer = clock.after(limitMs, resolve)
      void this.#core.registry.empty().then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  endAll(): void {
    for (const call of this.#core.registry.all()) if (!call.ended) this.#endFrom(call, 'drained', 'us')
  }

  // ── The phone side ─────────────────────────────────────────────────────────────────────────────────────────────

  #onSignaling(event: SignalingEvent): void {
    if (event.on === 'incoming') return this.#inbound.arrive(event.leg)
    const call = this.#core.registry.ofLeg(event.legId)
    const leg = call?.leg(event.legId)
    if (!call || !leg) return
    if (event.on === 'ended') return this.#legEnded(call, leg, event.by, event.cause)
    if (call.ended) return
    const { media } = this.#core.world
    switch (event.on) {
      case 'media':
        media.connect(leg.id, event.remote)
        break
      case 'progress':
        if (leg.role === 'target') this.#transfers.progress(call, event.sipStatus)
        else this.#outbound.progress(call, event.sipStatus)
        break
      case 'answered':
        this.#answered(call, leg, event.sipCallId)
        break
      case 'digit':
        media.digit(leg.id, event.digit, event.durationMs)
        break
      case 'held':
      case 'resumed':
        media.held(leg.id, event.on === 'held')
        break
      case 'refer':
        this.#transfers.referred(call, event)
        break
    }
  }

  #answered(call: Call, leg: CallLeg, sipCallId: string): void {
    leg.answered = true
    if (leg.role === 'target') return this.#transfers.answered(call, leg)
    const { record, bot } = call
    call.clearTimer('ring')
    call.note({ type: 'answered', legId: leg.id, sipCallId })
    metrics.callSetup.observe({ direction: record.direction }, (record.answeredAtMs! - record.createdAtMs) / 1000)
    this.#core.log(call).info({ leg: leg.id }, 'call answered')
    this.#recordings.answered(call)
    this.#core.world.media.callAnswered(leg.id)
    if (bot) call.setTimer('max', bot.maxCallMs, () => this.#endFrom(call, 'max_duration', 'us'))
    if (call.unattended !== undefined) return this.#fallback.next(call, call.unattended)
    // Also where the first try, while ringing, failed.
    this.#core.connectBot(call)
  }

  #legEnded(call: Call, leg: CallLeg, by: 'peer' | 'us' | 'timeout' | 'network', cause: Cause): void {
    this.#core.legEnded(call, leg, cause)
    if (leg.role === 'target') return this.#transfers.legEnded(call, leg, cause)
    if (call.ended || (by === 'peer' && this.#transfers.left(call))) return
    const party = leg.role === 'callee' ? 'callee' : 'caller'
    const { result, reason } = endOfFirstLeg(leg, by, cause)
    this.#core.end(call, {
      result,
      reason,
      sipStatus: cause.sipStatus,
      q850: cause.q850,
      by: by === 'peer' ? party : 'us',
      detail: cause.text,
    })
  }

  // ── The bot side ───────────────────────────────────────────────────────────────────────────────────────────────

  #onMedia(event: MediaEvent): void {
    const call = this.#core.registry.ofLeg(event.legId)
    const leg = call?.leg(event.legId)
    if (!call || !leg) return
    switch (event.on) {
      case 'captured':
        void this.#recordings.captured(call, event.recordingId)
        return
      case 'closed':
        return this.#core.mediaClosed(call, leg, { ...event.stats })
      case 'crashed':
        return this.#mediaCrashed(call, leg, event.reason)
    }
    if (call.ended) return
    switch (event.on) {
      case 'bot':
        this.#onBot(call, event)
        break
      case 'played':
        this.#fallback.played(call, event.ok ? undefined : `the prompt could not be played: ${event.reason}`)
        break
      case 'botRequest':
        this.#botAsks(call, event.request)
        break
      case 'digit':
        call.note({ type: 'digit', legId: leg.id, method: event.method })
        break
      case 'rtpTimeout':
        this.#core.log(call).warn({ leg: leg.id, afterFirst: event.afterFirst }, 'no RTP')
        this.#endFrom(call, 'timeout', 'us', 'no RTP from the phone side')
        break
      case 'firstPacket':
        break
    }
  }

  #onBot(call: Call, event: Extract<MediaEvent, { on: 'bot' }>): void {
    // After we let it go there is nothing more to learn of it.
    if (call.botState === 'lost' || call.botState === 'none') return
    switch (event.state) {
      case 'open':
        call.botState = 'open'
        call.note({ type: 'botOpen', legId: call.first.id, ...(event.standIn ? { standIn: event.standIn } : {}) })
        if (event.resumed) this.#core.log(call).info({ standIn: event.standIn }, 'the bot is back')
        if (call.record.direction === 'inbound') this.#inbound.botOpen(call)
        return
      case 'reconnecting':
        if (call.botState === 'open') call.note({ type: 'botLost', legId: call.first.id, reason: event.reason })
        call.botState = call.botState === 'connecting' ? 'connecting' : 'reconnecting'
        this.#core.log(call).warn({ reason: event.reason }, 'bot lost, dialled again')
        return
      case 'lost':
        return this.#botLost(call, event.clean, event.reason)
    }
  }

  #botLost(call: Call, clean: boolean, reason: string): void {
    call.botState = 'lost'
    call.note({ type: 'botLost', legId: call.first.id, reason })
    if (this.#inbound.rings(call)) {
      const text = `The bot could not be reached: ${reason}`
      return clean
        ? this.#inbound.refuse(call, 'bot_unreachable', { text })
        : this.#inbound.unattended(call, 'bot_unreachable', text)
    }
    if (call.record.state === 'bridged' || call.transfer) return
    if (clean) return this.#endFrom(call, 'bot_hangup', 'bot', reason)
    // Lost between our 200 and the caller's ACK: what follows needs the call answered, and is not the bot once more.
    if (call.record.direction === 'inbound' && call.record.answeredAtMs === undefined) {
      call.unattended = reason
      return
    }
    // An outbound call that still rings tries its bot again at the answer.
    if (call.record.direction === 'outbound' && call.record.answeredAtMs === undefined) return
    this.#core.log(call).warn({ reason, then: call.bot?.onLost }, 'bot lost')
    this.#fallback.next(call, reason)
  }

  #botAsks(call: Call, request: BotRequest): void {
    switch (request.ask) {
      case 'answer':
        return this.#inbound.answer(call)
      case 'reject':
        if (this.#inbound.rings(call))
          this.#inbound.refuse(call, 'bot_rejected', {
            sipStatus: request.sipStatus,
            text: request.reason || 'The bot rejected the call',
          })
        return
      case 'hangup':
        return this.#endFrom(call, 'bot_hangup', 'bot', request.reason, request)
      case 'transfer':
        return this.#transfers.asked(call, request)
      case 'recording':
        return this.#recordings.asked(call, request)
      case 'note': {
        const refused = addNote(call, request.data)
        if (refused) this.#core.log(call).warn({ reason: refused }, 'note ignored')
        return
      }
      case 'infoDigits':
        return this.#sendInfoDigits(call, request)
    }
  }

  /** One INFO per digit, as far apart as digits in the audio would be; they stop with the call. */
  #sendInfoDigits(call: Call, { digits, durationMs, gapMs }: Extract<BotRequest, { ask: 'infoDigits' }>): void {
    let atMs = 0
    for (const [i, digit] of [...digits].entries()) {
      call.setTimer(`info.${i}`, atMs, () => this.#core.world.signaling.sendInfoDigit(call.first.id, digit, durationMs))
      atMs += durationMs + gapMs
    }
  }

  #mediaCrashed(call: Call, leg: CallLeg, reason: string): void {
    leg.media = 'closed'
    if (leg === call.first && call.record.recordingId) void this.#recordings.captured(call, call.record.recordingId)
    if (!call.ended) this.#endFrom(call, 'media_lost', 'us', reason)
    this.#core.sweep(call)
  }

  /** Ends the call from our side: answered calls are completed calls, others were cancelled. */
  #endFrom(
    call: Call,
    reason: EndReason,
    by: Outcome['by'],
    detail?: string,
    asked: { sipStatus?: number; q850?: number } = {},
  ): void {
    const answered = call.record.answeredAtMs !== undefined
    const cause = {
      sipStatus: asked.sipStatus ?? (answered ? 200 : 487),
      q850: asked.q850 ?? 16,
      text: detail || NORMAL_CLEARING.text,
    }
    this.#core.end(
      call,
      {
        result: answered ? 'completed' : 'cancelled',
        reason,
        sipStatus: cause.sipStatus,
        q850: cause.q850,
        by,
        detail,
      },
      cause,
    )
  }
}

function endOfFirstLeg(
  leg: CallLeg,
  by: 'peer' | 'us' | 'timeout' | 'network',
  cause: Cause,
): Pick<Outcome, 'result' | 'reason'> {
  if (leg.answered) return { result: 'completed', reason: by === 'peer' ? 'caller_hangup' : 'timeout' }
  if (leg.role === 'caller')
    return by === 'peer' ? { result: 'cancelled', reason: 'caller_hangup' } : { result: 'failed', reason: 'error' }
  const result = by === 'timeout' && cause.sipStatus === 408 ? 'no_answer' : resultOfStatus(cause.sipStatus)
  switch (result) {
    case 'busy':
    case 'no_answer':
    case 'rejected':
      return { result, reason: result }
    case 'cancelled':
      return { result, reason: 'operator' }
    default:
      return { result: 'failed', reason: 'error' }
  }
}
