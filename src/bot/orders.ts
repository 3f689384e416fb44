/**
 * What a bot asks for, done: in its own voice and hearing where that is enough, else by asking the owner. Refusals are
 * non-fatal errors that say why.
 */
import type { BotRequest } from '../calls/ports.ts'
import type {
  AudioMessage,
  AudioPlan,
  BotErrorCode,
  BotMessage,
  BridgeMessage,
  CallState,
  SessionPlan,
} from './dialect.ts'
import type { Hearing } from './hearing.ts'
import type { SessionOwner } from './session.ts'
import type { Voice } from './voice.ts'

/** Orders that wait for an answer which is on its way. */
const MAX_EARLY = 16

export type Order = Exclude<BotMessage, AudioMessage | { kind: 'mistake' }>

export interface OrdersWorld {
  plan: SessionPlan
  /** The session's formats and settings as they are at the moment: changed here. */
  audio: AudioPlan
  listening: SessionPlan['listening']
  voice: Voice
  hearing: Hearing
  owner: Pick<SessionOwner, 'request' | 'sendDigits'>
  state(): CallState
  tell(message: BridgeMessage): void
  error(code: BotErrorCode, message: string, ref?: string): void
  /** The bot has ended the call: it may leave now. */
  hangingUp(): void
}

export class Orders {
  readonly #w: OrdersWorld
  #answerAsked = false
  /** Asked a moment too soon, in order. */
  #early: Order[] = []

  constructor(world: OrdersWorld) {
    this.#w = world
  }

  /** The bot has sent audio: where that is agreed, it answers the call. */
  spoken(): void {
    if (!this.#w.plan.answerOnAudio || this.#answerAsked || this.#w.state() === 'answered' || !this.#mayAnswer) return
    this.#answerAsked = true
    this.#w.owner.request({ ask: 'answer' })
  }

  get #mayAnswer(): boolean {
    const { direction, answer_mode } = this.#w.plan.start
    return direction !== 'outbound' && answer_mode !== 'auto'
  }

  /** The phone side is there. */
  answered(): void {
    for (const order of this.#early.splice(0)) this.obey(order)
  }

  /** Another bot takes over: what the one before wanted is void. */
  startOver(): void {
    this.#early = []
  }

  obey(m: Order): void {
    const { voice, hearing, owner } = this.#w
    switch (m.kind) {
      case 'mark':
        if (!voice.mark(m.name)) this.#tooManyMarks(m.ref)
        return
      case 'audioDone':
        if (!voice.done(m.itemId)) this.#tooManyMarks(m.ref)
        return
      case 'clear':
        return voice.clear(m.itemId, m.ref)
      case 'bargeIn':
        return voice.bargeIn(this.#w.listening.bargeIn)
      case 'pause':
        return voice.pause(m.paused)
      case 'digits':
        if (this.#notAnswered(m)) return
        if (!owner.sendDigits(m.digits, m.durationMs, m.gapMs, m.method))
          this.#w.error('dtmf_failed', `The phone leg cannot take these digits now (method ${m.method}).`, m.ref)
        return
      case 'transfer':
        return this.#transfer(m)
      case 'hangup':
        return voice.when(m.afterPlayback && this.#w.state() === 'answered', () => {
          this.#w.hangingUp()
          owner.request({ ask: 'hangup', reason: m.reason, sipStatus: m.sipStatus, q850: m.q850 })
        })
      case 'answer':
      case 'reject':
        return this.#decide(m)
      case 'hold':
        if (this.#notAnswered(m)) return
        voice.hold(m.held)
        hearing.held = m.held
        return
      case 'recording':
        if (this.#waits(m)) return
        return owner.request({ ask: 'recording', ref: m.ref, action: m.action })
      case 'note':
        return owner.request({ ask: 'note', data: m.data })
      case 'replay':
        if (!hearing.replay(m.ms))
          this.#w.error('not_allowed', 'No caller audio is kept: reconnect is off for this bot.', m.ref)
        return
      case 'update':
        return this.#update(m)
      case 'ping':
        return this.#w.tell({ kind: 'pong', ref: m.ref })
    }
  }

  #tooManyMarks(ref: string | undefined): void {
    this.#w.error('rate_limited', 'Too many marks are pending (1000); this one was not taken.', ref)
  }

  /**
   * True: it is done at the answer. An inbound call that we answer by ourselves is answered because its bot is there, so
   * what the bot asks in its first milliseconds waits for the caller's ACK: bots written for others know of no state
   * before the answer.
   */
  #waits(m: Order): boolean {
    const { direction, answer_mode } = this.#w.plan.start
    if (this.#w.state() === 'answered' || direction !== 'inbound' || answer_mode !== 'auto') return false
    if (this.#early.length >= MAX_EARLY) return false
    this.#early.push(m)
    return true
  }

  #notAnswered(m: Order): boolean {
    if (this.#w.state() === 'answered') return false
    if (!this.#waits(m)) this.#w.error('not_allowed', 'The call is not answered yet.', m.ref)
    return true
  }

  #transfer(m: Extract<Order, { kind: 'transfer' }>): void {
    if (this.#notAnswered(m)) return
    const { ref, target, mode, callerId, timeoutMs, onFail, headers, context } = m
    const request: BotRequest = { ask: 'transfer', ref, target, mode, callerId, timeoutMs, onFail, headers, context }
    this.#w.voice.when(m.afterPlayback, () => this.#w.owner.request(request))
  }

  #decide(m: Extract<Order, { kind: 'answer' | 'reject' }>): void {
    if (this.#w.state() === 'answered') return this.#w.error('not_allowed', 'The call is answered already.', m.ref)
    if (!this.#mayAnswer)
      return this.#w.error('not_allowed', 'Only an inbound call with answer_mode "bot" waits for this.', m.ref)
    this.#answerAsked = true
    const { owner } = this.#w
    if (m.kind === 'answer') owner.request({ ask: 'answer' })
    else owner.request({ ask: 'reject', sipStatus: m.sipStatus, reason: m.reason })
  }

  #update(m: Extract<Order, { kind: 'update' }>): void {
    const { audio, listening, voice, hearing } = this.#w
    if (m.transport) audio.transport = m.transport
    // The laws exist at 8 kHz only.
    if (m.output) {
      Object.assign(audio.output, m.output)
      if (audio.output.encoding !== 'pcm16') audio.output.sampleRate = 8000
      voice.formatChanged()
    }
    if (m.input) {
      Object.assign(audio.input, m.input)
      if (audio.input.encoding !== 'pcm16') audio.input.sampleRate = 8000
      hearing.setFormat({ ...audio.input })
    }
    if (m.listening) {
      Object.assign(listening, m.listening)
      hearing.listenFor(m.listening)
    }
  }
}
