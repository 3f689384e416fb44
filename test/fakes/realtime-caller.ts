/**
 * The session's side of a realtime dialect, as far as its tests need it: the formats, a playback queue by item that is
 * played in ms, and the answers that a session gives to what it is told. In memory, without any time.
 */
import type { AudioPlan, BotMessage, BridgeMessage, CallState, Dialect, Resume } from '../../src/bot/dialect.ts'
import { openaiRealtime } from '../../src/bot/dialects/openai-realtime.ts'
import type { BotPlan } from '../../src/calls/ports.ts'
import { RealtimeConversation, type Script } from './realtime-server.ts'

const side = (encoding: 'pcmu' | 'pcma' | 'pcm16'): AudioPlan['input'] => ({ encoding, sampleRate: 8000, frameMs: 20 })

export const plan = (encoding: 'pcmu' | 'pcma' | 'pcm16' = 'pcmu'): BotPlan => ({
  urls: ['wss://api.example/v1/realtime?model=m'],
  headers: { Authorization: 'Bearer k' },
  dialect: 'openai-realtime',
  audio: { input: side(encoding), output: side(encoding), transport: 'binary' },
  discriminator: 'both',
  beforeAnswer: 'buffer',
  answerOnAudio: false,
  bufferMs: 120_000,
  connectTimeoutMs: 1000,
  reconnectMs: 0,
  onClose: 'hangup',
  listening: { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false },
  start: {},
})

export interface CallerOptions {
  encoding?: 'pcmu' | 'pcma' | 'pcm16'
  facts?: Record<string, unknown>
  state?: CallState
  resume?: Resume
  /** Digits cannot be sent on this leg. */
  noDigits?: boolean
  /** Where frames of the dialect go instead of to the conversation. */
  wire?: (frame: string) => void
}

export class RealtimeCaller {
  readonly model: RealtimeConversation
  readonly dialect: Dialect
  readonly audio: AudioPlan
  readonly messages: BotMessage[] = []
  /** Audio that the session has been given, in order. */
  readonly played: Buffer[] = []
  readonly #options: CallerOptions
  readonly #queue: { itemId?: string; bytes: number; heard: number }[] = []
  readonly #inbox: string[] = []
  #chunk = 0

  constructor(script: Script = {}, options: CallerOptions = {}) {
    this.#options = options
    const botPlan = plan(options.encoding)
    this.audio = structuredClone(openaiRealtime.audio(botPlan.audio, botPlan.urls[0]))
    this.model = new RealtimeConversation((text) => this.#inbox.push(text), script)
    const write = options.wire ?? ((frame: string) => this.model.receive(frame))
    this.dialect = openaiRealtime.create({
      wire: {
        text: (frame) => write(typeof frame === 'string' ? frame : Buffer.from(frame).toString('utf8')),
        binary: () => {
          throw new Error('a binary frame')
        },
      },
      callId: 'c1',
      streamId: 's1',
      plan: botPlan,
      audio: this.audio,
    })
  }

  /** The socket is open. */
  start(): this {
    const { facts = {}, state = 'answered', resume } = this.#options
    if (!this.#options.wire) this.model.open()
    this.tell({ kind: 'start', state, audio: this.audio, facts, bufferMs: 120_000, token: 't', resume, standIn: 0 })
    return this
  }

  tell(message: BridgeMessage): void {
    this.dialect.tell(message, 0)
    this.pump()
  }

  /** What the server has sent meanwhile is read. */
  pump(): this {
    for (let text = this.#inbox.shift(); text !== undefined; text = this.#inbox.shift()) this.read(text)
    return this
  }

  read(frame: string | Buffer, isBinary = false): BotMessage[] {
    const got = this.dialect.decode(Buffer.from(frame), isBinary)
    const list = got === undefined ? [] : Array.isArray(got) ? got : [got]
    for (const message of list) {
      // What is borrowed is copied before anything else is read.
      this.messages.push(message.kind === 'audio' ? { ...message, bytes: Uint8Array.from(message.bytes) } : message)
      this.#obey(message)
    }
    return list
  }

  #obey(m: BotMessage): void {
    if (m.kind === 'audio') {
      this.played.push(Buffer.from(m.bytes))
      const last = this.#queue.at(-1)
      if (last && last.itemId === m.itemId) last.bytes += m.bytes.length
      else this.#queue.push({ itemId: m.itemId, bytes: m.bytes.length, heard: 0 })
    } else if (m.kind === 'update') {
      this.audio.input = { ...this.audio.input, ...m.input }
      this.audio.output = { ...this.audio.output, ...m.output }
    } else if (m.kind === 'clear') {
      this.clear()
    } else if (m.kind === 'digits' && this.#options.noDigits) {
      this.dialect.tell({ kind: 'error', code: 'dtmf_failed', message: 'This leg sends no digits.', ref: m.ref }, 0)
    }
    if (m.ack) this.dialect.tell({ kind: 'ack', ref: m.ref ?? m.kind }, 0)
  }

  get #bytesPerMs(): number {
    const { encoding, sampleRate } = this.audio.output
    return ((encoding === 'pcm16' ? 2 : 1) * sampleRate) / 1000
  }

  /** The phone line takes so much of the queue. */
  play(ms: number): void {
    let bytes = ms * this.#bytesPerMs
    for (const part of this.#queue) {
      const take = Math.min(bytes, part.bytes - part.heard)
      part.heard += take
      bytes -= take
    }
  }

  clear(): void {
    const items = this.#queue.map(({ itemId = '', bytes, heard }) => ({
      itemId,
      playedMs: heard / this.#bytesPerMs,
      discardedMs: (bytes - heard) / this.#bytesPerMs,
    }))
    this.#queue.length = 0
    const sum = (what: 'playedMs' | 'discardedMs'): number => items.reduce((ms, i) => ms + i[what], 0)
    this.dialect.tell({ kind: 'cleared', playedMs: sum('playedMs'), discardedMs: sum('discardedMs'), items }, 0)
  }

  /** One frame of caller audio; every sample `value`. */
  hear(value: number, frameMs = 20): number {
    const { encoding, sampleRate } = this.audio.input
    const samples = (sampleRate * frameMs) / 1000
    const audio =
      encoding === 'pcm16' ? new Uint8Array(new Int16Array(samples).fill(value).buffer) : new Uint8Array(samples).fill(value) // prettier-ignore
    const chunk = this.#chunk++
    const bytes = this.dialect.media({ audio, chunk, timestampMs: chunk * frameMs, lostMs: 0, replay: false }, 0)
    audio.fill(0)
    return bytes
  }

  got<K extends BotMessage['kind']>(kind: K): Extract<BotMessage, { kind: K }>[] {
    return this.messages.filter((m) => m.kind === kind) as Extract<BotMessage, { kind: K }>[]
  }
}
