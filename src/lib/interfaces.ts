import { networkInterfaces } from 'node:os'

const WILDCARDS = new Set(['0.0.0.0', '::', '*', ''])

/**
 * The address to write into SDP, Via and Contact for a socket bound to `host`: a wildcard is no address, so the first
 * IPv4 address that is not loopback stands for it. Undefined: there is none, and the operator must name one.
 */
export function advertisableAddress(host: string): string | undefined {
  if (!WILDCARDS.has(host)) return host
  for (const addresses of Object.values(networkInterfaces()))
    for (const a of addresses ?? []) if (a.family === 'IPv4' && !a.internal) return a.address
  return undefined
}
