/**
 * `session.update` of the OpenAI Realtime API in its two spellings, and the audio formats that the server's `session`
 * object confirms (platform.openai.com/docs/api-reference/realtime; the beta shape is what older proxies and compatible
 * servers still speak), and how the two sides come to agree. No state of the conversation.
 *
 *   GA    session.audio.input.format {"type":"audio/pcmu"}     beta  session.input_audio_format "g711_ulaw"
 */
import type { AudioFormat, AudioPlan, Encoding, SampleRate } from '../dialect.ts'
import { inner, isObject, type Json } from './json-reader.ts'
import { TOOLS } from './openai-tools.ts'

type Spelling = 'ga' | 'beta'
export type WireFormat = Pick<AudioFormat, 'encoding' | 'sampleRate'>

/** What a server speaks that confirms nothing: the API's own default, and the only rate of its PCM. */
export const SERVER_DEFAULT: WireFormat = { encoding: 'pcm16', sampleRate: 24_000 }

/** What the customer wants of the model's session, whatever its spelling. */
interface Wish {
  instructions?: string
  voice?: string
  /** ISO 639-1. */
  language?: string
  transcriptionModel?: string
}

/** Parts that a server may not know and that a call can do without: left out once it has named them in an error. */
const DISPENSABLE = ['transcription', 'voice'] as const
type Dispensable = (typeof DISPENSABLE)[number]

// The GA name; of the older ones OpenAI has announced the end (2027-02-26), but a beta server knows only those.
const TRANSCRIPTION_MODEL = { ga: 'gpt-transcribe', beta: 'whisper-1' } as const
const GA_TYPES: Record<Encoding, string> = { pcmu: 'audio/pcmu', pcma: 'audio/pcma', pcm16: 'audio/pcm' }
const BETA_NAMES: Record<Encoding, string> = { pcmu: 'g711_ulaw', pcma: 'g711_alaw', pcm16: 'pcm16' }
const ENCODINGS = new Map<unknown, Encoding>(
  (['pcmu', 'pcma', 'pcm16'] as const).flatMap((e) => [
    [GA_TYPES[e], e],
    [BETA_NAMES[e], e],
  ]),
)
const MAX_VOICE_CHARS = 128

const optional = (v: unknown): string | undefined => (typeof v === 'string' && v.trim() !== '' ? v : undefined)

/** From the facts of `start`: system_msg, language (sttlanguage_code) and two custom fields. */
export function wishOf(facts: Json): Wish {
  const custom = inner(facts, 'custom')
  return {
    instructions: optional(facts.system_msg),
    voice: optional(custom.voice)?.slice(0, MAX_VOICE_CHARS),
    // "hi-IN" and "hi_IN" to "hi".
    language: /^([a-z]{2,3})(?:[-_]|$)/i.exec(optional(facts.language) ?? '')?.[1].toLowerCase(),
    transcriptionModel: optional(custom.transcription_model)?.slice(0, MAX_VOICE_CHARS),
  }
}

function sessionUpdate(
  spelling: Spelling,
  audio: { input: WireFormat; output: WireFormat },
  wish: Wish,
  without: ReadonlySet<Dispensable>,
): Json {
  const voice = without.has('voice') ? undefined : wish.voice
  const transcription =
    wish.language === undefined || without.has('transcription')
      ? undefined
      : { model: wish.transcriptionModel ?? TRANSCRIPTION_MODEL[spelling], language: wish.language }
  // Both also start a response after each turn of the caller and cancel it when the caller speaks again: the default.
  const turnDetection = { type: 'server_vad' }
  // JSON.stringify leaves out what is undefined, so that the server's own default holds.
  if (spelling === 'beta')
    return {
      modalities: ['audio', 'text'],
      instructions: wish.instructions,
      voice,
      input_audio_format: BETA_NAMES[audio.input.encoding],
      output_audio_format: BETA_NAMES[audio.output.encoding],
      input_audio_transcription: transcription,
      turn_detection: turnDetection,
      tools: TOOLS,
    }
  return {
    type: 'realtime',
    instructions: wish.instructions,
    output_modalities: ['audio'],
    audio: {
      input: { format: gaFormat(audio.input), transcription, turn_detection: turnDetection },
      output: { format: gaFormat(audio.output), voice },
    },
    tools: TOOLS,
  }
}

const gaFormat = ({ encoding, sampleRate }: WireFormat): Json =>
  encoding === 'pcm16' ? { type: GA_TYPES.pcm16, rate: sampleRate } : { type: GA_TYPES[encoding] }

/** What a `session` object says of its formats; nothing of what it does not say or we cannot speak. */
function sessionFormats(session: Json): { spelling?: Spelling; input?: WireFormat; output?: WireFormat } {
  if (isObject(session.audio)) {
    const side = (name: string): WireFormat | undefined => formatOf(inner(inner(session, 'audio'), name).format)
    return { spelling: 'ga', input: side('input'), output: side('output') }
  }
  const input = formatOf(session.input_audio_format)
  const output = formatOf(session.output_audio_format)
  return { spelling: input || output ? 'beta' : undefined, input, output }
}

function formatOf(value: unknown): WireFormat | undefined {
  const encoding = ENCODINGS.get(isObject(value) ? value.type : value)
  if (encoding === undefined) return undefined
  const rate = isObject(value) ? value.rate : undefined
  if (encoding !== 'pcm16') return { encoding, sampleRate: 8000 }
  return { encoding, sampleRate: rate === 8000 || rate === 16_000 ? rate : SERVER_DEFAULT.sampleRate }
}

export const sameFormat = (a: WireFormat, b: WireFormat): boolean =>
  a.encoding === b.encoding && a.sampleRate === b.sampleRate

/** The formats that a session of this kind begins with: G.711 as configured, or the API's one kind of PCM. */
export function startingPlan(configured: AudioPlan): AudioPlan {
  const side = ({ encoding, frameMs }: AudioFormat): AudioFormat => {
    const sampleRate: SampleRate = encoding === 'pcm16' ? SERVER_DEFAULT.sampleRate : 8000
    return { encoding, sampleRate, frameMs }
  }
  return { input: side(configured.input), output: side(configured.output), transport: 'json' }
}

export interface Agreed {
  input: WireFormat
  output: WireFormat
}

/**
 * The session as we want it, in the shape that the server takes. What is refused is tried in the next shape; what is
 * confirmed is believed, whatever was asked for.
 *
 *   GA ──▶ beta ──▶ GA with PCM ──▶ beta with PCM ──▶ the server's default
 */
export class Negotiation {
  readonly #send: (session: Json) => string
  /** Yet to be tried, the current one first; empty: not begun, or over. */
  #attempts: (Agreed & { spelling: Spelling })[] = []
  #wish: Wish = {}
  readonly #without = new Set<Dispensable>()
  #eventId = ''
  #created: Partial<Agreed> = {}

  /** @param send sends session.update and returns its event id */
  constructor(send: (session: Json) => string) {
    this.#send = send
  }

  begin(asked: Agreed, wish: Wish): void {
    const plain = { input: SERVER_DEFAULT, output: SERVER_DEFAULT }
    const isPlain = sameFormat(asked.input, SERVER_DEFAULT) && sameFormat(asked.output, SERVER_DEFAULT)
    const { input, output } = asked
    this.#attempts = (isPlain ? [plain] : [{ input, output }, plain]).flatMap((formats) => [
      { spelling: 'ga', ...formats },
      { spelling: 'beta', ...formats },
    ])
    this.#wish = wish
    this.#ask()
  }

  /** `session.created`: in force when every update is refused. */
  created(session: Json): void {
    this.#created = sessionFormats(session)
  }

  /** @returns what is agreed on; nothing while it is not, or has been already */
  updated(session: Json): Agreed | undefined {
    if (this.#attempts.length === 0) return undefined
    const { spelling, input, output } = sessionFormats(session)
    if (this.#attempts[0].spelling === 'ga' && spelling === 'beta') {
      // It has read nothing of what we asked for, and says so in the only way that it knows.
      this.#attempts.shift()
      this.#ask()
      return undefined
    }
    return this.#over(input, output)
  }

  /** An `error` of the server, while nothing is agreed on. */
  refused(error: Json): Agreed | undefined {
    const ref = error.event_id
    // Some servers do not say what their error is about (Azure, openai-python#2638): then it is about this.
    if (this.#attempts.length === 0 || (typeof ref === 'string' && ref !== this.#eventId)) return undefined
    const where = typeof error.param === 'string' ? error.param : ''
    const part = DISPENSABLE.find((p) => where.includes(p) && !this.#without.has(p))
    if (part) this.#without.add(part)
    else this.#attempts.shift()
    if (this.#attempts.length === 0) return this.#over(this.#created.input, this.#created.output)
    this.#ask()
    return undefined
  }

  #ask(): void {
    const { spelling, input, output } = this.#attempts[0]
    this.#eventId = this.#send(sessionUpdate(spelling, { input, output }, this.#wish, this.#without))
  }

  #over(input = SERVER_DEFAULT, output = SERVER_DEFAULT): Agreed {
    this.#attempts = []
    return { input, output }
  }
}
