/**
 * Who owes whom an answer (RFC 3264, RFC 6337 §2): the state of SDP in one session, and nothing of its transport.
 *
 *              offer()                          answerTo(offer)
 *   localOffer ◀────── stable ──────────────────▶ stable      (ours are answered at once, never left open)
 *       │ accept(answer) / rollback()
 *       └───────────▶ stable
 */
import { newIdentity } from '../sdp/build.ts'
import {
  answerOffer,
  applyAnswer,
  makeOffer,
  type MediaEndpoint,
  type MediaPreferences,
  type NegotiatedMedia,
} from '../sdp/negotiate.ts'
import type { Direction, SdpMedia } from '../sdp/parse.ts'

export type Exchange = {
  media: NegotiatedMedia
  /** Something differs from what was agreed before. */ changed: boolean
}

export class OfferAnswer {
  readonly #identity
  #prefs: MediaPreferences
  #local: MediaEndpoint | undefined
  #wish: Direction = 'sendrecv'
  #open: { sdp: string; wishBefore: Direction; localBefore: MediaEndpoint | undefined } | undefined
  #lines: SdpMedia[] | undefined
  /** Result of the last exchange. */
  media: NegotiatedMedia | undefined
  peerDirection: Direction = 'sendrecv'
  remoteSdp: string | undefined
  /** Our last SDP, offer or answer: what a repeated offer/answer must show again. */
  localSdp: string | undefined

  constructor(sessionId: string, prefs: MediaPreferences) {
    this.#identity = newIdentity(sessionId)
    this.#prefs = prefs
  }

  /** An offer of ours waits for its answer. */
  get pending(): boolean {
    return this.#open !== undefined
  }

  get local(): MediaEndpoint | undefined {
    return this.#local
  }

  get wish(): Direction {
    return this.#wish
  }

  set prefs(prefs: MediaPreferences) {
    this.#prefs = prefs
  }

  get prefs(): MediaPreferences {
    return this.#prefs
  }

  /** Writes an offer and waits for `accept` or `rollback`. */
  offer(local: MediaEndpoint, wish: Direction = this.#wish): string {
    const open = { sdp: '', wishBefore: this.#wish, localBefore: this.#local }
    this.#local = local
    this.#wish = wish
    open.sdp = makeOffer(this.#identity, local, this.#prefs, wish, this.#lines)
    this.#open = open
    this.localSdp = open.sdp
    return open.sdp
  }

  /**
   * The answer to our offer. May come again, and differ: 183 and 200 of one INVITE (pjproject#657); the last one
   * holds. `final` closes the exchange.
   */
  accept(answer: string, final: boolean): Exchange | undefined {
    if (!this.#open) return undefined
    const read = applyAnswer(answer, this.#prefs, this.#wish)
    if (!read) return undefined
    if (final) this.#open = undefined
    return this.#agree(answer, read)
  }

  /** The final answer came without SDP: what an earlier provisional said stands. */
  acceptEarlier(): boolean {
    if (!this.#open || !this.media) return false
    this.#open = undefined
    return true
  }

  /** RFC 3261 §14.1, RFC 6141 §3.1: a refused offer leaves everything as it was. */
  rollback(): void {
    if (!this.#open) return
    this.#wish = this.#open.wishBefore
    this.#local = this.#open.localBefore
    this.#open = undefined
  }

  /** Answers the peer's offer. Undefined: 488, and nothing changed. */
  answerTo(offer: string, local: MediaEndpoint | undefined = this.#local): (Exchange & { sdp: string }) | undefined {
    if (!local) return undefined
    const answered = answerOffer(this.#identity, offer, local, this.#prefs, this.#wish)
    if (!answered) return undefined
    this.#local = local
    this.localSdp = answered.sdp
    return { ...this.#agree(offer, answered), sdp: answered.sdp }
  }

  #agree(remoteSdp: string, read: { media: NegotiatedMedia; peerDirection: Direction; lines: SdpMedia[] }): Exchange {
    const changed = !this.media || !sameMedia(this.media, read.media)
    this.media = read.media
    this.peerDirection = read.peerDirection
    this.#lines = read.lines
    this.remoteSdp = remoteSdp
    return { media: read.media, changed }
  }
}

const sameMedia = (a: NegotiatedMedia, b: NegotiatedMedia): boolean =>
  a.host === b.host &&
  a.port === b.port &&
  a.rtcpPort === b.rtcpPort &&
  a.codec === b.codec &&
  a.payloadType === b.payloadType &&
  a.dtmfPayloadType === b.dtmfPayloadType &&
  a.ptimeMs === b.ptimeMs &&
  a.direction === b.direction
