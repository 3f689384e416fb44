import { describe, expect, it } from 'vitest'
import { parseHeaders, type HeaderInput } from '../../src/egress/headers.ts'

describe('parseHeaders', () => {
  it('reads a string, a list, a map, and each of them as JSON text', () => {
    const want = { Authorization: 'Bearer a:b', 'X-Tenant': '7' }
    expect(parseHeaders('Authorization: Bearer a:b')).toEqual({ Authorization: 'Bearer a:b' })
    expect(parseHeaders(['Authorization: Bearer a:b', 'X-Tenant:7'])).toEqual(want)
    expect(parseHeaders(want)).toEqual(want)
    expect(parseHeaders(JSON.stringify(want))).toEqual(want)
    expect(parseHeaders('["Authorization: Bearer a:b","X-Tenant: 7"]')).toEqual(want)
    expect(parseHeaders('')).toEqual({})
    expect(parseHeaders(undefined)).toEqual({})
  })

  it.each([
    ['a new line in a value', 'X-A: b\r\nHost: evil'],
    ['a bare line feed', ['X-A: b\nc']],
    ['a NUL', { 'X-A': 'b\0c' }],
    ['a character outside latin1', { 'X-A': '✓' }],
    ['a name with a space', 'X A: b'],
    ['no colon', 'nothing'],
    ['no name', ': b'],
    ['Host', 'Host: b'],
    ['Connection', { connection: 'close' }],
    ['a handshake header', 'Sec-WebSocket-Key: x'],
    ['a proxy header', 'Proxy-Authorization: x'],
    ['one of ours', 'X-Trunkline-Signature: v1=00'],
    ['Cookie2', 'Cookie2: x'],
    ['Content-Length', 'Content-Length: 4'],
    ['Transfer-Encoding', 'Transfer-Encoding: chunked'],
    ['the same name twice', ['X-A: 1', 'x-a: 2']],
    ['nine headers', Array.from({ length: 9 }, (_, i) => `X-${i}: v`)],
    ['a value over 4 KiB', { 'X-A': 'a'.repeat(4097) }],
    ['broken JSON', '{"a":'],
    ['a number as value', { 'X-A': 1 } as unknown as HeaderInput],
    ['a number', 5 as unknown as HeaderInput],
  ])('refuses %s', (_what, input) => {
    expect(() => parseHeaders(input as HeaderInput)).toThrow(/wss_header/)
  })

  it('never shows a value in the error text', () => {
    expect(() => parseHeaders({ 'X-A': 'secret\n' + 'x' })).toThrow(/^(?!.*secret)/s)
  })
})
