import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../fakes/clock.ts'
import { createResolver, type DnsLookup } from '../../../src/sip/transport/resolve.ts'

const dns = (
  srv: Awaited<ReturnType<DnsLookup['srv']>>,
  addresses: Record<string, string[]>,
): { lookup: DnsLookup; asked: string[] } => {
  const asked: string[] = []
  return {
    asked,
    lookup: {
      srv: (name) => {
        asked.push(name)
        return srv.length ? Promise.resolve(srv) : Promise.reject(new Error('ENOTFOUND'))
      },
      addresses: (name) => {
        asked.push(name)
        return addresses[name] ? Promise.resolve(addresses[name]) : Promise.reject(new Error('ENOTFOUND'))
      },
    },
  }
}

describe('resolve', () => {
  it('asks nobody about an IP literal', async () => {
    const { lookup, asked } = dns([], {})
    const resolver = createResolver(lookup)
    expect(await resolver.resolve('192.0.2.1', undefined, 'udp')).toEqual([
      { protocol: 'udp', host: '192.0.2.1', port: 5060 },
    ])
    expect(await resolver.resolve('[2001:db8::1]', 5070, 'tcp')).toEqual([
      { protocol: 'tcp', host: '2001:db8::1', port: 5070 },
    ])
    expect(resolver.literal('example.com', 5060, 'udp')).toBeUndefined()
    expect(asked).toEqual([])
  })

  it('asks for SRV only without a port, and takes all addresses', async () => {
    const { lookup, asked } = dns([], { 'h.example': ['192.0.2.1', '2001:db8::1'] })
    const resolver = createResolver(lookup)
    expect((await resolver.resolve('h.example', 5080, 'udp')).map((t) => `${t.host}:${t.port}`)).toEqual([
      '192.0.2.1:5080',
      '2001:db8::1:5080',
    ])
    expect(asked).toEqual(['h.example'])
    await resolver.resolve('h.example', undefined, 'tcp')
    expect(asked).toEqual(['h.example', '_sip._tcp.h.example', 'h.example'])
  })

  it('orders SRV by priority, then by weighted lot, and adds no address of the name itself', async () => {
    const { lookup } = dns(
      [
        { name: 'c', port: 3, priority: 20, weight: 0 },
        { name: 'a', port: 1, priority: 10, weight: 90 },
        { name: 'b', port: 2, priority: 10, weight: 10 },
      ],
      { a: ['192.0.2.1'], b: ['192.0.2.2'], c: ['192.0.2.3'], 'h.example': ['192.0.2.9'] },
    )
    const order = async (draw: number): Promise<number[]> =>
      (await createResolver(lookup, { random: () => draw }).resolve('h.example', undefined, 'udp')).map((t) => t.port)
    expect(await order(0.05)).toEqual([2, 1, 3])
    expect(await order(0.5)).toEqual([1, 2, 3])
  })

  it('gives an empty list for a name that nobody knows, and at most eight targets', async () => {
    const { lookup } = dns([], { big: Array.from({ length: 30 }, (_, i) => `192.0.2.${i}`) })
    const resolver = createResolver(lookup)
    expect(await resolver.resolve('nobody.example', undefined, 'udp')).toEqual([])
    expect(await resolver.resolve('big', 5060, 'udp')).toHaveLength(8)
  })

  it('asks once in 30 s, and lives on old answers for an hour while DNS is down', async () => {
    const clock = new FakeClock()
    const { lookup, asked } = dns([], { h: ['192.0.2.1'] })
    let down = false
    const flaky = { ...lookup, addresses: (name: string) => (down ? Promise.reject(new Error('SERVFAIL')) : lookup.addresses(name)) } // prettier-ignore
    const resolver = createResolver(flaky, { clock })
    const hosts = async (): Promise<string[]> => (await resolver.resolve('h', 5060, 'udp')).map((t) => t.host)
    await Promise.all([hosts(), hosts()])
    clock.advance(29_999)
    await hosts()
    expect(asked).toEqual(['h'])
    clock.advance(1)
    await hosts()
    expect(asked).toEqual(['h', 'h'])
    down = true
    clock.advance(3_500_000)
    expect(await hosts()).toEqual(['192.0.2.1'])
    clock.advance(100_001)
    expect(await hosts()).toEqual([])
    down = false
    expect(await hosts()).toEqual(['192.0.2.1'])
  })

  it('waits 4 s for DNS and no longer', async () => {
    const clock = new FakeClock()
    const resolver = createResolver(
      { srv: () => new Promise(() => undefined), addresses: () => new Promise(() => undefined) },
      { clock },
    )
    const found = resolver.resolve('h', 5060, 'udp')
    clock.advance(4000)
    expect(await found).toEqual([])
    expect(clock.pending).toBe(0)
  })

  it('leaves out addresses that our sockets cannot reach', async () => {
    const { lookup } = dns([], { h: ['2001:db8::1', '192.0.2.1'] })
    const resolver = createResolver(lookup, { usable: (address) => !address.includes(':') })
    expect((await resolver.resolve('h', 5060, 'udp')).map((t) => t.host)).toEqual(['192.0.2.1'])
  })
})
