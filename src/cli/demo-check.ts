/**
 * Did the demo happen? Looks at the recording, as anyone could: the caller's words on the left, the bot's on the right,
 * each found by normalised correlation with the fixture, wherever it lies, as a whole and half second by half second.
 */
import { correlate, correlationAt } from '../audio/correlate.ts'
import { readWav } from '../audio/wav.ts'

export interface Check {
  what: string
  ok: boolean
  detail: string
}

/** Half a second of speech through G.711 and a WAV stays nearly 1; other words stay below 0.5. */
const FOUND = 0.9
const PIECE_S = 0.5
/**
 * Nearly all pieces, not all. The caller lies by timestamp, so only a lost packet or a clock that is followed in a pause
 * can move a piece; the bot lies as it was played, and a machine that stands still for a moment leaves a gap in a word.
 */
const LEFT_SHARE = 0.9
const RIGHT_SHARE = 0.75
const APART_S = 0.25

export interface Expected {
  left: Record<string, Int16Array>
  right: Record<string, Int16Array>
}

export function checkRecording(wav: Buffer, expected: Expected): Check[] {
  const { pcm: left, format } = readWav(wav, 0)
  if (format.channels !== 2) return [{ what: 'recording is stereo', ok: false, detail: `${format.channels} channel` }]
  const { pcm: right } = readWav(wav, 1)
  return [
    ...Object.entries(expected.left).map(([name, clip]) =>
      found(`caller's ${name} is on the left`, left, clip, format.rateHz, LEFT_SHARE),
    ),
    ...Object.entries(expected.right).map(([name, clip]) =>
      found(`bot's ${name} is on the right`, right, clip, format.rateHz, RIGHT_SHARE),
    ),
  ]
}

function found(what: string, channel: Int16Array, clip: Int16Array, rateHz: number, share: number): Check {
  const whole = correlate(channel, clip, 0, Math.max(0, channel.length - Math.floor(clip.length * 0.95)))
  const piece = Math.round(PIECE_S * rateHz)
  const apart = Math.round(APART_S * rateHz)
  let pieces = 0
  let good = 0
  for (let at = 0; at + piece <= clip.length; at += piece) {
    const near = whole.lagSamples + at
    pieces++
    const words = clip.subarray(at, at + piece)
    const there =
      correlationAt(channel, words, near) >= FOUND ||
      correlate(channel, words, near - apart, near + apart).correlation >= FOUND
    if (there) good++
  }
  const ok = pieces > 0 && good / pieces >= share
  const where = ok ? ` at ${(whole.lagSamples / rateHz).toFixed(2)} s` : ''
  return {
    what,
    ok,
    detail: `correlation ${whole.correlation.toFixed(3)}, ${good} of ${pieces} half seconds found${where}`,
  }
}
