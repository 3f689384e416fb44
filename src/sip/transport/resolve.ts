/**
 * Where a host name leads (RFC 3263, without NAPTR): IP literals at once, SRV when no port is given, then A and AAAA.
 */
import { promises as dns } from 'node:dns'
import { isIP } from 'node:net'
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

export interface Resolver {
  /** In the order to try; empty when nothing was found. Never rejects. */
  resolve(host: string, port: number | undefined, protocol: Protocol): Promise<Target[]>
  /** The same without waiting, for an IP literal; undefined for names. */
  literal(host: string, port: number | undefined, protocol: Protocol): Target | undefined
}

export function createResolver(lookup: DnsLookup = systemDns, random: () => number = Math.random): Resolver {
  const literal: Resolver['literal'] = (host, port, protocol) => {
    const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
    return isIP(bare) ? { protocol, host: bare, port: port ?? 5060 } : undefined
  }

  const addresses = async (name: string): Promise<string[]> => {
    try {
      return await lookup.addresses(name)
    } catch {
      // No address is an answer like any other: the caller sees an empty list.
      return []
    }
  }

  return {
    literal,
    async resolve(host, port, protocol) {
      const direct = literal(host, port, protocol)
      if (direct) return [direct]
      const targets: Target[] = []
      const add = async (name: string, toPort: number): Promise<void> => {
        for (const address of isIP(name) ? [name] : await addresses(name))
          if (targets.length < MOST_TARGETS) targets.push({ protocol, host: address, port: toPort })
      }
      if (port === undefined) {
        // RFC 3263 §4.2: an explicit port forbids SRV.
        const records = await lookup.srv(`_sip._${protocol}.${host}`).catch(() => [])
        for (const r of orderSrv(records, random)) await add(r.name, r.port)
        if (records.length) return targets
      }
      await add(host, port ?? 5060)
      return targets
    },
  }
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
