import { describe, expect, it } from 'vitest'
import { Playout, type Slot } from '../../src/media/playout.ts'
import { FakeClock } from '../fakes/clock.ts'

class Member implements Slot {
  readonly at: number[] = []
  readonly turns: number[] = []
  readonly late: number[] = []
  readonly #clock: FakeClock
  constructor(clock: FakeClock) {
    this.#clock = clock
  }
  tick(dueMs: number, turns: number): void {
    this.at.push(dueMs)
    this.turns.push(turns)
    this.late.push(this.#clock.now() - dueMs)
  }
}

function setUp(members: number) {
  const clock = new FakeClock()
  const errors: unknown[] = []
  const playout = new Playout(clock, (err) => errors.push(err))
  playout.start()
  const all = Array.from({ length: members }, () => new Member(clock))
  for (const m of all) playout.add(m)
  return { clock, playout, all, errors }
}

describe('Playout', () => {
  it('calls each member every 20 ms on deadlines that add up to nothing, for an hour', () => {
    const { clock, all } = setUp(1)
    clock.advance(3_600_000)
    const { at } = all[0]
    expect(at.length).toBe(180_000)
    expect((at.at(-1) as number) - at[0]).toBe(179_999 * 20)
  })

  it('spreads its members over the turn', () => {
    const { clock, all } = setUp(40)
    clock.advance(40)
    const perStep = new Map<number, number>()
    for (const m of all) perStep.set(m.at[0] % 20, (perStep.get(m.at[0] % 20) ?? 0) + 1)
    expect([...perStep.values()]).toEqual(new Array(20).fill(2))
  })

  it('after a stall calls each member once, with the number of turns that have passed', () => {
    const { clock, all, playout } = setUp(20)
    clock.advance(100)
    const before = all.map((m) => m.at.length)
    clock.stall(300)
    all.forEach((m, i) => {
      expect(m.at.length).toBe(before[i] + 1)
      expect(m.turns.at(-1)).toBe(15)
    })
    expect(playout.stalls).toBe(1)
    expect(playout.takeMaxLatenessMs()).toBeGreaterThan(280)
    clock.advance(200)
    for (const m of all) {
      expect(m.turns.slice(-9).every((t) => t === 1)).toBe(true)
      expect((m.at.at(-1) as number) % 20).toBe(m.at[0] % 20)
      expect(m.turns.reduce((a, b) => a + b, 0)).toBe(((m.at.at(-1) as number) - m.at[0]) / 20 + 1)
    }
    expect(playout.maxLatenessMs).toBe(0)
  })

  it('a member that is late by less than a turn loses nothing', () => {
    const { clock, all } = setUp(20)
    clock.advance(100)
    clock.stall(15)
    clock.advance(45)
    for (const m of all) expect(m.turns.every((t) => t === 1)).toBe(true)
    for (const m of all) expect(m.at.length).toBe(8)
  })

  it('moves a member to a deadline, also from within its own tick, and not twice in one turn', () => {
    const { clock, playout, all } = setUp(2)
    clock.advance(50)
    playout.moveTo(all[0], clock.now() + 7)
    expect(playout.nextDueMs(all[0])).toBe(57)
    clock.advance(60)
    expect(all[0].at.slice(-3)).toEqual([57, 77, 97])
    let moved = false
    const mover: Slot = {
      tick(dueMs) {
        at.push(dueMs)
        if (!moved) playout.moveTo(mover, dueMs + 3)
        moved = true
      },
    }
    const at: number[] = []
    playout.add(mover)
    clock.advance(60)
    expect(at[1] - at[0]).toBe(3)
    expect(at[2] - at[1]).toBe(20)
  })

  it('a member that throws or leaves harms no other', () => {
    const { clock, playout, all, errors } = setUp(1)
    const bad: Slot = {
      tick() {
        throw new Error('bug')
      },
    }
    const leaver: Slot = {
      tick() {
        playout.remove(leaver)
      },
    }
    playout.add(bad)
    playout.add(leaver)
    clock.advance(200)
    expect(errors.length).toBe(10)
    expect(all[0].at.length).toBe(10)
    expect(playout.size).toBe(2)
  })

  it('sleeps when it has no members and starts afresh with the next', () => {
    const { clock, playout, all } = setUp(1)
    playout.remove(all[0])
    expect(clock.pending).toBe(0)
    clock.advance(10_000)
    const late = new Member(clock)
    playout.add(late)
    clock.advance(50)
    expect(late.at.length).toBeGreaterThanOrEqual(2)
    expect(late.turns.every((t) => t === 1)).toBe(true)
    expect(late.late.every((ms) => ms === 0)).toBe(true)
    expect(playout.maxLatenessMs).toBe(0)
    playout.stop()
    expect(clock.pending).toBe(0)
  })
})
