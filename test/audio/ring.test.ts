import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { crossTable } from '../../src/audio/g711.ts'
import { ByteRing } from '../../src/audio/ring.ts'

describe('ByteRing', () => {
  it('refuses a size that is no power of two', () => {
    expect(() => new ByteRing(100)).toThrow('power of two')
  })

  it('behaves as an unbounded queue cut at its capacity, over any wraps', () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('write' as const), n: fc.nat(40) }),
      fc.record({ do: fc.constant('read' as const), n: fc.nat(40) }),
      fc.record({ do: fc.constant('skip' as const), n: fc.nat(40) }),
      fc.record({ do: fc.constant('fill' as const), n: fc.nat(40) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const ring = new ByteRing(32)
        const model: number[] = []
        let next = 0
        for (const { do: what, n } of steps) {
          if (what === 'write') {
            const src = Uint8Array.from({ length: n }, () => next++ & 255)
            const written = ring.write(src)
            expect(written).toBe(Math.min(n, 32 - model.length))
            model.push(...src.subarray(0, written))
          } else if (what === 'fill') model.push(...new Array<number>(ring.fill(9, n)).fill(9))
          else if (what === 'skip') model.splice(0, ring.skip(n))
          else {
            const dst = new Uint8Array(n)
            const got = ring.readInto(dst)
            expect([...dst.subarray(0, got)]).toEqual(model.splice(0, got))
          }
          expect(ring.length).toBe(model.length)
          expect(ring.free).toBe(32 - model.length)
          expect(ring.written - ring.taken).toBe(model.length)
        }
      }),
      { numRuns: 300 },
    )
  })

  it('changes the law on the way in or out', () => {
    const table = crossTable('pcmu', 'pcma')
    const ring = new ByteRing(8)
    ring.write(Uint8Array.of(0xff, 0x00), 0, 2, table)
    ring.write(Uint8Array.of(1, 0xff, 2), 1, 2)
    const dst = new Uint8Array(4)
    expect(ring.readInto(dst, 2, 1)).toBe(2)
    expect([...dst]).toEqual([0, 0xd5, table?.[0], 0])
    expect(ring.readInto(dst, 1, 0, table)).toBe(1)
    expect(dst[0]).toBe(0xd5)
    ring.fill(1, 3)
    ring.clear()
    expect(ring.length).toBe(0)
  })
})
