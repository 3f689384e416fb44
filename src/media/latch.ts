/**
 * Whose packets count, and where ours go (symmetric RTP, RFC 4961; against RTP bleed). Pure decisions: no socket.
 *
 *   connect(new address) ─▶ armed ── first valid packet ─▶ following ── 3 s ─▶ locked
 *                             ▲                              │ one from the SDP address wins over others
 *                             └────── re-INVITE, new c=/m= ──┴──────────────────┘
 *
 * Strict: locked to the SDP address from the start. RTCP never moves anything.
 */
const FOLLOW_MS = 3000
/** After a move, packets in flight from the old address do not pull us back for so long. */
const OLD_SOURCE_MS = 1000

export type Verdict = 'accept' | 'moved' | 'stranger'

export class Latch {
  #sdpHost = ''
  #sdpPort = 0
  #strict = true
  #host = ''
  #port = 0
  #state: 'idle' | 'armed' | 'following' | 'locked' = 'idle'
  #sinceMs = 0
  #oldHost = ''
  #oldPort = 0

  /** Where to send. */
  get host(): string {
    return this.#host
  }

  get port(): number {
    return this.#port
  }

  get locked(): boolean {
    return this.#state === 'locked'
  }

  /** @returns false when nothing changed (a refresh): the latched source stays */
  connect(host: string, port: number, strict: boolean, nowMs: number): boolean {
    if (host === this.#sdpHost && port === this.#sdpPort && strict === this.#strict) return false
    this.#oldHost = this.#host
    this.#oldPort = this.#port
    this.#sdpHost = this.#host = host
    this.#sdpPort = this.#port = port
    this.#strict = strict
    this.#state = strict ? 'locked' : 'armed'
    this.#sinceMs = nowMs
    return true
  }

  /** The quick answer for most packets: locked, and from where we listen. */
  isLockedOn(host: string, port: number): boolean {
    return this.#state === 'locked' && port === this.#port && host === this.#host
  }

  /** For RTCP, whose port differs: the host counts, and an armed latch takes any. */
  isFrom(host: string): boolean {
    return host === this.#host || host === this.#sdpHost
  }

  /** A valid RTP packet of a known payload type came. 'moved': send to `host`, `port` from now on. */
  see(host: string, port: number, nowMs: number): Verdict {
    const current = host === this.#host && port === this.#port
    switch (this.#state) {
      case 'idle':
        return 'stranger'
      case 'armed': {
        if (host === this.#oldHost && port === this.#oldPort && !current && nowMs - this.#sinceMs < OLD_SOURCE_MS)
          return 'accept'
        this.#state = 'following'
        this.#sinceMs = nowMs
        this.#host = host
        this.#port = port
        return current ? 'accept' : 'moved'
      }
      case 'following': {
        if (nowMs - this.#sinceMs >= FOLLOW_MS) this.#state = 'locked'
        else if (!current && host === this.#sdpHost && this.#host !== this.#sdpHost) {
          this.#host = host
          this.#port = port
          return 'moved'
        }
        return current ? 'accept' : 'stranger'
      }
      case 'locked':
        return current ? 'accept' : 'stranger'
    }
  }
}
