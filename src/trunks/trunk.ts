import Type, { type Static } from 'typebox'
import { TRUNK_DEFAULTS, type TrunkSettings } from '../sip/trunk/settings.ts'

/**
 * A trunk as the API and the bootstrap file give it: every field of TrunkSettings but the identity, all optional save
 * name and host. Passwords go in and never come out (`trunkView`).
 */
const HOST = '^[A-Za-z0-9]([A-Za-z0-9.\\-]*[A-Za-z0-9])?$|^\\[?[0-9A-Fa-f:.]+\\]?$'
// What may stand in a SIP user part without quoting: nothing that could open a new header or parameter.
const USER = "^[A-Za-z0-9_.!~*'()&=+$,/?%\\-]+$"
const name = Type.String({ minLength: 1, maxLength: 100, description: 'For people.' })
const host = Type.String({ pattern: HOST, maxLength: 253, description: 'Next hop for our requests: host name or IP.' })

const optionalFields = {
  port: Type.Integer({ minimum: 1, maximum: 65535, description: 'Port of the next hop.' }),
  transport: Type.Union([Type.Literal('udp'), Type.Literal('tcp')]),
  allowedCidrs: Type.Array(Type.String({ maxLength: 49 }), {
    maxItems: 64,
    description: 'Sources that may send us calls, as CIDR; empty: only digest admits.',
  }),
  inboundAuth: Type.Object(
    {
      username: Type.String({ minLength: 1, maxLength: 128, pattern: '^[^"\\\\\\x00-\\x1f\\x7f]+$' }),
      password: Type.String({ minLength: 8, maxLength: 128 }),
    },
    { additionalProperties: false, description: 'Digest of the peer towards us.' },
  ),
  outboundAuth: Type.Object(
    {
      username: Type.String({ minLength: 1, maxLength: 128, pattern: '^[^"\\\\\\x00-\\x1f\\x7f]+$' }),
      password: Type.String({ minLength: 1, maxLength: 128 }),
      realm: Type.Optional(Type.String({ minLength: 1, maxLength: 253 })),
    },
    { additionalProperties: false, description: 'Our digest towards the peer.' },
  ),
  domain: Type.String({ pattern: HOST, maxLength: 253, description: 'Host part of From; defaults to host.' }),
  fromUser: Type.String({
    pattern: USER,
    maxLength: 64,
    description: 'User part of From; defaults to the caller number.',
  }),
  callerId: Type.Union([Type.Literal('from'), Type.Literal('pai'), Type.Literal('ppi'), Type.Literal('rpid')]),
  numberFormat: Type.Union([Type.Literal('plus'), Type.Literal('digits'), Type.Literal('national')]),
  nat: Type.Union([Type.Literal('auto'), Type.Literal('always'), Type.Literal('never')]),
  t1Ms: Type.Integer({ minimum: 50, maximum: 5000, description: 'RFC 3261 T1, ms.' }),
  t2Ms: Type.Integer({ minimum: 500, maximum: 32_000, description: 'RFC 3261 T2, ms.' }),
  sessionExpiresS: Type.Integer({ minimum: 90, maximum: 86_400, description: 'RFC 4028 session interval, s.' }),
  minSeS: Type.Integer({ minimum: 90, maximum: 86_400, description: 'Smallest session interval that we accept, s.' }),
  dtmfMode: Type.Union([Type.Literal('rfc4733'), Type.Literal('info'), Type.Literal('both')]),
  codecs: Type.Array(Type.Union([Type.Literal('pcmu'), Type.Literal('pcma')]), {
    minItems: 1,
    maxItems: 2,
    uniqueItems: true,
  }),
  ptimeMs: Type.Union([10, 20, 30, 40, 50, 60].map((ms) => Type.Literal(ms))),
  rtpSource: Type.Union([Type.Literal('strict'), Type.Literal('latch')]),
  rtpTimeoutBeforeMs: Type.Integer({ minimum: 1000, maximum: 600_000 }),
  rtpTimeoutAfterMs: Type.Integer({ minimum: 1000, maximum: 3_600_000 }),
  maxCalls: Type.Integer({ minimum: 1, maximum: 100_000 }),
  optionsIntervalS: Type.Integer({
    minimum: 0,
    maximum: 3600,
    description: 'OPTIONS each so many seconds; 0 = no ping.',
  }),
}

export const TrunkInput = Type.Object(
  { name, host, ...Type.Partial(Type.Object(optionalFields)).properties },
  { additionalProperties: false },
)
export type TrunkInput = Static<typeof TrunkInput>

/** Absent fields stay as they are; `null` takes an optional one off. */
export const TrunkPatch = Type.Partial(
  Type.Object({
    name,
    host,
    ...optionalFields,
    inboundAuth: Type.Union([optionalFields.inboundAuth, Type.Null()]),
    outboundAuth: Type.Union([optionalFields.outboundAuth, Type.Null()]),
    domain: Type.Union([optionalFields.domain, Type.Null()]),
    fromUser: Type.Union([optionalFields.fromUser, Type.Null()]),
  }),
  { additionalProperties: false },
)
export type TrunkPatch = Static<typeof TrunkPatch>

/** Fills the defaults in. */
export function trunkFrom(id: string, accountId: string, input: TrunkInput): TrunkSettings {
  return {
    ...TRUNK_DEFAULTS,
    ...input,
    allowedCidrs: [...(input.allowedCidrs ?? TRUNK_DEFAULTS.allowedCidrs)],
    codecs: [...(input.codecs ?? TRUNK_DEFAULTS.codecs)],
    id,
    accountId,
  }
}

export type TrunkView = Omit<TrunkSettings, 'inboundAuth' | 'outboundAuth'> & {
  inboundAuth?: { username: string }
  outboundAuth?: { username: string; realm?: string }
}

/** Without passwords. */
export function trunkView(trunk: TrunkSettings): TrunkView {
  const { inboundAuth, outboundAuth, ...rest } = trunk
  const view: TrunkView = { ...rest }
  if (inboundAuth) view.inboundAuth = { username: inboundAuth.username }
  if (outboundAuth) view.outboundAuth = { username: outboundAuth.username, realm: outboundAuth.realm }
  return view
}
