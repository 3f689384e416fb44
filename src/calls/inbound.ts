import { metrics } from '../telemetry/metrics.ts'
import type { Call } from './call.ts'
import type { CallCore } from './core.ts'
import type { Fallback } from './fallback.ts'
import { callIdOf } from './ids.ts'
import type { BotSettings, Cause, InboundRoute, IncomingLeg, MediaAddress, RejectReason } from './ports.ts'

/** How long a caller hears ringing while a bot with answer_mode "bot" decides, ms. */
const RING_LIMIT_MS = 60_000

const REFUSALS: Readonly<Record<RejectReason, Cause>> = {
  unknown_number: { sipStatus: 404, q850: 1, text: 'No such number on this trunk' },
  number_rejects: { sipStatus: 603, q850: 21, text: 'The number is set to reject calls' },
  no_bot: { sipStatus: 480, q850: 20, text: 'The number has no bot' },
  no_codec: { sipStatus: 488, q850: 88, text: 'No G.711 codec in the offer' },
  capacity: { sipStatus: 503, q850: 42, text: 'The server is at its call limit' },
  trunk_capacity: { sipStatus: 503, q850: 42, text: 'The trunk is at its call limit' },
  draining: { sipStatus: 503, q850: 42, text: 'The server is shutting down' },
  bot_rejected: { sipStatus: 603, q850: 21, text: 'The bot rejected the call' },
  bot_unreachable: { sipStatus: 480, q850: 41, text: 'The bot could not be reached' },
  ring_timeout: { sipStatus: 480, q850: 19, text: 'The bot did not answer in time' },
  loop: { sipStatus: 482, q850: 25, text: 'The call loops' },
  bad_request: { sipStatus: 400, q850: 127, text: 'Malformed request' },
  bad_auth: { sipStatus: 403, q850: 21, text: 'Wrong credentials' },
}

/**
 * A call that comes in on a trunk:
 *
 *   INVITE ─▶ route ─▶ 180 ─▶ bot dialled ─▶ (answer_mode auto: bot open | bot: call.answer) ─▶ 200 ─▶ ACK ─▶ talking
 *                 └▶ refused: one reason word, one SIP status, one record
 */
export class InboundCalls {
  readonly #core: CallCore
  readonly #fallback: Fallback
  /** Where each ringing call's media is received, until it is answered. */
  readonly #addresses = new WeakMap<Call, MediaAddress>()

  constructor(core: CallCore, fallback: Fallback) {
    this.#core = core
    this.#fallback = fallback
  }

  arrive(leg: IncomingLeg): void {
    const { directory, maxCalls } = this.#core.world
    const route = directory.inboundRoute(leg.trunkId, leg.to)
    const bot = route?.botId === undefined ? undefined : directory.bot(route.accountId, route.botId)
    const full = this.#core.registry.live >= maxCalls
    const call = this.#create(leg, route, bot)
    const rule = this.#refusal(leg, route, bot, full)
    if (rule) this.refuse(call, rule)
    else void this.#ring(call, route!)
  }

  /** The first rule that the call breaks. */
  #refusal(
    leg: IncomingLeg,
    route: InboundRoute | undefined,
    bot: BotSettings | undefined,
    full: boolean,
  ): RejectReason | undefined {
    if (this.#core.draining) return 'draining'
    if (full) return 'capacity'
    if (!route) return 'unknown_number'
    if (route.action === 'reject') return 'number_rejects'
    if (!bot) return 'no_bot'
    if (!leg.codec && !leg.delayedOffer) return 'no_codec'
    return undefined
  }

  #create(leg: IncomingLeg, route: InboundRoute | undefined, bot: BotSettings | undefined): Call {
    const { call } = this.#core.create(
      {
        direction: 'inbound',
        from: leg.from,
        to: route?.number ?? leg.to,
        trunkId: leg.trunkId,
        numberId: route?.numberId,
        custom: {},
      },
      route?.accountId ?? leg.accountId,
      bot && route ? { ...bot, record: bot.record || route.record } : bot,
      { callId: callIdOf(leg.legId) },
    )
    call.addLeg('caller', leg.trunkId, leg.legId)
    call.maxForwards = leg.maxForwards
    call.startFacts = { sip: { call_id: leg.sipCallId, headers: leg.headers, codec: leg.codec?.toUpperCase() } }
    return call
  }

  async #ring(call: Call, route: InboundRoute): Promise<void> {
    const address = await this.#core.openMedia(call, call.first)
    if (call.ended) return
    if (!address) return this.refuse(call, 'capacity')
    this.#addresses.set(call, address)
    this.#core.world.signaling.ring(call.first.id)
    call.note({ type: 'ringing', legId: call.first.id, sipStatus: 180 })
    this.#core.log(call).info({ from: call.record.from, to: route.number, bot: call.bot?.name }, 'inbound call rings')
    call.setTimer('ring', RING_LIMIT_MS, () => this.unattended(call, 'ring_timeout'))
    this.#core.connectBot(call)
  }

  /** The bot's socket is open. */
  botOpen(call: Call): void {
    if (call.bot?.answerMode === 'auto') this.answer(call)
  }

  answer(call: Call): void {
    const address = this.#addresses.get(call)
    if (!address || call.ended || call.first.answered) return
    this.#addresses.delete(call)
    this.#core.world.signaling.answer(call.first.id, address)
  }

  /** Waiting for its answer still. */
  rings(call: Call): boolean {
    return this.#addresses.has(call) && !call.ended
  }

  /** No bot takes the ringing call: its fallback does, which needs the call answered, or it is refused. */
  unattended(call: Call, rule: 'ring_timeout' | 'bot_unreachable', text = REFUSALS[rule].text): void {
    if (!this.rings(call)) return
    if (!this.#fallback.offers(call)) return this.refuse(call, rule, { text })
    this.#core.log(call).warn({ reason: rule, then: call.bot?.onLost }, text)
    if (call.botState !== 'lost')
      this.#core.world.media.detachBot(call.first.id, { reason: 'timeout', sipStatus: 0, q850: 16 })
    call.botState = 'lost'
    call.unattended = text
    this.answer(call)
  }

  refuse(call: Call, rule: RejectReason, own: Partial<Cause> = {}): void {
    if (call.ended) return
    const cause = { ...REFUSALS[rule], ...own }
    metrics.callsRejected.inc({ reason: rule })
    this.#core
      .log(call)
      .warn(
        { reason: rule, trunk: call.record.trunkId, to: call.record.to, sipStatus: cause.sipStatus },
        `call refused: ${cause.text}`,
      )
    this.#core.world.signaling.reject(call.first.id, cause, rule)
    const byBot = rule === 'bot_rejected'
    this.#core.end(
      call,
      {
        result: byBot ? 'rejected' : 'failed',
        reason: byBot ? 'bot_rejected' : 'refused',
        sipStatus: cause.sipStatus,
        q850: cause.q850,
        by: byBot ? 'bot' : 'us',
        detail: `${rule}: ${cause.text}`,
      },
      'told',
    )
  }
}
