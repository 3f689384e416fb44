/**
 * A short synthetic call before the first real one, so that the code of the audio path is compiled by then: without it
 * the first seconds on a single core hold stalls of 20-50 ms. Costs about 20 ms at start; touches no socket.
 */
import { FRAME_SAMPLES } from '../audio/flow.ts'
import type { AudioPlan, MediaFrame, SessionPlan } from '../bot/dialect.ts'
import { NativeDialect } from '../bot/dialects/native.ts'
import { Playback } from '../bot/playback.ts'
import { Uplink } from '../bot/uplink.ts'
import { BridgeFeed } from './bridge-feed.ts'

const FRAMES = 2000

const planOf = (audio: AudioPlan): SessionPlan => ({
  urls: ['wss://warm-up.invalid'],
  headers: {},
  dialect: 'native',
  audio,
  discriminator: 'both',
  beforeAnswer: 'buffer',
  answerOnAudio: false,
  bufferMs: 1000,
  connectTimeoutMs: 1000,
  reconnectMs: 0,
  onClose: 'hangup',
  listening: { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false },
  start: {},
})

export function warmUp(): void {
  const nothing = (): void => undefined
  const listener = { mark: nothing, playback: nothing, flow: nothing, empty: nothing }
  const frame = new Uint8Array(FRAME_SAMPLES)
  const delta = Buffer.from(
    JSON.stringify({ type: 'response.audio.delta', delta: Buffer.from(frame).toString('base64') }),
  )
  for (const encoding of ['pcmu', 'pcm16'] as const) {
    const format = { encoding, sampleRate: 8000, frameMs: 20 } as const
    const audio: AudioPlan = { input: format, output: format, transport: 'json' }
    const wire = { text: nothing, binary: nothing }
    const dialect = new NativeDialect({ wire, callId: 'warm-up', streamId: 'warm-up', plan: planOf(audio), audio })
    const playback = new Playback({ format, bufferMs: 1000, gate: 'open', listener })
    const feed = new BridgeFeed()
    const port = {
      bufferedBytes: () => 0,
      lagMs: () => 0,
      stuck: nothing,
      sendAudio: (m: MediaFrame) => dialect.media(m, m.timestampMs),
    }
    const uplink = new Uplink(format, port, () => 0)
    for (let i = 0; i < FRAMES; i++) {
      const heard = dialect.decode(delta, false)
      if (heard && !Array.isArray(heard) && heard.kind === 'audio') playback.write(heard.bytes)
      playback.frameInto(frame, 'pcmu')
      feed.frame(frame, 'pcmu')
      feed.frameInto(frame, 'pcma')
      uplink.frame(frame, i & 1 ? 'pcmu' : 'pcma', 0)
    }
  }
}
