/**
 * A short synthetic call before the first real one, so that the code of the audio path is compiled by then: without it
 * the first seconds on a single core hold stalls of 20-50 ms. Costs about 20 ms at start; touches no socket.
 */
import { FRAME_SAMPLES } from '../audio/flow.ts'
import { NativeDialect } from '../bot/dialects/native.ts'
import { Playback } from '../bot/playback.ts'
import { Uplink } from '../bot/uplink.ts'
import { BridgeFeed } from './bridge-feed.ts'

const FRAMES = 2000

export function warmUp(): void {
  const nothing = (): void => undefined
  const dialect = new NativeDialect({ callId: 'warm-up', streamId: 'warm-up', discriminator: 'both' })
  const listener = { mark: nothing, playback: nothing, flow: nothing, empty: nothing }
  const frame = new Uint8Array(FRAME_SAMPLES)
  const delta = Buffer.from(
    JSON.stringify({ type: 'response.audio.delta', delta: Buffer.from(frame).toString('base64') }),
  )
  for (const encoding of ['pcmu', 'pcm16'] as const) {
    const playback = new Playback({ encoding, bufferMs: 1000, gate: 'open', listener })
    const feed = new BridgeFeed()
    const send = {
      bufferedBytes: () => 0,
      stuck: nothing,
      sendAudio: (a: Uint8Array, n: number, t: number, l: number) => dialect.encodeMedia(a, n, t, l, t).length,
    }
    const uplink = new Uplink({ encoding, sampleRate: 8000, frameMs: 20 }, send, () => 0)
    for (let i = 0; i < FRAMES; i++) {
      const heard = dialect.decode(delta, false)
      if (heard?.kind === 'audio') playback.write(heard.bytes)
      playback.frameInto(frame, 'pcmu')
      feed.frame(frame, 'pcmu')
      feed.frameInto(frame, 'pcma')
      uplink.frame(frame, i & 1 ? 'pcmu' : 'pcma', 0)
    }
  }
}
