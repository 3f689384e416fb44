import { describe, expect, it } from 'vitest'
import { encodeInto } from '../../src/audio/g711.ts'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { Playback } from '../../src/bot/playback.ts'
import { Playout } from '../../src/media/playout.ts'
import { FakeClock } from '../fakes/clock.ts'
import { seeded, speechLike } from '../helpers/rtp.ts'

/** A playback pulled by a playout loop in virtual time, and bots that write into it by the same clock. */
function rig() {
  const clock = new FakeClock()
  const told: string[] = []
  const playback = new Playback({
    format: { encoding: 'pcmu', sampleRate: 8000 },
    bufferMs: 120_000,
    gate: 'open',
    listener: {
      mark: (name, status, playedMs) => told.push(`${name} ${status} ${playedMs}`),
      playback: () => undefined,
      flow: () => undefined,
      empty: () => undefined,
    },
  })
  const heard: Buffer[] = []
  const frame = new Uint8Array(FRAME_SAMPLES)
  const playout = new Playout(clock, (err) => {
    throw err
  })
  playout.start()
  playout.add({
    tick: (_dueMs, turns) => {
      if (turns > 1) playback.skipped(turns - 1)
      if (playback.frameInto(frame, 'pcmu')) heard.push(Buffer.from(frame))
    },
  })
  return { clock, playback, told, heard }
}

/** Loud all through: no byte is near silence. */
const loud = (frames: number, seed = 1): Uint8Array => {
  const random = seeded(seed)
  return Uint8Array.from(
    { length: frames * FRAME_SAMPLES },
    () => Math.floor(random() * 40) | (random() < 0.5 ? 128 : 0),
  )
}
const spoken = (ms: number): Uint8Array => {
  const pcm = speechLike(ms, 5)
  const law = new Uint8Array(pcm.length)
  encodeInto(law, pcm, 'pcmu')
  return law
}

/** A bot that sends `audio` in real time from now on, each frame up to `jitterMs` late, in order, whatever we do. */
function stream(clock: FakeClock, playback: Playback, audio: Uint8Array, jitterMs = 0, chunkFrames = 1): void {
  const random = seeded(9)
  const bytes = chunkFrames * FRAME_SAMPLES
  let atMs = 5
  for (let i = 0; i * bytes < audio.length; i++) {
    atMs = Math.max(atMs, i * chunkFrames * 20 + 5 + random() * jitterMs)
    clock.after(atMs, () => playback.write(audio.subarray(i * bytes, (i + 1) * bytes)))
  }
}

/** The event loop stands still; the bot's frames are read when it goes on. */
const stall = (clock: FakeClock, ms: number): void => clock.stall(ms)

const least = (clock: FakeClock, playback: Playback, ms: number): number => {
  let least = Infinity
  for (let i = 0; i < ms; i += 5) {
    clock.advance(5)
    least = Math.min(least, playback.queuedMs)
  }
  return least
}

describe('a bot that streams in real time', () => {
  it('plays bit-exact while nothing happens, with jitter and in chunks too', () => {
    for (const [jitterMs, chunk] of [
      [0, 1],
      [15, 1],
      [60, 1],
      [0, 5],
      [30, 10],
    ]) {
      const { clock, playback, heard } = rig()
      const audio = loud(3000)
      stream(clock, playback, audio, jitterMs, chunk)
      clock.advance(62_000)
      expect(Buffer.compare(Buffer.concat(heard), Buffer.from(audio))).toBe(0)
      expect(playback.stats.skippedSamples).toBe(0)
    }
  })

  it.each([100, 300, 800, 2000])('is back at its delay within 2 s of speech after a stall of %i ms', (ms) => {
    const { clock, playback, heard } = rig()
    stream(clock, playback, loud(1500))
    expect(least(clock, playback, 5000)).toBeLessThanOrEqual(20)
    stall(clock, ms)
    expect(least(clock, playback, 100)).toBeGreaterThanOrEqual(ms - 40)
    clock.advance(1900)
    expect(least(clock, playback, 1000)).toBeLessThanOrEqual(20)
    const skipped = playback.stats.skippedSamples / 8
    expect(skipped).toBeGreaterThanOrEqual(ms - 40)
    expect(skipped).toBeLessThanOrEqual(ms)
    // From here on not one more byte is touched.
    const from = heard.length
    clock.advance(10_000)
    expect(playback.stats.skippedSamples / 8).toBe(skipped)
    expect(Buffer.from(loud(1500)).includes(Buffer.concat(heard.slice(from)))).toBe(true)
  })

  it('gives up silence first, at once, and then no word', () => {
    const { clock, playback } = rig()
    const audio = loud(500)
    audio.fill(0xff, 300 * FRAME_SAMPLES, 320 * FRAME_SAMPLES)
    stream(clock, playback, audio)
    // The pause is 300 ms away when the stall is over and known.
    clock.advance(5390)
    stall(clock, 300)
    clock.advance(800)
    expect(least(clock, playback, 100)).toBeLessThanOrEqual(20)
    expect(playback.stats.skippedSamples / 8).toBeGreaterThanOrEqual(260)
  })

  it('has no ratchet: fifty stalls in five minutes add nothing up', () => {
    const { clock, playback } = rig()
    stream(clock, playback, loud(16_000), 10)
    const random = seeded(3)
    for (let i = 0; i < 50; i++) {
      clock.advance(5000)
      stall(clock, 30 + random() * 400)
    }
    clock.advance(2500)
    expect(least(clock, playback, 1000)).toBeLessThanOrEqual(40)
  })

  it('catches up after a stall of its own, when what it missed comes in one go', () => {
    const { clock, playback } = rig()
    const audio = loud(1000)
    const bytes = FRAME_SAMPLES
    for (let i = 0; i < 1000; i++) {
      const lateMs = i >= 250 && i < 265 ? (265 - i) * 20 : 0
      clock.after(i * 20 + 5 + lateMs, () => playback.write(audio.subarray(i * bytes, (i + 1) * bytes)))
    }
    clock.advance(5400)
    expect(playback.queuedMs).toBeGreaterThanOrEqual(260)
    clock.advance(4600)
    expect(least(clock, playback, 1000)).toBeLessThanOrEqual(40)
  })

  it('is not cut when the bot itself skipped its share of the stall', () => {
    const { clock, playback } = rig()
    stream(clock, playback, loud(250))
    clock.advance(5000)
    clock.stall(400)
    stream(clock, playback, loud(500, 2))
    clock.advance(10_500)
    expect(playback.stats.skippedSamples).toBe(0)
  })

  it('follows a bot whose clock runs fast by 0.2 %', () => {
    const { clock, playback } = rig()
    const audio = loud(10_000)
    for (let i = 0; i < 10_000; i++)
      clock.after((i * 20) / 1.002 + 5, () => playback.write(audio.subarray(i * 160, (i + 1) * 160)))
    clock.advance(199_000)
    expect(least(clock, playback, 500)).toBeLessThanOrEqual(120)
  })

  it('does not keep the delay of digits that were sent in between', () => {
    const { clock, playback } = rig()
    stream(clock, playback, loud(1500))
    clock.advance(5000)
    for (let i = 0; i < 20; i++) playback.skipped(1)
    playback.write(loud(20))
    clock.advance(2000)
    expect(least(clock, playback, 500)).toBeLessThanOrEqual(20)
  })

  it('answers marks in order, with what was truly heard', () => {
    const { clock, playback, told } = rig()
    const audio = loud(600)
    const heardAt: number[] = []
    for (let i = 0; i < 600; i++)
      clock.after(i * 20 + 5, () => {
        playback.write(audio.subarray(i * 160, (i + 1) * 160))
        playback.mark(`m${i}`)
      })
    clock.advance(4000)
    clock.stall(700)
    clock.advance(3000)
    expect(told.map((t) => Number(t.slice(1).split(' ')[0]))).toEqual(told.map((_, i) => i))
    for (const t of told) heardAt.push(Number(t.split(' ')[2]))
    expect(heardAt).toEqual(heardAt.toSorted((a, b) => a - b))
    expect(told.every((t) => t.includes(' played '))).toBe(true)
    const last = heardAt.at(-1) as number
    expect(last).toBe(playback.stats.playedFrames * 20)
    expect(told.length * 20 - last).toBe(playback.stats.skippedSamples / 8)
  })

  it('counts only what was heard when it is cleared', () => {
    const { clock, playback } = rig()
    const audio = loud(600)
    for (let i = 0; i < 600; i++)
      clock.after(i * 20 + 5, () => playback.write(audio.subarray(i * 160, (i + 1) * 160), 'item'))
    clock.advance(4000)
    clock.stall(500)
    clock.advance(1200)
    expect(playback.stats.skippedSamples).toBeGreaterThan(0)
    const cleared = playback.clear()
    expect(cleared.playedMs).toBe(playback.stats.playedFrames * 20)
    expect(cleared.items).toEqual([{ itemId: 'item', playedMs: cleared.playedMs, discardedMs: cleared.discardedMs }])
  })
})

describe('a bot that speaks ahead of time', () => {
  it.each([
    ['all at once', (n: number) => n * 0],
    ['ten times as fast', (n: number) => n * 2],
    ['twice as fast', (n: number) => n * 10],
    ['a tenth faster than time', (n: number) => n * 18],
    ['half a second ahead, then in real time', (n: number) => Math.max(0, n - 25) * 20],
    ['two seconds ahead, then in real time', (n: number) => Math.max(0, n - 100) * 20],
    ['in bursts of 3 s each 3 s', (n: number) => Math.floor(n / 150) * 3000],
  ])('is heard whole, %s, through stalls', (_, atMs) => {
    const { clock, playback, heard } = rig()
    const audio = spoken(20_000)
    for (let i = 0; i < 1000; i++)
      clock.after(atMs(i) + 5, () => playback.write(audio.subarray(i * 160, (i + 1) * 160)))
    clock.advance(300)
    // The two that run at the rate of time give up no more than the stall itself; they are looked at below.
    const paced = atMs(999) - atMs(899) === 2000
    if (!paced) stall(clock, 300)
    clock.advance(1500)
    if (!paced) stall(clock, 200)
    clock.advance(30_000)
    expect(Buffer.compare(Buffer.concat(heard), Buffer.from(audio))).toBe(0)
  })

  it('keeps its lead when it streams with one', () => {
    const { clock, playback } = rig()
    const audio = loud(1000)
    for (let i = 0; i < 1000; i++)
      clock.after(Math.max(0, i - 25) * 20 + 5, () => playback.write(audio.subarray(i * 160, (i + 1) * 160)))
    clock.advance(5000)
    stall(clock, 300)
    clock.advance(3000)
    expect(least(clock, playback, 1000)).toBeGreaterThanOrEqual(460)
    expect(playback.stats.skippedSamples / 8).toBeLessThanOrEqual(300)
  })
})
