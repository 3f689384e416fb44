import { describe, expect, it } from 'vitest'
import { alaw, mulaw } from 'alawmulaw'
import { crossTable, DECODE, decodeInto, ENCODE, encodeInto, transcodeInto } from '../../src/audio/g711.ts'
import { SILENCE } from '../../src/audio/flow.ts'

const ALL = Uint8Array.from({ length: 256 }, (_, i) => i)

describe('G.711', () => {
  it('agrees with alawmulaw on every code and every sample', () => {
    for (let i = 0; i < 256; i++) {
      expect(DECODE.pcmu[i]).toBe(mulaw.decodeSample(i) + 0)
      expect(DECODE.pcma[i]).toBe(alaw.decodeSample(i))
    }
    for (let s = -32_768; s < 32_768; s += 7) {
      expect(ENCODE.pcmu[s & 0xffff]).toBe(mulaw.encodeSample(s) & 0xff)
      expect(ENCODE.pcma[s & 0xffff]).toBe(alaw.encodeSample(s) & 0xff)
    }
  })

  it.each(['pcmu', 'pcma'] as const)('gives every %s code back after decoding, negative zero excepted', (law) => {
    const pcm = new Int16Array(256)
    const back = new Uint8Array(256)
    decodeInto(pcm, ALL, law)
    encodeInto(back, pcm, law)
    for (let i = 0; i < 256; i++) expect(back[i]).toBe(law === 'pcmu' && i === 0x7f ? 0xff : i)
  })

  it('holds silence as the smallest level of each law', () => {
    expect(DECODE.pcmu[SILENCE.pcmu]).toBe(0)
    expect(DECODE.pcma[SILENCE.pcma]).toBe(8)
    expect(ENCODE.pcmu[0]).toBe(SILENCE.pcmu)
    expect(ENCODE.pcma[0]).toBe(SILENCE.pcma)
  })

  it('copies bytes untouched within a law and maps through PCM between laws, also in place', () => {
    const dst = new Uint8Array(256)
    transcodeInto(dst, ALL, 'pcmu', 'pcmu')
    expect(dst).toEqual(ALL)
    transcodeInto(dst, dst, 'pcmu', 'pcma')
    for (let i = 0; i < 256; i++) expect(dst[i]).toBe(ENCODE.pcma[DECODE.pcmu[i] & 0xffff])
    expect(crossTable('pcma', 'pcma')).toBeUndefined()
  })
})
