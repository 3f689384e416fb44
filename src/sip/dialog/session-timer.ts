/**
 * Session timers (RFC 4028): who refreshes, how often, and when the session counts as dead. Decides headers and
 * moments; invite-session.ts sends what it asks for.
 *
 *   0 ────────────── SE/2 ────────── SE − min(32, SE/3) ──── SE
 *                     │ refresher: UPDATE or re-INVITE │ either: BYE, the peer is gone
 */
import type { Clock, Timer } from '../../lib/clock.ts'
import type { Headers } from '../message/message.ts'
import type { SessionTimerWish } from './session.ts'

/** RFC 4028 §4: no one may ask for less. */
const FLOOR_S = 90
const CEILING_S = 86_400

export interface SessionExpires {
  intervalS: number
  /** In terms of the request that it belongs to. */
  refresher?: 'uac' | 'uas'
}

/** `1800;refresher=uac`. Undefined when there is none or it is nonsense. */
export function parseSessionExpires(headers: Headers): SessionExpires | undefined {
  const value = headers.get('Session-Expires')
  const intervalS = Number(/^\s*(\d{1,9})/.exec(value ?? '')?.[1])
  if (value === undefined || !(intervalS > 0)) return undefined
  const refresher = /;\s*refresher\s*=\s*"?(uac|uas)/i.exec(value)?.[1]?.toLowerCase()
  return { intervalS: Math.min(intervalS, CEILING_S), ...(refresher ? { refresher: refresher as 'uac' | 'uas' } : {}) }
}

export function parseMinSe(headers: Headers): number | undefined {
  const n = Number(/^\s*(\d{1,9})/.exec(headers.get('Min-SE') ?? '')?.[1])
  return n > 0 ? Math.min(n, CEILING_S) : undefined
}

export const supportsTimer = (headers: Headers): boolean =>
  [...headers.all('Supported'), ...headers.all('Require')].some((v) =>
    v.split(',').some((option) => option.trim().toLowerCase() === 'timer'),
  )

export class SessionTimer {
  readonly #clock: Clock
  readonly #onRefresh: () => void
  readonly #onExpired: () => void
  #wish: SessionTimerWish
  #minS: number
  #intervalS: number | undefined
  #weRefresh = false
  #refreshTimer: Timer | undefined
  #expiryTimer: Timer | undefined

  constructor(clock: Clock, wish: SessionTimerWish, on: { refresh: () => void; expired: () => void }) {
    this.#clock = clock
    this.#wish = wish
    this.#minS = Math.max(FLOOR_S, wish.minS)
    this.#onRefresh = on.refresh
    this.#onExpired = on.expired
  }

  set wish(wish: SessionTimerWish) {
    this.#wish = wish
    this.#minS = Math.max(FLOOR_S, wish.minS)
  }

  get minS(): number {
    return this.#minS
  }

  /** The interval in force, s. */
  get intervalS(): number | undefined {
    return this.#intervalS
  }

  get weRefresh(): boolean {
    return this.#intervalS !== undefined && this.#weRefresh
  }

  /** Puts our wish, or what is in force, on an INVITE or UPDATE of ours (§7.1, §7.4). */
  applyToRequest(headers: Headers): void {
    const active = this.#intervalS !== undefined
    const intervalS = Math.max(this.#intervalS ?? this.#wish.expiresS, this.#minS)
    // First request: the peer may choose who refreshes. Later: keep the roles, named for this request's direction.
    const role = !active ? '' : this.#weRefresh ? ';refresher=uac' : ';refresher=uas'
    headers.set('Session-Expires', `${intervalS}${role}`)
    headers.set('Min-SE', String(this.#minS))
  }

  /** 422 to a request of ours (§7.3): the peer's minimum becomes ours. False: there is nothing to raise, give up. */
  raise(response: Headers): boolean {
    const minS = parseMinSe(response)
    if (minS === undefined || minS <= this.#minS) return false
    this.#minS = minS
    if (this.#intervalS !== undefined) this.#intervalS = Math.max(this.#intervalS, minS)
    return true
  }

  /** 2xx to a request of ours (§7.2): no header, no timer. */
  onResponse(response: Headers): void {
    const se = parseSessionExpires(response)
    if (!se) return this.stop()
    this.#run(se.intervalS, se.refresher !== 'uas')
  }

  /** The interval that a request asks for is under our minimum: answer 422 with Min-SE (§9). */
  tooSmall(request: Headers): boolean {
    const se = parseSessionExpires(request)
    return se !== undefined && se.intervalS < this.#minS && supportsTimer(request)
  }

  /** Answers a request of the peer's (§9): writes the headers of our 2xx and starts anew. */
  applyToResponse(request: Headers, response: Headers): void {
    const asked = parseSessionExpires(request)
    const peerSupports = supportsTimer(request)
    const minS = Math.max(parseMinSe(request) ?? 0, this.#minS)
    let intervalS: number
    let peerRefreshes: boolean
    if (asked) {
      // The UAS may shorten the interval, never lengthen it (except that it cannot be under the minimum).
      intervalS = Math.max(Math.min(asked.intervalS, this.#wish.expiresS), minS)
      // Table 2: the request's choice holds; a peer that does not know timers cannot refresh.
      const keep = this.#intervalS === undefined || !this.#weRefresh
      peerRefreshes = peerSupports && (asked.refresher ? asked.refresher === 'uac' : keep)
    } else if (this.#intervalS !== undefined) {
      intervalS = this.#intervalS
      peerRefreshes = !this.#weRefresh && peerSupports
    } else if (peerSupports) {
      intervalS = Math.max(this.#wish.expiresS, minS)
      peerRefreshes = true
    } else return
    response.set('Session-Expires', `${intervalS};refresher=${peerRefreshes ? 'uac' : 'uas'}`)
    if (peerRefreshes) response.add('Require', 'timer')
    this.#run(intervalS, !peerRefreshes)
  }

  stop(): void {
    this.#intervalS = undefined
    this.#refreshTimer?.cancel()
    this.#expiryTimer?.cancel()
  }

  #run(intervalS: number, weRefresh: boolean): void {
    this.#refreshTimer?.cancel()
    this.#expiryTimer?.cancel()
    this.#intervalS = intervalS
    this.#weRefresh = weRefresh
    if (weRefresh) this.#refreshTimer = this.#clock.after(intervalS * 500, this.#onRefresh)
    // §10: a little early, so that the BYE still finds a dialog.
    const graceS = Math.min(32, intervalS / 3)
    this.#expiryTimer = this.#clock.after((intervalS - graceS) * 1000, this.#onExpired)
  }
}
