import { describe, expect, it } from 'vitest'
import { checkEgress, isPublicAddress, parseTarget, type EgressPolicy, type Resolve } from '../../src/egress/egress.ts'

const strict: EgressPolicy = { allowInsecure: false, ownAddresses: ['8.8.4.4'] }
const dns =
  (...addresses: string[]): Resolve =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))

describe('the address check', () => {
  it.each(['8.8.8.8', '2606:4700:4700::1111'])('lets %s pass', (a) => expect(isPublicAddress(a)).toBe(true))

  it.each([
    '127.0.0.1', '10.0.0.1', '172.16.0.1', '192.168.1.1', '169.254.169.254', '100.64.0.1', '0.0.0.0', '255.255.255.255', '224.0.0.1', '240.0.0.1',
    '::1', '::', 'fd00::1', 'fe80::1', 'fec0::1', '::ffff:8.8.8.8', '::ffff:127.0.0.1', '64:ff9b::7f00:1', '2002:7f00:1::', '2001::1', 'ff02::1', '::8.8.8.8', 'localhost',
  ])('refuses %s', (a) => expect(isPublicAddress(a)).toBe(false)) // prettier-ignore
})

describe('the URL check', () => {
  it.each([
    'wss://bot.example/a?b=c', 'wss://bot.example:8443/', 'wss://bot.example:443/', 'wss://8.8.8.8/',
    'wss://u:p@bot.example/', 'https://router.example/which-bot',
  ])('lets %s pass', (url) => expect(parseTarget(url, 'bot', strict).href).toBe(url.replace(':443', ''))) // prettier-ignore

  it.each([
    'ws://bot.example/', 'http://bot.example/', 'file:///etc/passwd', 'gopher://x/', 'bot.example', '', 'wss://',
    'wss://bot.example:22/', 'wss://bot.example:80/', 'wss://bot.example/#x', 'wss://127.0.0.1/', 'wss://2130706433/', 'wss://0x7f.1/', 'wss://0177.0.0.1/',
    'wss://[::1]/', 'wss://[::ffff:127.0.0.1]/', 'wss://169.254.169.254/latest', 'wss://8.8.4.4/', `wss://bot.example/${'a'.repeat(9000)}`,
  ])('refuses %s', (url) => expect(() => parseTarget(url, 'bot', strict)).toThrow()) // prettier-ignore

  it('wants https for webhooks', () => {
    expect(parseTarget('https://hook.example/x', 'webhook', strict).host).toBe('hook.example')
    expect(() => parseTarget('wss://hook.example/x', 'webhook', strict)).toThrow(/https/)
  })

  it('lets plain text, loopback and any port pass when insecure targets are allowed, but no other scheme', () => {
    const loose = { allowInsecure: true }
    expect(parseTarget('ws://127.0.0.1:80/x', 'bot', loose).pathname).toBe('/x')
    expect(() => parseTarget('file:///x', 'bot', loose)).toThrow()
    expect(() => parseTarget('http://u:p@127.0.0.1/', 'webhook', loose)).toThrow()
  })
})

describe('checkEgress', () => {
  const ask = (t: Awaited<ReturnType<typeof checkEgress>>, options: { all?: boolean; family?: number }): unknown[] => {
    let got: unknown[] = []
    t.lookup('whatever', options, (...args: unknown[]) => (got = args))
    return got
  }

  it('pins the addresses that it checked, whatever the name says later', async () => {
    let turn = 0
    const flip: Resolve = async () => [{ address: turn++ === 0 ? '8.8.8.8' : '127.0.0.1', family: 4 }]
    const target = await checkEgress('wss://rebind.example/', 'bot', { ...strict, resolve: flip })
    expect(ask(target, {})).toEqual([null, '8.8.8.8', 4])
    expect(ask(target, { all: true })).toEqual([null, [{ address: '8.8.8.8', family: 4 }]])
    expect(ask(target, { family: 6 })[0]).toMatchObject({ code: 'ENOTFOUND' })
    expect(turn).toBe(1)
    await expect(checkEgress('wss://rebind.example/', 'bot', { ...strict, resolve: flip })).rejects.toMatchObject({
      code: 'INVALID',
    })
  })

  it('refuses a name when any one of its addresses is private', async () => {
    await expect(
      checkEgress('wss://x.example/', 'bot', { ...strict, resolve: dns('8.8.8.8', '10.0.0.1') }),
    ).rejects.toMatchObject({ code: 'INVALID' })
    await expect(
      checkEgress('wss://127.0.0.1.nip.example/', 'bot', { ...strict, resolve: dns('127.0.0.1') }),
    ).rejects.toMatchObject({ code: 'INVALID' })
  })

  it('says UNAVAILABLE when the name does not resolve', async () => {
    await expect(checkEgress('wss://x.example/', 'bot', { ...strict, resolve: dns() })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    const fails: Resolve = () => Promise.reject(new Error('ENOTFOUND'))
    await expect(checkEgress('wss://x.example/', 'bot', { ...strict, resolve: fails })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
  })
})
