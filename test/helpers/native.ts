/** A native dialect on a wire that keeps what is written. */
import type { AudioPlan, BotMessage, SessionPlan } from '../../src/bot/dialect.ts'
import { NativeDialect } from '../../src/bot/dialects/native.ts'

export const PCMU: AudioPlan = {
  input: { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
  output: { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
  transport: 'json',
}

export class NativeWire {
  readonly texts: string[] = []
  readonly binaries: Buffer[] = []
  readonly dialect: NativeDialect

  constructor(discriminator: SessionPlan['discriminator'] = 'both', audio: AudioPlan = PCMU) {
    const plan: SessionPlan = {
      urls: ['wss://bot.example/'],
      headers: {},
      dialect: 'native',
      audio,
      discriminator,
      beforeAnswer: 'buffer',
      bufferMs: 120_000,
      connectTimeoutMs: 10_000,
      reconnectMs: 15_000,
      answerOnAudio: false,
      onClose: 'hangup',
      listening: { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false },
      start: {},
    }
    this.dialect = new NativeDialect({
      // The wire may keep nothing that it is given: its bytes are used again.
      wire: {
        text: (frame) => this.texts.push(Buffer.from(frame).toString()),
        binary: (frame) => this.binaries.push(Buffer.from(frame)),
      },
      callId: 'c1',
      streamId: 's1',
      plan,
      audio,
    })
  }

  /** The last text frame. */
  get last(): unknown {
    return JSON.parse(this.texts.at(-1) ?? 'null') as unknown
  }

  /** Decodes and copies the borrowed bytes, so that results can be compared. */
  decode(message: object | string | Uint8Array): BotMessage | undefined {
    const isBinary = message instanceof Uint8Array
    const frame = isBinary ? message : Buffer.from(typeof message === 'string' ? message : JSON.stringify(message))
    const got = this.dialect.decode(Buffer.from(frame), isBinary)
    if (Array.isArray(got)) throw new Error('the native protocol has no message that means several')
    return got?.kind === 'audio' ? { ...got, bytes: Uint8Array.from(got.bytes) } : got
  }
}
