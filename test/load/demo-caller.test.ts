import { describe, expect, it } from 'vitest'
import { loadClip } from '../../src/load/clips.ts'
import { DemoCaller } from '../../src/load/demo-caller.ts'
import { FrameTiming, PlayoutTiming } from '../../src/load/speech-timing.ts'

describe('DemoCaller', () => {
  const scene = (): { caller: DemoCaller; acts: string[]; hear: (db: number, ms: number) => void } => {
    const acts: string[] = []
    const caller = new DemoCaller('5', (a) => acts.push(a.do === 'press' ? `press ${a.key}` : a.do))
    return {
      caller,
      acts,
      hear: (db, ms) => {
        for (let i = 0; i < ms / 20; i++) caller.heard(db)
      },
    }
  }

  it('waits for the end of the greeting, speaks, waits for the end of the answer, presses its key once', () => {
    const { caller, acts, hear } = scene()
    hear(-90, 300)
    hear(-20, 2000)
    hear(-90, 340)
    hear(-20, 500)
    expect(acts).toEqual([])
    hear(-90, 600)
    expect(acts).toEqual(['speak'])
    hear(-90, 6000)
    caller.said()
    hear(-90, 800)
    hear(-20, 2000)
    hear(-90, 600)
    expect(acts).toEqual(['speak', 'press 5'])
    hear(-20, 2000)
    hear(-90, 20_000)
    expect(acts.length).toBe(2)
    expect(caller.phase).toBe('staying')
  })

  it('speaks all the same to a bot that says nothing', () => {
    const { acts, hear } = scene()
    hear(-90, 9_980)
    expect(acts).toEqual([])
    hear(-90, 20)
    expect(acts).toEqual(['speak'])
  })
})

const frames = (clip: Buffer): Buffer[] =>
  Array.from({ length: clip.length / 160 }, (_, i) => clip.subarray(i * 160, i * 160 + 160))

describe('FrameTiming', () => {
  it('times speech by its own bytes, each frame once, silence never', () => {
    const clip = loadClip('bot-goodbye')
    const timing = new FrameTiming([clip])
    frames(clip).forEach((f, i) => timing.sent(f, i * 20))
    frames(clip).forEach((f, i) => timing.heard(f, i * 20 + 25))
    frames(clip).forEach((f, i) => timing.heard(f, i * 20 + 99))
    timing.sent(Buffer.alloc(160, 0xff), 0)
    timing.heard(Buffer.alloc(160, 0xff), 1000)
    expect(timing.latency.count).toBeGreaterThan(20)
    expect(timing.latency.percentiles()).toMatchObject({ p50: 25, p99: 25 })
  })
})

describe('PlayoutTiming', () => {
  it('takes a clip sent at once as due frame by frame, and the next one as due after it', () => {
    const [one, two] = [loadClip('bot-key'), loadClip('bot-goodbye')]
    const timing = new PlayoutTiming({ one, two })
    timing.said('one', 1000)
    timing.said('two', 1000)
    frames(Buffer.concat([one, two])).forEach((f, i) => timing.heard(f, 1000 + i * 20 + 3))
    expect(timing.latency.count).toBeGreaterThan(80)
    expect([timing.latency.minMs, timing.latency.maxMs]).toEqual([3, 3])
  })
})
