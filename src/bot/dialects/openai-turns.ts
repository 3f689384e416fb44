/**
 * Whose turn it is in a realtime conversation: one response at a time, and none of what the caller has interrupted. A
 * second `response.create` is refused by the server (`conversation_already_has_active_response`), and the server starts
 * responses by itself after each turn of the caller; so what we want answered waits here.
 *
 *   none ──response.create──▶ asked ──response.created──▶ active ──response.done──▶ none ──▶ what was wanted meanwhile
 *     └────────────────response.created (the server's own)───▲
 */
import type { Json } from './json-reader.ts'

type Wanted = 'greeting' | 'turn'

export class Turns {
  /** Sends response.create and returns its event id. */
  readonly #create: (what: Wanted) => string
  #open = false
  #state: 'none' | 'asked' | 'active' = 'none'
  #responseId: string | undefined
  #muted: string | undefined
  #wanted: Wanted | undefined
  /** Of the last response.create, while it may still be refused. */
  #asking: { eventId: string; what: Wanted } | undefined
  #callerSpeaks = false

  constructor(create: (what: Wanted) => string) {
    this.#create = create
  }

  /** The session is settled: from now on the model may speak. */
  open(): void {
    this.#open = true
    this.#next()
  }

  /** The model shall say something about what is new in the conversation, or the greeting, which comes first. */
  ask(what: Wanted): void {
    if (this.#wanted !== 'greeting') this.#wanted = what
    this.#next()
  }

  speechStarted(): void {
    this.#callerSpeaks = true
    // The server cancels this response itself; what of it is on its way is not to be heard any more.
    if (this.#state === 'active') this.#muted = this.#responseId
  }

  speechStopped(): void {
    this.#callerSpeaks = false
  }

  /** Our side has cut the playback. True: the model is still at it, and is to be told to stop. */
  cut(): boolean {
    if (this.#callerSpeaks || this.#state !== 'active') return false
    this.#muted = this.#responseId
    return true
  }

  isMuted(responseId: unknown): boolean {
    return this.#muted !== undefined && responseId === this.#muted
  }

  /** @param knowsAll the server has confirmed all that we added to the conversation */
  created(responseId: string | undefined, knowsAll: boolean): void {
    // Not asked for: the answer to the caller, which takes in what we wanted answered, if it was known by then.
    if (this.#state === 'none' && this.#wanted === 'turn' && knowsAll) this.#wanted = undefined
    this.#state = 'active'
    this.#responseId = responseId
    this.#callerSpeaks = false
  }

  done(): void {
    this.#state = 'none'
    this.#responseId = undefined
    this.#asking = undefined
    this.#next()
  }

  /** An `error` of the server. */
  refused(error: Json): void {
    const asking = this.#asking
    const taken = error.code === 'conversation_already_has_active_response'
    // Some servers do not say what their error is about.
    if (!asking || (error.event_id !== asking.eventId && !(taken && typeof error.event_id !== 'string'))) return
    this.#asking = undefined
    if (taken) {
      // The server has begun an answer of its own, of which we may yet have to hear; ours comes after it.
      this.#state = 'active'
      if (this.#wanted !== 'greeting') this.#wanted = asking.what
    } else if (this.#state === 'asked') {
      this.#state = 'none'
    }
  }

  #next(): void {
    const what = this.#wanted
    if (what === undefined || !this.#open || this.#state !== 'none') return
    // After a turn of the caller's the server responds by itself.
    if (what === 'turn' && this.#callerSpeaks) return
    this.#wanted = undefined
    this.#state = 'asked'
    this.#asking = { eventId: this.#create(what), what }
  }
}
