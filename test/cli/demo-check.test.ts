import { describe, expect, it } from 'vitest'
import { wavFile } from '../../src/audio/wav.ts'
import { checkRecording } from '../../src/cli/demo-check.ts'
import { loadClip, pcmOf } from '../../src/load/clips.ts'

const caller = pcmOf(loadClip('hello-caller'))
const greeting = pcmOf(loadClip('bot-greeting'))
const answer = pcmOf(loadClip('bot-answer'))
const placed = (totalSamples: number, ...parts: [Int16Array, number][]): Int16Array => {
  const all = new Int16Array(totalSamples)
  for (const [part, at] of parts) all.set(part, at)
  return all
}
const expected = { left: { speech: caller }, right: { greeting, answer } }

describe('checkRecording', () => {
  it('finds the caller on the left and the bot on the right, wherever they lie', () => {
    const left = placed(130_000, [caller, 30_003])
    const right = placed(130_000, [greeting, 401], [answer, 90_007])
    expect(checkRecording(wavFile(left, right), expected)).toEqual([
      {
        what: "caller's speech is on the left",
        ok: true,
        detail: 'correlation 1.000, 13 of 13 half seconds found at 3.75 s',
      },
      {
        what: "bot's greeting is on the right",
        ok: true,
        detail: 'correlation 1.000, 4 of 4 half seconds found at 0.05 s',
      },
      {
        what: "bot's answer is on the right",
        ok: true,
        detail: 'correlation 1.000, 5 of 5 half seconds found at 11.25 s',
      },
    ])
  })

  it('fails when the sides are swapped, when something is missing, cut off or mono', () => {
    const left = placed(130_000, [caller, 30_003])
    const right = placed(130_000, [greeting, 401], [answer, 90_007])
    expect(checkRecording(wavFile(right, left), expected).map((c) => c.ok)).toEqual([false, false, false])
    expect(checkRecording(wavFile(left, placed(130_000, [greeting, 0])), expected).map((c) => c.ok)).toEqual([
      true,
      true,
      false,
    ])
    const half = placed(130_000, [caller.subarray(0, caller.length / 2), 0])
    expect(checkRecording(wavFile(half, right), expected)[0].ok).toBe(false)
    expect(checkRecording(wavFile(left), expected)).toEqual([
      { what: 'recording is stereo', ok: false, detail: '1 channel' },
    ])
  })

  it('bears a pause that the jitter buffer made shorter, and a lost packet', () => {
    const left = new Int16Array(130_000)
    left.set(caller.subarray(0, 30_000), 30_000)
    left.set(caller.subarray(30_080), 60_000)
    left.fill(0, 50_000, 50_160)
    expect(checkRecording(wavFile(left, placed(130_000, [greeting, 0], [answer, 90_000])), expected)[0].ok).toBe(true)
  })
})
