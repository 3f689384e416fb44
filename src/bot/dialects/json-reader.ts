/**
 * Text frames of JSON dialects: audio without a JSON object where a scan does, everything else by JSON.parse. A dialect
 * gives the reading of one parsed message; the base64 is found, decoded and remembered here.
 *
 *   {"event":"media","streamSid":"MZ…","media":{"payload":"// base64 //"}}
 *   └─ head, as last time? ────────────────────┘ scanned      └─ tail, as last time?
 */
import type { AudioMessage, BotMessage } from '../dialect.ts'

export type Json = Record<string, unknown>

/** What a dialect reads from one message: audio still as the base64 text that stood in it. */
export type Reading =
  | Exclude<BotMessage, AudioMessage>
  | Exclude<BotMessage, AudioMessage>[]
  | (Omit<AudioMessage, 'bytes'> & { payload: unknown })
  | undefined

const QUOTE = 0x22
const SPACE = 0x20
// Stands in for the payload while the rest of the message is parsed; no bot sends this one character as audio.
const HOLE = '~'
const SCRATCH_BYTES = 16_384
const MAX_MEMO_CHARS = 512
// Parsing costs by the value, not by the byte: a long message is long audio, or it is meant to keep us busy.
const LONG_BYTES = 128 * 1024
const MAX_VALUES_OF_LONG = 10_000
const VALUE_STARTS = [...',[{'].map((c) => c.charCodeAt(0))

export const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v)
/** The object under `name`; an empty one when there is none. */
export const inner = (m: Json, name: string): Json => (isObject(m[name]) ? m[name] : {})

function tooManyValues(frame: Buffer): boolean {
  let values = 0
  for (const byte of VALUE_STARTS)
    for (let at = frame.indexOf(byte); at >= 0; at = frame.indexOf(byte, at + 1))
      if (++values > MAX_VALUES_OF_LONG) return true
  return false
}

export class JsonReader {
  readonly #keys: string[]
  readonly #where: string
  readonly #read: (message: Json) => Reading
  /** Decoded audio; grows for one large message and is given back after it. */
  #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  // The envelope of the last audio message: the next one is most often the same around its payload.
  #memoHead = ''
  #memoTail = ''
  readonly #audio: AudioMessage = { kind: 'audio', bytes: this.#scratch }

  /**
   * @param keys under which this dialect's audio stands, the most common first
   * @param read never throws
   */
  constructor(keys: readonly string[], read: (message: Json) => Reading) {
    this.#keys = keys.map((key) => `"${key}":`)
    this.#where = keys
      .map((key) => `\`${key}\``)
      .join(', ')
      .replace(/, ([^,]*)$/, ' or $1')
    this.#read = read
  }

  decode(frame: Buffer): BotMessage | BotMessage[] | undefined {
    if (frame.length > LONG_BYTES && tooManyValues(frame))
      return { kind: 'mistake', code: 'bad_json', message: `The message has more than ${MAX_VALUES_OF_LONG} values.`, bad: true } // prettier-ignore
    return this.#scan(frame) ?? this.#parse(frame)
  }

  /** A binary frame that is audio. */
  audio(bytes: Buffer): AudioMessage | undefined {
    if (bytes.length === 0) return undefined
    this.#forgetEnvelope()
    this.#audio.bytes = bytes
    return this.#audio
  }

  /**
   * Finds the payload by scanning, decodes it into the scratch buffer, and parses only what stands around it, if that
   * differs from last time. Anything out of the ordinary is left to JSON.parse by returning nothing.
   */
  #scan(frame: Buffer): BotMessage | undefined {
    if (frame.length < 32) return undefined
    let start = -1
    for (let i = 0; i < this.#keys.length && start < 0; i++) {
      const key = this.#keys[i]
      const at = frame.indexOf(key, 0, 'latin1')
      if (at >= 0) start = at + key.length
    }
    if (start < 0) return undefined
    while (frame[start] === SPACE) start++
    if (frame[start++] !== QUOTE) return undefined
    const end = frame.indexOf(QUOTE, start)
    if (end < 0) return undefined
    const head = frame.toString('latin1', 0, start)
    const tail = frame.toString('latin1', end)
    if (head !== this.#memoHead || tail !== this.#memoTail) {
      if (!this.#readEnvelope(frame.toString('utf8', 0, start) + HOLE + frame.toString('utf8', end))) return undefined
      const keep = head.length + tail.length <= MAX_MEMO_CHARS && this.#audio.ref === undefined && !this.#audio.ack
      this.#memoHead = keep ? head : ''
      this.#memoTail = keep ? tail : ''
    }
    // A backslash (JSON escape) or any other stranger makes the count come out wrong: then the slow way explains it.
    const bytes = this.#base64(frame.toString('latin1', start, end))
    if (!bytes || bytes.length === 0) {
      this.#forgetEnvelope()
      return undefined
    }
    this.#audio.bytes = bytes
    return this.#audio
  }

  /** True when the text is one audio message whose payload is the hole; fills in everything but the bytes. */
  #readEnvelope(text: string): boolean {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return false
    }
    if (!isObject(value)) return false
    const read = this.#read(value)
    if (!read || Array.isArray(read) || read.kind !== 'audio' || read.payload !== HOLE) return false
    this.#remember(read)
    return true
  }

  #remember(read: Omit<AudioMessage, 'bytes'>): void {
    const a = this.#audio
    a.itemId = read.itemId
    a.encoding = read.encoding
    a.sampleRate = read.sampleRate
    a.ref = read.ref
    a.ack = read.ack
  }

  #forgetEnvelope(): void {
    this.#memoHead = this.#memoTail = ''
    const a = this.#audio
    a.itemId = a.encoding = a.sampleRate = a.ref = a.ack = undefined
  }

  #parse(frame: Buffer): BotMessage | BotMessage[] | undefined {
    let value: unknown
    try {
      value = JSON.parse(frame.toString('utf8'))
    } catch {
      return { kind: 'mistake', code: 'bad_json', message: 'The text frame is not JSON.', bad: true }
    }
    if (!isObject(value))
      return { kind: 'mistake', code: 'bad_json', message: 'A message must be a JSON object.', bad: true }
    const read = this.#read(value)
    if (!read || Array.isArray(read) || read.kind !== 'audio') return read
    this.#forgetEnvelope()
    const { ref } = read
    if (typeof read.payload !== 'string')
      return { kind: 'mistake', code: 'bad_audio', message: `The message has no base64 string of audio in ${this.#where}.`, ref, bad: true } // prettier-ignore
    const bytes = this.#base64(read.payload.replace(/\s+/g, ''))
    if (!bytes) return { kind: 'mistake', code: 'bad_audio', message: 'The audio is not valid base64.', ref, bad: true }
    if (bytes.length === 0) return undefined
    this.#remember(read)
    this.#audio.bytes = bytes
    return this.#audio
  }

  /** Decodes into the scratch buffer; nothing when `text` is not base64 (padding optional, URL alphabet allowed). */
  #base64(text: string): Buffer | undefined {
    let chars = text.length
    while (chars > 0 && text.charCodeAt(chars - 1) === 0x3d) chars--
    if (text.length - chars > 2 || (chars & 3) === 1) return undefined
    const bytes = (chars * 3) >> 2
    if (bytes > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(bytes)
    else if (this.#scratch.length > SCRATCH_BYTES && bytes <= SCRATCH_BYTES)
      this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
    return this.#scratch.write(text, 0, bytes, 'base64') === bytes ? this.#scratch.subarray(0, bytes) : undefined
  }
}
