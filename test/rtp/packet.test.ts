import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import { looksLikeRtcp, readRtp, RtpHeader, writeRtp } from '../../src/rtp/packet.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')

describe('RTP header', () => {
  it('reads back what it writes, extremes included', () => {
    const dst = Buffer.alloc(12)
    const h = new RtpHeader()
    for (const [pt, marker, seq, ts, ssrc] of [
      [0, false, 0, 0, 0],
      [127, true, 65_535, 0xffff_ffff, 0xffff_ffff],
      [8, false, 0x8001, 0x8000_0001, 0x8000_0000],
    ] as const) {
      writeRtp(dst, pt, marker, seq, ts, ssrc)
      expect(readRtp(h, dst)).toBe(true)
      expect(h).toMatchObject({ payloadType: pt, marker, seq, rtpTs: ts, ssrc, payloadAt: 12, payloadEnd: 12 })
    }
  })

  it.each([
    ['plain', '80 00 0001 00000002 00000003 aabb', 12, 14],
    ['two CSRCs', '82 00 0001 00000002 00000003 00000004 00000005 aabb', 20, 22],
    ['extension of one word', '90 00 0001 00000002 00000003 bede0001 01020304 aabb', 20, 22],
    ['padding of 3', 'a0 00 0001 00000002 00000003 aabb 000003', 12, 14],
    ['all of them', 'b1 00 0001 00000002 00000003 00000004 bede0001 01020304 aabb 0002', 24, 26],
    ['all padding', 'a0 00 0001 00000002 00000003 000003', 12, 12],
  ])('finds the payload behind %s', (_, text, from, to) => {
    const h = new RtpHeader()
    expect(readRtp(h, hex(text))).toBe(true)
    expect([h.payloadAt, h.payloadEnd]).toEqual([from, to])
  })

  it.each([
    ['11 bytes', '80 00 0001 00000002 000000'],
    ['version 1', '40 00 0001 00000002 00000003 aabb'],
    ['CSRCs that are not there', '8f 00 0001 00000002 00000003 aabb'],
    ['an extension header that is not there', '90 00 0001 00000002 00000003 be'],
    ['an extension longer than the packet', '90 00 0001 00000002 00000003 bedeffff 01020304'],
    ['padding of 0', 'a0 00 0001 00000002 00000003 aabb00'],
    ['padding longer than the payload', 'a0 00 0001 00000002 00000003 aabb04'],
    ['nothing', ''],
  ])('refuses %s', (_, text) => {
    expect(readRtp(new RtpHeader(), hex(text))).toBe(false)
  })

  it('keeps the payload inside any packet', () => {
    const h = new RtpHeader()
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (noise) => {
        const data = Uint8Array.from([0x80 | ((noise[0] ?? 0) & 0x3f), ...noise.subarray(1)])
        if (!readRtp(h, data)) return
        expect(h.payloadAt).toBeGreaterThanOrEqual(12)
        expect(h.payloadAt).toBeLessThanOrEqual(h.payloadEnd)
        expect(h.payloadEnd).toBeLessThanOrEqual(data.length)
      }),
      { numRuns: 3000 },
    )
  })

  it('tells RTCP from RTP on one port', () => {
    expect(looksLikeRtcp(hex('80c9 0000'))).toBe(true)
    expect(looksLikeRtcp(hex('8000 0001'))).toBe(false)
    expect(looksLikeRtcp(hex('8065 0001'))).toBe(false)
  })
})
