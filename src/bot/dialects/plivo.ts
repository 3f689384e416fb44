/**
 * Plivo audio streaming, <Stream bidirectional="true"> (plivo.com/docs/voice/xml/audio-streaming), and Vobiz, which is
 * the same but for L16 at 24 kHz and the missing signature (docs.vobiz.ai/xml/stream/stream-events). No `connected` and
 * no `stop` here: the socket's end is the end. Not here: the XML, and the status callbacks by HTTP.
 *
 *   start ──▶ media, media, dtmf … ──▶           numbers are numbers, `timestamp` and `extra_headers` are strings,
 *                                                ids are UUIDs: the SDK's schema refuses everything else
 *   playAudio (format in each) · checkpoint · clearAudio · sendDTMF ◀──
 *               playedStream ◀┘, if heard  └▶ clearedAudio
 */
import { createHmac, randomInt } from 'node:crypto'
import { parse } from 'node:querystring'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { uuidOf } from '../../lib/sids.ts'
import type {
  AudioFormat,
  BotErrorCode,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  Encoding,
  Handshake,
  MediaFrame,
  SampleRate,
} from '../dialect.ts'
import { readEscape, readMark, tellEscape } from './escape-hatch.ts'
import { inner, JsonReader, type Json, type Reading } from './json-reader.ts'
import { MediaText } from './media-text.ts'
import { readNative } from './native-control.ts'
import { fitting } from './parameter-limit.ts'
import { shown } from './shown.ts'
import { decodeText, parameters } from './text-bot.ts'

const MAX_HEADER_BYTES = 512
const NONCE_DIGITS = 20

const CONTENT_TYPES = new Map<string, Encoding>([
  ['audio/x-mulaw', 'pcmu'],
  ['audio/mulaw', 'pcmu'],
  ['audio/x-l16', 'pcm16'],
  ['audio/l16', 'pcm16'],
])
// What went wrong with audio that was to be played; everything else is an `error`.
const PLAY_FAILED = new Set<BotErrorCode>(['bad_audio', 'format_mismatch', 'buffer_full'])

export class PlivoDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #clock: Clock
  readonly #reader = new JsonReader(['payload'], (m) => this.#read(m))
  readonly #media: MediaText
  readonly #streamId: string
  #mediaTail = ''
  #extraHeaders = '{}'
  /** The start itself is number 0. */
  #seq = -1
  /** Wall clock at media time 0: so the timestamps of audio have no jitter and no gaps. */
  #startedAtMs: number | undefined

  constructor(options: DialectOptions, clock: Clock) {
    this.#options = options
    this.#clock = clock
    this.#media = new MediaText(options.wire)
    this.#streamId = uuidOf(options.streamId)
    this.#setExtraHeaders({})
  }

  get lastSeq(): number {
    return Math.max(0, this.#seq)
  }

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    return decodeText(this.#reader, frame, isBinary)
  }

  /** `streamId` is not looked at: one socket has one stream. */
  #read(m: Json): Reading {
    switch (m.event) {
      case 'playAudio':
        return playAudio(inner(m, 'media'))
      case 'checkpoint':
        return readMark(m.name)
      case 'clearAudio':
        return { kind: 'clear' }
      case 'sendDTMF':
        return readNative({ ...m, type: 'sendDTMF', call_id: undefined, stream_id: undefined }, this.#options)
      default: {
        const escaped = readEscape(m, this.#options)
        if (escaped !== null) return escaped
        const message = `${shown(m.event ?? m.type)} is not known; it was ignored. Use playAudio, checkpoint, clearAudio or sendDTMF.`
        return { kind: 'mistake', code: 'unknown_type', message, bad: false }
      }
    }
  }

  media({ audio, chunk, timestampMs }: MediaFrame, tsMs: number): number {
    const at = this.#startedAt(tsMs) + timestampMs
    const head = `{"sequenceNumber":${++this.#seq},"streamId":"${this.#streamId}","event":"media","media":{"track":"inbound","timestamp":"${at}","chunk":${chunk + 1},"payload":"`
    return this.#media.write(head, audio, this.#mediaTail)
  }

  #startedAt(tsMs: number): number {
    return (this.#startedAtMs ??= Math.round(this.#clock.wallMs() - tsMs))
  }

  tell(message: BridgeMessage, tsMs: number): void {
    switch (message.kind) {
      case 'start':
        return this.#start(message.facts)
      case 'dtmf': {
        const timestamp = String(Math.round(this.#startedAt(tsMs) + tsMs))
        const dtmf = { track: 'inbound', digit: message.digit, timestamp }
        return this.#send('dtmf', { dtmf, extra_headers: this.#extraHeaders })
      }
      case 'mark':
        // A checkpoint that was cleared is never answered.
        if (message.status === 'played') this.#send('playedStream', { name: message.name })
        return
      case 'cleared':
        return this.#send('clearedAudio', {})
      case 'error': {
        const { code, message: reason, ref } = message
        return this.#send(PLAY_FAILED.has(code) ? 'playFailed' : 'error', { reason, ref })
      }
      default: {
        const answer = tellEscape(message)
        if (answer) this.#send(answer.event as string, answer)
      }
    }
  }

  #start(facts: Json): void {
    const { encoding, sampleRate } = this.#options.audio.input
    this.#setExtraHeaders(fitting(parameters(facts), MAX_HEADER_BYTES))
    this.#write({
      sequenceNumber: ++this.#seq,
      event: 'start',
      start: {
        callId: uuidOf(this.#options.callId),
        streamId: this.#streamId,
        accountId: typeof facts.account_id === 'string' ? facts.account_id : '',
        tracks: ['inbound'],
        mediaFormat: { encoding: encoding === 'pcmu' ? 'audio/x-mulaw' : 'audio/x-l16', sampleRate },
      },
      extra_headers: this.#extraHeaders,
    })
  }

  /** Plivo repeats them in every message: JSON within a JSON string. */
  #setExtraHeaders(headers: Record<string, string>): void {
    this.#extraHeaders = JSON.stringify(headers)
    this.#mediaTail = `"},"extra_headers":${ascii(JSON.stringify(this.#extraHeaders))}}`
  }

  #send(event: string, fields: Json): void {
    this.#write({ event, sequenceNumber: ++this.#seq, streamId: this.#streamId, ...fields })
  }

  #write(message: Json): void {
    this.#options.wire.text(JSON.stringify(message))
  }
}

/** What is beyond ASCII in JSON text, escaped. */
const ascii = (json: string): string =>
  json.replace(/[\x80-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

/** The format stands on each message: `audio/x-l16` with a rate beside it, or `audio/x-l16;rate=16000`. */
function playAudio(media: Json): Reading {
  const { contentType, payload } = media
  if (typeof contentType !== 'string') return { kind: 'audio', payload }
  const [type, ...given] = contentType.toLowerCase().split(';', 3)
  const encoding = CONTENT_TYPES.get(type.trim())
  if (encoding === undefined)
    return mismatch(`contentType ${shown(contentType)} is not supported: use audio/x-mulaw or audio/x-l16.`)
  const inType = given.map((part) => /^\s*rate\s*=\s*(\d{1,6})\s*$/.exec(part)?.[1]).find((rate) => rate !== undefined)
  const sampleRate = rateOf(media.sampleRate ?? inType, encoding)
  if (sampleRate === undefined)
    return mismatch(
      `sampleRate ${shown(media.sampleRate ?? inType)} is not supported: ${encoding === 'pcmu' ? 'µ-law has 8000 only' : 'use 8000, 16000 or 24000'}.`,
    )
  return { kind: 'audio', payload, encoding, sampleRate }
}

/** Numbers come as strings, too; 8000 when there is none. */
function rateOf(value: unknown, encoding: Encoding): SampleRate | undefined {
  const rate = value == null ? 8000 : typeof value === 'string' ? Number(value) : value
  if (rate === 8000) return rate
  return encoding === 'pcm16' && (rate === 16000 || rate === 24000) ? rate : undefined
}

const mismatch = (message: string): Reading => ({ kind: 'mistake', code: 'format_mismatch', message, bad: true })

/**
 * `X-Plivo-Signature-V3` of a GET: the address with http(s) for ws(s), its query decoded and sorted by name and value,
 * then '.' and the nonce.
 */
export function plivoSignature(authToken: string, url: string, nonce: string): string {
  const { protocol, host, pathname, search } = new URL(url)
  const query = Object.entries(parse(search.slice(1)))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, value]) => (Array.isArray(value) ? value.sort() : [value]).map((v) => `${name}=${v}`))
    .join('&')
  const scheme = protocol === 'wss:' || protocol === 'https:' ? 'https' : 'http'
  const signed = `${scheme}://${host}${pathname}${query === '' ? '' : `?${query}`}.${nonce}`
  return createHmac('sha256', authToken).update(signed).digest('base64')
}

function signed({ secret, url }: Handshake): Record<string, string> {
  if (secret === undefined) return {}
  const nonce = Array.from({ length: NONCE_DIGITS }, () => randomInt(10)).join('')
  return { 'X-Plivo-Signature-V3': plivoSignature(secret, url, nonce), 'X-Plivo-Signature-V3-Nonce': nonce }
}

/** @param l16Rates that the vendor's `contentType` may name */
export function plivoKind(l16Rates: readonly SampleRate[], headers: DialectKind['headers'], clock: Clock): DialectKind {
  const side = ({ encoding, sampleRate }: AudioFormat): AudioFormat => {
    if (encoding !== 'pcm16') return { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }
    return { encoding, sampleRate: l16Rates.includes(sampleRate) ? sampleRate : 16000, frameMs: 20 }
  }
  return {
    subprotocols: [],
    audio: ({ input, output }) => ({ input: side(input), output: side(output), transport: 'json' }),
    headers,
    create: (options) => new PlivoDialect(options, clock),
  }
}

export const plivo = plivoKind([8000, 16000], signed, systemClock)
/** A bot's `{"event":"stop"}`, which only Vobiz has in its pages, every dialect takes (escape-hatch.ts). */
export const vobiz = plivoKind([8000, 16000, 24000], () => ({}), systemClock)
