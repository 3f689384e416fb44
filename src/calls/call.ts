import type { Clock, Timer } from '../lib/clock.ts'
import type { CallEvent, CallFact } from './events.ts'
import { legIdOf, type CallId, type LegId } from './ids.ts'
import type { BotSettings, Cause, Journal, TransferMode } from './ports.ts'
import { applyEvent, type CallRecord } from './record.ts'

/** One SIP dialog of the call with its RTP. Leg 1 is the phone that called or was called; further ones are targets. */
export interface CallLeg {
  readonly id: LegId
  readonly role: 'caller' | 'callee' | 'target'
  readonly trunkId: string
  answered: boolean
  /** Signalling has reported the end, and why. */
  ended: boolean
  cause?: Cause
  /** The media plane holds a port for it. */
  media: 'none' | 'open' | 'closed'
}

/** 'reconnecting': its socket is gone, and the media plane dials it again. */
export type BotState = 'none' | 'connecting' | 'open' | 'reconnecting' | 'lost'

/** 'stopping': until the capture is closed on disk; 'finishing': the file is made. */
export type RecordingState = 'none' | 'capturing' | 'paused' | 'stopping' | 'finishing'

export interface Transfer {
  readonly mode: TransferMode
  /** The leg that dials the target; blind: the first one, whose far end dials. */
  readonly legId: LegId
  readonly target: string
  readonly ref?: string
  readonly onFail: 'resume' | 'hangup'
  /** Who wanted it. */
  readonly by: 'bot' | 'us'
  /** For the target (DialPlan.userData). */
  readonly userData?: string
  /** Of the REFER to the first leg's far end. */
  referral: 'none' | 'asked' | 'accepted'
}

/**
 * A live call: its record (the fold of its events), its legs, and what is under way. It decides nothing and has no I/O
 * but its journal: service.ts, inbound.ts, transfers.ts, fallback.ts and recording.ts do.
 */
export class Call {
  readonly record: CallRecord
  readonly legs: CallLeg[] = []
  bot: BotSettings | undefined
  botState: BotState = 'none'
  transfer: Transfer | undefined
  /** Outbound: the bot is dialled only once the call is answered. */
  connectAfterAnswer = false
  /** Facts for the bot's `start` that came with the request, wire spelling. */
  startFacts: Record<string, unknown> = {}
  /** Where an empty transfer target leads. */
  defaultTarget: string | undefined
  recording: RecordingState = 'none'
  /** Answered without its bot, for the fallback: why. */
  unattended: string | undefined
  notesTaken = 0
  maxForwards = 70
  readonly #clock: Clock
  readonly #journal: Journal
  readonly #timers = new Map<string, Timer>()

  constructor(
    clock: Clock,
    journal: Journal,
    created: Extract<CallEvent, { type: 'created' }>,
    bot: BotSettings | undefined,
  ) {
    this.#clock = clock
    this.#journal = journal
    this.record = applyEvent(undefined, created)!
    this.bot = bot
  }

  get id(): CallId {
    return this.record.id
  }

  get ended(): boolean {
    return this.record.state === 'ended'
  }

  /** The phone side. */
  get first(): CallLeg {
    return this.legs[0]
  }

  leg(legId: LegId): CallLeg | undefined {
    return this.legs.find((l) => l.id === legId)
  }

  addLeg(role: CallLeg['role'], trunkId: string, id = legIdOf(this.id, this.legs.length + 1)): CallLeg {
    const leg: CallLeg = { id, role, trunkId, answered: false, ended: false, media: 'none' }
    this.legs.push(leg)
    return leg
  }

  /** States a fact: into the live record at once, into the journal behind it. */
  note(fact: CallFact): void {
    // The journal has logged and counted a failure to write; a live call goes on without it.
    this.noteDurably(fact).catch(() => {})
  }

  /** As `note`; resolves when the fact is on disk, rejects when it could not be written. */
  noteDurably(fact: CallFact): Promise<void> {
    const event = {
      callId: this.id,
      accountId: this.record.accountId,
      seq: this.record.seq + 1,
      atMs: this.#clock.wallMs(),
      ...fact,
    } satisfies CallEvent
    applyEvent(this.record, event)
    return this.#journal.append(event)
  }

  /** Runs `fn` after `ms` unless the call ends, or the timer is set again or cleared, before. */
  setTimer(name: string, ms: number, fn: () => void): void {
    this.clearTimer(name)
    this.#timers.set(name, this.#clock.after(ms, fn))
  }

  clearTimer(name: string): void {
    this.#timers.get(name)?.cancel()
    this.#timers.delete(name)
  }

  clearTimers(): void {
    for (const timer of this.#timers.values()) timer.cancel()
    this.#timers.clear()
  }

  /** Nothing of it is open any more: it can leave the registry. */
  get settled(): boolean {
    return this.ended && this.recording === 'none' && this.legs.every((l) => l.ended && l.media !== 'open')
  }
}
