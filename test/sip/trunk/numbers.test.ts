import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Headers } from '../../../src/sip/message/message.ts'
import { parseMessage } from '../../../src/sip/message/parse.ts'
import { calledOf, callerOf, identityHeaders, numberFrom, numberTo, targetOf } from '../../../src/sip/trunk/numbers.ts'
import { TRUNK_DEFAULTS, type TrunkSettings } from '../../../src/sip/trunk/settings.ts'

const trunk = (more: Partial<TrunkSettings> = {}): TrunkSettings => ({
  ...TRUNK_DEFAULTS, codecs: ['pcmu'], allowedCidrs: [], id: 't', accountId: 'a', name: 'n', host: 'sip.test', ...more,
}) // prettier-ignore

const headers = (...lines: [string, string][]): Headers => {
  const h = new Headers()
  for (const [name, value] of lines) h.add(name, value)
  return h
}

describe('numbers', () => {
  it.each([
    ['plus', '+919876543210', '+919876543210'],
    ['digits', '+919876543210', '919876543210'],
    ['national', '+919876543210', '9876543210'],
    ['national', '+14155550100', '4155550100'],
    ['national', '+35312345678', '12345678'],
    ['digits', '1001', '1001'],
  ] as const)('go out as %s', (format, number, expected) => {
    expect(numberTo(format, number)).toBe(expected)
  })

  it.each([
    ['plus', '+91 98765-43210', '+919876543210'],
    ['digits', '919876543210', '+919876543210'],
    ['plus', '919876543210', '919876543210'],
    ['plus', '00919876543210', '+919876543210'],
    ['national', '09876543210', '09876543210'],
    ['plus', 'alice', 'alice'],
    ['plus', '+919876543210;phone-context=x', '+919876543210'],
  ] as const)('come in as %s: %s', (format, user, expected) => {
    expect(numberFrom(format, user)).toBe(expected)
  })
})

describe('who calls', () => {
  const from: [string, string] = ['From', '"F" <sip:+911@x>;tag=1']
  it('is PAI before PPI before RPID before From', () => {
    const pai: [string, string] = ['P-Asserted-Identity', '"P" <sip:+912222222222@x>']
    const ppi: [string, string] = ['P-Preferred-Identity', '<tel:+913333333333>']
    const rpid: [string, string] = ['Remote-Party-ID', '<sip:+914444444444@x>;party=calling']
    expect(callerOf(headers(from, rpid, ppi, pai), 'plus')).toEqual({ number: '+912222222222', name: 'P' })
    expect(callerOf(headers(from, rpid, ppi), 'plus')).toEqual({ number: '+913333333333' })
    expect(callerOf(headers(from, rpid), 'plus')).toEqual({ number: '+914444444444' })
    expect(callerOf(headers(['From', 'sip:bob@x;tag=2']), 'plus')).toEqual({ number: 'bob' })
    expect(callerOf(headers(['From', '<sip:x.y>;tag=2']), 'plus')).toEqual({ number: 'anonymous' })
  })

  it('is dialled by the Request-URI, else by To', () => {
    expect(calledOf('sip:+911@h', headers(['To', '<sip:+912@h>']), 'plus')).toBe('+911')
    expect(calledOf('sip:h', headers(['To', '<sip:+912222@h>']), 'plus')).toBe('+912222')
    expect(calledOf('sip:h', headers(['To', '<sip:h>']), 'plus')).toBeUndefined()
  })
})

describe('what we write', () => {
  it('names the caller where each trunk wants it', () => {
    expect(identityHeaders(trunk(), '+911234567', 'Bot')).toEqual({
      from: '"Bot" <sip:+911234567@sip.test>',
      headers: [],
    })
    expect(identityHeaders(trunk({ callerId: 'rpid', domain: 'd' }), '+911234567', undefined).headers).toEqual([
      ['Remote-Party-ID', '<sip:+911234567@d>;party=calling;screen=yes;privacy=off'],
    ])
    expect(identityHeaders(trunk({ callerId: 'ppi' }), '+911234567', undefined).headers[0][0]).toBe(
      'P-Preferred-Identity',
    )
  })

  it('makes Request-URIs', () => {
    expect(targetOf(trunk({ port: 5080 }), '+911234567')).toBe('sip:+911234567@sip.test:5080')
    expect(targetOf(trunk({ transport: 'tcp' }), '+911234567')).toBe('sip:+911234567@sip.test;transport=tcp')
    expect(targetOf(trunk(), 'sip:bob@other:5070?X-Evil=1')).toBe('sip:bob@other:5070')
    expect(targetOf(trunk(), 'a b')).toBeUndefined()
    expect(targetOf(trunk(), 'sip:')).toBeUndefined()
  })

  it('never yields an extra header line, whatever the texts are (RELIABILITY S6)', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        fc.string({ unit: 'binary' }),
        (number, name, to) => {
          const { from } = identityHeaders(trunk({ callerId: 'pai' }), number, name)
          const target = targetOf(trunk(), `sip:${to}`) ?? 'sip:x@y'
          const text = `INVITE ${target} SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: ${from};tag=1\r\nTo: <sip:x@y>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n`
          expect(text.split('\r\n')).toHaveLength(9)
          const parsed = parseMessage(Buffer.from(text))
          expect(parsed.ok && [...parsed.message.headers.entries()].length).toBe(6)
        },
      ),
      { interruptAfterTimeLimit: 1500, numRuns: 2000 },
    )
  })
})
