/**
 * Where a host name leads (RFC 3263, without NAPTR): IP literals at once, SRV when no port is given, then A and AAAA.
 */
import { promises as dns } from 'node:dns'
import { isIP } from 'node:net'
import type { Clock } from '../../lib/clock.ts'
import type { Protocol } from './transport.ts'

export interface Target {
  protocol: Protocol
  /** IP address without brackets. */
  host: string
  port: number
}

/** The DNS questions we ask; node:dns by default, a table in tests. Each rejects when there is no answer. */
export interface DnsLookup {
  srv(name: string): Promise<{ name: string; port: number; priority: number; weight: number }[]>
  addresses(name: string): Promise<string[]>
}

export const systemDns: DnsLookup = {
  srv: (name) => dns.resolveSrv(name),
  addresses: async (name) => (await dns.lookup(name, { all: true })).map((a) => a.address),
}

const MOST_TARGETS = 8
/** The stub resolver tells no TTL; this is shorter than any sensible one. */
const FRESH_MS = 30_000
/** While DNS fails, an answer this old still serves: trunks rarely move. */
const STALE_MS = 3_600_000
const LOOKUP_MS = 4000
const MOST_CACHED = 512

export interface Resolver {
  /** In the order to try; empty when nothing was found. Never rejects. */
  resolve(host: string, port: number | undefined, protocol: Protocol): Promise<Target[]>
  /** The same without waiting, for an IP literal; undefined for names. */
  literal(host: string, port: number | undefined, protocol: Protocol): Target | undefined
}

export interface ResolverOptions {
  /** Without it nothing is remembered and nothing times out. */
  clock?: Clock
  random?: () => number
  /** Addresses that our sockets cannot reach are left out. */
  usable?: (address: string) => boolean
}

export function createResolver(lookup: DnsLookup = systemDns, options: ResolverOptions = {}): Resolver {
  const { clock, random = Math.random, usable = () => true } = options
  const ask = clock ? remembering(clock) : <T>(_question: string, query: () => Promise<T[]>) => query().catch(() => [])

  const literal: Resolver['literal'] = (host, port, protocol) => {
    const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
    return isIP(bare) ? { protocol, host: bare, port: port ?? 5060 } : undefined
  }

  return {
    literal,
    async resolve(host, port, protocol) {
      const direct = literal(host, port, protocol)
      if (direct) return [direct]
      const targets: Target[] = []
      const add = async (name: string, toPort: number): Promise<void> => {
        const addresses = isIP(name) ? [name] : await ask(`A ${name}`, () => lookup.addresses(name))
        for (const address of addresses)
          if (targets.length < MOST_TARGETS && usable(address)) targets.push({ protocol, host: address, port: toPort })
      }
      if (port === undefined) {
        // RFC 3263 §4.2: an explicit port forbids SRV.
        const name = `_sip._${protocol}.${host}`
        const records = await ask(`SRV ${name}`, () => lookup.srv(name))
        for (const r of orderSrv(records, random)) await add(r.name, r.port)
        if (records.length) return targets
      }
      await add(host, port ?? 5060)
      return targets
    },
  }
}

/** Asks each question once per FRESH_MS, waits LOOKUP_MS at most, and serves the last answer while DNS is down. */
function remembering(clock: Clock): <T>(question: string, query: () => Promise<T[]>) => Promise<T[]> {
  const cache = new Map<string, { atMs: number; answer: Promise<unknown[]> }>()
  return <T>(question: string, query: () => Promise<T[]>): Promise<T[]> => {
    const known = cache.get(question)
    if (known && clock.now() - known.atMs < FRESH_MS) return known.answer as Promise<T[]>
    const old = known && clock.now() - known.atMs < STALE_MS ? (known.answer as Promise<T[]>) : Promise.resolve([])
    const answer = within(clock, query()).catch(async () => {
      const kept = await old
      // A name that nobody knows is asked for again each time; an old answer is kept, and its age too.
      if (known && kept.length) cache.set(question, known)
      else cache.delete(question)
      return kept
    })
    cache.delete(question)
    if (cache.size >= MOST_CACHED) cache.delete(cache.keys().next().value as string)
    cache.set(question, { atMs: clock.now(), answer })
    return answer
  }
}

function within<T>(clock: Clock, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(LOOKUP_MS, () => reject(new Error('DNS does not answer')))
    promise.then(resolve, reject).finally(() => timer.cancel())
  })
}

/** RFC 2782: by priority, then by lot weighted by `weight`. */
function orderSrv<T extends { priority: number; weight: number }>(records: T[], random: () => number): T[] {
  const left = records.slice(0, 32).sort((a, b) => a.priority - b.priority || a.weight - b.weight)
  const out: T[] = []
  while (left.length) {
    const group = left.filter((r) => r.priority === left[0].priority)
    let draw = random() * group.reduce((sum, r) => sum + r.weight, 0)
    const chosen = group.find((r) => (draw -= r.weight) <= 0) ?? group[0]
    out.push(chosen)
    left.splice(left.indexOf(chosen), 1)
  }
  return out
}
