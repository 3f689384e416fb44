/**
 * Vonage Voice API, websocket endpoint (developer.vonage.com/en/voice/voice-api/guides/websockets); Infobip speaks it,
 * too. Audio is L16, little-endian, in binary frames; text frames are JSON. No sequence numbers, no ids and no stop: the
 * end of the socket is the end. Not here: NCCO, and the events that Vonage posts by HTTP.
 *
 *   websocket:connected ──▶ [L16, 20 ms] [L16, 20 ms] websocket:dtmf … ──▶
 *   [L16, any size] · {"action":"clear"} · {"action":"notify","payload":{…}} ◀──
 *                      └▶ websocket:cleared └▶ websocket:notify, when what came before it has been heard
 */
import type {
  AudioFormat,
  AudioPlan,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  MediaFrame,
} from '../dialect.ts'
import { readEscape, tellEscape } from './escape-hatch.ts'
import { JsonReader, type Json, type Reading } from './json-reader.ts'
import { fitting } from './parameter-limit.ts'
import { shown } from './shown.ts'
import { parameters } from './text-bot.ts'

const MAX_HEADER_BYTES = 512
const MAX_PAYLOAD_CHARS = 1024
// What `websocket:connected` says of itself: no free data may stand in for it.
const OWN = new Set(['event', 'content-type'])
// Vonage's bots learn these from the answer webhook, which we do not have.
const TOLD = ['call_id', 'from', 'to', 'direction', 'language', 'system_msg', 'text']

class VonageDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #reader = new JsonReader([], (m) => this.#read(m))
  readonly lastSeq = 0

  constructor(options: DialectOptions) {
    this.#options = options
  }

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    return isBinary ? this.#reader.audio(frame) : this.#reader.decode(frame)
  }

  #read(m: Json): Reading {
    const { action } = m
    if (action === 'clear') return { kind: 'clear' }
    if (action === 'notify') return notify(m.payload)
    // A bot whose every message has an `action` asks for call control by that name, too.
    const escaped = readEscape(typeof action === 'string' ? { ...m, type: action, event: action } : m, this.#options)
    if (escaped !== null) return escaped
    const message = `${shown(action ?? m.event ?? m.type)} is not known; it was ignored. Use {"action":"clear"} or {"action":"notify","payload":{}}.`
    return { kind: 'mistake', code: 'unknown_type', message, bad: false }
  }

  media({ audio }: MediaFrame): number {
    this.#options.wire.binary(audio)
    return audio.length
  }

  tell(message: BridgeMessage): void {
    switch (message.kind) {
      case 'start':
        return this.#write({
          event: 'websocket:connected',
          'content-type': `audio/l16;rate=${message.audio.input.sampleRate}`,
          ...this.#headers(message.facts),
        })
      case 'dtmf':
        return this.#write({ event: 'websocket:dtmf', digit: message.digit, duration: message.durationMs })
      case 'cleared':
        return this.#write({ event: 'websocket:cleared' })
      case 'mark':
        // A notify that was cleared is gone from Vonage's queue as well.
        if (message.status === 'cleared') return
        return this.#options.wire.text(`{"event":"websocket:notify","payload":${message.name}}`)
      default: {
        const answer = tellEscape(message)
        if (answer) this.#write(answer)
      }
    }
  }

  #headers(facts: Json): Record<string, string> {
    const all = parameters({ call_id: this.#options.callId, ...facts }, TOLD)
    const allowed = Object.entries(all).filter(([name]) => !OWN.has(name))
    // The customer's own come first in what little room there is.
    const custom = allowed.filter(([name]) => !TOLD.includes(name))
    const told = allowed.filter(([name]) => TOLD.includes(name))
    return fitting(Object.fromEntries([...custom, ...told]), MAX_HEADER_BYTES)
  }

  #write(message: Json): void {
    this.#options.wire.text(JSON.stringify(message))
  }
}

/** The mark's name is the payload's own JSON: so it comes back whole, on another socket as well. */
function notify(payload: unknown): Reading {
  const name = jsonOf(payload ?? {})
  if (name !== undefined && name.length <= MAX_PAYLOAD_CHARS) return { kind: 'mark', name }
  const message = `The payload of a notify may have ${MAX_PAYLOAD_CHARS} characters of JSON at most.`
  return { kind: 'mistake', code: 'bad_json', message, bad: true }
}

/** Nothing for a nesting that is too deep to be written again. */
function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch (err) {
    if (err instanceof RangeError) return undefined
    throw err
  }
}

export const vonage: DialectKind = {
  subprotocols: [],
  /** One rate for both ways, as `content-type` has only one: 16 kHz unless the bot's pcm16 is configured otherwise. */
  audio: ({ input }): AudioPlan => {
    const sampleRate = input.encoding === 'pcm16' ? input.sampleRate : 16000
    const format: AudioFormat = { encoding: 'pcm16', sampleRate, frameMs: 20 }
    return { input: format, output: { ...format }, transport: 'binary' }
  },
  // Vonage signs its webhooks, not the handshake.
  headers: () => ({}),
  create: (options) => new VonageDialect(options),
}
