/** The bot's stages of the audio path: time and bytes allocated per 20 ms frame. */
import type { AudioPlan, Encoding, MediaFrame, SampleRate, SessionPlan } from '../../src/bot/dialect.ts'
import { NativeDialect } from '../../src/bot/dialects/native.ts'
import { FormatGuard } from '../../src/bot/guard.ts'
import { Playback } from '../../src/bot/playback.ts'
import { Uplink } from '../../src/bot/uplink.ts'
import { FRAME_SAMPLES, type Law } from '../../src/audio/flow.ts'
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
  const dialect = dialectOf('json')
  const raw = dialectOf('binary')
  const payload = Buffer.from(frame).toString('base64')
  const delta = Buffer.from(JSON.stringify({ type: 'response.audio.delta', item_id: 'item_1', delta: payload }))
  const openAi = Array.from({ length: 64 }, (_, i) =>
    Buffer.from(JSON.stringify({ type: 'response.output_audio.delta', event_id: `event_${i}`, response_id: 'r', item_id: 'i', output_index: 0, content_index: 0, delta: payload })),
  ) // prettier-ignore
  const binary = Buffer.from(frame)
  const playback = (encoding: Encoding, sampleRate: SampleRate): Playback =>
    new Playback({ format: { encoding, sampleRate }, bufferMs: 10_000, gate: 'open', listener })
  const uplink = (to: NativeDialect, encoding: Encoding, sampleRate: SampleRate): Uplink => {
    const port = {
      bufferedBytes: () => 0,
      lagMs: () => 0,
      stuck: nothing,
      sendAudio: (m: MediaFrame) => to.media(m, m.timestampMs),
    }
    return new Uplink({ encoding, sampleRate, frameMs: 20 }, port, () => 0)
  }
  const hear = (name: string, up: Uplink, law: Law = 'pcmu'): Result[] => measure(name, () => up.frame(frame, law, 0))
  const speak = (encoding: Encoding, sampleRate: SampleRate): Result[] => {
    const queue = playback(encoding, sampleRate)
    const samples = Uint8Array.from(
      { length: (sampleRate / 50) * (encoding === 'pcm16' ? 2 : 1) },
      (_, i) => (i * 7) & 255,
    )
    const out = new Uint8Array(FRAME_SAMPLES)
    const rate = sampleRate === 8000 ? '' : ` ${sampleRate / 1000} kHz`
    return measure(`bot: playback write ${encoding}${rate} and read`, () => {
      queue.write(samples)
      queue.frameInto(out, 'pcmu')
    })
  }
  const guard = new FormatGuard()
  let n = 0
  return [
    ...hear('bot: encode media, JSON', uplink(dialect, 'pcmu', 8000)),
    ...hear('bot: encode media, binary', uplink(raw, 'pcmu', 8000)),
    ...hear('bot: encode media, binary, other law', uplink(raw, 'pcmu', 8000), 'pcma'),
    ...hear('bot: encode media, binary, pcm16', uplink(raw, 'pcm16', 8000)),
    ...hear('bot: encode media, binary, pcm16 16 kHz', uplink(raw, 'pcm16', 16_000)),
    ...hear('bot: encode media, binary, pcm16 24 kHz', uplink(raw, 'pcm16', 24_000)),
    ...measure('bot: decode delta, JSON', () => void dialect.decode(delta, false)),
    ...measure('bot: decode delta, JSON with changing ids', () => void dialect.decode(openAi[n++ & 63], false)),
    ...measure('bot: decode audio, binary', () => void dialect.decode(binary, true)),
    ...speak('pcmu', 8000),
    ...speak('pcm16', 8000),
    ...speak('pcm16', 16_000),
    ...speak('pcm16', 24_000),
    // While it looks, which is the first second or so; after that only the first bytes of a message count.
    ...measure('bot: format guard, looking', () => {
      if ((n++ & 63) === 0) guard.reset()
      guard.check(frame, 'pcmu', 8000)
    }),
  ]
}

function dialectOf(transport: AudioPlan['transport']): NativeDialect {
  const side = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 } as const
  const audio: AudioPlan = { input: side, output: side, transport }
  const plan: SessionPlan = {
    urls: ['ws://127.0.0.1'],
    headers: {},
    dialect: 'native',
    audio,
    discriminator: 'both',
    beforeAnswer: 'buffer',
    answerOnAudio: false,
    bufferMs: 10_000,
    connectTimeoutMs: 1000,
    reconnectMs: 0,
    onClose: 'hangup',
    listening: { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false },
    start: {},
  }
  const callId = '0193f2a0-0000-7000-8000-000000000000'
  return new NativeDialect({ wire: { text: () => undefined, binary: () => undefined }, callId, streamId: 's', plan, audio }) // prettier-ignore
}

if (import.meta.main)
  for (const r of await bench()) console.log(`${r.name.padEnd(48)} ${r.value.toFixed(0).padStart(8)} ${r.unit}`)
