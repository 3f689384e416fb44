import { describe, expect, it } from 'vitest'
import { every, sleep } from '../../src/lib/clock.ts'
import { Emitter } from '../../src/lib/emitter.ts'
import { token, uuidv7 } from '../../src/lib/ids.ts'
import { advertisableAddress } from '../../src/lib/interfaces.ts'
import { machine } from '../../src/lib/machine.ts'
import { seqAdd, seqDiff, tsAdd, tsDiff } from '../../src/lib/seq16.ts'
import { FakeClock, settle } from '../fakes/clock.ts'

describe('16- and 32-bit counters', () => {
  it.each([
    [1, 0, 1],
    [0, 65535, 1],
    [65535, 0, -1],
    [32767, 0, 32767],
    [32768, 0, -32768],
    [10, 65530, 16],
  ])('seqDiff(%i, %i) is %i', (a, b, d) => expect(seqDiff(a, b)).toBe(d))

  it('wrap where RFC 3550 says', () => {
    expect(seqAdd(65535, 1)).toBe(0)
    expect(tsAdd(0xffffffff, 160)).toBe(159)
    expect(tsDiff(100, 0xffffffff)).toBe(101)
    expect(tsDiff(0xffffffff, 100)).toBe(-101)
  })
})

describe('a state machine', () => {
  const door = machine<'open' | 'shut' | 'gone', 'push' | 'pull'>('door', {
    open: { push: 'shut' },
    shut: { pull: 'open' },
    gone: {},
  })

  it('moves by its table, and an illegal move throws with both names', () => {
    expect(door.next('open', 'push')).toBe('shut')
    expect(door.can('open', 'pull')).toBe(false)
    expect(door.isFinal('gone')).toBe(true)
    expect(() => door.next('open', 'pull')).toThrow("door: no move 'pull' from state 'open'")
  })
})

describe('an emitter', () => {
  it('keeps one listener that throws from harming the others', () => {
    const errors: string[] = []
    const emitter = new Emitter<{ ring: number }>((_, event) => errors.push(event))
    const heard: number[] = []
    emitter.on('ring', () => {
      throw new Error('bug')
    })
    const off = emitter.on('ring', (n) => heard.push(n))
    emitter.emit('ring', 1)
    off()
    emitter.emit('ring', 2)
    expect(heard).toEqual([1])
    expect(errors).toEqual(['ring', 'ring'])
  })
})

describe('ids', () => {
  it('are UUIDv7 that sort by their time', () => {
    const early = uuidv7(Date.UTC(2026, 0, 1))
    const late = uuidv7(Date.UTC(2026, 0, 1) + 1)
    expect(early).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(parseInt(early.replaceAll('-', '').slice(0, 12), 16)).toBe(Date.UTC(2026, 0, 1))
    expect(early < late).toBe(true)
  })

  it('and tokens have as many bits as asked for', () => {
    expect(Buffer.from(token(160), 'base64url')).toHaveLength(20)
  })
})

describe('time', () => {
  it('repeats every period until cancelled, also when the callback cancels', () => {
    const clock = new FakeClock()
    let ticks = 0
    const timer = every(clock, 10, () => {
      if (++ticks === 3) timer.cancel()
    })
    clock.advance(100)
    expect(ticks).toBe(3)
    expect(clock.pending).toBe(0)
  })

  it('sleeps on the injected clock', async () => {
    const clock = new FakeClock()
    let awake = false
    void sleep(clock, 50).then(() => (awake = true))
    await clock.run(49)
    expect(awake).toBe(false)
    await clock.run(1)
    await settle()
    expect(awake).toBe(true)
  })
})

it('an address to advertise is never a wildcard', () => {
  expect(advertisableAddress('10.1.2.3')).toBe('10.1.2.3')
  expect(advertisableAddress('0.0.0.0')).not.toBe('0.0.0.0')
})
