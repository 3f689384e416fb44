import { describe, expect, it } from 'vitest'
import { silentLog } from '../../../src/telemetry/log.ts'
import { TrunkRegistry } from '../../../src/sip/trunk/registry.ts'
import { TRUNK_DEFAULTS, type TrunkSettings } from '../../../src/sip/trunk/settings.ts'
import { FakeClock, settle } from '../../fakes/clock.ts'

const trunk = (id: string, more: Partial<TrunkSettings> = {}): TrunkSettings => ({
  ...TRUNK_DEFAULTS, codecs: ['pcmu'], allowedCidrs: [], id, accountId: 'a', name: id, host: `${id}.test`, ...more,
}) // prettier-ignore

function registry(ping: () => Promise<boolean> = () => Promise.resolve(true)): {
  trunks: TrunkRegistry
  clock: FakeClock
} {
  const clock = new FakeClock()
  return { trunks: new TrunkRegistry({ clock, log: silentLog, ping }), clock }
}

describe('sources', () => {
  const { trunks } = registry()
  trunks.set([
    trunk('wide', { allowedCidrs: ['203.0.113.0/24', '2001:db8::/32'] }),
    trunk('narrow', { allowedCidrs: ['203.0.113.16/28'] }),
    trunk('single', { allowedCidrs: ['198.51.100.9'] }),
    trunk('broken', { allowedCidrs: ['not-a-cidr'] }),
  ])
  const ids = (host: string): string[] => trunks.bySource(host).map((t) => t.settings.id)

  it('belong to the trunk with the closest CIDR first', () => {
    expect(ids('203.0.113.20')).toEqual(['narrow', 'wide'])
    expect(ids('203.0.113.99')).toEqual(['wide'])
    expect(ids('198.51.100.9')).toEqual(['single'])
    expect(ids('2001:db8::5')).toEqual(['wide'])
  })

  it('are told in any notation, and nonsense belongs to nobody', () => {
    expect(ids('::ffff:198.51.100.9')).toEqual(['single'])
    expect(ids('192.0.2.1')).toEqual([])
    expect(ids('what')).toEqual([])
    expect(trunks.admits('192.0.2.1')).toBe(false)
  })

  it('are all read while some trunk admits by digest alone', () => {
    const { trunks: open } = registry()
    open.set([trunk('d', { inboundAuth: { username: 'u', password: 'p' } })])
    expect(open.admits('192.0.2.1')).toBe(true)
    open.set([])
    expect(open.admits('192.0.2.1')).toBe(false)
  })
})

describe('pings', () => {
  it('go on over an update that does not touch them, start anew when the address changes, and stop with the trunk', async () => {
    let asked = 0
    const { trunks, clock } = registry(() => {
      asked++
      return Promise.resolve(true)
    })
    const pinged = trunk('t', { optionsIntervalS: 30 })
    trunks.set([pinged])
    await clock.run(60_000, 1000)
    expect(asked).toBe(3)
    trunks.set([{ ...pinged, name: 'new name' }])
    expect(asked).toBe(3)
    trunks.set([{ ...pinged, host: 'elsewhere.test' }])
    expect(asked).toBe(4)
    trunks.set([])
    await clock.run(120_000, 1000)
    expect(asked).toBe(4)
    expect(clock.pending).toBe(0)
  })

  it('need two in a row to change their mind', async () => {
    const answers = [false, true, false, false, true, false, true, true]
    const { trunks, clock } = registry(() => Promise.resolve(answers.shift() ?? true))
    trunks.set([trunk('t', { optionsIntervalS: 10 })])
    const seen: boolean[] = []
    for (let i = 0; i < 8; i++) {
      await settle()
      seen.push(trunks.get('t')?.up ?? false)
      clock.advance(10_000)
    }
    expect(seen).toEqual([true, true, true, false, false, false, false, true])
  })
})
