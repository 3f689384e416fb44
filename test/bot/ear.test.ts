import { describe, expect, it } from 'vitest'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { ringback, sine } from '../../src/audio/tone.ts'
import type { Listening } from '../../src/bot/dialect.ts'
import { Ear, type EarListener } from '../../src/bot/ear.ts'
import { seeded } from '../helpers/rtp.ts'
import { atLevel, fixture, frames, sequence, silence } from '../helpers/sound.ts'

type Told =
  | { speech: boolean; atMs: number }
  | { amd: string; confidence: number; atMs: number }
  | { beepMs: number }
  | { silenceMs: number }

const DEAF: Listening = { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false }
const WORD = atLevel(fixture('greet-hello'), -24)
const TALK = atLevel(fixture('greet-voicemail'), -24)
const BEEP = sine(1000, 500, { levelDb: -14, fadeMs: 5 })

const near = (value: number, by = 25): number => expect.closeTo(value, -Math.log10(2 * by)) as number

class Rig implements EarListener {
  readonly told: Told[] = []
  readonly ear: Ear

  constructor(listening: Partial<Listening>, options: { outbound?: boolean; answered?: boolean } = {}) {
    this.ear = new Ear({ ...DEAF, ...listening }, { outbound: true, ...options }, this)
  }

  speech(started: boolean, atMs: number): void {
    this.told.push({ speech: started, atMs })
  }

  amd(amd: string, confidence: number, atMs: number): void {
    this.told.push({ amd, confidence, atMs })
  }

  beep(beepMs: number): void {
    this.told.push({ beepMs })
  }

  silence(silenceMs: number): void {
    this.told.push({ silenceMs })
  }

  hear(...parts: Int16Array[]): this {
    for (const frame of frames(sequence(...parts))) this.ear.frame(frame, 'pcmu', 0)
    return this
  }

  /** The bot speaks, the caller does not. */
  bot(durationMs: number): this {
    const quiet = new Uint8Array(FRAME_SAMPLES).fill(0xff)
    for (let ms = 0; ms < durationMs; ms += 20) {
      this.ear.botSpoke()
      this.ear.frame(quiet, 'pcmu', 0)
    }
    return this
  }
}

describe('an ear that nobody asked anything', () => {
  it('hears nothing', () => {
    const { ear, told } = new Rig({}).hear(silence(500), TALK, BEEP, silence(2000))
    expect(ear.active).toBe(false)
    expect(told).toEqual([])
  })

  it('is not active for quality, nor for machines on a call that came in', () => {
    expect(new Rig({ quality: true }).ear.active).toBe(false)
    expect(new Rig({ amd: true }, { outbound: false }).ear.active).toBe(false)
    expect(new Rig({ amd: true }, { outbound: false }).hear(TALK, silence(5000)).told).toEqual([])
  })
})

describe('speech', () => {
  it.each<Partial<Listening>>([{ vad: true }, { bargeIn: 'notify' }, { bargeIn: 'auto_clear' }, { bargeIn: 'pause' }])(
    'is told from the first frame on, with %o',
    (listening) => {
      const { told } = new Rig(listening).hear(silence(1000), WORD, silence(1000), WORD, silence(1000))
      expect(told).toEqual([
        { speech: true, atMs: 1000 },
        { speech: false, atMs: 1480 },
        { speech: true, atMs: near(2470) },
        { speech: false, atMs: near(2950) },
      ])
    },
  )

  it('counts the time in which nobody listened', () => {
    const rig = new Rig({}).hear(silence(10_000), TALK, silence(400))
    expect(rig.told).toEqual([])
    rig.ear.update({ vad: true })
    expect(rig.ear.active).toBe(true)
    rig.hear(silence(1000), WORD, silence(1000))
    expect(rig.told[0]).toEqual({ speech: true, atMs: near(10_000 + 4600 + 1400, 50) })
  })

  it('that ends after the bot stopped listening is not told', () => {
    const rig = new Rig({ vad: true, silenceMs: 60_000 }).hear(silence(1000), WORD)
    rig.ear.update({ vad: false })
    rig.hear(silence(2000))
    rig.ear.update({ vad: true })
    rig.hear(silence(1000), WORD, silence(1000))
    expect(rig.told.map((t) => 'speech' in t && t.speech)).toEqual([true, true, false])
  })
})

describe('who picked up', () => {
  it('is told once, a machine with its beep', () => {
    const { told, ear } = new Rig({ amd: true }).hear(silence(500), TALK, silence(400), BEEP, silence(3000), BEEP, silence(2000)) // prettier-ignore
    expect(told).toEqual([
      { amd: 'machine', confidence: near(0.85, 0.15), atMs: near(3100, 300) },
      { beepMs: near(500 + 4600 + 400 + 500) },
    ])
    expect(ear.active).toBe(false)
  })

  it('is told with the beep at once when the beep is what tells it', () => {
    const { told } = new Rig({ amd: true }).hear(silence(300), WORD, silence(200), BEEP, silence(3000))
    expect(told).toMatchObject([{ amd: 'machine', confidence: 0.95 }, { beepMs: near(1464) }])
  })

  it('is a human, whose beeps are not told', () => {
    const { told, ear } = new Rig({ amd: true }).hear(silence(500), WORD, silence(2000), BEEP, silence(2000))
    expect(told).toEqual([{ amd: 'human', confidence: 0.9, atMs: near(1780) }])
    expect(ear.active).toBe(false)
  })

  it('is unknown when nobody speaks; ringing is no beep, a beep after words is', () => {
    const { told } = new Rig({ amd: true }).hear(ringback('DE', 9000), TALK, silence(300), BEEP, silence(1000))
    expect(told).toEqual([{ amd: 'unknown', confidence: 0.5, atMs: 3500 }, { beepMs: near(9000 + 4600 + 800) }])
  })

  it('is judged from the answer on', () => {
    const rig = new Rig({ amd: true }, { answered: false })
    expect(rig.ear.active).toBe(false)
    rig.hear(ringback('US', 8000))
    rig.ear.answered()
    expect(rig.ear.active).toBe(true)
    rig.hear(silence(500), WORD, silence(2000))
    expect(rig.told).toEqual([{ amd: 'human', confidence: 0.9, atMs: near(9780) }])
  })

  it('is not waited for any longer when two minutes have passed', () => {
    const rig = new Rig({ amd: true }).hear(silence(500), TALK, silence(100_000))
    expect(rig.ear.active).toBe(true)
    rig.hear(silence(30_000))
    expect(rig.ear.active).toBe(false)
  })

  it('can be asked for by an update', () => {
    const rig = new Rig({}).hear(silence(1000))
    rig.ear.update({ amd: true })
    expect(rig.hear(silence(200), WORD, silence(2000)).told).toMatchObject([{ amd: 'human' }])
  })
})

describe('any bytes at all', () => {
  it('do no harm, and speech is told in turn', () => {
    const random = seeded(11)
    const rig = new Rig({ vad: true, amd: true, silenceMs: 1000 })
    for (let n = 0; n < 3000; n++) {
      const loud = random() < 0.5
      const frame = Uint8Array.from({ length: Math.floor(random() * 200) }, () => (loud ? random() * 256 : 0xd5))
      rig.ear.frame(frame, n % 3 ? 'pcma' : 'pcmu', n % 7 ? 0 : 20)
    }
    const speech = rig.told.flatMap((t) => ('speech' in t ? [t.speech] : []))
    speech.forEach((started, i) => expect(started).toBe(i % 2 === 0))
    expect(rig.told.filter((t) => 'amd' in t)).toHaveLength(1)
  })
})

describe('silence of both sides', () => {
  it('is told once per spell', () => {
    const { told } = new Rig({ silenceMs: 3000 }).hear(silence(10_000))
    expect(told).toEqual([{ silenceMs: 3000 }])
  })

  it('begins again after the bot has spoken', () => {
    const { told } = new Rig({ silenceMs: 3000 }).hear(silence(2000)).bot(2000).hear(silence(2900))
    expect(told).toEqual([])
  })

  it('is counted from the last word of either side', () => {
    const rig = new Rig({ silenceMs: 2000 }).hear(silence(1000), WORD, silence(1980))
    expect(rig.told).toEqual([])
    rig.hear(silence(100))
    expect(rig.told).toEqual([{ silenceMs: 2000 }])
    rig.bot(1000).hear(silence(1980))
    expect(rig.told).toHaveLength(1)
    rig.hear(silence(100))
    expect(rig.told).toEqual([{ silenceMs: 2000 }, { silenceMs: 2000 }])
  })

  it('tells no speech that nobody asked for', () => {
    expect(new Rig({ silenceMs: 60_000 }).hear(WORD, silence(1000)).told).toEqual([])
  })

  it('is counted from the moment it is asked for', () => {
    const rig = new Rig({}).hear(silence(5000))
    rig.ear.update({ silenceMs: 1000 })
    rig.hear(silence(960))
    expect(rig.told).toEqual([])
    rig.hear(silence(100))
    expect(rig.told).toEqual([{ silenceMs: 1000 }])
    rig.ear.update({ silenceMs: 0 })
    rig.hear(silence(5000))
    expect(rig.told).toHaveLength(1)
  })
})
