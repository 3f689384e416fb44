/**
 * Numbers and identities as trunks write them: E.164 to the peer's format and back, From and the caller-id headers
 * (RFC 3325, RFC 3966, draft-ietf-sip-privacy-04 for Remote-Party-ID). No phone-number library: only the shape counts.
 */
import { formatNameAddr, parseNameAddr } from '../message/headers.ts'
import type { Headers } from '../message/message.ts'
import { formatUri, parseUri, type SipUri } from '../message/uri.ts'
import type { TrunkSettings } from './settings.ts'

// ITU-T E.164: one- and two-digit country codes; all others have three.
const SHORT_CODES = new Set(
  '1 7 20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98'.split(' '),
) // prettier-ignore

/** `+919876543210` as this trunk writes it; what is not E.164 (an extension, a short code) stays as it is. */
export function numberTo(format: TrunkSettings['numberFormat'], number: string): string {
  if (!/^\+[1-9]\d{3,14}$/.test(number)) return number
  const digits = number.slice(1)
  if (format === 'plus') return number
  if (format === 'digits') return digits
  const code = [1, 2, 3].map((n) => digits.slice(0, n)).find((c) => SHORT_CODES.has(c)) ?? digits.slice(0, 3)
  return digits.slice(code.length)
}

/** A user part as E.164 with '+', where it can be read so without guessing; else as it is. */
export function numberFrom(format: TrunkSettings['numberFormat'], user: string): string {
  const bare = user.split(';')[0].replace(/^\+?[\d().\- ]+$/, (n) => n.replace(/[().\- ]/g, ''))
  if (/^\+[1-9]\d{3,14}$/.test(bare)) return bare
  if (/^00[1-9]\d{5,14}$/.test(bare)) return `+${bare.slice(2)}`
  if (format === 'digits' && /^[1-9]\d{7,14}$/.test(bare)) return `+${bare}`
  return bare
}

export interface Caller {
  number: string
  name?: string
}

/** Who calls: P-Asserted-Identity, P-Preferred-Identity, Remote-Party-ID, From, in this order. */
export function callerOf(headers: Headers, format: TrunkSettings['numberFormat']): Caller {
  for (const name of ['P-Asserted-Identity', 'P-Preferred-Identity', 'Remote-Party-ID', 'From']) {
    for (const value of headers.all(name).slice(0, 4)) {
      const address = parseNameAddr(value)
      const user = address && parseUri(address.uri)?.user
      if (!user || (name !== 'From' && /^anonymous$/i.test(user))) continue
      return { number: numberFrom(format, user), ...(address.display ? { name: address.display } : {}) }
    }
  }
  return { number: 'anonymous' }
}

/** The number that was dialled: the Request-URI's user, else the To header's (trunks that put a registered name in the URI). */
export function calledOf(uri: string, headers: Headers, format: TrunkSettings['numberFormat']): string | undefined {
  const user = parseUri(uri)?.user ?? parseUri(parseNameAddr(headers.get('To') ?? '')?.uri ?? '')?.user
  return user === undefined ? undefined : numberFrom(format, user)
}

/** From and the headers beside it for a call of ours. */
export function identityHeaders(
  trunk: TrunkSettings,
  number: string,
  name: string | undefined,
): { from: string; headers: [string, string][] } {
  const domain = trunk.domain ?? trunk.host
  const caller = addressOf(numberTo(trunk.numberFormat, number), domain, name)
  const from = trunk.fromUser === undefined ? caller : addressOf(trunk.fromUser, domain, name)
  if (trunk.callerId === 'pai') return { from, headers: [['P-Asserted-Identity', caller]] }
  if (trunk.callerId === 'ppi') return { from, headers: [['P-Preferred-Identity', caller]] }
  if (trunk.callerId === 'rpid') {
    return { from, headers: [['Remote-Party-ID', `${caller};party=calling;screen=yes;privacy=off`]] }
  }
  return { from, headers: [] }
}

const addressOf = (user: string, host: string, display: string | undefined): string =>
  formatNameAddr({ display, uri: formatUri({ scheme: 'sip', user, host, params: new Map() }) })

/** Request-URI for a number or a full `sip:` URI; undefined when it is neither. */
export function targetOf(trunk: TrunkSettings, to: string): string | undefined {
  if (/^sips?:/i.test(to)) {
    const uri = parseUri(to)
    // Headers in the URI would become headers of the INVITE: not from an argument.
    return uri && formatUri({ ...uri, headers: undefined })
  }
  if (!/^\+?[\w*#.-]{1,64}$/.test(to)) return undefined
  const port = trunk.domain === undefined && trunk.port !== 5060 ? trunk.port : undefined
  const params: SipUri['params'] = new Map(trunk.transport === 'tcp' ? [['transport', 'tcp']] : [])
  return formatUri({
    scheme: 'sip',
    user: numberTo(trunk.numberFormat, to),
    host: trunk.domain ?? trunk.host,
    port,
    params,
  })
}
