/**
 * The one door for addresses that customers give us to connect to: bots (`wss:`) and webhooks (`https:`). Checks the
 * URL, resolves the name, checks every address, and hands out a `lookup` that pins what was checked, so that a name
 * which changes its answer between check and connect (DNS rebinding) leads nowhere. Call it again for each connect.
 */
import { lookup as dnsLookup } from 'node:dns/promises'
import { isIP, type LookupFunction } from 'node:net'
import ipaddr from 'ipaddr.js'
import { DomainError, errorText } from '../lib/errors.ts'

export interface EgressPolicy {
  /** `ws:`/`http:`, any port and any address: development only. */
  allowInsecure: boolean
  /** Addresses of our own that are public and still no business of a customer. */
  ownAddresses?: readonly string[]
  /** Replaced in tests. */
  resolve?: Resolve
}

export type Resolve = (host: string) => Promise<{ address: string; family: number }[]>

export interface EgressTarget {
  url: URL
  /** Gives the checked addresses, whatever it is asked for: for `net.connect`, `tls.connect`, `ws`. */
  lookup: LookupFunction
}

export type EgressKind = 'bot' | 'webhook'

/** A bot's https address is asked for the wss address of the call. */
const SCHEMES: Record<EgressKind, { secure: readonly string[]; plain: readonly string[] }> = {
  bot: { secure: ['wss:', 'https:'], plain: ['ws:', 'http:'] },
  webhook: { secure: ['https:'], plain: ['http:'] },
}
const MAX_URL = 8192
const LOW_PORTS = new Set([443])

const resolveByDns: Resolve = (host) => dnsLookup(host, { all: true, verbatim: true })

const refuse = (why: string): never => {
  throw new DomainError('INVALID', why)
}

/**
 * What can be checked without the network: for request validation. WHATWG URL parsing has already turned decimal,
 * octal and hex spellings of IPv4 into dotted form and names into punycode.
 */
export function parseTarget(text: string, kind: EgressKind, policy: EgressPolicy): URL {
  if (text.length > MAX_URL) refuse(`the URL is longer than ${MAX_URL} characters`)
  const parsed = URL.parse(text)
  if (!parsed) return refuse('not a URL')
  const { secure, plain } = SCHEMES[kind]
  const isPlain = plain.includes(parsed.protocol)
  if (!secure.includes(parsed.protocol) && !(policy.allowInsecure && isPlain))
    refuse(
      `the URL must start with ${secure[0]}//${isPlain ? ' (plain text is off; TRUNKLINE_ALLOW_INSECURE_BOTS=1 allows it for development)' : ''}`,
    )
  if (kind !== 'bot' && (parsed.username !== '' || parsed.password !== ''))
    refuse('the URL must not carry a user or password; use a header')
  if (parsed.hash !== '') refuse('the URL must not carry a fragment')
  // RFC 6455 §3: the default port is that of the scheme; URL leaves it empty.
  const port = parsed.port === '' ? 443 : Number(parsed.port)
  if (!policy.allowInsecure && port < 1024 && !LOW_PORTS.has(port))
    refuse(`port ${port} is not allowed: 443, or 1024 and above`)
  const literal = hostAddress(parsed)
  if (literal) checkAddress(literal, policy)
  return parsed
}

/** The host when it is an address literal, without the brackets. */
function hostAddress(url: URL): string | undefined {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  return isIP(host) ? host : undefined
}

/** Only global unicast: no loopback, private, link-local (169.254.169.254), CGNAT, mapped, NAT64, 6to4, Teredo … */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false
  const parsed = ipaddr.parse(address)
  if (parsed.range() !== 'unicast') return false
  // The table of special ranges grows; outside 2000::/3 nothing is assigned as global unicast (RFC 4291 §2.4).
  return parsed.kind() === 'ipv4' || (parsed as ipaddr.IPv6).match(ipaddr.IPv6.parse('2000::'), 3)
}

function checkAddress(address: string, policy: EgressPolicy): void {
  if (policy.allowInsecure) return
  if (!isPublicAddress(address)) refuse('the address is not a public one')
  if (policy.ownAddresses?.some((own) => own === address)) refuse('the address is one of this server')
}

/** Rejects with INVALID when the target may not be connected to, with UNAVAILABLE when its name does not resolve. */
export async function checkEgress(text: string, kind: EgressKind, policy: EgressPolicy): Promise<EgressTarget> {
  const url = parseTarget(text, kind, policy)
  const literal = hostAddress(url)
  let addresses: { address: string; family: number }[]
  if (literal) addresses = [{ address: literal, family: isIP(literal) }]
  else {
    try {
      addresses = await (policy.resolve ?? resolveByDns)(url.hostname)
    } catch (err) {
      throw new DomainError('UNAVAILABLE', `the name ${url.hostname} does not resolve: ${errorText(err)}`, {
        cause: err,
      })
    }
    if (addresses.length === 0) throw new DomainError('UNAVAILABLE', `the name ${url.hostname} does not resolve`)
  }
  // Every address, not the first: the connect may fall over to any of them.
  for (const { address } of addresses) checkAddress(address, policy)
  return { url, lookup: pinned(addresses) }
}

function pinned(addresses: { address: string; family: number }[]): LookupFunction {
  return (_host, options, callback) => {
    const wanted =
      options.family === 4 || options.family === 6 ? addresses.filter((a) => a.family === options.family) : addresses
    if (wanted.length === 0)
      return callback(Object.assign(new Error('no checked address of that family'), { code: 'ENOTFOUND' }), '', 0)
    if (options.all) callback(null, wanted)
    else callback(null, wanted[0].address, wanted[0].family)
  }
}
