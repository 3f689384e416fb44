/**
 * Twilio Media Streams, bidirectional <Connect><Stream> (twilio.com/docs/voice/media-streams/websocket-messages), and
 * SignalWire's cXML <Stream>, which differs in ids, codecs and two messages. No TwiML here, and no REST: that is
 * api/twilio-shim.
 *
 *   connected, start ──▶ media, media, dtmf, mark … stop ──▶        numbers are strings; µ-law, 20 ms
 *   media (any size, played in order), mark (echoed when played or cleared), clear ◀──
 */
import { createHmac } from 'node:crypto'
import { accountSid, callSid, streamSid, uuidOf } from '../../lib/sids.ts'
import type {
  AudioFormat,
  AudioPlan,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  Handshake,
  MediaFrame,
} from '../dialect.ts'
import { tellEscape } from './escape-hatch.ts'
import { JsonReader, type Json } from './json-reader.ts'
import { MediaText } from './media-text.ts'
import { decodeText, parameters, readText, textOf } from './text-bot.ts'

/** What SignalWire does otherwise. */
interface Variant {
  version: string
  ids(options: DialectOptions): { account: string; call: string; stream: string }
  /** Left out when there are none. */
  optionalParameters: boolean
  dtmf(digit: string, durationMs: number): Json
  /** `stop` says whose stream it was. */
  stopNames: boolean
}

const accountId = (o: DialectOptions): string => textOf(o.plan.start.account_id)

const TWILIO: Variant = {
  version: '1.0.0',
  ids: (o) => ({ account: accountSid(accountId(o)), call: callSid(o.callId), stream: streamSid(o.streamId) }),
  optionalParameters: false,
  dtmf: (digit) => ({ track: 'inbound_track', digit }),
  stopNames: true,
}

const SIGNALWIRE: Variant = {
  version: '0.2.0',
  ids: (o) => ({ account: uuidOf(accountId(o)), call: uuidOf(o.callId), stream: uuidOf(o.streamId) }),
  optionalParameters: true,
  dtmf: (digit, duration) => ({ track: 'inbound_track', digit, duration }),
  stopNames: false,
}

const PCMU: AudioFormat = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }

class TwilioDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #variant: Variant
  readonly #ids: { account: string; call: string; stream: string }
  readonly #reader: JsonReader
  readonly #media: MediaText
  readonly #mediaTail: string
  #seq = 0

  constructor(options: DialectOptions, variant: Variant) {
    this.#options = options
    this.#variant = variant
    this.#ids = variant.ids(options)
    this.#reader = new JsonReader(['payload'], (m) => readText(m, options))
    this.#media = new MediaText(options.wire)
    this.#mediaTail = `"},"streamSid":"${this.#ids.stream}"}`
  }

  get lastSeq(): number {
    return this.#seq
  }

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    return decodeText(this.#reader, frame, isBinary)
  }

  media({ audio, chunk, timestampMs }: MediaFrame): number {
    const head = `{"event":"media","sequenceNumber":"${++this.#seq}","media":{"track":"inbound","chunk":"${chunk + 1}","timestamp":"${timestampMs}","payload":"`
    return this.#media.write(head, audio, this.#mediaTail)
  }

  tell(message: BridgeMessage): void {
    switch (message.kind) {
      case 'start':
        return this.#start(message.facts)
      case 'dtmf':
        return this.#send('dtmf', { dtmf: this.#variant.dtmf(message.digit, message.durationMs) })
      case 'mark':
        // Twilio echoes a mark just so whether its audio was heard or cleared.
        return this.#send('mark', { mark: { name: message.name } })
      case 'stop': {
        const { account, call } = this.#ids
        if (this.#variant.stopNames) return this.#send('stop', { stop: { accountSid: account, callSid: call } })
        return this.#write({ event: 'stop', sequenceNumber: String(++this.#seq) })
      }
      default: {
        const answer = tellEscape(message)
        if (answer) this.#send(answer.event as string, answer)
      }
    }
  }

  /** Back to back: some bots read both before they look at either. */
  #start(facts: Json): void {
    const { account, call, stream } = this.#ids
    const { encoding, sampleRate } = this.#options.audio.input
    const customParameters = parameters(facts)
    const none = this.#variant.optionalParameters && Object.keys(customParameters).length === 0
    this.#write({ event: 'connected', protocol: 'Call', version: this.#variant.version })
    this.#send('start', {
      start: {
        accountSid: account,
        streamSid: stream,
        callSid: call,
        tracks: ['inbound'],
        mediaFormat: { encoding: encoding === 'pcm16' ? 'audio/x-L16' : 'audio/x-mulaw', sampleRate, channels: 1 },
        customParameters: none ? undefined : customParameters,
      },
    })
  }

  #send(event: string, fields: Json): void {
    this.#write({ event, sequenceNumber: String(++this.#seq), streamSid: this.#ids.stream, ...fields })
  }

  #write(message: Json): void {
    this.#options.wire.text(JSON.stringify(message))
  }
}

/** base64 of the HMAC-SHA1 of the URL as it was dialled, scheme and query included; an upgrade has no parameters. */
export const twilioSignature = (authToken: string, url: string): string =>
  createHmac('sha1', authToken).update(url).digest('base64')

const json = (format: AudioFormat): AudioPlan => ({ input: format, output: { ...format }, transport: 'json' })

export const twilio: DialectKind = {
  subprotocols: [],
  audio: () => json({ ...PCMU }),
  headers: ({ secret, url }: Handshake): Record<string, string> =>
    secret === undefined ? {} : { 'X-Twilio-Signature': twilioSignature(secret, url) },
  create: (options) => new TwilioDialect(options, TWILIO),
}

export const signalwire: DialectKind = {
  subprotocols: [],
  /** PCMU@8000h, L16@16000h or L16@24000h, the same both ways: L16 at 8 kHz does not exist there. */
  audio: ({ input }) =>
    json(
      input.encoding === 'pcm16' && input.sampleRate !== 8000
        ? { encoding: 'pcm16', sampleRate: input.sampleRate, frameMs: 20 }
        : { ...PCMU },
    ),
  // Its `authBearerToken` is a header that the bot's own configuration carries.
  headers: () => ({}),
  create: (options) => new TwilioDialect(options, SIGNALWIRE),
}
