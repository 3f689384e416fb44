/**
 * Exotel's Voicebot applet, "AgentStream" (developer.exotel.com/docs/agentstream/websocket-protocol): Twilio's shapes in
 * snake_case, every value a string, 16-bit PCM in frames of 100 ms. Basic authentication is the URL's userinfo and so
 * the socket's business; a transfer is not in the protocol, only through the escape hatch.
 *
 *   connected, start ──▶ media (1600 bytes at 8 kHz), dtmf, mark … stop ──▶
 *   media (any size), mark, clear ◀──                     closing the socket hangs up
 */
import { accountSid, callSid, streamSid } from '../../lib/sids.ts'
import type {
  AudioFormat,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  MediaFrame,
  SampleRate,
} from '../dialect.ts'
import { tellEscape } from './escape-hatch.ts'
import { JsonReader, type Json } from './json-reader.ts'
import { MediaText } from './media-text.ts'
import { decodeText, parameters, readText, textOf } from './text-bot.ts'

const FRAME_MS = 100
const RATES = new Map<string | null, SampleRate>([
  ['8000', 8000],
  ['16000', 16000],
  ['24000', 24000],
])
/** `from` and `to` have fields of their own in `start`. */
const TOLD = ['direction', 'language', 'system_msg', 'text']
/** Ends of the stream that are not the end of the call by its caller, its callee or its time. */
const STOPPED = new Set(['bot_hangup', 'bot_lost', 'transferred'])

class ExotelDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #account: string
  readonly #call: string
  readonly #stream: string
  readonly #reader: JsonReader
  readonly #media: MediaText
  #seq = 0

  constructor(options: DialectOptions) {
    this.#options = options
    this.#account = accountSid(textOf(options.plan.start.account_id))
    this.#call = callSid(options.callId)
    this.#stream = streamSid(options.streamId)
    this.#reader = new JsonReader(['payload'], (m) => readText(m, options))
    this.#media = new MediaText(options.wire)
  }

  get lastSeq(): number {
    return this.#seq
  }

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    return decodeText(this.#reader, frame, isBinary)
  }

  media({ audio, chunk, timestampMs }: MediaFrame): number {
    const head = `{"event":"media","sequence_number":"${++this.#seq}","stream_sid":"${this.#stream}","media":{"chunk":"${chunk + 1}","timestamp":"${timestampMs}","payload":"`
    return this.#media.write(head, audio, '"}}')
  }

  tell(message: BridgeMessage): void {
    switch (message.kind) {
      case 'start':
        return this.#start(message.facts)
      case 'dtmf':
        return this.#send('dtmf', { dtmf: { digit: message.digit, duration: String(message.durationMs) } })
      case 'mark':
        return this.#send('mark', { mark: { name: message.name } })
      case 'stop': {
        const reason = STOPPED.has(message.stop.reason) ? 'stopped' : 'callended'
        return this.#send('stop', { stop: { call_sid: this.#call, account_sid: this.#account, reason } })
      }
      default: {
        const answer = tellEscape(message)
        if (answer) this.#send(answer.event as string, answer)
      }
    }
  }

  #start(facts: Json): void {
    this.#write({ event: 'connected' })
    this.#send('start', {
      start: {
        stream_sid: this.#stream,
        call_sid: this.#call,
        account_sid: this.#account,
        from: textOf(facts.from),
        to: textOf(facts.to),
        custom_parameters: parameters(facts, TOLD),
        media_format: {
          encoding: 'audio/x-raw',
          sample_rate: String(this.#options.audio.input.sampleRate),
          bit_rate: '16',
        },
      },
    })
  }

  #send(event: string, fields: Json): void {
    this.#write({ event, sequence_number: String(++this.#seq), stream_sid: this.#stream, ...fields })
  }

  #write(message: Json): void {
    this.#options.wire.text(JSON.stringify(message))
  }
}

/** 8000 unless the bot's own URL says `?sample-rate=16000` or 24000. */
function rateOf(url: string): SampleRate {
  if (!URL.canParse(url)) return 8000
  return RATES.get(new URL(url).searchParams.get('sample-rate')) ?? 8000
}

export const exotel: DialectKind = {
  subprotocols: [],
  audio: (_configured, url) => {
    const format: AudioFormat = { encoding: 'pcm16', sampleRate: rateOf(url), frameMs: FRAME_MS }
    return { input: format, output: { ...format }, transport: 'json' }
  },
  headers: () => ({}),
  create: (options) => new ExotelDialect(options),
}
