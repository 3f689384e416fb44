/**
 * Did the demo happen? Looks at the recording, as anyone could: the caller's words on the left, the bot's on the right,
 * each found by normalised correlation with the fixture, wherever it lies, as a whole and half second by half second.
 */
import { correlate } from '../audio/correlate.ts'
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
 * Most pieces, not all: the bridge may shorten a pause by 10 ms to follow the phone's clock, and a busy machine may lose
 * a packet. Pieces lie where the whole lies, give or take what a jitter buffer can move.
 */
const SHARE = 0.75
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
      found(`caller's ${name} is on the left`, left, clip, format.rateHz),
    ),
    ...Object.entries(expected.right).map(([name, clip]) =>
      found(`bot's ${name} is on the right`, right, clip, format.rateHz),
    ),
  ]
}

function found(what: string, channel: Int16Array, clip: Int16Array, rateHz: number): Check {
  const whole = correlate(channel, clip, 0, Math.max(0, channel.length - Math.floor(clip.length * 0.95)))
  const piece = Math.round(PIECE_S * rateHz)
  const apart = Math.round(APART_S * rateHz)
  let pieces = 0
  let good = 0
  for (let at = 0; at + piece <= clip.length; at += piece) {
    const near = whole.lagSamples + at
    pieces++
    if (correlate(channel, clip.subarray(at, at + piece), near - apart, near + apart).correlation >= FOUND) good++
  }
  const ok = pieces > 0 && good / pieces >= SHARE
  const where = ok ? ` at ${(whole.lagSamples / rateHz).toFixed(2)} s` : ''
  return {
    what,
    ok,
    detail: `correlation ${whole.correlation.toFixed(3)}, ${good} of ${pieces} half seconds found${where}`,
  }
}
