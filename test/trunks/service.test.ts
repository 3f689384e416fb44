import { describe, expect, it } from 'vitest'
import { trunkView } from '../../src/trunks/trunk.ts'
import { configuration } from '../accounts/rig.ts'

const A = { accountId: 'a' }
const INPUT = { name: 'Carrier', host: 'sip.example.com' }

describe('trunks', () => {
  it('get every default, and passwords never come out', async () => {
    const { trunks } = configuration()
    const trunk = await trunks.create(A, {
      ...INPUT,
      inboundAuth: { username: 'in', password: 'secret-in' },
      outboundAuth: { username: 'out', password: 'secret-out', realm: 'r' },
    })
    expect(trunk).toMatchObject({ accountId: 'a', port: 5060, transport: 'udp', codecs: ['pcmu', 'pcma'], ptimeMs: 20 })
    const view = trunkView(trunk)
    expect(JSON.stringify(view)).not.toContain('secret')
    expect(view).toMatchObject({ inboundAuth: { username: 'in' }, outboundAuth: { username: 'out', realm: 'r' } })
  })

  it('change field by field; null takes an optional one off', async () => {
    const { trunks } = configuration()
    const { id } = await trunks.create(A, {
      ...INPUT,
      domain: 'd.example',
      outboundAuth: { username: 'u', password: 'p' },
    })
    expect(await trunks.update(A, id, { port: 5080, domain: null })).toMatchObject({
      port: 5080,
      outboundAuth: { password: 'p' },
    })
    expect((await trunks.get(A, id)).domain).toBeUndefined()
    await expect(trunks.update({ accountId: 'b' }, id, { port: 1 })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each([
    ['host', { host: 'a b' }],
    ['host', { host: 'evil\r\nVia: x' }],
    ['port', { port: 70_000 }],
    ['transport', { transport: 'tls' }],
    ['allowedCidrs.0', { allowedCidrs: ['not an address'] }],
    ['allowedCidrs.0', { allowedCidrs: ['10.0.0.0/33'] }],
    ['codecs', { codecs: [] }],
    ['ptimeMs', { ptimeMs: 25 }],
    ['minSeS', { minSeS: 3600, sessionExpiresS: 1800 }],
    ['t2Ms', { t1Ms: 4000, t2Ms: 1000 }],
    ['fromUser', { fromUser: 'a\r\nb' }],
    ['inboundAuth.password', { inboundAuth: { username: 'u', password: 'short' } }],
    ['extra', { extra: 1 }],
  ])('name %s when it is at fault', async (field, fault) => {
    const { trunks } = configuration()
    await expect(trunks.create(A, { ...INPUT, ...fault } as never)).rejects.toMatchObject({ code: 'INVALID', field })
  })

  it('take single addresses, IPv6 ranges and IPv6 hosts', async () => {
    const { trunks } = configuration()
    const trunk = await trunks.create(A, {
      name: 'x',
      host: '[2001:db8::1]',
      allowedCidrs: ['192.0.2.7', '2001:db8::/32', '::1'],
    })
    expect(trunk.allowedCidrs).toHaveLength(3)
  })
})
