/** The bot's stages of the audio path: time and bytes allocated per 20 ms frame. */
import { NativeDialect } from '../../src/bot/dialects/native.ts'
import { Playback } from '../../src/bot/playback.ts'
import { Uplink } from '../../src/bot/uplink.ts'
import { FRAME_SAMPLES } from '../../src/audio/flow.ts'
import { systemClock } from '../../src/lib/clock.ts'

export interface Result {
  name: string
  value: number
  unit: string
}

const ROUNDS = 200_000
const gc = (globalThis as { gc?: () => void }).gc

/** Median of five runs; bytes from the growth of the heap between two collections, so only where --expose-gc is on. */
function measure(name: string, step: () => void): Result[] {
  for (let i = 0; i < 20_000; i++) step()
  const times: number[] = []
  for (let run = 0; run < 5; run++) {
    const startMs = systemClock.now()
    for (let i = 0; i < ROUNDS / 5; i++) step()
    times.push(((systemClock.now() - startMs) * 1e6) / (ROUNDS / 5))
  }
  const results = [{ name, value: times.toSorted((a, b) => a - b)[2], unit: 'ns/frame' }]
  if (!gc) return results
  // Short runs that no scavenge interrupts; the least of them has the least noise.
  let leastBytes = Infinity
  for (let run = 0; run < 20; run++) {
    gc()
    const before = process.memoryUsage()
    for (let i = 0; i < 500; i++) step()
    const after = process.memoryUsage()
    const grown = after.heapUsed - before.heapUsed + (after.arrayBuffers - before.arrayBuffers)
    if (grown >= 0) leastBytes = Math.min(leastBytes, grown / 500)
  }
  return [...results, { name, value: leastBytes, unit: 'bytes/frame' }]
}

export async function bench(): Promise<Result[]> {
  const nothing = (): void => undefined
  const listener = { mark: nothing, playback: nothing, flow: nothing, empty: nothing }
  const frame = Uint8Array.from({ length: FRAME_SAMPLES }, (_, i) => (i * 7) & 255)
  const dialect = new NativeDialect({
    callId: '0193f2a0-0000-7000-8000-000000000000',
    streamId: 's',
    discriminator: 'both',
  })
  const payload = Buffer.from(frame).toString('base64')
  const delta = Buffer.from(JSON.stringify({ type: 'response.audio.delta', item_id: 'item_1', delta: payload }))
  const openAi = Array.from({ length: 64 }, (_, i) =>
    Buffer.from(JSON.stringify({ type: 'response.output_audio.delta', event_id: `event_${i}`, response_id: 'r', item_id: 'i', output_index: 0, content_index: 0, delta: payload })),
  ) // prettier-ignore
  const binary = Buffer.from(frame)
  const playback = (encoding: 'pcmu' | 'pcm16'): Playback =>
    new Playback({ encoding, bufferMs: 10_000, gate: 'open', listener })
  const pcmu = playback('pcmu')
  const pcm16 = playback('pcm16')
  const pcm = new Uint8Array(FRAME_SAMPLES * 2)
  const out = new Uint8Array(FRAME_SAMPLES)
  let n = 0
  const jsonUp = new Uplink({ encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }, { bufferedBytes: () => 0, stuck: nothing, sendAudio: (a, c, t, l) => dialect.encodeMedia(a, c, t, l, t).length }, () => 0) // prettier-ignore
  const binaryUp = new Uplink(
    { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
    { bufferedBytes: () => 0, stuck: nothing, sendAudio: (a) => a.length },
    () => 0,
  )
  return [
    ...measure('bot: encode media, JSON', () => jsonUp.frame(frame, 'pcmu', 0)),
    ...measure('bot: encode media, binary', () => binaryUp.frame(frame, 'pcmu', 0)),
    ...measure('bot: encode media, binary, other law', () => binaryUp.frame(frame, 'pcma', 0)),
    ...measure('bot: decode delta, JSON', () => void dialect.decode(delta, false)),
    ...measure('bot: decode delta, JSON with changing ids', () => void dialect.decode(openAi[n++ & 63], false)),
    ...measure('bot: decode audio, binary', () => void dialect.decode(binary, true)),
    ...measure('bot: playback write and read', () => {
      pcmu.write(frame)
      pcmu.frameInto(out, 'pcmu')
    }),
    ...measure('bot: playback write pcm16 and read', () => {
      pcm16.write(pcm)
      pcm16.frameInto(out, 'pcmu')
    }),
  ]
}

if (import.meta.main)
  for (const r of await bench()) console.log(`${r.name.padEnd(48)} ${r.value.toFixed(0).padStart(8)} ${r.unit}`)
