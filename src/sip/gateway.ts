/**
 * Signaling (calls/ports.ts) over SIP trunks: legs are INVITE sessions, trunks decide who may call and how we look.
 * Policy and translation only; the protocol is in user-agent.ts and below, who may come in is in gateway-door.ts.
 */
import type {
  Cause,
  DialPlan,
  IncomingLeg,
  MediaAddress,
  ReferPlan,
  RejectReason,
  RemoteMedia,
  Signaling,
  SignalingEvent,
} from '../calls/ports.ts'
import { legIdOf, type LegId } from '../calls/ids.ts'
import type { Clock } from '../lib/clock.ts'
import { uuidv7 } from '../lib/ids.ts'
import { maskNumber, type Log } from '../telemetry/log.ts'
import { writeReason } from './dialog/cause.ts'
import type { InviteSession, SessionEnd, SessionSettings } from './dialog/session.ts'
import { sdpOf } from './dialog/core.ts'
import { isToken } from './message/headers.ts'
import { canonicalName, type Headers } from './message/message.ts'
import { codecOfOffer, type NegotiatedMedia } from './sdp/negotiate.ts'
import { Door, type DoorOptions } from './gateway-door.ts'
import { calledOf, callerOf, identityHeaders, targetOf } from './trunk/numbers.ts'
import { referToUri, userToUser } from './trunk/referral.ts'
import { TrunkRegistry, type Trunk } from './trunk/registry.ts'
import type { TrunkSettings } from './trunk/settings.ts'
import type { Transports } from './transport/transport.ts'
import { UserAgent } from './user-agent.ts'

export interface SipGatewayOptions {
  clock: Clock
  log: Log
  /** Address to bind, UDP and TCP. */
  host: string
  /** 0 = any free port. */
  port: number
  /** Address that peers reach us at, when it is not `host`. */
  advertisedHost?: string
  userAgentName?: string
  /** Which of several trunks with the same source a call belongs to, by the number dialled. */
  chooseTrunk?: DoorOptions['chooseTrunk']
  /** Tests put a network in memory here. */
  openTransports?: () => Promise<Transports>
  random?: () => number
}

interface Leg {
  session: InviteSession
  trunk: Trunk
  settings: TrunkSettings
}

/** Headers of ours that a plan may not set. */
const OWN_HEADERS = new Set(
  'via from to call-id cseq contact max-forwards route record-route content-length content-type content-encoding require proxy-require supported allow refer-to referred-by replaces authorization proxy-authorization session-expires min-se mime-version'.split(' '),
) // prettier-ignore
/** What the domain sees of an INVITE's headers, besides X- ones. */
const SHOWN_HEADERS = new Set([
  'user-to-user',
  'diversion',
  'history-info',
  'call-info',
  'subject',
  'p-charging-vector',
  'identity',
])
const MOST_SHOWN = 20
const LONGEST_SHOWN = 1024

export class SipGateway implements Signaling {
  readonly #options: SipGatewayOptions
  readonly #log: Log
  readonly #agent: UserAgent
  readonly #trunks: TrunkRegistry
  readonly #door: Door
  readonly #legs = new Map<LegId, Leg>()
  readonly #listeners: ((event: SignalingEvent) => void)[] = []
  #queue: SignalingEvent[] = []
  #warnedAddress = ''

  constructor(options: SipGatewayOptions) {
    this.#options = options
    this.#log = options.log
    const { clock, log } = options
    this.#trunks = new TrunkRegistry({ clock, log, ping: (trunk) => this.#ping(trunk) })
    this.#door = new Door({
      clock,
      log,
      trunks: this.#trunks,
      chooseTrunk: options.chooseTrunk,
      penalise: (host) => this.#agent.penalise(host),
    })
    this.#agent = new UserAgent({
      clock,
      log,
      host: options.host,
      port: options.port,
      advertisedHost: options.advertisedHost,
      userAgentName: options.userAgentName ?? 'Trunkline',
      random: options.random,
      openTransports: options.openTransports,
      admit: (host) => this.#trunks.admits(host),
      timersFor: (host) => this.#trunks.timersOf(host),
      gate: (request, flow) => this.#door.judge(request, flow),
      settingsFor: (request, flow) => {
        const trunk = this.#door.trunkOf(request)
        return trunk ? this.#settingsOf(trunk, flow.remoteHost) : {}
      },
    })
    this.#agent.onInvite((session) => this.#onInvite(session))
  }

  /** Binds UDP and TCP. Trunks may be set before or after. */
  async listen(): Promise<void> {
    await this.#agent.listen()
  }

  get port(): number {
    return this.#agent.port
  }

  /** The whole list of trunks, live: adds, changes, removes. Calls that live keep what they began with. */
  setTrunks(trunks: TrunkSettings[]): void {
    this.#trunks.set(trunks)
  }

  /** For health and the API. */
  trunkStatus(): { id: string; up: boolean; calls: number }[] {
    return this.#trunks.all().map((t) => ({ id: t.settings.id, up: t.up, calls: t.calls }))
  }

  get counts(): { legs: number; transactions: number } {
    return { legs: this.#legs.size, transactions: this.#agent.counts.transactions }
  }

  /** No new calls: INVITE and OPTIONS get 503. Live calls go on. */
  drain(): void {
    this.#door.draining = true
    this.#agent.drain()
  }

  async close(graceMs?: number): Promise<void> {
    this.#trunks.stop()
    await this.#agent.close(graceMs)
  }

  // ── Signaling ────────────────────────────────────────────────────────────────────────────────────────────────

  onEvent(listener: (event: SignalingEvent) => void): void {
    this.#listeners.push(listener)
  }

  dial(legId: LegId, plan: DialPlan): void {
    const trunk = this.#trunks.get(plan.trunkId)
    const refuse = (sipStatus: number, q850: number, text: string, by: 'us' | 'network' = 'us'): void => {
      this.#log.warn({ legId, trunk: plan.trunkId, sipStatus }, `call not dialled: ${text}`)
      this.#emit({ on: 'ended', legId, by, cause: { sipStatus, q850, text } })
    }
    if (this.#legs.has(legId)) {
      this.#log.error({ legId }, 'leg dialled twice, second one ignored')
      return
    }
    if (!trunk) return refuse(503, 3, 'no such trunk')
    if (!trunk.up) return refuse(503, 38, 'trunk is down', 'network')
    if (trunk.full) return refuse(503, 34, 'trunk is full')
    const settings = trunk.settings
    const target = targetOf(settings, plan.to)
    if (!target) return refuse(484, 28, 'not a number and not a SIP URI')
    const identity = identityHeaders(settings, plan.from, plan.fromName)
    const session = this.#agent.invite({
      ...this.#settingsOf(trunk),
      target,
      from: identity.from,
      nextHop: { protocol: settings.transport, host: settings.host, port: settings.port },
      media: plan.media,
      headers: [...identity.headers, ...this.#planHeaders(plan)],
      credentials: settings.outboundAuth,
      ringTimeoutMs: plan.ringTimeoutMs,
      maxForwards: plan.maxForwards,
    })
    this.#adopt(legId, session, trunk)
    session.on('progress', (p) => this.#emit({ on: 'progress', legId, sipStatus: p.status, early: p.early }))
  }

  ring(legId: LegId): void {
    this.#legs.get(legId)?.session.ring()
  }

  progress(legId: LegId, media: MediaAddress): void {
    this.#legs.get(legId)?.session.progress(media)
  }

  answer(legId: LegId, media: MediaAddress): void {
    this.#legs.get(legId)?.session.accept(media)
  }

  reject(legId: LegId, cause: Cause, reason: RejectReason): void {
    const leg = this.#legs.get(legId)
    if (!leg) return
    const sipStatus = cause.sipStatus >= 300 ? cause.sipStatus : 480
    this.#door.refused(reason, cause.text, leg.settings.id, sipStatus, leg.session.request)
    const headers = writeReason({ ...cause, sipStatus: 0 })
    headers.push(['Warning', this.#door.warning(reason)])
    if (sipStatus === 503) headers.push(['Retry-After', '10'])
    leg.session.reject(sipStatus, undefined, headers)
  }

  hangup(legId: LegId, cause: Cause): void {
    this.#legs.get(legId)?.session.hangup(cause)
  }

  refer(legId: LegId, plan: ReferPlan): void {
    const leg = this.#legs.get(legId)
    const failed = (sipStatus: number, text: string): void =>
      this.#emit({ on: 'refer', legId, state: 'failed', sipStatus, text })
    if (!leg) return failed(481, 'no such leg')
    const replaces = plan.replaces === undefined ? undefined : this.#legs.get(plan.replaces)?.session.dialogAtPeer
    if (plan.replaces !== undefined && !replaces) return failed(481, 'the leg to take over is gone')
    const target = targetOf(leg.settings, plan.to)
    const headers = this.#planHeaders(plan)
    const dropped = (header: string): void => this.#log.warn({ legId, header: header.slice(0, 40) }, 'header not sent')
    const referTo = target && referToUri(target, { replaces, headers, dropped })
    if (!referTo) return failed(484, 'not a number and not a SIP URI')
    leg.session.refer({
      referTo,
      // For the peer itself as well: not every one copies the headers of Refer-To into its INVITE.
      headers: headers.filter(([name]) => isUserToUser(name)),
      timeoutMs: plan.timeoutMs,
    })
  }

  sendInfoDigit(legId: LegId, digit: string, durationMs: number): void {
    this.#legs.get(legId)?.session.info(digit, durationMs)
  }

  // ── Legs ─────────────────────────────────────────────────────────────────────────────────────────────────────

  #onInvite(session: InviteSession): void {
    const trunk = this.#door.trunkOf(session.request)
    if (!trunk) return session.reject(403)
    const { settings } = trunk
    const { headers } = session.request
    const to = calledOf(session.request.uri, headers, settings.numberFormat)
    if (to === undefined) {
      this.#door.refused('bad_request', 'no number in Request-URI or To', settings.id, 484, session.request)
      return session.reject(484)
    }
    const caller = callerOf(headers, settings.numberFormat)
    const offer = sdpOf(session.request) ?? undefined
    const legId = legIdOf(uuidv7(this.#options.clock.wallMs()), 1)
    const leg: IncomingLeg = {
      legId,
      trunkId: settings.id,
      accountId: settings.accountId,
      to,
      from: caller.number,
      ...(caller.name ? { fromName: caller.name } : {}),
      sipCallId: session.callId,
      headers: shownHeaders(headers),
      ...(offer === undefined ? {} : { codec: codecOfOffer(offer, settings.codecs) }),
      delayedOffer: offer === undefined,
      maxForwards: Math.min(70, Number(headers.get('Max-Forwards') ?? 70)),
    }
    this.#adopt(legId, session, trunk)
    this.#log.info(
      { legId, trunk: settings.id, sipCallId: session.callId, from: maskNumber(caller.number), to: maskNumber(to) },
      'incoming call',
    )
    this.#emit({ on: 'incoming', leg })
  }

  #adopt(legId: LegId, session: InviteSession, trunk: Trunk): void {
    const { settings } = trunk
    trunk.calls++
    this.#legs.set(legId, { session, trunk, settings })
    session.on('media', (media) => this.#emit({ on: 'media', legId, remote: remoteOf(media, settings) }))
    session.on('established', () => this.#emit({ on: 'answered', legId, sipCallId: session.callId }))
    session.on('digit', (d) => this.#emit({ on: 'digit', legId, ...d }))
    session.on('held', () => this.#emit({ on: 'held', legId }))
    session.on('resumed', () => this.#emit({ on: 'resumed', legId }))
    session.on('refer', ({ state, status, text }) => this.#emit({ on: 'refer', legId, state, sipStatus: status, text }))
    session.on('ended', (end) => this.#onEnded(legId, trunk, end))
  }

  #onEnded(legId: LegId, trunk: Trunk, end: SessionEnd): void {
    if (!this.#legs.delete(legId)) return
    trunk.calls--
    const { by, ...cause } = end
    this.#emit({ on: 'ended', legId, by, cause })
  }

  // Events leave after the command that caused them has returned, in order: nobody is called back in mid-sentence.
  #emit(event: SignalingEvent): void {
    this.#queue.push(event)
    if (this.#queue.length === 1) queueMicrotask(() => this.#flush())
  }

  #flush(): void {
    const events = this.#queue
    this.#queue = []
    for (const event of events)
      for (const listener of this.#listeners) {
        try {
          listener(event)
        } catch (err) {
          this.#log.error({ err, event: event.on }, 'a signaling listener threw')
        }
      }
  }

  // ── Trunks ───────────────────────────────────────────────────────────────────────────────────────────────────

  #settingsOf(trunk: Trunk, source?: string): SessionSettings {
    const s = trunk.settings
    return {
      prefs: { codecs: s.codecs, ptimeMs: s.ptimeMs, dtmf: s.dtmfMode !== 'info' },
      timer: { expiresS: s.sessionExpiresS, minS: s.minSeS },
      t1Ms: s.t1Ms,
      t2Ms: s.t2Ms,
      nat: s.nat,
      // In-dialog requests come from the trunk or from where the call came from, from nowhere else (RELIABILITY S4).
      ...(source === undefined
        ? {}
        : { sourceAllowed: (host) => host === source || this.#trunks.bySource(host).includes(trunk) }),
    }
  }

  #planHeaders(plan: Pick<ReferPlan, 'headers' | 'userData'>): [string, string][] {
    const headers = Object.entries(plan.headers ?? {}).filter(([name]) => {
      // By the full name: `v` is a Via as well.
      const ok = isToken(name) && !OWN_HEADERS.has(canonicalName(name).toLowerCase())
      if (!ok) this.#log.warn({ header: name.slice(0, 40) }, 'header of a dial plan not sent')
      return ok
    })
    // One that was given in so many words is not doubled.
    if (plan.userData !== undefined && !headers.some(([name]) => isUserToUser(name)))
      headers.push(['User-to-User', userToUser(plan.userData)])
    return headers
  }

  async #ping(trunk: TrunkSettings): Promise<boolean> {
    const domain = trunk.domain ?? trunk.host
    const result = await this.#agent.ping({
      target: `sip:${domain.includes(':') ? `[${domain}]` : domain}`,
      from: `sip:trunkline@${this.#options.advertisedHost ?? this.#options.host}`,
      nextHop: { protocol: trunk.transport, host: trunk.host, port: trunk.port },
      timers: { t1Ms: trunk.t1Ms, t2Ms: trunk.t2Ms },
    })
    this.#checkAddress(trunk, result.received)
    return result.status > 0
  }

  /** RELIABILITY R25: an advertised address that nobody sees costs every call its ACK. */
  #checkAddress(trunk: TrunkSettings, received: string | undefined): void {
    const { host } = this.#agent.sentBy
    if (received === undefined || received === host || this.#warnedAddress === received) return
    this.#warnedAddress = received
    this.#log.warn(
      { trunk: trunk.id, advertised: host, seen: received },
      'the trunk sees us at another address than we advertise',
    )
  }
}

const isUserToUser = (name: string): boolean => name.toLowerCase() === 'user-to-user'

const remoteOf = (media: NegotiatedMedia, trunk: TrunkSettings): RemoteMedia => ({
  ...media,
  source: trunk.rtpSource,
  timeoutBeforeMs: trunk.rtpTimeoutBeforeMs,
  timeoutAfterMs: trunk.rtpTimeoutAfterMs,
  dtmfMode: trunk.dtmfMode,
})

function shownHeaders(headers: Headers): Record<string, string> {
  const shown: Record<string, string> = Object.create(null) as Record<string, string>
  let n = 0
  for (const [name, value] of headers.entries()) {
    const lower = name.toLowerCase()
    if (!(lower.startsWith('x-') || SHOWN_HEADERS.has(lower)) || value.length > LONGEST_SHOWN || lower in shown)
      continue
    if (++n > MOST_SHOWN) break
    shown[lower] = value
  }
  return shown
}
