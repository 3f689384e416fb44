import type { Clock } from '../lib/clock.ts'
import { uuidv7 } from '../lib/ids.ts'
import type { Log } from '../telemetry/log.ts'
import { metrics } from '../telemetry/metrics.ts'
import { botPlan, publicUrl } from './bot-plan.ts'
import { Call, type CallLeg } from './call.ts'
import type { CallEvent, CallFact } from './events.ts'
import type { CallId, LegId } from './ids.ts'
import { STOP_REASONS, type Outcome } from './outcome.ts'
import type {
  BotSettings,
  Cause,
  Directory,
  Journal,
  LogIds,
  MediaAddress,
  MediaPlane,
  RecordingFinisher,
  Signaling,
} from './ports.ts'
import { CallRegistry } from './registry.ts'

export interface CallWorld {
  clock: Clock
  log: Log
  signaling: Signaling
  media: MediaPlane
  journal: Journal
  directory: Directory
  logIds: LogIds
  recordings: RecordingFinisher
  nodeId: string
  /** Live calls at once. */
  maxCalls: number
}

export const NORMAL_CLEARING: Cause = { sipStatus: 200, q850: 16, text: 'Normal call clearing' }

/**
 * What the use cases (inbound, outbound, transfers, recording, fallback, service) share: making a call,
 * joining its bot, and the one way in which a call ends.
 */
export class CallCore {
  readonly world: CallWorld
  readonly registry = new CallRegistry()
  draining = false

  constructor(world: CallWorld) {
    this.world = world
  }

  create(
    facts: Omit<Extract<CallFact, { type: 'created' }>, 'type' | 'logId' | 'nodeId' | 'botUrl' | 'botId'>,
    accountId: string,
    bot: BotSettings | undefined,
    ids?: { callId: CallId; logId?: number },
  ): { call: Call; journalled: Promise<void> } {
    const { clock, journal, logIds, nodeId } = this.world
    const created = {
      type: 'created',
      callId: ids?.callId ?? uuidv7(clock.wallMs()),
      accountId,
      seq: 1,
      atMs: clock.wallMs(),
      logId: ids?.logId ?? logIds.next(),
      nodeId,
      botId: bot?.id,
      botUrl: bot && publicUrl(bot.url),
      ...facts,
    } satisfies CallEvent
    const call = new Call(clock, journal, created, bot)
    this.registry.add(call)
    metrics.callsActive.inc({ direction: facts.direction })
    return { call, journalled: journal.append(created) }
  }

  /** Opens the leg's RTP port. Undefined: the call has ended meanwhile, or there is no port (the call is ended here). */
  async openMedia(call: Call, leg: CallLeg, near?: LegId): Promise<MediaAddress | undefined> {
    leg.media = 'open'
    try {
      const address = await this.world.media.open(leg.id, near)
      if (call.ended || leg.ended) return undefined
      return address
    } catch (err) {
      leg.media = 'closed'
      this.log(call).error({ leg: leg.id, err }, 'no media port for the leg')
      return undefined
    }
  }

  connectBot(call: Call): void {
    if (!call.bot || (call.botState !== 'none' && call.botState !== 'lost')) return
    call.botState = 'connecting'
    this.world.media.attachBot(call.first.id, botPlan(call, call.bot))
  }

  /** The one way out: every leg, bot and timer of the call ends, the outcome is journalled. Idempotent. 'told': signalling knows. */
  end(call: Call, outcome: Outcome, cause: Cause | 'told' = NORMAL_CLEARING): void {
    if (call.ended) return
    const { record } = call
    call.clearTimers()
    const { transfer } = call
    call.transfer = undefined
    if (transfer) this.world.media.transferStatus(call.first.id, { ref: transfer.ref, state: 'cancelled' })
    call.note({ type: 'ended', outcome })
    metrics.callsActive.dec({ direction: record.direction })
    metrics.callsTotal.inc({ direction: record.direction, result: outcome.result, reason: outcome.reason })
    if (record.answeredAtMs !== undefined)
      metrics.callDuration.observe((record.endedAtMs! - record.answeredAtMs) / 1000)
    this.log(call).info({ outcome }, 'call ended')
    const stop = { reason: STOP_REASONS[outcome.reason], sipStatus: outcome.sipStatus, q850: outcome.q850 }
    for (const leg of call.legs) {
      if (!leg.ended && cause !== 'told') this.world.signaling.hangup(leg.id, cause)
      if (leg.media === 'open') this.world.media.close(leg.id, stop)
    }
    this.sweep(call)
  }

  /** Signalling has reported the leg's end. */
  legEnded(call: Call, leg: CallLeg, cause: Cause): void {
    leg.ended = true
    leg.cause = cause
    if (leg.media !== 'open')
      call.note({ type: 'legEnded', legId: leg.id, sipStatus: cause.sipStatus, q850: cause.q850 })
    this.sweep(call)
  }

  mediaClosed(call: Call, leg: CallLeg, stats: Record<string, number>): void {
    leg.media = 'closed'
    call.note({
      type: 'legEnded',
      legId: leg.id,
      sipStatus: leg.cause?.sipStatus ?? 0,
      q850: leg.cause?.q850 ?? 0,
      stats,
    })
    this.sweep(call)
  }

  sweep(call: Call): void {
    if (call.settled) this.registry.remove(call)
  }

  log(call: Call): Log {
    return this.world.log.child({ callId: call.id, account: call.record.accountId })
  }
}
