import { describe, expect, it } from 'vitest'
import { BanList } from '../../../src/sip/transport/ban.ts'
import { FakeClock } from '../../fakes/clock.ts'

describe('BanList', () => {
  it('bans at the 20th bad request within 10 s, for 5 min', () => {
    const clock = new FakeClock()
    const bans = new BanList(clock)
    const tipped = Array.from({ length: 25 }, () => bans.bad('a')).indexOf(true)
    expect(tipped).toBe(19)
    expect(bans.banned('a')).toBe(true)
    expect(bans.banned('b')).toBe(false)
    clock.advance(299_999)
    expect(bans.banned('a')).toBe(true)
    clock.advance(1)
    expect(bans.banned('a')).toBe(false)
  })

  it('lets a source err slowly for ever', () => {
    const clock = new FakeClock()
    const bans = new BanList(clock)
    for (let i = 0; i < 1000; i++) {
      bans.bad('a')
      clock.advance(600)
    }
    expect(bans.banned('a')).toBe(false)
  })

  it('stays bounded when every bad request has another source', () => {
    const bans = new BanList(new FakeClock())
    for (let i = 0; i < 20; i++) bans.bad('old')
    for (let i = 0; i < 4096; i++) bans.bad(`s${i}`)
    expect(bans.banned('old')).toBe(false)
  })
})
