import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { ntpMiddle, readRtcp, RtcpReport, rttMs, writeRtcp, type ReceptionReport } from '../../src/rtp/rtcp.ts'

const block = (more: Partial<ReceptionReport> = {}): ReceptionReport => ({
  ssrc: 0xcafe,
  fractionLost: 12,
  cumulativeLost: -3,
  extendedSeq: 0x0001_ffff,
  jitter: 80,
  lastSr: 0,
  sinceLastSr: 0,
  ...more,
})
const WALL = Date.UTC(2026, 0, 1)

describe('RTCP', () => {
  it('reads its own compound of SR, SDES and BYE', () => {
    const dst = Buffer.alloc(256)
    const n = writeRtcp(
      dst,
      0xbeef,
      'abcdef',
      { wallMs: WALL, rtpTs: 160, packets: 3, payloadBytes: 480 },
      block(),
      true,
    )
    expect(n % 4).toBe(0)
    const report = new RtcpReport()
    expect(readRtcp(report, dst.subarray(0, n), 0xcafe)).toBe(true)
    expect(report).toMatchObject({
      srMiddle: ntpMiddle(WALL),
      bye: true,
      aboutUs: true,
      fractionLost: 12,
      cumulativeLost: -3,
      jitter: 80,
    })
    expect(dst.readUInt32BE(8) - 2_208_988_800).toBe(WALL / 1000)
  })

  it('sends an RR when it has sent nothing, also without a block', () => {
    const dst = Buffer.alloc(256)
    const n = writeRtcp(dst, 1, 'x', undefined, undefined)
    expect(dst[1]).toBe(201)
    const report = new RtcpReport()
    expect(readRtcp(report, dst.subarray(0, n), 1)).toBe(true)
    expect(report).toMatchObject({ srMiddle: 0, bye: false, aboutUs: false })
  })

  it('accepts a packet of 4 bytes and refuses 3', () => {
    expect(readRtcp(new RtcpReport(), Buffer.of(0x80, 201, 0, 0), 1)).toBe(true)
    expect(readRtcp(new RtcpReport(), Buffer.of(0x80, 201, 0), 1)).toBe(false)
  })

  it('measures the round trip from LSR and DLSR, over the wrap of the middle bits', () => {
    const report = new RtcpReport()
    for (const wallMs of [WALL, (65_536 * 27_000 - 2_208_988_800 + 65_536 * 30_000 - 65_536 * 20_000) * 1000]) {
      const dst = Buffer.alloc(256)
      const lastSr = ntpMiddle(wallMs - 250)
      const n = writeRtcp(dst, 1, 'x', undefined, block({ lastSr, sinceLastSr: 0.2 * 65_536 }))
      readRtcp(report, dst.subarray(0, n), 0xcafe)
      expect(rttMs(report, wallMs)).toBeCloseTo(50, 0)
    }
    report.lastSr = 0
    expect(rttMs(report, WALL)).toBeUndefined()
  })

  it('survives lies in lengths and counts', () => {
    const good = Buffer.alloc(256)
    const n = writeRtcp(good, 0xbeef, 'abcdef', { wallMs: WALL, rtpTs: 1, packets: 1, payloadBytes: 1 }, block(), true)
    fc.assert(
      fc.property(fc.nat(n - 1), fc.nat(255), fc.nat(n), (at, byte, cut) => {
        const bad = Buffer.from(good.subarray(0, n - cut))
        if (at < bad.length) bad[at] = byte
        readRtcp(new RtcpReport(), bad, 0xcafe)
      }),
      { numRuns: 3000 },
    )
  })
})
