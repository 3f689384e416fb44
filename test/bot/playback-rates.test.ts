import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DECODE, ENCODE } from '../../src/audio/g711.ts'
import { FRAME_SAMPLES, SILENCE, type Law } from '../../src/audio/flow.ts'
import { DELAY_SAMPLES, Resampler } from '../../src/audio/resampler.ts'
import { sine } from '../../src/audio/tone.ts'
import { readWav } from '../../src/audio/wav.ts'
import type { Encoding, SampleRate } from '../../src/bot/dialect.ts'
import { Playback, type Gate } from '../../src/bot/playback.ts'
import { seeded } from '../helpers/rtp.ts'

const FORMATS: [Encoding, SampleRate][] = [
  ['pcmu', 8000],
  ['pcma', 8000],
  ['pcm16', 8000],
  ['pcm16', 16_000],
  ['pcm16', 24_000],
]
const HIGH = [16_000, 24_000] as const

function rig(encoding: Encoding, sampleRate: SampleRate, options: { bufferMs?: number; law?: Law; gate?: Gate } = {}) {
  const told: string[] = []
  const law = options.law ?? 'pcmu'
  const playback = new Playback({
    format: { encoding, sampleRate },
    bufferMs: options.bufferMs ?? 120_000,
    gate: options.gate ?? 'open',
    lawHint: law,
    listener: {
      mark: (name, status, ms, item) => told.push(`mark ${name} ${status} ${ms}${item ? ` ${item}` : ''}`),
      playback: (state, queuedMs, item) => told.push(`${state} ${queuedMs}${item ? ` ${item}` : ''}`),
      flow: (state, queuedMs) => told.push(`${state} ${queuedMs}`),
      empty: () => told.push('empty'),
    },
  })
  const frame = new Uint8Array(FRAME_SAMPLES)
  const play = (n: number): Buffer => {
    const out: Buffer[] = []
    for (let i = 0; i < n; i++) if (playback.frameInto(frame, law)) out.push(Buffer.from(frame))
    return Buffer.concat(out)
  }
  return { playback, told, play }
}

const bytesOf = (pcm: Int16Array): Uint8Array => new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength)
/** `ms` of loud noise. */
const noise = (ms: number, rate: SampleRate, seed = 1): Uint8Array => {
  const random = seeded(seed)
  return bytesOf(Int16Array.from({ length: (ms * rate) / 1000 }, () => (random() - 0.5) * 40_000))
}
const decoded = (bytes: Uint8Array, law: Law = 'pcmu'): Int16Array => Int16Array.from(bytes, (b) => DECODE[law][b])

describe('a bot that speaks at 16 or 24 kHz', () => {
  it('gives the same frames however its bytes are cut, odd ones too, in every format', () => {
    for (const [encoding, sampleRate] of FORMATS) {
      const random = seeded(sampleRate)
      const audio = Uint8Array.from({ length: 20_000 }, () => random() * 256)
      const whole = rig(encoding, sampleRate)
      whole.playback.write(audio)
      whole.playback.done()
      const expected = whole.play(300)
      fc.assert(
        fc.property(
          fc.array(fc.oneof(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 0, max: 3000 })), { maxLength: 40 }),
          (cuts) => {
            const cut = rig(encoding, sampleRate)
            let at = 0
            for (const n of [...cuts, audio.length]) cut.playback.write(audio.subarray(at, (at += n)))
            cut.playback.done()
            expect(Buffer.compare(cut.play(300), expected)).toBe(0)
          },
        ),
        { numRuns: 60 },
      )
    }
  })

  it('gives the same frames when what does not fit was cut off, however its bytes are cut', () => {
    for (const [encoding, sampleRate] of FORMATS) {
      const audio = noise(700, sampleRate)
      const whole = rig(encoding, sampleRate, { bufferMs: 100 })
      const refused = whole.playback.write(audio)
      whole.playback.done()
      const expected = whole.play(300)
      fc.assert(
        fc.property(fc.array(fc.integer({ min: 1, max: 900 }), { maxLength: 40 }), (cuts) => {
          const cut = rig(encoding, sampleRate, { bufferMs: 100 })
          let at = 0
          for (const n of [...cuts, audio.length]) cut.playback.write(audio.subarray(at, (at += n)))
          cut.playback.done()
          expect(Buffer.compare(cut.play(300), expected)).toBe(0)
          if (encoding !== 'pcm16' || sampleRate === 8000) expect(cut.playback.stats.refusedSamples).toBe(refused)
        }),
        { numRuns: 30 },
      )
    }
  })

  it.each(HIGH)('is heard at %i Hz as the resampler gives it, tail included', (rate) => {
    for (const law of ['pcmu', 'pcma'] as const) {
      const { playback, play, told } = rig('pcm16', rate, { law })
      const audio = noise(200, rate)
      playback.write(audio, 'i')
      playback.done('i')
      const resampler = new Resampler(rate, 8000)
      const samples = new Int16Array(audio.buffer)
      const out = new Int16Array(1600 + DELAY_SAMPLES)
      resampler.process(samples, samples.length, out)
      const tail = new Int16Array(DELAY_SAMPLES)
      resampler.flush(tail)
      out.set(tail, 1600)
      const heard = play(12)
      expect([...heard.subarray(0, out.length)]).toEqual([...out].map((s) => ENCODE[law][s & 0xffff]))
      expect([...heard.subarray(out.length)].every((b) => b === SILENCE[law])).toBe(true)
      expect(heard.length).toBe(11 * 160)
      expect(told).toEqual(['started 203 i', 'drained 0 i'])
    }
  })

  it.each(HIGH)('keeps speech from %i Hz above 35 dB of what µ-law leaves, and tones above 4 kHz silent', (rate) => {
    const { playback, play } = rig('pcm16', rate)
    playback.write(bytesOf(sine(1000, 1000, { rateHz: rate, levelDb: -6 })))
    playback.done()
    const heard = decoded(play(60))
    const ideal = sine(1000, 1000, { levelDb: -6 })
    let error = 0
    let signal = 0
    for (let i = 200; i < 7900; i++) {
      const coded = DECODE.pcmu[ENCODE.pcmu[ideal[i - DELAY_SAMPLES] & 0xffff]]
      error += (heard[i] - coded) ** 2
      signal += coded ** 2
    }
    expect(10 * Math.log10(signal / error)).toBeGreaterThan(35)
    const high = rig('pcm16', rate)
    high.playback.write(bytesOf(sine(5000, 1000, { rateHz: rate, levelDb: -6 })))
    expect(Math.max(...decoded(high.play(49)).subarray(200))).toBeLessThan(16_384 / 300)
  })

  it('is heard whole when 60 s come in 6 s, in every format', () => {
    const speech = readWav(readFileSync('fixtures/audio/hello-caller.wav')).pcm
    for (const [encoding, sampleRate] of FORMATS) {
      const { playback, play, told } = rig(encoding, sampleRate)
      const factor = (encoding === 'pcm16' ? 2 : 1) * (sampleRate / 8000)
      const bytes = Uint8Array.from({ length: 480_000 * factor }, (_, i) => speech[i % speech.length] & 255)
      const chunk = 3200 * factor
      let frames = 0
      // 400 ms each 40 ms: two slots are played meanwhile.
      for (let at = 0; at < bytes.length; at += chunk) {
        expect(playback.write(bytes.subarray(at, at + chunk))).toBe(0)
        frames += play(2).length / 160
      }
      playback.mark('end')
      playback.done()
      frames += play(4000).length / 160
      expect(frames).toBe(sampleRate === 8000 ? 3000 : 3001)
      expect(playback.stats).toMatchObject({ refusedSamples: 0, skippedSamples: 0, underruns: 0 })
      expect(told.at(-2)).toBe('mark end played 60000')
      expect(told.at(-1)).toBe('drained 0')
    }
  })

  it.each(HIGH)('at %i Hz is told what was heard in its own time, the filter left out', (rate) => {
    const { playback, play, told } = rig('pcm16', rate)
    playback.write(noise(100, rate), 'a')
    playback.mark('end-a')
    playback.write(noise(60, rate), 'b')
    playback.mark('end-b')
    playback.done('b')
    play(9)
    expect(told).toContain('mark end-a played 100 a')
    expect(told).toContain('mark end-b played 60 b')
    playback.write(noise(1000, rate), 'c')
    play(7)
    const cleared = playback.clear()
    expect(cleared).toEqual({ playedMs: 137, discardedMs: 863, items: [{ itemId: 'c', playedMs: 137, discardedMs: 863 }] }) // prettier-ignore
    expect(play(3).length).toBe(0)
  })

  it.each(HIGH)('at %i Hz loses one item from the middle and keeps the marks of the others', (rate) => {
    const { playback, play, told } = rig('pcm16', rate)
    for (const item of ['a', 'b', 'c']) {
      playback.write(noise(60, rate), item)
      playback.mark(`end-${item}`)
    }
    expect(playback.clear('b')).toMatchObject({ discardedMs: 60, items: [{ itemId: 'b', playedMs: 0 }] })
    expect(playback.clear('c')).toMatchObject({ discardedMs: 60, items: [{ itemId: 'c', playedMs: 0 }] })
    play(6)
    expect(told.filter((t) => t.startsWith('mark'))).toEqual([
      'mark end-b cleared 0 b',
      'mark end-c cleared 0 c',
      'mark end-a played 60 a',
    ])
    expect(playback.queuedSamples).toBe(0)
  })

  it.each(HIGH)('at %i Hz has its last mark answered when it just stops sending', (rate) => {
    for (const ms of [0.05, 1, 19, 20, 33, 100]) {
      const { playback, play, told } = rig('pcm16', rate)
      playback.write(noise(ms === 0.05 ? 1000 / rate : ms, rate))
      playback.mark('m')
      play(10)
      expect(
        told.filter((t) => t.startsWith('mark')),
        `${ms} ms`,
      ).toEqual([`mark m played ${Math.round(ms)}`])
      expect(told.at(-1)).toBe('drained 0')
      expect(playback.stats.underruns).toBe(0)
    }
  })

  it.each(HIGH)('at %i Hz gets its underrun in the slot that had nothing, and the tail in it', (rate) => {
    const { playback, play, told } = rig('pcm16', rate)
    playback.write(noise(40, rate))
    expect(play(2).length).toBe(320)
    expect(told).toEqual(['started 40'])
    const tail = play(1)
    expect(tail.length).toBe(160)
    expect([...tail.subarray(DELAY_SAMPLES)].every((b) => b === SILENCE.pcmu)).toBe(true)
    expect(told).toEqual(['started 40', 'underrun 0'])
    expect(play(3).length).toBe(0)
    expect(playback.stats.underruns).toBe(1)
    playback.write(noise(20, rate))
    expect(play(1).length).toBe(160)
  })

  it.each(HIGH)('streaming at %i Hz in real time needs no more delay than at 8 kHz, and no seam is heard', (rate) => {
    const { playback, play, told } = rig('pcm16', rate)
    const audio = noise(2000, rate)
    const chunk = audio.length / 100
    const heard: Buffer[] = []
    for (let i = 0; i < 100; i++) {
      playback.write(audio.subarray(i * chunk, (i + 1) * chunk))
      heard.push(play(1))
    }
    expect(told).toEqual(['started 20'])
    const whole = rig('pcm16', rate)
    whole.playback.write(audio)
    expect(Buffer.compare(Buffer.concat(heard), whole.play(100))).toBe(0)
  })

  it('changes format between two messages: what is queued stays, the filter is emptied', () => {
    const { playback, play } = rig('pcm16', 16_000)
    playback.write(noise(40, 16_000))
    playback.setFormat('pcmu', 8000)
    expect([playback.encoding, playback.sampleRate]).toEqual(['pcmu', 8000])
    playback.write(new Uint8Array(160).fill(0x55))
    playback.done()
    const heard = play(4)
    expect([...heard.subarray(320 + DELAY_SAMPLES, 480 + DELAY_SAMPLES)].every((b) => b === 0x55)).toBe(true)
    playback.setFormat('pcm16', 24_000)
    expect([playback.encoding, playback.sampleRate]).toEqual(['pcm16', 24_000])
    playback.setFormat('pcma', 24_000)
    expect([playback.encoding, playback.sampleRate]).toEqual(['pcma', 8000])
  })

  it('keeps to its samples over what was refused before the answer', () => {
    const { playback, play } = rig('pcm16', 8000, { gate: 'drop' })
    playback.write(Uint8Array.of(1, 2, 3))
    playback.setGate('open')
    const pcm = sine(500, 20)
    playback.write(Uint8Array.of(4, ...bytesOf(pcm)))
    playback.done()
    expect([...play(2).subarray(1, 160)]).toEqual([...pcm.subarray(0, 159)].map((s) => ENCODE.pcmu[s & 0xffff]))
  })
})

describe('a pause', () => {
  it('plays nothing, counts nothing, and goes on with the very next sample', () => {
    const { playback, play, told } = rig('pcmu', 8000)
    const audio = Uint8Array.from({ length: 1600 }, (_, i) => (i % 200) + 1)
    playback.write(audio, 'i')
    const before = play(3)
    playback.pause(true)
    playback.pause(true)
    expect([playback.paused, playback.playing]).toEqual([true, false])
    expect(play(500).length).toBe(0)
    playback.skipped(10)
    playback.pause(false)
    expect([playback.paused, playback.playing]).toEqual([false, true])
    expect(Buffer.concat([before, play(7)])).toEqual(Buffer.from(audio))
    expect(told).toEqual(['started 200 i', 'paused 140 i', 'resumed 140 i'])
    expect(playback.stats).toMatchObject({ underruns: 0, skippedSamples: 0, playedFrames: 10 })
  })

  it('is ended by a clear, and what comes then is played at once', () => {
    const { playback, play, told } = rig('pcmu', 8000)
    playback.write(new Uint8Array(1600).fill(1), 'a')
    playback.mark('m')
    play(2)
    playback.pause(true)
    expect(playback.clear()).toMatchObject({ playedMs: 40, discardedMs: 160 })
    expect(playback.paused).toBe(false)
    playback.write(new Uint8Array(160).fill(2), 'b')
    expect(play(1)).toEqual(Buffer.alloc(160, 2))
    expect(told).toEqual(['started 200 a', 'paused 160 a', 'mark m cleared 40 a', 'resumed 0', 'started 20 b'])
  })

  it('outlives the clear of an item that was yet to come', () => {
    const { playback } = rig('pcmu', 8000)
    for (const item of ['a', 'b']) playback.write(new Uint8Array(1600), item)
    playback.pause(true)
    playback.clear('b')
    expect(playback.paused).toBe(true)
    playback.clear('a')
    expect(playback.paused).toBe(false)
  })

  it('lets the queue grow to its cap and no further', () => {
    const { playback, play } = rig('pcm16', 16_000, { bufferMs: 1000 })
    playback.write(noise(100, 16_000))
    playback.pause(true)
    for (let i = 0; i < 20; i++) playback.write(noise(100, 16_000))
    expect(playback.queuedMs).toBe(1000)
    playback.pause(false)
    expect(play(60).length).toBe(51 * 160)
  })
})

describe('marks', () => {
  it('that wait are listed in order', () => {
    const { playback, play } = rig('pcm16', 24_000)
    for (const name of ['a', 'b', 'c']) {
      playback.write(noise(40, 24_000))
      playback.mark(name)
    }
    playback.done()
    expect(playback.unplayedMarks).toEqual(['a', 'b', 'c'])
    play(4)
    expect(playback.unplayedMarks).toEqual(['b', 'c'])
    playback.stop()
    expect(playback.unplayedMarks).toEqual([])
  })

  it('behind what is still in the filter do not wait for a caller who talks to someone else', () => {
    const { playback, play, told } = rig('pcm16', 16_000)
    playback.write(noise(20, 16_000))
    playback.mark('m')
    playback.notifyWhenEmpty()
    play(1)
    expect(told).toEqual(['started 20'])
    playback.setGate('drop')
    expect(told.slice(1)).toEqual(['mark m cleared 17', 'drained 0', 'empty'])
  })

  it('are answered exactly once, whatever happens in between, in every format', () => {
    const item = fc.constantFrom(undefined, 'a', 'b', 'c')
    const action = fc.oneof(
      fc.record({ do: fc.constant('write' as const), n: fc.integer({ min: 0, max: 3000 }), item }),
      fc.record({ do: fc.constant('write' as const), n: fc.integer({ min: 1, max: 7 }), item }),
      fc.record({ do: fc.constant('mark' as const) }),
      fc.record({ do: fc.constantFrom('done' as const, 'empty' as const) }),
      fc.record({ do: fc.constant('clear' as const), item }),
      fc.record({ do: fc.constant('pause' as const), paused: fc.boolean() }),
      fc.record({ do: fc.constant('play' as const), n: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ do: fc.constant('giveUp' as const), n: fc.integer({ min: 1, max: 3 }) }),
      fc.record({ do: fc.constant('gate' as const), to: fc.constantFrom<Gate>('open', 'open', 'hold', 'drop') }),
      fc.record({ do: fc.constant('format' as const), to: fc.constantFrom(...FORMATS) }),
    )
    const end = fc.constantFrom('stop' as const, 'playOut' as const)
    fc.assert(
      fc.property(fc.constantFrom(...FORMATS), fc.array(action, { maxLength: 80 }), end, (format, actions, ending) => {
        const { playback, told, play } = rig(...format, { bufferMs: 500 })
        const audio = noise(500, 24_000)
        const marks: string[] = []
        let paused = false
        for (const a of actions) {
          if (a.do === 'play') play(a.n)
          else if (a.do === 'write') playback.write(audio.subarray(0, a.n), a.item)
          else if (a.do === 'mark') {
            const name = `m${marks.length}`
            if (playback.mark(name)) marks.push(name)
          } else if (a.do === 'done') playback.done()
          else if (a.do === 'empty') playback.notifyWhenEmpty()
          else if (a.do === 'gate') playback.setGate(a.to)
          else if (a.do === 'format') playback.setFormat(...a.to)
          else if (a.do === 'giveUp') playback.giveUp(a.n)
          else if (a.do === 'pause') {
            playback.pause(a.paused)
            paused = a.paused
          } else if (a.do === 'clear') {
            const { playedMs, discardedMs, items } = playback.clear(a.item)
            expect(Math.min(playedMs, discardedMs, ...items.flatMap((i) => [i.playedMs, i.discardedMs]))).toBeGreaterThanOrEqual(0) // prettier-ignore
            if (a.item === undefined) expect([playback.queuedSamples, playback.unplayedMarks]).toEqual([0, []])
            paused = playback.paused
          }
          expect(playback.paused).toBe(paused)
          const answered = told.filter((t) => t.startsWith('mark ')).map((t) => t.split(' ')[1])
          expect([...answered, ...playback.unplayedMarks].toSorted()).toEqual(marks.toSorted())
        }
        if (ending === 'stop') playback.stop()
        else {
          // Nothing more comes, and nobody says so: everything is heard all the same.
          playback.setGate('open')
          playback.pause(false)
          play(60)
        }
        expect(playback.unplayedMarks).toEqual([])
        expect(playback.queuedSamples).toBe(0)
        const answered = told.filter((t) => t.startsWith('mark ')).map((t) => t.split(' ')[1])
        expect(answered.toSorted()).toEqual(marks.toSorted())
        if (ending === 'playOut') expect(told.filter((t) => t === 'empty').length).toBeLessThanOrEqual(actions.length)
      }),
      { numRuns: 600 },
    )
  })
})
