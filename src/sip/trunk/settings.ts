/**
 * What a trunk must be told to us as: everything that field experience showed to differ between carriers.
 * Plain data; stored and validated outside (src/trunks), read by the gateway.
 */
export interface TrunkSettings {
  id: string
  accountId: string
  name: string
  /** Next hop for our requests: host or IP. */
  host: string
  port: number
  transport: 'udp' | 'tcp'
  /** Sources that may send us calls: CIDR texts. Empty: only digest admits. */
  allowedCidrs: string[]
  /** Digest of the peer towards us: when set, its INVITEs are challenged. HA1 per algorithm is derived once. */
  inboundAuth?: { username: string; password: string }
  /** Our digest towards the peer. */
  outboundAuth?: { username: string; password: string; realm?: string }
  /** Host part of From and of the Request-URI; defaults to `host`. */
  domain?: string
  /** User part of From; defaults to the caller number. */
  fromUser?: string
  /** How the caller number travels besides From. */
  callerId: 'from' | 'pai' | 'ppi' | 'rpid'
  /** How E.164 numbers are written to the peer. */
  numberFormat: 'plus' | 'digits' | 'national'
  /** Answer to the packet's source address and not to Via, also without rport. */
  nat: 'auto' | 'always' | 'never'
  t1Ms: number
  t2Ms: number
  sessionExpiresS: number
  minSeS: number
  dtmfMode: 'rfc4733' | 'info' | 'both'
  /** In order of preference. */
  codecs: ('pcmu' | 'pcma')[]
  ptimeMs: number
  /** RTP source policy. */
  rtpSource: 'strict' | 'latch'
  rtpTimeoutBeforeMs: number
  rtpTimeoutAfterMs: number
  maxCalls: number
  /** OPTIONS each so many seconds; 0 = no ping. Down after 2 misses, up after 2 answers. */
  optionsIntervalS: number
}

export const TRUNK_DEFAULTS = {
  port: 5060,
  transport: 'udp',
  allowedCidrs: [],
  callerId: 'from',
  numberFormat: 'plus',
  nat: 'auto',
  t1Ms: 500,
  t2Ms: 4000,
  sessionExpiresS: 1800,
  minSeS: 90,
  dtmfMode: 'rfc4733',
  codecs: ['pcmu', 'pcma'],
  ptimeMs: 20,
  rtpSource: 'latch',
  rtpTimeoutBeforeMs: 30_000,
  rtpTimeoutAfterMs: 60_000,
  maxCalls: 1000,
  optionsIntervalS: 0,
} as const satisfies Partial<TrunkSettings>
