/**
 * A simulated carrier (or many phones behind one SIP address): places calls and answers them, with real SIP and RTP.
 * For the demo, the load run and tests; no part of the server.
 *
 *   const phone = await Phone.start({ clock, log, pacer })
 *   const call = await phone.call({ target: 'sip:+9180@127.0.0.1:5060', from: '+9198' })
 *   await call.answered; await call.media.play(clip); call.hangup(); await call.ended
 *   phone.onCall(() => ({ do: 'answer', ringMs: 200 }))
 */
import type { Clock, Timer } from '../lib/clock.ts'
import type { Log } from '../telemetry/log.ts'
import { errorText } from '../lib/errors.ts'
import type { InviteSession, SessionEnd } from '../sip/dialog/session.ts'
import { UserAgent } from '../sip/user-agent.ts'
import type { Law } from '../audio/flow.ts'
import type { Pacer } from './pacer.ts'
import { PhoneMedia, type PhoneMediaOptions } from './phone-media.ts'

export interface PhoneOptions {
  clock: Clock
  log: Log
  pacer: Pacer
  /** Address for SIP and RTP; default 127.0.0.1. */
  host?: string
  /** SIP port; default any free one. */
  port?: number
  /** What is offered and accepted, in order; default PCMU and PCMA. */
  codecs?: Law[]
}

/** Hooks and limits of one call's sound. */
export type CallMedia = Pick<PhoneMediaOptions, 'captureMs' | 'interArrival' | 'sending' | 'arrived'>

export interface PlaceOptions extends CallMedia {
  /** Request-URI; the INVITE goes to its host and port. */
  target: string
  /** Caller number. */
  from: string
  transport?: 'udp' | 'tcp'
  ringTimeoutMs?: number
}

/** What a phone does when it is called. */
export type Reaction =
  | ({ do: 'answer'; ringMs?: number } & CallMedia)
  /** Rings until the caller gives up. */
  | { do: 'no-answer' }
  | { do: 'refuse'; status: number; reason?: string; ringMs?: number }

/** From the INVITE, ms; -1 = not reached. */
export interface CallTimes {
  /** First 18x. */
  ringingMs: number
  /** 200 sent, on the answering side. */
  acceptedMs: number
  /** 2xx (and its ACK, on the answering side). */
  answeredMs: number
  endedMs: number
}

export class PhoneCall {
  readonly session: InviteSession
  readonly media: PhoneMedia
  readonly times: CallTimes = { ringingMs: -1, acceptedMs: -1, answeredMs: -1, endedMs: -1 }
  /** Keys heard from the other side, by RFC 4733 and by INFO. */
  readonly digits: string[]
  /** Rejects when the call ends before. */
  readonly answered: Promise<void>
  readonly ended: Promise<SessionEnd>
  /** The INVITE, monotonic ms: where `times` starts. */
  readonly startedAtMs: number
  #end: SessionEnd | undefined

  constructor(session: InviteSession, media: PhoneMedia, digits: string[], clock: Clock) {
    this.session = session
    this.media = media
    this.digits = digits
    this.startedAtMs = clock.now()
    const sinceMs = (): number => clock.now() - this.startedAtMs
    session.on('progress', () => {
      if (this.times.ringingMs < 0) this.times.ringingMs = sinceMs()
    })
    session.on('media', (remote) => media.connect(remote))
    if (session.media) media.connect(session.media)
    session.on('digit', ({ digit }) => digits.push(digit))
    this.answered = new Promise((resolve, reject) => {
      session.on('established', () => {
        this.times.answeredMs = sinceMs()
        resolve()
      })
      session.on('ended', (end) => reject(new Error(`call ended before the answer: ${end.sipStatus} ${end.text}`)))
    })
    // Who only waits for `ended` must not die of a refused call.
    this.answered.catch(() => undefined)
    this.ended = new Promise((resolve) => {
      session.on('ended', (end) => {
        this.times.endedMs = sinceMs()
        this.#end = end
        void media.close().then(() => resolve(end))
      })
    })
  }

  /** How it ended, once it has. */
  get end(): SessionEnd | undefined {
    return this.#end
  }

  hangup(): void {
    this.session.hangup()
  }
}

export class Phone {
  readonly #o: PhoneOptions
  readonly #ua: UserAgent
  readonly host: string
  #react: (session: InviteSession) => Reaction = () => ({ do: 'refuse', status: 480 })
  #onIncoming: (call: PhoneCall) => void = () => undefined
  readonly #ringing = new Set<Timer>()

  private constructor(options: PhoneOptions) {
    this.#o = options
    this.host = options.host ?? '127.0.0.1'
    this.#ua = new UserAgent({
      clock: options.clock,
      log: options.log,
      host: this.host,
      port: options.port ?? 0,
      userAgentName: 'trunkline-phone',
      prefs: { codecs: options.codecs ?? ['pcmu', 'pcma'] },
    })
    this.#ua.onInvite((session) => {
      this.#called(session).catch((err: unknown) => {
        options.log.warn({ err: errorText(err) }, 'phone: incoming call failed')
        session.reject(500)
      })
    })
  }

  static async start(options: PhoneOptions): Promise<Phone> {
    const phone = new Phone(options)
    await phone.#ua.listen()
    return phone
  }

  /** SIP port. */
  get port(): number {
    return this.#ua.port
  }

  /** Sends the INVITE and returns at once; what becomes of it is in `answered` and `ended`. */
  async call(options: PlaceOptions): Promise<PhoneCall> {
    const digits: string[] = []
    const media = await this.#openMedia(options, digits)
    const session = this.#ua.invite({
      target: options.transport === 'tcp' ? `${options.target};transport=tcp` : options.target,
      from: `<sip:${options.from}@${this.host}>`,
      media: { host: media.host, port: media.port },
      ringTimeoutMs: options.ringTimeoutMs ?? 60_000,
    })
    return new PhoneCall(session, media, digits, this.#o.clock)
  }

  /** How calls to this phone go; `incoming` gets each one that is going to be answered. */
  onCall(react: (session: InviteSession) => Reaction, incoming: (call: PhoneCall) => void = () => undefined): void {
    this.#react = react
    this.#onIncoming = incoming
  }

  /** Ends every call and closes the sockets. */
  async close(): Promise<void> {
    for (const timer of this.#ringing) timer.cancel()
    this.#ringing.clear()
    await this.#ua.close()
  }

  async #called(session: InviteSession): Promise<void> {
    const reaction = this.#react(session)
    if (reaction.do === 'no-answer') {
      session.ring()
      return
    }
    if (reaction.do === 'refuse') {
      if (!reaction.ringMs) return session.reject(reaction.status, reaction.reason)
      session.ring()
      this.#later(session, reaction.ringMs, () => session.reject(reaction.status, reaction.reason))
      return
    }
    session.ring()
    const digits: string[] = []
    const media = await this.#openMedia(reaction, digits)
    if (session.state === 'ended') return media.close()
    const call = new PhoneCall(session, media, digits, this.#o.clock)
    this.#onIncoming(call)
    const answer = (): void => {
      call.times.acceptedMs = this.#o.clock.now() - call.startedAtMs
      session.accept({ host: media.host, port: media.port })
    }
    if (reaction.ringMs) this.#later(session, reaction.ringMs, answer)
    else answer()
  }

  #later(session: InviteSession, delayMs: number, then: () => void): void {
    const timer = this.#o.clock.after(delayMs, () => {
      this.#ringing.delete(timer)
      if (session.state !== 'ended') then()
    })
    this.#ringing.add(timer)
    session.on('ended', () => {
      timer.cancel()
      this.#ringing.delete(timer)
    })
  }

  #openMedia(hooks: CallMedia, digits: string[]): Promise<PhoneMedia> {
    return PhoneMedia.open({
      clock: this.#o.clock,
      pacer: this.#o.pacer,
      host: this.host,
      captureMs: hooks.captureMs,
      interArrival: hooks.interArrival,
      sending: hooks.sending,
      arrived: hooks.arrived,
      digit: (digit) => digits.push(digit),
    })
  }
}
