import { describe, expect, it } from 'vitest'
import { Probe } from '../../src/load/probe.ts'

const frame = (): Uint8Array => new Uint8Array(160).fill(0x55)

describe('Probe', () => {
  it('times a frame each way by the number it carries', () => {
    const probe = new Probe(3)
    probe.startMeasuring()
    const f = frame()
    probe.sending(f, 2, 70_000, 100)
    probe.heard(f, 125)
    probe.returned(f, 146)
    expect(probe.counts).toEqual({ sent: 1, heard: 1, returned: 1 })
    expect(probe.up.minMs).toBe(25)
    expect(probe.down.minMs).toBe(21)
    expect([...f.subarray(10)].every((b) => b === 0x55)).toBe(true)
  })

  it('finds a frame that was shifted by 10 ms', () => {
    const probe = new Probe(1)
    probe.startMeasuring()
    const f = frame()
    probe.sending(f, 0, 1, 0)
    const shifted = new Uint8Array(160).fill(0xff)
    shifted.set(f.subarray(0, 80), 80)
    probe.heard(shifted, 30)
    expect(probe.counts.heard).toBe(1)
  })

  it('counts a repeated frame once and a foreign one never', () => {
    const probe = new Probe(1)
    probe.startMeasuring()
    const f = frame()
    probe.sending(f, 0, 1, 0)
    probe.returned(f, 5) // the bot has not heard it: cannot be
    probe.heard(f, 10)
    probe.heard(f, 12)
    probe.returned(f, 20)
    probe.returned(f, 22)
    expect(probe.counts).toEqual({ sent: 1, heard: 1, returned: 1 })
    const foreign = frame()
    new Probe(5).sending(foreign, 4, 1, 0)
    probe.heard(foreign, 1)
    probe.heard(frame(), 1)
    probe.heard(new Uint8Array(3), 1)
    expect(probe.counts.heard).toBe(1)
  })

  it('takes off the standing delay of each call, learned also before the measurement', () => {
    const probe = new Probe(2)
    const send = (call: number, no: number, ms: number): void => {
      const f = frame()
      probe.sending(f, call, no, 0)
      probe.heard(f, ms)
    }
    send(0, 1, 20)
    send(1, 1, 60)
    probe.startMeasuring()
    send(0, 2, 21)
    send(1, 2, 60)
    expect(probe.up.maxMs).toBe(60)
    expect(probe.upBeyond.maxMs).toBe(1)
    expect(probe.counts.sent).toBe(2)
  })

  it('knows whose frame it is, leaves ignored calls out, and starts anew', () => {
    const probe = new Probe(2)
    probe.startMeasuring()
    const send = (call: number, no: number, ms: number): Uint8Array => {
      const f = frame()
      probe.sending(f, call, no, 0)
      probe.heard(f, ms)
      return f
    }
    expect(probe.callOf(send(1, 1, 30))).toBe(1)
    expect(probe.callOf(frame())).toBe(-1)
    probe.reset()
    probe.ignore(1)
    send(0, 2, 50)
    send(1, 2, 90)
    expect(probe.counts).toEqual({ sent: 1, heard: 1, returned: 0 })
    expect(probe.up.maxMs).toBe(50)
    expect(probe.upBeyond.maxMs).toBe(0)
  })
})
