/** The transforms of the audio path: ns and bytes allocated per 20 ms frame. `--expose-gc` makes the byte figures exact. */
import { ByteRing } from '../../src/audio/ring.ts'
import { decodeInto, encodeInto, transcodeInto } from '../../src/audio/g711.ts'
import { meanSquare } from '../../src/audio/energy.ts'
import { mixLawInto } from '../../src/audio/mix.ts'
import { Resampler, type RateHz } from '../../src/audio/resampler.ts'
import { measure, type Figure } from './measure.ts'

export async function bench(): Promise<Figure[]> {
  const frame = Uint8Array.from({ length: 160 }, (_, i) => (i * 7) & 255)
  const other = new Uint8Array(160)
  const pcm = new Int16Array(160)
  const ring = new ByteRing(4096)
  return [
    ...measure('g711 decode', () => decodeInto(pcm, frame, 'pcmu')),
    ...measure('g711 encode', () => encodeInto(other, pcm, 'pcmu')),
    ...measure('g711 transcode law to law', () => transcodeInto(other, frame, 'pcmu', 'pcma')),
    ...measure('ring write + read', () => {
      ring.write(frame)
      ring.readInto(other)
    }),
    ...measure('mix two legs', () => mixLawInto(other, frame, 'pcmu')),
    ...measure('energy of a frame', () => {
      meanSquare(frame, 'pcmu')
    }),
    ...resampling(8000, 16_000),
    ...resampling(16_000, 8000),
    ...resampling(8000, 24_000),
    ...resampling(24_000, 8000),
  ]
}

function resampling(fromHz: RateHz, toHz: RateHz): Figure[] {
  const resampler = new Resampler(fromHz, toHz)
  const samples = Int16Array.from({ length: fromHz / 50 }, (_, i) => ((i * 977) % 20_000) - 10_000)
  const out = new Int16Array(toHz / 50)
  return measure(`resample ${fromHz / 1000} to ${toHz / 1000} kHz`, () => {
    resampler.process(samples, samples.length, out)
  })
}
