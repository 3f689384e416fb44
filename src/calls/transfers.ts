import type { Call, CallLeg } from './call.ts'
import { NORMAL_CLEARING, type CallCore } from './core.ts'
import { resultOfStatus, type Outcome } from './outcome.ts'
import type { BotRequest, Cause, MediaAddress } from './ports.ts'

type TransferRequest = Extract<BotRequest, { ask: 'transfer' }>

/**
 * Transfer by re-bridging: a further leg is dialled while the caller stays with the bot; on its answer the two legs'
 * audio is joined and the bot leaves. Nothing of it touches the first leg's SIP dialog, so a failure just resumes.
 *
 *   talking ─▶ transferring ─┬─ answered ─▶ bridged
 *                            └─ failed ───▶ talking (on_fail: resume) or ended (on_fail: hangup)
 */
export class Transfers {
  readonly #core: CallCore

  constructor(core: CallCore) {
    this.#core = core
  }

  start(call: Call, request: TransferRequest): void {
    const target = request.target === '' ? call.defaultTarget : request.target
    const refused = this.#refusal(call, target)
    if (refused || !target) {
      this.#tell(call, request.ref, 'failed', 0, refused ?? 'no target')
      return
    }
    // A caller's number stays the caller's: what the target sees is the number that was called, unless the bot names another.
    const ours = call.record.direction === 'inbound' ? call.record.to : call.record.from
    const route = this.#core.world.directory.outboundTrunk(call.record.accountId, request.callerId ?? ours)
    if (!route) {
      this.#tell(call, request.ref, 'failed', 0, 'no trunk for this caller number')
      return
    }
    const leg = call.addLeg('target', route.trunkId)
    call.transfer = { legId: leg.id, target, ref: request.ref, onFail: request.onFail }
    call.note({ type: 'transferring', legId: leg.id, target })
    this.#tell(call, request.ref, 'trying')
    void this.#dial(call, leg, request, target, route.from)
  }

  #refusal(call: Call, target: string | undefined): string | undefined {
    if (call.record.state !== 'talking' && call.record.state !== 'answered')
      return `not possible while the call is ${call.record.state}`
    if (!target) return 'no target'
    if (!/^(\+?[0-9*#]{2,20}|sips?:[^\s<>"]{3,200}|tel:\+?[0-9.-]{2,20})$/.test(target))
      return 'the target is neither a number nor a SIP URI'
    if (call.maxForwards <= 1) return 'the call has been forwarded too often'
    return undefined
  }

  async #dial(call: Call, leg: CallLeg, request: TransferRequest, target: string, from: string): Promise<void> {
    const media: MediaAddress | undefined = await this.#core.openMedia(call, leg, call.first.id)
    if (!media) {
      leg.ended = true
      if (call.ended) this.#core.sweep(call)
      else this.#failed(call, { sipStatus: 503, q850: 42, text: 'no media port' })
      return
    }
    this.#core.world.signaling.dial(leg.id, {
      trunkId: leg.trunkId,
      to: target.replace(/^tel:/, ''),
      from,
      media,
      headers: request.headers,
      ringTimeoutMs: request.timeoutMs,
      maxForwards: call.maxForwards - 1,
    })
  }

  progress(call: Call, sipStatus: number): void {
    if (sipStatus >= 180) this.#tell(call, call.transfer?.ref, 'ringing', sipStatus)
  }

  answered(call: Call, leg: CallLeg): void {
    const transfer = call.transfer
    if (!transfer) return
    this.#tell(call, transfer.ref, 'answered', 200)
    this.#core.world.media.bridge(call.first.id, leg.id)
    this.#tell(call, transfer.ref, 'completed', 200)
    call.transfer = undefined
    call.note({ type: 'bridged', legId: leg.id, target: transfer.target })
    this.#core.log(call).info({ leg: leg.id }, 'transfer bridged')
    this.#core.world.media.detachBot(call.first.id, { reason: 'transferred', sipStatus: 200, q850: 16 })
    call.botState = 'lost'
  }

  /** A target leg has ended: before its answer the transfer failed, after it the call is over. */
  legEnded(call: Call, leg: CallLeg, cause: Cause): void {
    if (leg.media === 'open')
      this.#core.world.media.close(leg.id, { reason: 'transferred', sipStatus: cause.sipStatus, q850: cause.q850 })
    if (call.ended) return
    if (call.transfer?.legId === leg.id) this.#failed(call, cause)
    else
      this.#core.end(call, {
        result: 'completed',
        reason: 'transferred',
        sipStatus: 200,
        q850: cause.q850,
        by: 'callee',
        detail: 'the transfer target hung up',
      })
  }

  #failed(call: Call, cause: Cause): void {
    const transfer = call.transfer
    if (!transfer) return
    call.transfer = undefined
    call.note({ type: 'transferFailed', legId: transfer.legId, sipStatus: cause.sipStatus, reason: cause.text })
    this.#tell(call, transfer.ref, 'failed', cause.sipStatus, cause.text)
    this.#core.log(call).warn({ leg: transfer.legId, sipStatus: cause.sipStatus }, `transfer failed: ${cause.text}`)
    if (transfer.onFail === 'resume' && call.botState === 'open') return
    const outcome: Outcome = {
      result: 'completed',
      reason: call.botState === 'open' ? 'bot_hangup' : 'bot_lost',
      sipStatus: 200,
      q850: 16,
      by: call.botState === 'open' ? 'bot' : 'us',
      detail: `transfer failed: ${resultOfStatus(cause.sipStatus)}`,
    }
    this.#core.end(call, outcome, NORMAL_CLEARING)
  }

  #tell(
    call: Call,
    ref: string | undefined,
    state: 'trying' | 'ringing' | 'answered' | 'completed' | 'failed',
    sipStatus?: number,
    reason?: string,
  ): void {
    this.#core.world.media.transferStatus(call.first.id, { ref, state, sipStatus, reason })
  }
}
