/**
 * The trunks that are in force: which of them a source belongs to, whether each is up, and how many calls it carries.
 * Settings come and go while calls live; a call keeps the trunk that it began with.
 */
import ipaddr from 'ipaddr.js'
import type { Log } from '../../telemetry/log.ts'
import { metrics } from '../../telemetry/metrics.ts'
import { OptionsPing, type Ping } from './options-ping.ts'
import type { TrunkSettings } from './settings.ts'
import type { Clock } from '../../lib/clock.ts'

type Network = ReturnType<typeof ipaddr.parseCIDR>

export class Trunk {
  settings: TrunkSettings
  /** Live calls, both directions. */
  calls = 0
  up = true
  ping: OptionsPing | undefined
  #networks: Network[] = []

  constructor(settings: TrunkSettings, log: Log) {
    this.settings = settings
    this.apply(settings, log)
  }

  apply(settings: TrunkSettings, log: Log): void {
    this.settings = settings
    this.#networks = settings.allowedCidrs.flatMap((text) => {
      const network = parseNetwork(text)
      if (!network) log.error({ trunk: settings.id, cidr: text }, 'trunk with an unreadable CIDR: it admits nobody')
      return network ? [network] : []
    })
  }

  /** Length of the longest prefix that holds this address; -1: none does. */
  match(address: ipaddr.IPv4 | ipaddr.IPv6): number {
    let best = -1
    for (const [base, bits] of this.#networks) {
      if (base.kind() === address.kind() && address.match(base, bits)) best = Math.max(best, bits)
    }
    return best
  }

  /** Any source will do, as long as it knows the password. */
  get digestOnly(): boolean {
    return this.settings.allowedCidrs.length === 0 && this.settings.inboundAuth !== undefined
  }

  get full(): boolean {
    return this.calls >= this.settings.maxCalls
  }
}

export class TrunkRegistry {
  readonly #clock: Clock
  readonly #log: Log
  readonly #ping: Ping
  readonly #trunks = new Map<string, Trunk>()
  #anyDigest = false

  constructor(options: { clock: Clock; log: Log; ping: Ping }) {
    this.#clock = options.clock
    this.#log = options.log
    this.#ping = options.ping
  }

  /** Takes the whole list: adds, changes, removes. */
  set(list: TrunkSettings[]): void {
    const wanted = new Set(list.map((t) => t.id))
    for (const [id, trunk] of this.#trunks) {
      if (wanted.has(id)) continue
      trunk.ping?.stop()
      this.#trunks.delete(id)
      metrics.trunkUp.remove({ trunk: id })
    }
    for (const settings of list) {
      const known = this.#trunks.get(settings.id)
      const before = known?.settings
      const trunk = known ?? new Trunk(settings, this.#log)
      trunk.apply(settings, this.#log)
      this.#trunks.set(settings.id, trunk)
      if (!before || pingKey(before) !== pingKey(settings)) this.#restartPing(trunk)
    }
    this.#anyDigest = [...this.#trunks.values()].some((t) => t.digestOnly)
  }

  get(id: string): Trunk | undefined {
    return this.#trunks.get(id)
  }

  all(): Trunk[] {
    return [...this.#trunks.values()]
  }

  /** Whether this source may be read at all. A trunk's own addresses are never banned: over UDP anyone can forge them. */
  admits(host: string): boolean | 'trusted' {
    if (this.bySource(host).length > 0 || this.#isNextHop(host)) return 'trusted'
    return this.#anyDigest
  }

  /** T1 and T2 of the trunk that this source belongs to. */
  timersOf(host: string): { t1Ms: number; t2Ms: number } | undefined {
    return this.bySource(host)[0]?.settings
  }

  /** Trunks whose CIDRs hold this address, the closest match first. */
  bySource(host: string): Trunk[] {
    const address = parseAddress(host)
    if (!address) return []
    return [...this.#trunks.values()]
      .map((trunk) => ({ trunk, bits: trunk.match(address) }))
      .filter((m) => m.bits >= 0)
      .sort((x, y) => y.bits - x.bits)
      .map((m) => m.trunk)
  }

  /** The digest-only trunk that this user name belongs to. */
  byUsername(username: string, among: Trunk[]): Trunk | undefined {
    return among.find((t) => t.settings.inboundAuth?.username === username)
  }

  digestOnly(): Trunk[] {
    return [...this.#trunks.values()].filter((t) => t.digestOnly)
  }

  /** A trunk's own address: it may ask whether we live, but not call, unless its CIDRs say so too. */
  #isNextHop(host: string): boolean {
    for (const trunk of this.#trunks.values()) if (trunk.settings.host === host) return true
    return false
  }

  stop(): void {
    for (const trunk of this.#trunks.values()) trunk.ping?.stop()
  }

  #restartPing(trunk: Trunk): void {
    trunk.ping?.stop()
    trunk.up = true
    trunk.ping = undefined
    metrics.trunkUp.set({ trunk: trunk.settings.id }, 1)
    if (trunk.settings.optionsIntervalS <= 0) return
    trunk.ping = new OptionsPing(this.#clock, trunk.settings, this.#ping, (up) => {
      trunk.up = up
      metrics.trunkUp.set({ trunk: trunk.settings.id }, up ? 1 : 0)
      this.#log[up ? 'info' : 'warn'](
        { trunk: trunk.settings.id },
        up ? 'trunk answers again' : 'trunk does not answer',
      )
    })
  }
}

const pingKey = (t: TrunkSettings): string => `${t.host}:${t.port} ${t.transport} ${t.domain} ${t.optionsIntervalS}`

function parseAddress(host: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  // `process` makes ::ffff:192.0.2.1 an IPv4 address, as dual-stack sockets show it.
  return ipaddr.isValid(host) ? ipaddr.process(host) : undefined
}

function parseNetwork(text: string): Network | undefined {
  const cidr = text.trim()
  if (ipaddr.isValidCIDR(cidr)) return ipaddr.parseCIDR(cidr)
  const address = parseAddress(cidr)
  return address && [address, address.kind() === 'ipv4' ? 32 : 128]
}
