/** The audio fixtures (fixtures/audio) as simulated callers and bots play them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { FRAME_SAMPLES, SILENCE } from '../audio/flow.ts'
import { decodeInto } from '../audio/g711.ts'

const FOLDER = join(import.meta.dirname, '../../fixtures/audio')

export type ClipName =
  'hello-caller' | 'bot-greeting' | 'bot-answer' | 'bot-key' | 'bot-goodbye' | 'tone-440' | 'tone-600'

/** Raw µ-law, filled up with silence to whole 20 ms frames, so that clips one after the other stay aligned. */
export function loadClip(name: ClipName): Buffer {
  const raw = readFileSync(join(FOLDER, `${name}.ulaw`))
  const tail = raw.length % FRAME_SAMPLES
  return tail === 0 ? raw : Buffer.concat([raw, Buffer.alloc(FRAME_SAMPLES - tail, SILENCE.pcmu)])
}

/** G.711 bytes as PCM16. */
export function pcmOf(bytes: Uint8Array, law: 'pcmu' | 'pcma' = 'pcmu'): Int16Array {
  const pcm = new Int16Array(bytes.length)
  decodeInto(pcm, bytes, law)
  return pcm
}
