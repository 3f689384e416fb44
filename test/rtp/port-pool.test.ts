import { describe, expect, it } from 'vitest'
import { PortPool, portShare } from '../../src/rtp/port-pool.ts'
import { FakeClock } from '../fakes/clock.ts'

describe('PortPool', () => {
  it('gives even ports once each, in no fixed order, until none is left', () => {
    const pool = new PortPool({ first: 20_001, last: 20_201 }, 1000, new FakeClock())
    const taken = Array.from({ length: 99 }, () => pool.take())
    expect(new Set(taken).size).toBe(99)
    expect(taken.every((p) => p !== undefined && p % 2 === 0 && p >= 20_002 && p + 1 <= 20_201)).toBe(true)
    expect(taken).not.toEqual([...taken].sort())
    pool.take()
    expect(pool.take()).toBeUndefined()
  })

  it('rests a port after use', () => {
    const clock = new FakeClock()
    const pool = new PortPool({ first: 20_000, last: 20_001 }, 30_000, clock)
    const port = pool.take() as number
    pool.release(port)
    pool.release(port)
    expect(pool.counts).toEqual({ free: 0, used: 0, resting: 1 })
    clock.advance(29_999)
    expect(pool.take()).toBeUndefined()
    clock.advance(1)
    expect(pool.take()).toBe(port)
    expect(pool.counts).toEqual({ free: 0, used: 1, resting: 0 })
  })

  it('shares the range among workers without overlap', () => {
    const range = { first: 20_000, last: 29_999 }
    const shares = [0, 1, 2].map((i) => portShare(range, i, 3))
    const ports = shares.flatMap((share) => {
      const pool = new PortPool(share, 0, new FakeClock())
      return Array.from({ length: pool.counts.free }, () => pool.take())
    })
    expect(new Set(ports).size).toBe(5000)
    expect(ports.length).toBe(5000)
  })
})
