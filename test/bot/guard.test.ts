import { readFileSync, readdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeInto } from '../../src/audio/g711.ts'
import { Resampler } from '../../src/audio/resampler.ts'
import { tone } from '../../src/audio/tone.ts'
import { readWav, wavFile } from '../../src/audio/wav.ts'
import type { Encoding, SampleRate } from '../../src/bot/dialect.ts'
import { FormatGuard, type Finding } from '../../src/bot/guard.ts'
import { seeded, speechLike } from '../helpers/rtp.ts'

type Format = [encoding: Encoding, sampleRate: SampleRate]
const FORMATS: Format[] = [
  ['pcmu', 8000],
  ['pcma', 8000],
  ['pcm16', 8000],
  ['pcm16', 16_000],
  ['pcm16', 24_000],
]

/** 8 kHz audio as the bytes of a format. */
function bytesOf(pcm: Int16Array, [encoding, sampleRate]: Format): Uint8Array {
  if (encoding !== 'pcm16') {
    const law = new Uint8Array(pcm.length)
    encodeInto(law, pcm, encoding)
    return law
  }
  let samples = pcm
  if (sampleRate !== 8000) {
    const resampler = new Resampler(8000, sampleRate)
    samples = new Int16Array(resampler.outputsOf(pcm.length))
    resampler.process(pcm, pcm.length, samples)
  }
  return Uint8Array.from(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength))
}

function lookAt(bytes: Uint8Array, [encoding, sampleRate]: Format, chunk = 320, guard = new FormatGuard()): Finding[] {
  const found: Finding[] = []
  for (let at = 0; at < bytes.length; at += chunk) {
    const finding = guard.check(bytes.subarray(at, at + chunk), encoding, sampleRate)
    if (finding) found.push(finding)
  }
  return found
}

const speech: Record<string, Int16Array> = Object.fromEntries(
  readdirSync('fixtures/audio')
    .filter((f) => f.endsWith('.wav') && !f.startsWith('tone'))
    .map((f) => [f, readWav(readFileSync(`fixtures/audio/${f}`)).pcm]),
)
const long = ['hello-caller.wav', 'bot-greeting.wav', 'bot-answer.wav']

function noise(amplitude: number, brown = 0): Int16Array {
  const random = seeded(amplitude + 1)
  let level = 0
  return Int16Array.from({ length: 24_000 }, () => {
    level = level * brown + (random() + random() + random() - 1.5) * amplitude
    return Math.max(-32_768, Math.min(32_767, Math.round(level)))
  })
}

describe('a bot that sends files instead of samples', () => {
  it.each([
    ['WAV', wavFile(speechLike(100))],
    ['MP3', Buffer.from('ID3\x03\0\0\0\0', 'latin1')],
    ['Ogg', Buffer.from('OggS\0\x02\0\0', 'latin1')],
    ['FLAC', Buffer.from('fLaC\0\0\0\x22', 'latin1')],
    ['WebM', Buffer.from('1a45dfa39f428681', 'hex')],
  ])('is told at each %s header what it is and what to send', (what, file) => {
    const guard = new FormatGuard()
    for (let i = 0; i < 2; i++) {
      const found = guard.check(file, 'pcm16', 16_000)
      expect(found).toMatchObject({ code: 'bad_audio', play: false })
      expect(found?.message).toMatch(new RegExp(`${what}.*raw pcm16 \\(little-endian\\) at 16000 Hz is expected`))
    }
    expect(guard.check(file, 'pcmu', 8000)?.message).toContain('raw pcmu at 8000 Hz')
  })

  it('is told of MP3 frames without a tag, and never of codec silence', () => {
    // MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes a frame.
    const mp3 = Buffer.alloc(900)
    for (const at of [0, 417]) mp3.set([0xff, 0xfb, 0x90, 0x00], at)
    expect(new FormatGuard().check(mp3, 'pcmu', 8000)?.message).toContain('MP3')
    mp3[417] = 0
    expect(new FormatGuard().check(mp3, 'pcmu', 8000)).toBeUndefined()
    expect(new FormatGuard().check(new Uint8Array(900).fill(0xff), 'pcmu', 8000)).toBeUndefined()
  })
})

describe('a bot that sends another encoding than agreed on', () => {
  it.each(long)('is told once, within its first second of speech, and played (%s)', (name) => {
    for (const agreed of FORMATS)
      for (const sent of FORMATS) {
        if ((agreed[0] === 'pcm16') === (sent[0] === 'pcm16')) continue
        const bytes = bytesOf(speech[name], sent)
        const found = lookAt(bytes, agreed, 333)
        expect(found.length, `${sent.join(' ')} for ${agreed.join(' ')}`).toBe(1)
        expect(found[0]).toMatchObject({ code: 'format_mismatch', play: true })
        expect(found[0].message).toContain(sent[0] === 'pcm16' ? 'looks like 16-bit PCM' : `looks like G.711 (${sent[0]})`) // prettier-ignore
        expect(lookAt(bytes.subarray(0, 40_000), agreed).length).toBe(1)
      }
  })

  it('is told again after another format was agreed on', () => {
    const guard = new FormatGuard()
    const pcm = bytesOf(speech['hello-caller.wav'], ['pcm16', 8000])
    expect(lookAt(pcm, ['pcmu', 8000], 320, guard).length).toBe(1)
    expect(lookAt(pcm, ['pcmu', 8000], 320, guard).length).toBe(0)
    guard.reset()
    expect(lookAt(pcm, ['pcmu', 8000], 320, guard).length).toBe(1)
  })

  it('is found behind seconds of silence', () => {
    const pcm = new Int16Array(80_000)
    pcm.set(speech['bot-greeting.wav'], 60_000)
    expect(lookAt(bytesOf(pcm, ['pcm16', 8000]), ['pcmu', 8000]).length).toBe(1)
    expect(lookAt(bytesOf(pcm, ['pcma', 8000]), ['pcm16', 24_000]).length).toBe(1)
  })
})

describe('a bot that sends what was agreed on', () => {
  const rightly = (pcm: Int16Array, what: string): void => {
    for (const format of FORMATS) expect(lookAt(bytesOf(pcm, format), format), `${what}, ${format.join(' ')}`).toEqual([]) // prettier-ignore
  }

  it('is left alone with speech, loud and low', () => {
    for (const [name, pcm] of Object.entries(speech))
      for (const gain of [0.02, 0.2, 1, 4]) {
        const scaled = Int16Array.from(pcm, (s) => Math.max(-32_768, Math.min(32_767, Math.round(s * gain))))
        rightly(scaled, `${name} × ${gain}`)
        // Any half second of it may be the first one.
        for (let at = 4000; at < scaled.length; at += 4000) rightly(scaled.subarray(at, at + 6000), `${name} from ${at}`) // prettier-ignore
      }
    for (let seed = 0; seed < 10; seed++) rightly(speechLike(3000, seed), `speech ${seed}`)
  }, 20_000)

  it('is left alone with silence and noise of any level', () => {
    rightly(new Int16Array(24_000), 'silence')
    for (const amplitude of [1, 2, 4, 8, 16, 32, 64, 128, 512, 2048, 8192, 20_000]) {
      rightly(noise(amplitude), `white noise ${amplitude}`)
      rightly(noise(amplitude / 4, 0.95), `brown noise ${amplitude}`)
    }
  })

  it('is left alone with tones and chords, whatever their phase', () => {
    for (const hz of [
      50, 100, 250, 300, 440, 500, 800, 1000, 1004, 1333, 1600, 2000, 2500, 2667, 3000, 3200, 3900, 4000,
    ])
      for (const levelDb of [-40, -12, -1])
        for (const phase of [0, Math.PI / 8, Math.PI / 4, Math.PI / 2]) {
          const amplitude = 32_767 * 10 ** (levelDb / 20)
          const pcm = Int16Array.from({ length: 9000 }, (_, i) =>
            Math.round(amplitude * Math.sin((2 * Math.PI * hz * i) / 8000 + phase)),
          )
          rightly(pcm, `${hz} Hz at ${levelDb} dB`)
        }
    for (const root of [110, 262, 440, 523]) {
      const chord = [root, root * 1.26, root * 1.5, root * 2, root * 3.02]
      rightly(tone(chord, 2000, { levelDb: -20 }), `chord ${root}`)
    }
  }, 20_000)

  it('is left alone with steps and pulses at the rates of pcm16', () => {
    for (const format of FORMATS.slice(2))
      for (const period of [2, 3, 4, 5, 8, 16, 24, 160])
        for (const level of [10, 255, 256, 4112, 30_000]) {
          const pcm = Int16Array.from({ length: 20_000 }, (_, i) => (i % period < period / 2 ? level : -level))
          expect(lookAt(new Uint8Array(pcm.buffer), format), `${level} each ${period}`).toEqual([])
        }
  })

  it('comes to the same end however the bytes are cut, and never throws', () => {
    const bytes = bytesOf(speech['bot-answer.wav'], ['pcm16', 8000])
    fc.assert(
      fc.property(fc.constantFrom(...FORMATS), fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 30 }), (format, cuts) => {
        const guard = new FormatGuard()
        let found = 0
        let at = 0
        for (const n of [...cuts, bytes.length]) {
          if (guard.check(bytes.subarray(at, at + n), ...format)) found++
          at += n
        }
        expect(found).toBe(format[0] === 'pcm16' ? 0 : 1)
      }),
      { numRuns: 50 },
    ) // prettier-ignore
    fc.assert(
      fc.property(fc.constantFrom(...FORMATS), fc.uint8Array({ maxLength: 2000 }), (format, junk) => {
        new FormatGuard().check(junk, ...format)
      }),
      { numRuns: 300 },
    )
  })
})
