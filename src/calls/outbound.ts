import { DomainError } from '../lib/errors.ts'
import type { Call } from './call.ts'
import type { CallCore } from './core.ts'
import type { BotSettings, OutboundRoute } from './ports.ts'

/** A request for one AI call, in core terms; each facade maps its own spelling to this. */
export interface PlaceCall {
  accountId: string
  /** E.164. */
  to: string
  /** Caller number, E.164; must be one of the account's. Absent: the account's first number. */
  from?: string
  bot: BotSettings
  /** Request data kept with the call and given to the bot as `custom`. */
  custom: Record<string, unknown>
  /** Further facts for the bot's `start`, wire spelling (customer_no, ai_agent_ext, timezone …). */
  startFacts?: Record<string, unknown>
  /** Dial the bot only once the call is answered; default: while it rings. */
  connectAfterAnswer: boolean
  ringTimeoutMs: number
  /** Where a `session.transfer` without a target leads: a SIP URI or number. */
  defaultTarget?: string
  scheduledForMs?: number
  /** The ids that a scheduled or repeatable request was promised; fresh ones when absent. */
  ids?: { callId: string; logId?: number }
}

export interface PlacedCall {
  callId: string
  logId: number
}

/**
 * A call that we place. Its intent is on disk before the INVITE leaves, so a crash never leads to a second dial.
 *
 *   place ─▶ journal ─▶ RTP port ─▶ INVITE ─▶ 180 (bot dialled, its opening audio waits) ─▶ 200 ─▶ talking
 */
export class OutboundCalls {
  readonly #core: CallCore

  constructor(core: CallCore) {
    this.#core = core
  }

  async place(request: PlaceCall): Promise<PlacedCall> {
    const { directory, maxCalls } = this.#core.world
    if (this.#core.draining) throw new DomainError('DRAINING')
    if (this.#core.registry.live >= maxCalls) throw new DomainError('CAPACITY', undefined, { retryAfterMs: 5000 })
    const route = directory.outboundTrunk(request.accountId, request.from)
    if (!route)
      throw new DomainError(
        'NO_TRUNK',
        request.from ? 'The caller number is not one of this account on a trunk.' : undefined,
      )

    const { call, journalled } = this.#core.create(
      {
        direction: 'outbound',
        from: route.from,
        to: request.to,
        trunkId: route.trunkId,
        numberId: route.numberId,
        custom: request.custom,
        scheduledFor: request.scheduledForMs,
      },
      request.accountId,
      request.bot,
      request.ids,
    )
    call.startFacts = { custom: request.custom, ...request.startFacts }
    call.connectAfterAnswer = request.connectAfterAnswer
    call.defaultTarget = request.defaultTarget
    const leg = call.addLeg('callee', route.trunkId)
    const dialled = call.noteDurably({ type: 'dialing', legId: leg.id, to: request.to })
    try {
      await Promise.all([journalled, dialled])
    } catch (err) {
      // Not on disk: it must not be dialled, or a restart could dial it again.
      leg.ended = true
      this.#core.end(call, { result: 'failed', reason: 'error', sipStatus: 0, q850: 41, by: 'us', detail: 'journal' })
      throw new DomainError('UNAVAILABLE', 'The call could not be recorded and was not dialled.', { cause: err })
    }
    void this.#dial(call, route, request.ringTimeoutMs)
    return { callId: call.id, logId: call.record.logId }
  }

  async #dial(call: Call, route: OutboundRoute, ringTimeoutMs: number): Promise<void> {
    const leg = call.first
    const media = await this.#core.openMedia(call, leg)
    if (call.ended || !media) {
      leg.ended = true
      if (!call.ended)
        this.#core.end(call, {
          result: 'failed',
          reason: 'error',
          sipStatus: 503,
          q850: 42,
          by: 'us',
          detail: 'no media port',
        })
      return this.#core.sweep(call)
    }
    this.#core.log(call).info({ from: route.from, to: call.record.to, trunk: route.trunkId }, 'outbound call dials')
    this.#core.world.signaling.dial(leg.id, {
      trunkId: route.trunkId,
      to: call.record.to,
      from: route.from,
      media,
      ringTimeoutMs,
    })
  }

  /** A provisional answer: the phone rings, so the bot is dialled (ring-time connect). */
  progress(call: Call, sipStatus: number): void {
    if (sipStatus < 180) return
    call.note({ type: 'ringing', legId: call.first.id, sipStatus })
    this.#core.world.media.callProgress(call.first.id, sipStatus)
    if (!call.connectAfterAnswer) this.#core.connectBot(call)
  }
}
