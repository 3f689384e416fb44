import type { Call } from './call.ts'
import { NORMAL_CLEARING, type CallCore } from './core.ts'
import type { Transfers } from './transfers.ts'

const RING_MS = 30_000
/** A prompt that never reports its end must not keep the call. */
const PROMPT_LIMIT_MS = 30_000

/**
 * What becomes of a caller whose bot is gone for good, by the bot's `onLost`. Its stand-ins have been tried by then.
 *
 *   lost ─▶ transfer (where set) ──fails──▶ prompt (where there is one) ──played──▶ end (bot_lost)
 */
export class Fallback {
  readonly #core: CallCore
  readonly #transfers: Pick<Transfers, 'start'>
  readonly #tried = new WeakMap<Call, Set<'transfer' | 'prompt'>>()

  constructor(core: CallCore, transfers: Pick<Transfers, 'start'>) {
    this.#core = core
    this.#transfers = transfers
  }

  /** Whether a call without its bot is worth an answer. */
  offers({ bot }: Call): boolean {
    if (!bot || bot.onLost === 'hangup') return false
    return (bot.onLost === 'transfer' && Boolean(bot.fallbackTarget)) || Boolean(bot.fallbackPrompt)
  }

  /** The next step for an answered call; the end when there is none. */
  next(call: Call, reason: string): void {
    if (call.ended) return
    const { bot } = call
    const tried = this.#tried.get(call) ?? new Set()
    this.#tried.set(call, tried)
    if (bot?.onLost === 'transfer' && bot.fallbackTarget && !tried.has('transfer')) {
      tried.add('transfer')
      const refusal = this.#transfers.start(
        call,
        { target: bot.fallbackTarget, mode: 'bridge', timeoutMs: RING_MS, onFail: 'resume', headers: {} },
        'us',
      )
      if (!refusal) return
      this.#core.log(call).warn({ reason: refusal.text }, 'the fallback transfer is not possible')
    }
    if (bot && bot.onLost !== 'hangup' && bot.fallbackPrompt && !tried.has('prompt')) {
      tried.add('prompt')
      call.setTimer('prompt', PROMPT_LIMIT_MS, () => this.played(call, 'the prompt took too long'))
      this.#core.world.media.play(call.first.id, bot.fallbackPrompt)
      return
    }
    this.#end(call, reason)
  }

  /** The prompt is over, or could not be played. */
  played(call: Call, reason = 'the prompt has been played'): void {
    call.clearTimer('prompt')
    // Someone may have taken the caller meanwhile, by the API.
    if (!this.#tried.get(call)?.has('prompt') || call.transfer || call.record.state === 'bridged') return
    this.#end(call, reason)
  }

  #end(call: Call, detail: string): void {
    this.#core.end(
      call,
      { result: 'completed', reason: 'bot_lost', sipStatus: 200, q850: 16, by: 'us', detail },
      { ...NORMAL_CLEARING, text: detail },
    )
  }
}
