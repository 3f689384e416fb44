import { describe, expect, it } from 'vitest'
import { formatUri, parseUri, type SipUri } from '../../../src/sip/message/uri.ts'

const uri = (more: Partial<SipUri>): SipUri => ({ scheme: 'sip', host: 'h', params: new Map(), ...more })

describe('parseUri', () => {
  it.each([
    ['sip:h', uri({})],
    ['SIP:alice:pw@h:5070', uri({ user: 'alice', password: 'pw', port: 5070 })],
    ['sips:h;lr;transport=TCP', uri({ scheme: 'sips', params: new Map([['lr', undefined], ['transport', 'TCP']]) })],
    ['sip:user;par=u%40example.net@h', uri({ user: 'user;par=u@example.net' })],
    ['sip:%75se%72@h', uri({ user: 'user' })],
    ['sip:[2001:db8::1]:5060', uri({ host: '2001:db8::1', port: 5060 })],
    ['sip:a@h;x?Replaces=q%3Br', uri({ user: 'a', params: new Map([['x', undefined]]), headers: 'Replaces=q%3Br' })],
    ['tel:+91-98765;phone-context=x', { scheme: 'tel', user: '+91-98765', host: '', params: new Map([['phone-context', 'x']]) }],
    ['sip:%ff@h', uri({ user: 'ÿ' })],
  ] as [string, SipUri][])('reads %s', (text, expected) => expect(parseUri(text)).toEqual({ user: undefined, ...expected })) // prettier-ignore

  it.each([
    '',
    'sip:',
    'http://h',
    'sip:a@',
    'sip:@h',
    'sip:a@b@c',
    'sip:a@h:99999',
    'sip:a@h:x',
    'sip:a%4@h',
    'sip:a b@h',
    'sip:<h>',
    'tel:',
    'tel:abc xyz',
    'sip:a@[::1',
    'sip:h/x',
  ])('refuses %s', (text) => expect(parseUri(text)).toBeUndefined())
})

describe('formatUri', () => {
  it.each([
    ['+91@evil;x=1', 'sip:+91%40evil;x=1@h'],
    ['a>b\r\nX: y', 'sip:a%3Eb%0D%0AX%3A%20y@h'],
    ['ü', 'sip:%C3%BC@h'],
    ['100%', 'sip:100%25@h'],
  ])('escapes the user %j', (user, text) => {
    expect(formatUri(uri({ user }))).toBe(text)
    expect(parseUri(text)?.user).toBe(user)
  })

  it('writes hosts that are only hosts', () => {
    expect(formatUri(uri({ host: 'a>;b\r\n' }))).toBe('sip:ab')
    expect(formatUri(uri({ host: '::1', port: 1 }))).toBe('sip:[::1]:1')
  })

  it('writes what parseUri reads', () => {
    for (const text of ['sip:a:b@h:1;lr;x=y%3Bz?Q=1', 'tel:+1;x=y', 'sips:[::1]'])
      expect(formatUri(parseUri(text) as SipUri)).toBe(text)
  })
})
