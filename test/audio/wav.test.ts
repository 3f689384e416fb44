import { describe, expect, it } from 'vitest'
import * as fc from 'fast-check'
import wavefile from 'wavefile'
import { readWav, readWavFormat, WavError, wavFile, wavHeader } from '../../src/audio/wav.ts'
import { sine } from '../../src/audio/tone.ts'

const tone = sine(440, 100)

describe('WAV', () => {
  it('writes what wavefile reads, mono and stereo', () => {
    const file = new wavefile.WaveFile(wavFile(tone, sine(600, 50)))
    const [left, right] = file.getSamples(false, Int16Array) as unknown as Int16Array[]
    expect([...left]).toEqual([...tone])
    expect([...right.subarray(0, 400)]).toEqual([...sine(600, 50)])
    expect(right[500]).toBe(0)
    expect(new wavefile.WaveFile(wavFile(tone)).getSamples(false, Int16Array)).toEqual(tone)
  })

  it('reads what wavefile writes: PCM16, both laws, extra chunks', () => {
    const made = new wavefile.WaveFile()
    made.fromScratch(1, 8000, '16', tone)
    made.setTag('ICMT', 'a comment')
    expect(readWav(Buffer.from(made.toBuffer())).pcm).toEqual(tone)
    made.toMuLaw()
    const law = readWav(Buffer.from(made.toBuffer()))
    expect(law.format).toMatchObject({ encoding: 'pcmu', channels: 1, rateHz: 8000 })
    expect(law.pcm.length).toBe(tone.length)
    expect(Math.abs(law.pcm[5] - tone[5])).toBeLessThan(200)
  })

  it('picks a channel', () => {
    expect(readWav(wavFile(tone, sine(600, 100)), 1).pcm).toEqual(sine(600, 100))
  })

  it.each([0, 0xffff_ffff, 1_000_000])('takes the rest of the file when the data size is %i', (size) => {
    const file = wavFile(tone)
    file.writeUInt32LE(size, 40)
    expect(readWav(file).pcm).toEqual(tone)
  })

  it.each([
    ['no WAV', Buffer.from('ID3 mp3 data that is longer than a header of a wav file')],
    ['0 Hz', ((f) => (f.writeUInt32LE(0, 24), f))(wavFile(tone))],
    ['64 channels', ((f) => (f.writeUInt16LE(64, 22), f))(wavFile(tone))],
    ['1 bit', ((f) => (f.writeUInt16LE(1, 34), f))(wavFile(tone))],
    ['a LIST of 2 GB', ((f) => (f.write('LIST', 36), f.writeUInt32LE(0x7fff_ffff, 40), f))(wavFile(tone))],
    ['nothing', Buffer.alloc(0)],
  ])('refuses %s', (_, file) => {
    expect(() => readWavFormat(file)).toThrow(WavError)
  })

  it('never throws anything else and never claims bytes that are not there', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.nat(60), (noise, at) => {
        const file = Buffer.concat([wavHeader(100, 1), Buffer.alloc(40)])
        file.set(noise.subarray(0, file.length - at), at)
        try {
          const { format, pcm } = readWav(file)
          expect(format.dataOffset + format.dataBytes).toBeLessThanOrEqual(file.length)
          expect(pcm.length).toBeLessThanOrEqual(file.length)
        } catch (err) {
          expect(err).toBeInstanceOf(WavError)
        }
      }),
      { numRuns: 2000 },
    )
  })
})
