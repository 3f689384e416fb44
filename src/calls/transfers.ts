import type { ErrorCode } from '../lib/errors.ts'
import type { Call, CallLeg, Transfer } from './call.ts'
import { NORMAL_CLEARING, type CallCore } from './core.ts'
import { keptContext, userDataOf } from './free-data.ts'
import { resultOfStatus } from './outcome.ts'
import type { BotRequest, Cause, MediaAddress, SignalingEvent, TransferStatus } from './ports.ts'

type Asked = Extract<BotRequest, { ask: 'transfer' }>
/** A transfer as a bot or an API client wants it. An empty `target` is the call's default one. */
export type TransferRequest = Omit<Asked, 'ask'>

/** Why a transfer is not begun. */
export interface Refusal {
  code: Extract<ErrorCode, 'INVALID' | 'CONFLICT' | 'NO_TRUNK'>
  text: string
}

type Referred = Extract<SignalingEvent, { on: 'refer' }>

/** A target that has answered is there: taking over its dialog is quick, or it does not happen. */
const TAKE_OVER_MS = 10_000

/**
 * Transfers. While one is under way the caller stays with the bot, so a failure just resumes.
 *
 *   bridge     a further leg is dialled; on its answer the two legs' audio is joined and the bot leaves
 *   blind      the caller's far end is asked to call the target (REFER); on its success our leg ends
 *   attended   as bridge, and the joined far ends are then asked to do without us (REFER with Replaces);
 *              where they cannot, it stays the bridge that it is
 *
 *   talking ─▶ transferring ─┬─ answered ─▶ bridged
 *                            ├─ moved ────▶ ended (transferred)
 *                            └─ failed ───▶ talking (onFail: resume) or ended (onFail: hangup)
 */
export class Transfers {
  readonly #core: CallCore
  readonly #botless: (call: Call, reason: string) => void

  /** `botless`: a transfer has failed and there is no bot to go back to. */
  constructor(core: CallCore, botless: (call: Call, reason: string) => void) {
    this.#core = core
    this.#botless = botless
  }

  /** The bot's wish; what stands against it is told to the bot. */
  asked(call: Call, request: Asked): void {
    const refusal = this.start(call, request, 'bot')
    if (refusal) this.#tell(call, request.ref, 'failed', 0, refusal.text)
  }

  start(call: Call, request: TransferRequest, by: Transfer['by']): Refusal | undefined {
    const target = request.target === '' ? call.defaultTarget : request.target
    const refusal = refusalOf(call, target)
    if (refusal || target === undefined) return refusal
    if (request.mode === 'blind') {
      this.#begin(call, call.first, request, target, by)
      this.#core.world.signaling.refer(call.first.id, {
        to: dialled(target),
        headers: request.headers,
        userData: userDataOf(request.context),
        timeoutMs: request.timeoutMs,
      })
      return undefined
    }
    if (call.maxForwards <= 1) return { code: 'CONFLICT', text: 'the call has been forwarded too often' }
    // A caller's number stays the caller's: what the target sees is the number that was called, unless the bot names another.
    const ours = call.record.direction === 'inbound' ? call.record.to : call.record.from
    const route = this.#core.world.directory.outboundTrunk(call.record.accountId, request.callerId ?? ours)
    if (!route) return { code: 'NO_TRUNK', text: 'no trunk for this caller number' }
    const leg = call.addLeg('target', route.trunkId)
    this.#begin(call, leg, request, target, by)
    void this.#dial(call, leg, request, target, route.from)
    return undefined
  }

  #begin(call: Call, leg: CallLeg, request: TransferRequest, target: string, by: Transfer['by']): void {
    const { mode, ref, onFail } = request
    const context = request.context && keptContext(request.context)
    if (request.context && !context) this.#core.log(call).warn('the context of a transfer is too large to keep')
    call.transfer = {
      mode,
      legId: leg.id,
      target,
      ref,
      onFail,
      by,
      userData: userDataOf(context),
      referral: mode === 'blind' ? 'asked' : 'none',
    }
    call.note({ type: 'transferring', legId: leg.id, target, mode, context })
    this.#tell(call, ref, 'trying')
  }

  async #dial(call: Call, leg: CallLeg, request: TransferRequest, target: string, from: string): Promise<void> {
    const media: MediaAddress | undefined = await this.#core.openMedia(call, leg, call.first.id)
    if (!media) {
      leg.ended = true
      if (call.ended) this.#core.sweep(call)
      else this.#failed(call, 503, 'no media port')
      return
    }
    this.#core.world.signaling.dial(leg.id, {
      trunkId: leg.trunkId,
      to: dialled(target),
      from,
      media,
      headers: request.headers,
      ringTimeoutMs: request.timeoutMs,
      maxForwards: call.maxForwards - 1,
      userData: userDataOf(request.context),
    })
  }

  progress(call: Call, sipStatus: number): void {
    if (sipStatus >= 180) this.#tell(call, call.transfer?.ref, 'ringing', sipStatus)
  }

  /** The target's leg is up: both can talk from here on, whatever becomes of the REFER. */
  answered(call: Call, leg: CallLeg): void {
    const { transfer } = call
    if (!transfer) return
    this.#tell(call, transfer.ref, 'answered', 200)
    this.#core.world.media.bridge(call.first.id, leg.id)
    if (transfer.mode !== 'attended') return this.#bridged(call, transfer)
    transfer.referral = 'asked'
    this.#core.world.signaling.refer(call.first.id, {
      to: dialled(transfer.target),
      replaces: leg.id,
      userData: transfer.userData,
      timeoutMs: TAKE_OVER_MS,
    })
  }

  // ── REFER ──────────────────────────────────────────────────────────────────────────────────────────────────────

  referred(call: Call, event: Referred): void {
    const { transfer } = call
    if (!transfer || transfer.referral === 'none') return
    switch (event.state) {
      case 'accepted':
        transfer.referral = 'accepted'
        return
      case 'progress':
        if (transfer.mode === 'blind') this.progress(call, event.sipStatus)
        return
      case 'completed':
        return this.#moved(call, transfer, 'the far end has called the target')
      case 'failed':
        if (transfer.mode === 'blind') return this.#failed(call, event.sipStatus, event.text)
        return this.#notTakenOver(call, transfer, event)
    }
  }

  /** The first leg was ended by its far end. True: it has left for the target, as it said that it would. */
  left(call: Call): boolean {
    const { transfer } = call
    if (transfer?.referral !== 'accepted') return false
    this.#moved(call, transfer, 'the far end hung up after it had taken the REFER')
    return true
  }

  #notTakenOver(call: Call, transfer: Transfer, { sipStatus, text }: Referred): void {
    this.#core.log(call).info({ sipStatus }, `no take-over by REFER, the call stays bridged: ${text}`)
    if (!call.leg(transfer.legId)?.ended) return this.#bridged(call, transfer)
    this.#core.world.media.unbridge(call.first.id)
    this.#failed(call, sipStatus, 'the target hung up')
  }

  #moved(call: Call, transfer: Transfer, detail: string): void {
    if (transfer.mode === 'blind') this.#tell(call, transfer.ref, 'answered', 200)
    this.#tell(call, transfer.ref, 'completed', 200)
    call.transfer = undefined
    this.#core.log(call).info({ mode: transfer.mode }, 'transferred by REFER')
    this.#core.end(call, {
      result: 'completed',
      reason: 'transferred',
      sipStatus: 200,
      q850: 16,
      by: transfer.by,
      detail,
    })
  }

  // ── The end of it ──────────────────────────────────────────────────────────────────────────────────────────────

  #bridged(call: Call, transfer: Transfer): void {
    this.#tell(call, transfer.ref, 'completed', 200)
    call.transfer = undefined
    call.note({ type: 'bridged', legId: transfer.legId, target: transfer.target })
    this.#core.log(call).info({ leg: transfer.legId }, 'transfer bridged')
    this.#core.world.media.detachBot(call.first.id, { reason: 'transferred', sipStatus: 200, q850: 16 })
    call.botState = 'lost'
  }

  /** A target leg has ended: before its answer the transfer failed, after it the call is over. */
  legEnded(call: Call, leg: CallLeg, cause: Cause): void {
    if (leg.media === 'open')
      this.#core.world.media.close(leg.id, { reason: 'transferred', sipStatus: cause.sipStatus, q850: cause.q850 })
    if (call.ended) return
    const { transfer } = call
    if (transfer?.legId === leg.id) {
      // Taken over, or hung up: the REFER's result tells which.
      if (transfer.referral === 'none') this.#failed(call, cause.sipStatus, cause.text)
      return
    }
    // One that had failed before, and now reports its end.
    if (call.record.state !== 'bridged') return
    this.#core.end(call, {
      result: 'completed',
      reason: 'transferred',
      sipStatus: 200,
      q850: cause.q850,
      by: 'callee',
      detail: 'the transfer target hung up',
    })
  }

  #failed(call: Call, sipStatus: number, text: string): void {
    const { transfer } = call
    if (!transfer) return
    call.transfer = undefined
    call.note({ type: 'transferFailed', legId: transfer.legId, sipStatus, reason: text })
    this.#tell(call, transfer.ref, 'failed', sipStatus, text)
    this.#core.log(call).warn({ leg: transfer.legId, mode: transfer.mode, sipStatus }, `transfer failed: ${text}`)
    const attended = call.botState === 'open' || call.botState === 'reconnecting'
    const detail = `transfer failed: ${resultOfStatus(sipStatus)}`
    if (transfer.onFail === 'resume') {
      if (!attended) this.#botless(call, detail)
      return
    }
    const ours = transfer.by === 'us' ? 'operator' : 'bot_hangup'
    this.#core.end(
      call,
      {
        result: 'completed',
        reason: attended ? ours : 'bot_lost',
        sipStatus: 200,
        q850: 16,
        by: attended ? transfer.by : 'us',
        detail,
      },
      NORMAL_CLEARING,
    )
  }

  #tell(
    call: Call,
    ref: string | undefined,
    state: TransferStatus['state'],
    sipStatus?: number,
    reason?: string,
  ): void {
    this.#core.world.media.transferStatus(call.first.id, { ref, state, sipStatus, reason })
  }
}

function refusalOf(call: Call, target: string | undefined): Refusal | undefined {
  const { state } = call.record
  if (state !== 'talking' && state !== 'answered')
    return { code: 'CONFLICT', text: `not possible while the call is ${state}` }
  if (!target) return { code: 'INVALID', text: 'no target' }
  if (!/^(\+?[0-9*#]{2,20}|ext:[0-9*#]{1,20}|sips?:[^\s<>"]{3,200}|tel:\+?[0-9.-]{2,20})$/.test(target))
    return { code: 'INVALID', text: 'the target is neither a number nor a SIP URI' }
  return undefined
}

/** As Signaling wants it: a number, or a SIP URI as it is. */
const dialled = (target: string): string => target.replace(/^(tel|ext):/, '')
