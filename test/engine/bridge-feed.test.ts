import { describe, expect, it } from 'vitest'
import { crossTable } from '../../src/audio/g711.ts'
import { BridgeFeed } from '../../src/engine/bridge-feed.ts'

const frame = (n: number): Uint8Array => new Uint8Array(160).fill(n)

describe('BridgeFeed', () => {
  it('passes bytes untouched when the laws agree, and by table when they do not', () => {
    const feed = new BridgeFeed()
    const all = Uint8Array.from({ length: 160 }, (_, i) => i + 90)
    const out = new Uint8Array(160)
    feed.frame(all, 'pcmu')
    expect(feed.frameInto(out, 'pcmu')).toBe(true)
    expect(out).toEqual(all)
    feed.frame(all, 'pcmu')
    feed.frameInto(out, 'pcma')
    expect([...out]).toEqual([...all].map((b) => crossTable('pcmu', 'pcma')![b]))
    expect(feed.frameInto(out, 'pcmu')).toBe(false)
  })

  it('drops the oldest when nobody takes it, and gives a delay that stays back within a second', () => {
    const feed = new BridgeFeed()
    const out = new Uint8Array(160)
    for (let i = 0; i < 9; i++) feed.frame(frame(i), 'pcmu')
    feed.frameInto(out, 'pcmu')
    expect(out[0]).toBe(5)
    for (let i = 9; i < 9 + 150; i++) {
      feed.frame(frame(i), 'pcmu')
      feed.frameInto(out, 'pcmu')
    }
    expect(out[0]).toBe(9 + 149)
    expect(feed.stats.dropped).toBe(8)
    expect(feed.frameInto(out, 'pcmu')).toBe(false)
  })

  it('is back at its delay within 2 s of speech, in the first silence where there is one, and then drops nothing', () => {
    for (const silentFrom of [Infinity, 30]) {
      const feed = new BridgeFeed()
      const out = new Uint8Array(160)
      for (let i = 0; i < 4; i++) feed.frame(frame(1), 'pcmu')
      let slots = 0
      while (feed.stats.dropped < 3) {
        feed.frameInto(out, 'pcmu')
        feed.frame(frame(slots >= silentFrom && slots < silentFrom + 60 ? 0xff : 1), 'pcmu')
        slots++
      }
      expect(slots * 20).toBeLessThanOrEqual(2000)
      if (silentFrom !== Infinity) expect(slots * 20).toBeLessThanOrEqual(1500)
      for (let i = 0; i < 1000; i++) {
        expect(feed.frameInto(out, 'pcmu')).toBe(true)
        feed.frame(frame(1), 'pcmu')
      }
      expect(feed.stats.dropped).toBe(3)
    }
  })
})
