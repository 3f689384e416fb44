import { describe, expect, it } from 'vitest'
import { Pacer } from '../../src/load/pacer.ts'
import { FakeClock } from '../fakes/clock.ts'

describe('Pacer', () => {
  it('calls each member once per 20 ms, numbering the slots without a gap', () => {
    const clock = new FakeClock()
    const pacer = new Pacer(clock)
    const slots: number[] = []
    pacer.add((slot) => slots.push(slot))
    clock.advance(1000)
    expect(slots).toEqual(Array.from({ length: 50 }, (_, i) => i))
  })

  it('spreads many members over the 20 ms', () => {
    const clock = new FakeClock()
    const pacer = new Pacer(clock)
    const perMs = new Map<number, number>()
    for (let i = 0; i < 100; i++) pacer.add(() => perMs.set(clock.now(), (perMs.get(clock.now()) ?? 0) + 1))
    clock.advance(20)
    expect(perMs.size).toBe(20)
    expect(Math.max(...perMs.values())).toBe(5)
  })

  it('catches up after a short delay and skips, without a burst, after a long one', () => {
    const clock = new FakeClock()
    const pacer = new Pacer(clock)
    const slots: number[] = []
    let stallMs = 0
    pacer.add((slot) => slots.push(slot))
    // A tick that hogs the thread: virtual time moves on while it runs.
    pacer.add(() => {
      const take = stallMs
      stallMs = 0
      if (take) clock.advance(take)
    })
    clock.advance(200)
    expect(slots.at(-1)).toBe(9)
    stallMs = 45
    clock.advance(100)
    expect(slots).toEqual(slots.map((_, i) => i))
    expect(pacer.health.skippedMs).toBe(0)

    const before = slots.length
    stallMs = 500
    clock.advance(600)
    const gained = slots.slice(before)
    expect(gained.length).toBeLessThan(12)
    expect(gained.at(-1)! - gained[0]).toBeGreaterThan(20)
    expect(pacer.health.skippedMs).toBeGreaterThan(400)
  })

  it('stops its timer with the last member', () => {
    const clock = new FakeClock()
    const pacer = new Pacer(clock)
    const leave = pacer.add(() => {})
    expect(clock.pending).toBe(1)
    leave()
    leave()
    expect(clock.pending).toBe(0)
  })
})
