import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { DECODE, ENCODE } from '../../src/audio/g711.ts'
import { FRAME_SAMPLES, SILENCE, type Law } from '../../src/audio/flow.ts'
import { Playback, type Gate } from '../../src/bot/playback.ts'
import type { Encoding, SampleRate } from '../../src/bot/dialect.ts'

const LAW: Law = 'pcmu'

function rig(
  options: { encoding?: Encoding; sampleRate?: SampleRate; bufferMs?: number; gate?: Gate; lawHint?: Law } = {},
) {
  const told: string[] = []
  const playback = new Playback({
    format: { encoding: options.encoding ?? 'pcmu', sampleRate: options.sampleRate ?? 8000 },
    bufferMs: options.bufferMs ?? 120_000,
    gate: options.gate ?? 'open',
    lawHint: options.lawHint,
    listener: {
      mark: (name, status, ms, item) => told.push(`mark ${name} ${status} ${ms}${item ? ` ${item}` : ''}`),
      playback: (state, queuedMs, item) => told.push(`${state} ${queuedMs}${item ? ` ${item}` : ''}`),
      flow: (state, queuedMs) => told.push(`${state} ${queuedMs}`),
      empty: () => told.push('empty'),
    },
  })
  const frame = new Uint8Array(FRAME_SAMPLES)
  /** Plays `n` slots; silent ones give nothing. */
  const play = (n: number, law = LAW): Buffer => {
    const out: Buffer[] = []
    for (let i = 0; i < n; i++) if (playback.frameInto(frame, law)) out.push(Buffer.from(frame))
    return Buffer.concat(out)
  }
  return { playback, told, play }
}

/** Bytes that are never silence, so that padding shows. */
const speech = (n: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length: n }, (_, i) => ((i * 7 + seed * 31) % 200) + 1)
const ms = (n: number): number => n * 8

describe('Playback', () => {
  it('plays what the bot sent byte for byte when the law is that of the leg', () => {
    const { playback, play } = rig()
    const audio = Uint8Array.from({ length: ms(400) }, (_, i) => i & 255)
    playback.write(audio)
    expect(play(25)).toEqual(Buffer.from(audio))
  })

  it('pads a partial last frame with codec silence, at once when the bot said done', () => {
    for (const law of ['pcmu', 'pcma'] as const) {
      const { playback, play, told } = rig({ encoding: law })
      playback.write(speech(200))
      playback.done('i1')
      const out = play(2, law)
      expect(out.subarray(0, 200)).toEqual(Buffer.from(speech(200)))
      expect([...out.subarray(200)].every((b) => b === SILENCE[law])).toBe(true)
      expect(told).toEqual(['started 25', 'drained 0 i1'])
    }
  })

  it('gives up frames that nobody would miss, faded into what follows, each 100 ms at most', () => {
    const { playback, play } = rig()
    playback.write(speech(ms(400)))
    play(1)
    playback.giveUp(2)
    const out = play(20)
    expect(out.length).toBe(ms(400 - 20 - 40))
    expect(playback.stats.skippedSamples).toBe(ms(40))
    // The first was given up at once, the second after five slots; between them nothing was touched.
    expect(out.subarray(160, 5 * 160)).toEqual(Buffer.from(speech(ms(400)).subarray(3 * 160, 7 * 160)))
  })

  it('keeps the last frame, whatever is given up, and forgets it when the queue runs dry', () => {
    const { playback, play } = rig()
    playback.write(speech(160))
    playback.giveUp(3)
    expect(play(2)).toEqual(Buffer.from(speech(160)))
    playback.write(speech(ms(100)))
    expect(play(6).length).toBe(ms(100))
  })

  it('gives a partial frame one slot of grace, so that a bot that streams is not cut to pieces', () => {
    const { playback, play } = rig()
    playback.write(speech(100))
    expect(play(1).length).toBe(0)
    playback.write(speech(220).subarray(100))
    expect(play(1)).toEqual(Buffer.from(speech(220).subarray(0, 160)))
  })

  it('transcodes at the leg by table when the laws differ', () => {
    const { playback, play } = rig({ encoding: 'pcma' })
    const audio = Uint8Array.from({ length: 160 }, (_, i) => i)
    playback.write(audio)
    expect([...play(1, 'pcmu')]).toEqual([...audio].map((b) => ENCODE.pcmu[DECODE.pcma[b] & 0xffff]))
  })

  it('encodes pcm16 for the law of the leg, and carries a sample that is cut in two', () => {
    const pcm = Int16Array.from({ length: 320 }, (_, i) => Math.round(9000 * Math.sin(i / 5)))
    const bytes = new Uint8Array(pcm.buffer)
    for (const cut of [1, 3, 320, 333]) {
      const { playback, play } = rig({ encoding: 'pcm16', lawHint: 'pcma' })
      playback.write(bytes.subarray(0, cut))
      playback.write(bytes.subarray(cut))
      expect([...play(2, 'pcma')]).toEqual([...pcm].map((s) => ENCODE.pcma[s & 0xffff]))
    }
  })

  it('gives the same frames however the bot cuts its audio', () => {
    fc.assert(
      fc.property(
        fc.constantFrom<Encoding>('pcmu', 'pcma', 'pcm16'),
        fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 20 }),
        (encoding, cuts) => {
          const audio = speech(cuts.reduce((a, b) => a + b, 0))
          const whole = rig({ encoding })
          whole.playback.write(audio)
          whole.playback.done()
          const cut = rig({ encoding })
          let at = 0
          for (const n of cuts) cut.playback.write(audio.subarray(at, (at += n)))
          cut.playback.done()
          expect(cut.play(200)).toEqual(whole.play(200))
        },
      ),
      { numRuns: 100 },
    )
  })

  it('fires a mark when the last sample before it is on the wire, at once when nothing is queued', () => {
    const { playback, play, told } = rig()
    playback.mark('zero')
    expect(told).toEqual(['mark zero played 0'])
    playback.write(speech(ms(50)))
    playback.mark('m1')
    playback.write(speech(ms(50)))
    playback.mark('m2')
    told.length = 0
    play(2)
    expect(told).toEqual(['started 100'])
    play(1)
    expect(told.at(-1)).toBe('mark m1 played 50')
    play(2)
    expect(told.at(-1)).toBe('mark m2 played 100')
    play(1)
    expect(told.at(-1)).toBe('drained 0')
  })

  it('counts heard ms per item where the bot names items', () => {
    const { playback, play, told } = rig()
    playback.write(speech(ms(100)), 'a')
    playback.mark('end-a')
    playback.write(speech(ms(60)), 'b')
    playback.mark('end-b')
    play(8)
    expect(told).toContain('mark end-a played 100 a')
    expect(told).toContain('mark end-b played 60 b')
  })

  it('clear lets nothing more out and answers what was heard, marks behind the cut included', () => {
    const { playback, play, told } = rig()
    playback.write(speech(ms(1000)), 'i1')
    playback.mark('later')
    play(7)
    told.length = 0
    expect(playback.clear()).toEqual({
      playedMs: 140,
      discardedMs: 860,
      items: [{ itemId: 'i1', playedMs: 140, discardedMs: 860 }],
    })
    expect(told).toEqual(['mark later cleared 140 i1'])
    expect(play(5).length).toBe(0)
    expect(playback.clear()).toEqual({ playedMs: 0, discardedMs: 0, items: [] })
  })

  it('clears one item from the middle and plays on with the next', () => {
    const { playback, play, told } = rig()
    playback.write(speech(ms(40), 1), 'a')
    playback.write(speech(ms(60), 2), 'b')
    playback.mark('end-b')
    playback.write(speech(ms(40), 3), 'c')
    playback.mark('end-c')
    expect(playback.clear('b')).toEqual({
      playedMs: 0,
      discardedMs: 60,
      items: [{ itemId: 'b', playedMs: 0, discardedMs: 60 }],
    })
    expect(told).toEqual(['mark end-b cleared 0 b'])
    expect(play(9)).toEqual(Buffer.concat([speech(ms(40), 1), speech(ms(40), 3)]))
    expect(told).toContain('mark end-c played 40 c')
  })

  it('tells xoff at 90 % and xon at 75 %, refuses the newest over the cap and keeps the rest', () => {
    const { playback, play, told } = rig({ bufferMs: 1000 })
    expect(playback.write(speech(ms(890)))).toBe(0)
    expect(told).toEqual([])
    expect(playback.write(speech(ms(200)))).toBe(ms(90))
    expect(told).toEqual(['xoff 1000'])
    expect(playback.stats.refusedSamples).toBe(ms(90))
    const out = play(12)
    expect(told.filter((t) => t.startsWith('xon'))).toEqual([])
    play(1)
    expect(told.at(-1)).toBe('xon 740')
    expect(out.subarray(0, 160)).toEqual(Buffer.from(speech(160)))
  })

  it('holds what comes before the answer and starts with its first sample', () => {
    const { playback, play, told } = rig({ gate: 'hold' })
    playback.write(speech(ms(100)))
    playback.mark('m')
    expect(play(10).length).toBe(0)
    expect(told).toEqual([])
    playback.setGate('open')
    expect(play(1)).toEqual(Buffer.from(speech(160)))
  })

  it('drops what comes before the answer when told to, and says so on marks', () => {
    const { playback, play, told } = rig({ gate: 'drop' })
    expect(playback.write(speech(160))).toBe(160)
    playback.mark('m')
    expect(told).toEqual(['mark m cleared 0'])
    playback.setGate('open')
    expect(play(2).length).toBe(0)
  })

  it('says underrun when a stream runs dry, and asks for a growing lead until the queue ends as it should', () => {
    const { playback, play, told } = rig()
    expect(playback.leadMs).toBe(0)
    playback.write(speech(160))
    play(2)
    expect(told).toEqual(['started 20', 'underrun 0'])
    const first = playback.leadMs
    expect(first).toBeGreaterThan(0)
    playback.write(speech(160))
    expect(play(2).length).toBe(160)
    expect(playback.leadMs).toBeGreaterThan(first)
    playback.write(speech(160))
    playback.done()
    play(2)
    expect(playback.leadMs).toBe(0)
  })

  it('tells drained once per done, between two utterances too', () => {
    const { playback, play, told } = rig()
    playback.write(speech(ms(30)), 'a')
    playback.done('a')
    playback.write(speech(ms(50)), 'b')
    playback.done('b')
    expect(play(10).length).toBe(ms(80))
    expect(told).toEqual(['started 80 a', 'drained 40 a', 'started 40 b', 'drained 0 b'])
  })

  it('tells empty when the queue has been played or cleared, at once when it is empty', () => {
    const one = rig()
    one.playback.notifyWhenEmpty()
    expect(one.told).toEqual(['empty'])
    const two = rig()
    two.playback.write(speech(170))
    two.playback.notifyWhenEmpty()
    expect(two.play(3).length).toBe(320)
    expect(two.told).toEqual(['started 21', 'drained 0', 'empty'])
    const three = rig()
    three.playback.write(speech(1700))
    three.playback.notifyWhenEmpty()
    three.playback.clear()
    expect(three.told).toEqual(['empty'])
  })

  it('holds a thousand marks and refuses the next', () => {
    const { playback, told } = rig()
    playback.write(speech(ms(40)))
    for (let i = 0; i < 1000; i++) expect(playback.mark(String(i))).toBe(true)
    expect(playback.mark('x')).toBe(false)
    playback.clear()
    expect(told.length).toBe(1000)
  })

  it('keeps 120 s that came in one go, in order', () => {
    const { playback, play } = rig()
    const audio = Uint8Array.from({ length: ms(120_000) }, (_, i) => (i * 2654435761) >>> 24)
    expect(playback.write(audio)).toBe(0)
    expect(playback.write(speech(1))).toBe(1)
    expect(Buffer.compare(play(6000), audio)).toBe(0)
  })

  it('answers every mark exactly once and plays every byte in order, whatever happens in between', () => {
    const action = fc.oneof(
      fc.record({
        do: fc.constant('write' as const),
        n: fc.integer({ min: 1, max: 900 }),
        item: fc.constantFrom(undefined, 'a', 'b', 'c'),
      }),
      fc.record({ do: fc.constant('mark' as const) }),
      fc.record({ do: fc.constant('done' as const) }),
      fc.record({ do: fc.constant('clear' as const), item: fc.constantFrom(undefined, undefined, 'a', 'b') }),
      fc.record({ do: fc.constant('play' as const), n: fc.integer({ min: 1, max: 6 }) }),
      fc.record({ do: fc.constant('gate' as const), to: fc.constantFrom<Gate>('open', 'hold', 'drop') }),
    )
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const { playback, told, play } = rig({ bufferMs: 500 })
        let marks = 0
        let next = 0
        // What should still be heard: bytes with the item they belong to. Bytes are never silence.
        let model: { byte: number; item: string | undefined }[] = []
        const heard: number[] = []
        for (const a of actions) {
          if (a.do === 'write') {
            const audio = Uint8Array.from({ length: a.n }, () => (next++ % 200) + 1)
            const refused = playback.write(audio, a.item)
            for (const byte of audio.subarray(0, a.n - refused)) model.push({ byte, item: a.item })
          } else if (a.do === 'mark') {
            if (playback.mark(`m${marks}`)) marks++
          } else if (a.do === 'done') playback.done()
          else if (a.do === 'gate') playback.setGate(a.to)
          else if (a.do === 'clear') {
            const { discardedMs } = playback.clear(a.item)
            const left = model.filter((m) => a.item !== undefined && m.item !== a.item)
            expect(discardedMs).toBe(Math.round((model.length - left.length) / 8))
            model = left
          } else {
            const out = [...play(a.n)].filter((b) => b !== SILENCE.pcmu)
            heard.push(...out)
            expect(out).toEqual(model.splice(0, out.length).map((m) => m.byte))
          }
        }
        playback.stop()
        const answered = told.filter((t) => t.startsWith('mark ')).map((t) => t.split(' ')[1])
        expect(answered.toSorted()).toEqual(Array.from({ length: marks }, (_, i) => `m${i}`).toSorted())
      }),
      { numRuns: 300 },
    )
  })
})
