/**
 * Who may come in: matches requests from outside dialogs to a trunk by source and digest, and refuses what policy
 * refuses. Every refusal says which rule failed, in the log, the metric and the answer (SIP.md 2.4, 14).
 */
import type { RejectReason } from '../calls/ports.ts'
import type { Clock } from '../lib/clock.ts'
import { token } from '../lib/ids.ts'
import { maskNumber, type Log } from '../telemetry/log.ts'
import { metrics } from '../telemetry/metrics.ts'
import { DigestServer } from './auth/digest.ts'
import { parseAuthList } from './auth/digest-hash.ts'
import { formatReason, parseNameAddr } from './message/headers.ts'
import type { SipRequest } from './message/message.ts'
import { parseUri } from './message/uri.ts'
import type { Flow } from './transport/transport.ts'
import { calledOf } from './trunk/numbers.ts'
import type { Trunk, TrunkRegistry } from './trunk/registry.ts'

export interface DoorOptions {
  clock: Clock
  log: Log
  trunks: TrunkRegistry
  /** Which of several trunks with the same source a call belongs to; undefined: the closest CIDR. */
  chooseTrunk?: (trunkIds: string[], to: string) => string | undefined
  /** Counts a bad request against its source. */
  penalise: (host: string) => void
}

type Verdict = { status: number; headers?: [string, string][] } | undefined

const REALM = 'trunkline'
const RETRY_S: Partial<Record<RejectReason, string>> = { trunk_capacity: '10', draining: '30' }
const Q850: Partial<Record<RejectReason, number>> = { trunk_capacity: 34, draining: 41, loop: 25, bad_auth: 21 }

export class Door {
  readonly #options: DoorOptions
  readonly #digest: DigestServer
  readonly #trunkOf = new WeakMap<SipRequest, Trunk>()
  draining = false

  constructor(options: DoorOptions) {
    this.#options = options
    this.#digest = new DigestServer({ clock: options.clock, realm: REALM, secret: token(256) })
  }

  /** The trunk that `judge` let this request in by. */
  trunkOf(request: SipRequest): Trunk | undefined {
    return this.#trunkOf.get(request)
  }

  judge(request: SipRequest, flow: Flow): Verdict {
    const { trunks } = this.#options
    const invite = request.method === 'INVITE'
    const bySource = trunks.bySource(flow.remoteHost)
    // A known source may ask whether we live without showing a password.
    if (!invite && bySource.length) return undefined
    const open = bySource.filter((t) => !t.settings.inboundAuth)
    let trunk = this.#choose(open, request)
    if (!trunk) {
      const candidates = bySource.length ? bySource : trunks.digestOnly()
      if (!candidates.length) return this.#stranger(request, flow, invite)
      const admitted = this.#authenticate(request, flow, candidates)
      if (!('settings' in admitted)) return admitted
      trunk = admitted
    }
    if (!invite) return undefined
    this.#trunkOf.set(request, trunk)
    return this.#policy(request, trunk)
  }

  #policy(request: SipRequest, trunk: Trunk): Verdict {
    const refuse = (reason: RejectReason, rule: string, status: number): Verdict => {
      this.refused(reason, rule, trunk.settings.id, status, request)
      const retry = RETRY_S[reason]
      return {
        status,
        headers: [
          ['Reason', formatReason({ protocol: 'Q.850', cause: Q850[reason] ?? 41, text: reason })],
          ['Warning', this.warning(reason)],
          ...(retry ? [['Retry-After', retry] as [string, string]] : []),
        ],
      }
    }
    if (this.draining) return refuse('draining', 'the server is shutting down', 503)
    // Each leg of ours takes one off: a trunk that routes our calls back to us runs dry here.
    if (Number(request.headers.get('Max-Forwards') ?? 70) < 1) return refuse('loop', 'Max-Forwards is used up', 483)
    if (trunk.full) return refuse('trunk_capacity', `trunk carries its ${trunk.settings.maxCalls} calls`, 503)
    return undefined
  }

  // The closest CIDR wins, unless several trunks share it (one carrier, several accounts): then the number decides.
  #choose(candidates: Trunk[], request: SipRequest): Trunk | undefined {
    if (candidates.length < 2 || !this.#options.chooseTrunk) return candidates[0]
    const to = calledOf(request.uri, request.headers, candidates[0].settings.numberFormat) ?? ''
    const id = this.#options.chooseTrunk(
      candidates.map((t) => t.settings.id),
      to,
    )
    return candidates.find((t) => t.settings.id === id) ?? candidates[0]
  }

  /** Our own next hop, or someone who got through only because some trunk is digest-only. */
  #stranger(request: SipRequest, flow: Flow, invite: boolean): Verdict {
    if (!invite) return undefined
    metrics.sipDropped.inc({ reason: 'unknown_source' })
    this.#options.penalise(flow.remoteHost)
    this.refused('bad_auth', 'source is in no CIDR of any trunk', undefined, 403, request, flow)
    return { status: 403 }
  }

  #authenticate(request: SipRequest, flow: Flow, candidates: Trunk[]): Trunk | NonNullable<Verdict> {
    const source = flow.remoteHost
    let stale = false
    const given = request.headers.all('Authorization')
    for (const authorization of given.slice(0, 4)) {
      const username = parseAuthList(authorization)[0]?.fields.get('username') ?? ''
      const trunk = candidates.find((t) => t.settings.inboundAuth?.username === username)
      // An unknown user costs the same work and gets the same answer.
      const verdict = this.#digest.check(authorization, request.method, trunk?.settings.inboundAuth, source)
      if (verdict === 'ok' && trunk) return trunk
      stale ||= verdict === 'stale'
    }
    if (given.length && !stale) {
      this.#options.penalise(source)
      this.refused(
        'bad_auth',
        'wrong user or password',
        candidates.length === 1 ? candidates[0].settings.id : undefined,
        401,
        request,
        flow,
      )
    }
    return {
      status: 401,
      headers: this.#digest.challenge(stale, source).map((value) => ['WWW-Authenticate', value]),
    }
  }

  /** One reason word per refused call, everywhere the same. */
  refused(
    reason: RejectReason,
    rule: string,
    trunk: string | undefined,
    sipStatus: number,
    request: SipRequest,
    flow?: Flow,
  ): void {
    metrics.callsRejected.inc({ reason })
    const number = (text: string | undefined): string => maskNumber(parseUri(text ?? '')?.user ?? '')
    this.#options.log.warn(
      {
        reason,
        rule,
        trunk,
        sipStatus,
        sipCallId: request.headers.get('Call-ID'),
        from: number(parseNameAddr(request.headers.get('From') ?? '')?.uri),
        to: number(request.uri),
        ...(flow ? { source: flow.remoteHost } : {}),
      },
      'call refused',
    )
  }

  /** RFC 3261 §20.43: 399 is "miscellaneous". */
  warning(reason: RejectReason): string {
    return `399 trunkline "${reason}"`
  }
}
