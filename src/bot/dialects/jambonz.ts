/**
 * jambonz `listen` / `stream` (docs.jambonz.org/verbs/verbs/listen), whose two ways may have different rates. Audio is
 * s16le in binary frames, or whole clips in `playAudio`; text frames are JSON. Not here: the verbs (dial, sip:refer, …),
 * which jambonz has on another socket; call control comes by our own words (escape-hatch.ts).
 *
 *   {"callSid",…} ──▶ [s16le, 20 ms] … {"event":"dtmf"} · {"type":"mark"} · {"type":"playDone"} ──▶
 *   [s16le, any size] · playAudio · killAudio · mark · clearMarks · disconnect ◀──
 *
 * Mark names as the session knows them are made unique: `m3:chunk-1` for a bot's mark, `p4:greeting` for the end of a clip.
 */
import { readWavFormat, WavError } from '../../audio/wav.ts'
import type {
  AudioFormat,
  AudioMessage,
  AudioPlan,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  MediaFrame,
} from '../dialect.ts'
import { readEscape, readMark, tellEscape } from './escape-hatch.ts'
import { inner, isObject, JsonReader, type Json, type Reading } from './json-reader.ts'
import { shown } from './shown.ts'

const MAX_MARKS = 30
const MAX_ID = 256
const RTP_UNITS_PER_MS = 8
const RIFF = 0x46464952
const OWN_MARK = /^([mp])(\d{1,15})(?::([\s\S]*))?$/

class JambonzDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #reader = new JsonReader(['audioContent'], (m) => this.#read(m))
  readonly lastSeq = 0
  #nextMark = 0
  /** Marks that the bot still waits for, as the session names them. */
  readonly #waiting = new Set<string>()
  /** Marks that clearMarks took away: what the session says of them later is not for the bot. */
  readonly #dropped = new Set<string>()
  // Of the clip whose envelope was read last: the reader does not read the same envelope twice.
  #clip: { interrupts: boolean; isWav: boolean; id: string | undefined } = { interrupts: true, isWav: false, id: undefined } // prettier-ignore
  readonly #unwrapped: AudioMessage = { kind: 'audio', bytes: new Uint8Array(0) }

  constructor(options: DialectOptions) {
    this.#options = options
  }

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    if (isBinary) return this.#reader.audio(frame)
    const read = this.#reader.decode(frame)
    return read && !Array.isArray(read) && read.kind === 'audio' ? this.#play(read) : read
  }

  #read(m: Json): Reading {
    switch (m.type) {
      case 'playAudio':
        return this.#readClip(inner(m, 'data'))
      case 'killAudio':
        return { kind: 'clear' }
      case 'mark':
        return this.#mark(inner(m, 'data').name)
      case 'clearMarks':
        return this.#clearMarks()
      case 'disconnect':
        return { kind: 'hangup', reason: 'bot_hangup', afterPlayback: false }
      default: {
        const escaped = readEscape(m, this.#options)
        if (escaped !== null) return escaped
        const message = `${shown(m.type ?? m.event)} is not known; it was ignored. Use playAudio, killAudio, mark, clearMarks or disconnect.`
        return { kind: 'mistake', code: 'unknown_type', message, bad: false }
      }
    }
  }

  #readClip(data: Json): Reading {
    const { id } = data
    this.#clip = {
      // jambonz' own default: a clip takes the place of what is being played.
      interrupts: data.queuePlay !== true,
      isWav: data.audioContentType === 'wav',
      id: typeof id === 'string' || typeof id === 'number' ? String(id).slice(0, MAX_ID) : undefined,
    }
    const sampleRate = this.#clip.isWav ? undefined : rateOf(data.sampleRate)
    if (sampleRate === null) return badRate(data.sampleRate)
    return { kind: 'audio', payload: data.audioContent, encoding: 'pcm16', sampleRate }
  }

  #play(audio: AudioMessage): BotMessage | BotMessage[] {
    const { interrupts, isWav, id } = this.#clip
    const clip = isWav || startsAsWav(audio.bytes) ? this.#unwrap(audio) : audio
    if (clip.kind !== 'audio') return clip
    const done: BotMessage = { kind: 'mark', name: `p${this.#nextMark++}${id === undefined ? '' : `:${id}`}` }
    return interrupts ? [{ kind: 'clear' }, clip, done] : [clip, done]
  }

  /** The samples of a WAV file, in place. */
  #unwrap(audio: AudioMessage): BotMessage {
    const { bytes } = audio
    try {
      const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      const { encoding, channels, rateHz, dataOffset, dataBytes } = readWavFormat(file)
      const sampleRate = rateOf(rateHz)
      if (channels !== 1) return mistake('bad_audio', 'The WAV file has two channels; send one.')
      if (sampleRate == null || (encoding !== 'pcm16' && sampleRate !== 8000)) return badRate(rateHz)
      this.#unwrapped.bytes = bytes.subarray(dataOffset, dataOffset + dataBytes)
      this.#unwrapped.encoding = encoding
      this.#unwrapped.sampleRate = sampleRate
      return this.#unwrapped
    } catch (err) {
      if (!(err instanceof WavError)) throw err
      return mistake('bad_audio', `The WAV file cannot be played: ${err.message}.`)
    }
  }

  #mark(name: unknown): Reading {
    const mark = readMark(name)
    if (mark.kind !== 'mark') return mark
    if (this.#waiting.size >= MAX_MARKS) {
      const message = `More than ${MAX_MARKS} marks are waiting; this one was discarded.`
      return { kind: 'mistake', code: 'rate_limited', message, bad: false }
    }
    mark.name = `m${this.#nextMark++}:${mark.name}`
    this.#waiting.add(mark.name)
    return mark
  }

  /** The audio stays: only its marks are given back, at once. */
  #clearMarks(): undefined {
    for (const name of this.#waiting) {
      this.#dropped.add(name)
      this.#answerMark(name, 'cleared')
    }
    this.#waiting.clear()
  }

  media({ audio }: MediaFrame): number {
    this.#options.wire.binary(audio)
    return audio.length
  }

  tell(message: BridgeMessage): void {
    switch (message.kind) {
      case 'start':
        if (message.resume) this.#takeOver(message.resume.unplayedMarks)
        return this.#write(metadata(this.#options.callId, message.facts, message.audio))
      case 'dtmf':
        return this.#write({
          event: 'dtmf',
          dtmf: message.digit,
          duration: String(Math.round(message.durationMs * RTP_UNITS_PER_MS)),
        })
      case 'mark':
        return this.#tellMark(message.name, message.status)
      default: {
        const answer = tellEscape(message)
        if (answer) this.#write(answer)
      }
    }
  }

  /** Marks that an earlier socket of this session has left behind. */
  #takeOver(unplayed: string[]): void {
    for (const name of unplayed) {
      const own = OWN_MARK.exec(name)
      if (!own) continue
      this.#nextMark = Math.max(this.#nextMark, Number(own[2]) + 1)
      if (own[1] === 'm') this.#waiting.add(name)
    }
  }

  #tellMark(name: string, status: 'played' | 'cleared'): void {
    if (this.#dropped.delete(name)) return
    this.#waiting.delete(name)
    if (!name.startsWith('p')) return this.#answerMark(name, status)
    // A clip that was cut off is done, too.
    this.#write({ type: 'playDone', data: { id: OWN_MARK.exec(name)?.[3] } })
  }

  #answerMark(name: string, status: 'played' | 'cleared'): void {
    const event = status === 'played' ? 'playout' : 'cleared'
    this.#write({ type: 'mark', data: { name: OWN_MARK.exec(name)?.[3] ?? name, event } })
  }

  #write(message: Json): void {
    this.#options.wire.text(JSON.stringify(message))
  }
}

const startsAsWav = (bytes: Uint8Array): boolean =>
  bytes.length >= 12 && (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) === RIFF

const mistake = (code: 'bad_audio' | 'format_mismatch', message: string): BotMessage & { kind: 'mistake' } => ({
  kind: 'mistake',
  code,
  message,
  bad: true,
})
const badRate = (rate: unknown): BotMessage & { kind: 'mistake' } =>
  mistake('format_mismatch', `Sample rate ${shown(rate)} is not supported: use 8000, 16000 or 24000.`)

/** @returns undefined when none was given, null for one that is not supported */
function rateOf(value: unknown): 8000 | 16000 | 24000 | undefined | null {
  if (value == null) return undefined
  const rate = typeof value === 'string' ? Number(value) : value
  return rate === 8000 || rate === 16000 || rate === 24000 ? rate : null
}

/** The first text frame: the call as jambonz' webhooks have it, and the verb's free `metadata` beside it. */
function metadata(callId: string, facts: Json, audio: AudioPlan): Json {
  const { account_id, voicechat_id, from, to, direction, language, system_msg, text } = facts
  return {
    language,
    system_msg,
    text,
    ...(isObject(facts.custom) ? facts.custom : {}),
    callSid: callId,
    accountSid: account_id,
    applicationSid: voicechat_id,
    from,
    to,
    callId: inner(facts, 'sip').call_id,
    direction,
    sampleRate: audio.input.sampleRate,
    mixType: 'mono',
  }
}

const linear = ({ encoding, sampleRate }: AudioFormat): AudioFormat => ({
  encoding: 'pcm16',
  sampleRate: encoding === 'pcm16' ? sampleRate : 8000,
  frameMs: 20,
})

export const jambonz: DialectKind = {
  // The module and the SDK say drachtio, the page of the verb says jambonz.
  subprotocols: ['audio.drachtio.org', 'audio.jambonz.org'],
  audio: ({ input, output }) => ({ input: linear(input), output: linear(output), transport: 'binary' }),
  // `wsAuth` is Basic: a header that the bot's own configuration carries.
  headers: () => ({}),
  create: (options) => new JambonzDialect(options),
}
