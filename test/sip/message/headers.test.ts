import { describe, expect, it } from 'vitest'
import {
  formatNameAddr, formatReason, formatVia, parseCSeq, parseNameAddr, parseParams, parseReason, parseVia, tagOf,
} from '../../../src/sip/message/headers.ts' // prettier-ignore

describe('parseNameAddr', () => {
  it.each([
    ['<sip:a@b>', undefined, 'sip:a@b', {}],
    ['sip:a@b;tag=1', undefined, 'sip:a@b', { tag: '1' }],
    ['Bob Smith <sip:a@b;lr>;tag=x', 'Bob Smith', 'sip:a@b;lr', { tag: 'x' }],
    ['caller<sip:a@b>;tag=323', 'caller', 'sip:a@b', { tag: '323' }],
    ['"A \\"B\\" <c>" <sip:a@b>;TAG=q;flag', 'A "B" <c>', 'sip:a@b', { tag: 'q', flag: undefined }],
    ['"" <sip:a@b>', undefined, 'sip:a@b', {}],
    ['<sip:a@b?Replaces=x%3By>;q="0.5"', undefined, 'sip:a@b?Replaces=x%3By', { q: '0.5' }],
    ['  <tel:+91;x=y> ; a = b ; c', undefined, 'tel:+91;x=y', { a: 'b', c: undefined }],
  ])('reads %s', (text, display, uri, params) => {
    const addr = parseNameAddr(text)
    expect(addr).toMatchObject({ uri })
    expect(addr?.display).toBe(display)
    expect(Object.fromEntries(addr?.params ?? [])).toEqual(params)
  })

  it.each([
    '',
    '<>',
    '"open <sip:a@b>',
    'a"b <sip:a@b>',
    '<sip:a@b',
    'sip:a@b?x=y',
    'nouri',
    '<sip:a@b> tag=1',
    '"q" sip:a@b',
    '<sip:a@b>;x="open',
  ])('refuses %s', (text) => expect(parseNameAddr(text)).toBeUndefined())

  it('is undone by formatNameAddr', () => {
    const addr = { display: 'O\'Neil "x" \\ ', uri: 'sip:a@b', params: new Map([['tag', 'a b'], ['lr', undefined]]) } // prettier-ignore
    expect(parseNameAddr(formatNameAddr(addr))).toEqual(addr)
  })

  it('lets no URI and no display name escape', () => {
    const text = formatNameAddr({ display: 'a"\r\nX: y', uri: 'sip:a@b>\r\nX: <y' })
    expect(text).not.toMatch(/[\r\n]/)
    expect(parseNameAddr(text)?.uri).toBe('sip:a@bX:y')
  })
})

describe('tagOf', () => {
  it('finds the tag of the header, not one inside the URI', () => {
    expect(tagOf('<sip:a@b;tag=no>;tag=yes')).toBe('yes')
    expect(tagOf('<sip:a@b;tag=no>')).toBeUndefined()
    expect(tagOf('"x;tag=no" <sip:a@b>')).toBeUndefined()
  })
})

describe('parseVia', () => {
  it.each([
    ['SIP/2.0/UDP h:5060;branch=z9hG4bK1;rport', 'UDP', 'h', 5060, 'SIP/2.0/UDP h:5060;branch=z9hG4bK1;rport'],
    ['sip / 2.0 / tcp   h  ; branch = x', 'TCP', 'h', undefined, 'SIP/2.0/TCP h;branch=x'],
    [
      'SIP/2.0/UDP [2001:db8::1]:5062;received=2001:db8::2',
      'UDP',
      '2001:db8::1',
      5062,
      'SIP/2.0/UDP [2001:db8::1]:5062;received=2001:db8::2',
    ],
    ['SIP/2.0/UDP 2001:db8::1', 'UDP', '2001:db8::1', undefined, 'SIP/2.0/UDP [2001:db8::1]'],
    ['SIP/2.0/UDP h : 5', 'UDP', 'h', 5, 'SIP/2.0/UDP h:5'],
  ])('reads and writes %s', (text, transport, host, port, written) => {
    const via = parseVia(text)
    expect(via).toMatchObject({ transport, host })
    expect(via?.port).toBe(port)
    expect(via && formatVia(via)).toBe(written)
  })

  it.each([
    '',
    'SIP/2.0/UDP',
    'SIP/3.0/UDP h',
    'SIP/2.0/UDP h:70000',
    'SIP/2.0/UDP h:0',
    'SIP/2.0/UDP ;branch=1',
    'SIP/2.0/UDP a b',
    'SIP/2.0/UDP h;a="',
  ])('refuses %s', (text) => expect(parseVia(text)).toBeUndefined())
})

describe('parseParams', () => {
  it('takes the first of two equal names', () => {
    expect(parseParams(';a=1;A=2')?.get('a')).toBe('1')
  })
  it('keeps semicolons inside quotes', () => {
    expect(parseParams(';a="1;2";b')).toEqual(new Map([['a', '1;2'], ['b', undefined]])) // prettier-ignore
  })
})

describe('parseCSeq', () => {
  it.each([
    ['1 INVITE', { seq: 1, method: 'INVITE' }],
    ['0009   X', { seq: 9, method: 'X' }],
    ['2147483648 INVITE', undefined],
    ['-1 INVITE', undefined],
    ['1INVITE', undefined],
    ['1', undefined],
  ])('reads %s as %o', (text, cseq) => expect(parseCSeq(text)).toEqual(cseq))
})

describe('Reason', () => {
  it.each([
    ['Q.850;cause=16;text="Normal call clearing"', { protocol: 'Q.850', cause: 16, text: 'Normal call clearing' }],
    ['SIP ;cause=200', { protocol: 'SIP', cause: 200, text: undefined }],
    ['SIP', { protocol: 'SIP', cause: undefined, text: undefined }],
    ['Q.850;text=gone', { protocol: 'Q.850', cause: undefined, text: 'gone' }],
    [';cause=1', undefined],
  ])('reads %s', (text, reason) => expect(parseReason(text)).toEqual(reason))

  it('writes text that cannot leave its quotes', () => {
    expect(formatReason({ protocol: 'Q.850', cause: 16, text: 'a"\r\nX: y' })).toBe('Q.850;cause=16;text="a\\"  X: y"')
  })
})
