/** What listening costs: ns and bytes per 20 ms frame, in silence and in speech. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { InbandDtmf } from '../../src/audio/inband-dtmf.ts'
import { Vad } from '../../src/audio/vad.ts'
import { Comfort } from '../../src/bot/comfort.ts'
import { Ear, type EarListener } from '../../src/bot/ear.ts'
import { mos } from '../../src/media/quality.ts'
import { measure, type Figure } from './measure.ts'

const deaf: EarListener = { speech: () => {}, amd: () => {}, beep: () => {}, silence: () => {} }
const listening = { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false } as const

export function bench(): Figure[] {
  const clip = readFileSync(join(import.meta.dirname, '../../fixtures/audio/hello-caller.ulaw'))
  const frames: Uint8Array[] = []
  for (let at = 0; at + FRAME_SAMPLES <= clip.length; at += FRAME_SAMPLES)
    frames.push(Uint8Array.from(clip.subarray(at, at + FRAME_SAMPLES)))
  const speech = (n: number): Uint8Array => frames[n % frames.length]
  const silence = new Uint8Array(FRAME_SAMPLES).fill(0xff)
  const dst = new Uint8Array(FRAME_SAMPLES)

  const vad = new Vad()
  const idle = new Vad()
  const digits = new InbandDtmf()
  const comfort = new Comfort()
  const inactive = new Ear(listening, { outbound: true }, deaf)
  const hearing = new Ear(
    { ...listening, vad: true, bargeIn: 'auto_clear', silenceMs: 5000 },
    { outbound: false },
    deaf,
  )
  // A verdict ends it, so a new one for each second.
  let judge = new Ear({ ...listening, amd: true }, { outbound: true }, deaf)
  return [
    ...measure('vad, speech', (n) => {
      vad.frame(speech(n), 'pcmu')
    }),
    ...measure('vad, silence', () => {
      idle.frame(silence, 'pcmu')
    }),
    ...measure('ear, nothing asked', (n) => inactive.frame(speech(n), 'pcmu', 0)),
    ...measure('ear, speech and silence', (n) => hearing.frame(speech(n), 'pcmu', 0)),
    ...measure('ear, answering machines', (n) => {
      if (n % 50 === 0) judge = new Ear({ ...listening, amd: true }, { outbound: true }, deaf)
      judge.frame(speech(n), 'pcmu', 0)
    }),
    ...measure('in-band digits, speech', (n) => {
      digits.frame(speech(n), 'pcmu')
    }),
    ...measure('in-band digits, silence', () => {
      digits.frame(silence, 'pcmu')
    }),
    ...measure('comfort audio', () => {
      comfort.frameInto(dst, 'pcmu')
    }),
    ...measure('mos', (n) => {
      mos(n / 1e6, 100 + (n % 100), 3)
    }),
  ]
}
