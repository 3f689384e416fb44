import { describe, expect, it } from 'vitest'
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
      (await createResolver(lookup, () => draw).resolve('h.example', undefined, 'udp')).map((t) => t.port)
    expect(await order(0.05)).toEqual([2, 1, 3])
    expect(await order(0.5)).toEqual([1, 2, 3])
  })

  it('gives an empty list for a name that nobody knows, and at most eight targets', async () => {
    const { lookup } = dns([], { big: Array.from({ length: 30 }, (_, i) => `192.0.2.${i}`) })
    const resolver = createResolver(lookup)
    expect(await resolver.resolve('nobody.example', undefined, 'udp')).toEqual([])
    expect(await resolver.resolve('big', 5060, 'udp')).toHaveLength(8)
  })
})
