/**
 * Telnyx media streaming in `stream_bidirectional_mode: "rtp"`
 * (developers.telnyx.com/docs/voice/programmable-voice/media-streaming): payloads are those of RTP, so L16 is big-endian
 * (RFC 3551 §4.5.11). Not here: the default mode, in which bots send MP3 files, and Call Control by REST.
 *
 *   connected, start ──▶ media, media, dtmf, mark … stop ──▶     all numbers but error codes and rates are strings
 *   media (20 ms to 30 s) · mark (comes back when played or cleared) · clear ◀──     no stream_id needed
 */
import { type Clock, systemClock } from '../../lib/clock.ts'
import { uuidOf } from '../../lib/sids.ts'
import type {
  AudioFormat,
  AudioMessage,
  BotErrorCode,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  Encoding,
  MediaFrame,
} from '../dialect.ts'
import { readEscape, readMark, tellEscape } from './escape-hatch.ts'
import { inner, JsonReader, type Json, type Reading } from './json-reader.ts'
import { MediaText } from './media-text.ts'
import { shown } from './shown.ts'
import { decodeText, parameters } from './text-bot.ts'

const ENCODINGS: Readonly<Record<Encoding, string>> = { pcmu: 'PCMU', pcma: 'PCMA', pcm16: 'L16' }

const UNKNOWN = { code: 100002, title: 'unknown_error' }
const MALFORMED = { code: 100003, title: 'malformed_frame' }
const ERRORS: Partial<Record<BotErrorCode, { code: number; title: string }>> = {
  bad_json: MALFORMED,
  unknown_type: MALFORMED,
  bad_audio: { code: 100004, title: 'invalid_media' },
  rate_limited: { code: 100005, title: 'rate_limit_reached' },
}

export class TelnyxDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #clock: Clock
  readonly #reader = new JsonReader(['payload'], (m) => this.#read(m))
  readonly #media: MediaText
  readonly #mediaTail: string
  readonly #streamId: string
  readonly #userId: string
  readonly #callControlId: string
  #seq = 0
  /** Wall clock at media time 0. */
  #startedAtMs: number | undefined
  /** A frame of L16 in network order; grows to the largest. */
  #swapped: Buffer = Buffer.alloc(0)
  /** Half a sample, from a message of odd length; its other half starts the next. */
  #half = -1

  constructor(options: DialectOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    this.#media = new MediaText(options.wire)
    this.#streamId = uuidOf(options.streamId)
    const { account_id } = options.plan.start
    this.#userId = uuidOf(typeof account_id === 'string' ? account_id : '')
    // Can be read back, should somebody build the REST calls.
    this.#callControlId = `v2:${Buffer.from(options.callId).toString('base64url')}`
    this.#mediaTail = `"},"stream_id":"${this.#streamId}"}`
  }

  get lastSeq(): number {
    return this.#seq
  }

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    const read = decodeText(this.#reader, frame, isBinary)
    if (!read || Array.isArray(read)) return read
    if (read.kind === 'clear') this.#half = -1
    return read.kind === 'audio' && this.#options.audio.output.encoding === 'pcm16' ? this.#toHostOrder(read) : read
  }

  #read(m: Json): Reading {
    switch (m.event) {
      case 'media':
        return { kind: 'audio', payload: inner(m, 'media').payload }
      case 'mark':
        return readMark(inner(m, 'mark').name)
      case 'clear':
        return { kind: 'clear' }
      default: {
        const escaped = readEscape(m, this.#options)
        if (escaped !== null) return escaped
        const message = `Event ${shown(m.event ?? m.type)} is not known; it was ignored. Use media, mark or clear.`
        return { kind: 'mistake', code: 'unknown_type', message, bad: false }
      }
    }
  }

  /** The reader's own scratch bytes, swapped in place; whole samples only. */
  #toHostOrder(audio: AudioMessage): AudioMessage | undefined {
    let bytes = Buffer.from(audio.bytes.buffer, audio.bytes.byteOffset, audio.bytes.byteLength)
    if (this.#half >= 0) bytes = Buffer.concat([Buffer.of(this.#half), bytes])
    const whole = bytes.length & ~1
    this.#half = whole < bytes.length ? bytes[whole] : -1
    if (whole === 0) return undefined
    audio.bytes = bytes.subarray(0, whole).swap16()
    return audio
  }

  media({ audio, chunk, timestampMs }: MediaFrame): number {
    const head = `{"event":"media","sequence_number":"${++this.#seq}","media":{"track":"inbound","chunk":"${chunk + 1}","timestamp":"${timestampMs}","payload":"`
    const payload = this.#options.audio.input.encoding === 'pcm16' ? this.#toNetworkOrder(audio) : audio
    return this.#media.write(head, payload, this.#mediaTail)
  }

  #toNetworkOrder(audio: Uint8Array): Uint8Array {
    if (this.#swapped.length !== audio.length) this.#swapped = Buffer.alloc(audio.length)
    this.#swapped.set(audio)
    return this.#swapped.swap16()
  }

  tell(message: BridgeMessage, tsMs: number): void {
    switch (message.kind) {
      case 'start':
        return this.#start(message.facts)
      case 'dtmf': {
        this.#startedAtMs ??= this.#clock.wallMs() - tsMs
        const occurred_at = new Date(this.#startedAtMs + tsMs).toISOString()
        return this.#send('dtmf', { occurred_at, dtmf: { digit: message.digit } })
      }
      case 'mark':
        // Comes back just so whether its audio was heard or cleared.
        return this.#send('mark', { mark: { name: message.name } })
      case 'stop':
        return this.#send('stop', { stop: { user_id: this.#userId, call_control_id: this.#callControlId } })
      case 'error':
        // One that answers a message of our own spelling is an error of this protocol all the same.
        return this.#error(message.code, message.message, message.ref)
      default: {
        const answer = tellEscape(message)
        if (answer) this.#send(answer.event as string, answer)
      }
    }
  }

  #error(code: BotErrorCode, detail: string, ref: string | undefined): void {
    this.#write({ event: 'error', payload: { ...(ERRORS[code] ?? UNKNOWN), detail }, stream_id: this.#streamId, ref })
  }

  /** Back to back: some bots read both before they look at either. */
  #start(facts: Json): void {
    const { encoding, sampleRate } = this.#options.audio.input
    const free = JSON.stringify(parameters(facts, ['language', 'system_msg', 'text']))
    this.#write({ event: 'connected', version: '1.0.0' })
    this.#send('start', {
      start: {
        user_id: this.#userId,
        call_control_id: this.#callControlId,
        call_session_id: uuidOf(this.#options.callId),
        from: facts.from,
        to: facts.to,
        tags: [],
        // Telnyx carries nothing else of the customer's own.
        client_state: free === '{}' ? '' : Buffer.from(free).toString('base64'),
        media_format: { encoding: ENCODINGS[encoding], sample_rate: sampleRate, channels: 1 },
      },
    })
  }

  #send(event: string, fields: Json): void {
    this.#write({ event, sequence_number: String(++this.#seq), stream_id: this.#streamId, ...fields })
  }

  #write(message: Json): void {
    this.#options.wire.text(JSON.stringify(message))
  }
}

/** L16 is there at 16 kHz only; each way has its own codec. */
const side = ({ encoding }: AudioFormat): AudioFormat => ({
  encoding,
  sampleRate: encoding === 'pcm16' ? 16000 : 8000,
  frameMs: 20,
})

export const telnyxKind = (clock: Clock): DialectKind => ({
  subprotocols: [],
  audio: ({ input, output }) => ({ input: side(input), output: side(output), transport: 'json' }),
  // Telnyx signs its webhooks, not the handshake.
  headers: () => ({}),
  create: (options) => new TelnyxDialect(options, clock),
})

export const telnyx = telnyxKind(systemClock)
