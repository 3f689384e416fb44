/**
 * What the definitions of messages are made of. They are TypeBox, so one text gives the types, the check and the
 * published JSON Schema (documents.ts). Beside the schema a field may say how tolerantly it is read (check.ts).
 */
import Type, { type Static, type TObject, type TObjectOptions, type TProperties, type TSchema } from 'typebox'
import type { BotErrorCode, Encoding } from '../dialect.ts'

export const MAX_NAME = 256
export const MAX_DIGITS = 64
export const MAX_HEADERS = 8
/** Free data of a bot (a transfer's context, a note), as JSON. */
export const MAX_DATA_BYTES = 4096

/** How a field is read. Stands under `reading` in its schema and is not published. */
export interface FieldReading {
  /** The sentence for the bot's author. `{path}` and `{value}` are filled in. */
  says?: string
  /** Of the `error`; else the message's own. */
  code?: BotErrorCode
  /** Further spellings of an enum's words, lower case. */
  also?: ReadonlyMap<string, string>
  /** A number out of bounds is wrong, instead of being moved to the nearest that is right. */
  exact?: true
}

/** One message of one direction. */
export interface Definition<T extends TProperties = TProperties> {
  /** Under `type` or `event`, the one to use first. */
  readonly names: readonly [string, ...string[]]
  readonly about: string
  /** All but the envelope. */
  readonly fields: TObject<T>
  /** Code of its mistakes where a field has none of its own. */
  readonly code: BotErrorCode
  /** Wrong fields are left out instead of the message: it must be obeyed all the same. */
  readonly forgiving: boolean
  /** Bodies for the reader of the schema, without the envelope. */
  readonly examples: readonly object[]
}

export function message<T extends TProperties>(
  names: Definition['names'],
  about: string,
  fields: T,
  more: { code?: BotErrorCode; forgiving?: boolean; examples?: object[]; options?: TObjectOptions } = {},
): Definition<T> {
  const { code = 'bad_json', forgiving = false, examples = [], options = {} } = more
  return { names, about, fields: Type.Object(fields, options), code, forgiving, examples }
}

/** The fields of a definition, checked. */
export type Fields<D extends Definition> = Static<D['fields']>

export const optional = <T extends TSchema>(schema: T) => Type.Optional(schema)

/** A short text; numbers are taken too, since bots number their marks. */
export const name = (description: string) =>
  Type.String({
    minLength: 1,
    maxLength: MAX_NAME,
    description,
    reading: { says: `\`{path}\` must be a string of 1 to ${MAX_NAME} characters.`, code: 'bad_json' },
  })

export const flag = (description: string, more: { default?: boolean } = {}) =>
  Type.Boolean({ description, ...more, reading: { says: '`{path}` must be true or false.' } })

/** A number that is moved into its bounds. */
export const amount = (minimum: number, maximum: number, description: string, fallback?: number) =>
  Type.Number({
    minimum,
    maximum,
    description,
    ...(fallback === undefined ? {} : { default: fallback }),
    reading: { says: `\`{path}\` must be a number, ${minimum} to ${maximum}.` },
  })

/** A number that is right or wrong. */
export const status = (minimum: number, maximum: number, description: string) =>
  Type.Integer({
    minimum,
    maximum,
    description,
    reading: { says: `\`{path}\` must be a number, ${minimum} to ${maximum}.`, exact: true },
  })

export const choice = <T extends string>(words: T[], description: string, reading: FieldReading = {}) =>
  Type.Enum(words, {
    description,
    reading: { says: `\`{path}\` must be ${words.slice(0, -1).join(', ')} or ${words.at(-1)}.`, ...reading },
  })

/** Whole ms; in messages from us only. */
export const ms = (description: string) => Type.Integer({ minimum: 0, description })

const ENCODINGS = ['pcmu', 'pcma', 'pcm16'] satisfies Encoding[]

// What bots call the same three things elsewhere.
export const ENCODING_NAMES: ReadonlyMap<string, Encoding> = new Map<string, Encoding>([
  ...ENCODINGS.map((name): [string, Encoding] => [name, name]),
  ['g711_ulaw', 'pcmu'],
  ['g711_alaw', 'pcma'],
  ['ulaw', 'pcmu'],
  ['mulaw', 'pcmu'],
  ['alaw', 'pcma'],
  ['audio/pcmu', 'pcmu'],
  ['audio/pcma', 'pcma'],
  ['audio/pcm', 'pcm16'],
  ['audio/x-mulaw', 'pcmu'],
  ['audio/x-alaw', 'pcma'],
  ['audio/x-l16', 'pcm16'],
])

export const encoding = choice([...ENCODINGS], 'pcm16 is little-endian. The G.711 laws have 8000 samples a second.', {
  says: 'Encoding {value} is not known: use pcmu, pcma or pcm16.',
  code: 'format_mismatch',
  also: ENCODING_NAMES,
})

export const sampleRate = Type.Enum([8000, 16000, 24000], {
  description: 'Samples a second.',
  reading: {
    says: 'Sample rate {value} is not supported: use 8000, 16000 or 24000 (pcmu and pcma: 8000 only).',
    code: 'format_mismatch',
  },
})

export const frameMs = Type.Integer({
  minimum: 20,
  maximum: 200,
  multipleOf: 20,
  description: 'Audio per message, ms.',
  reading: { says: '`{path}` must be 20 to 200 in steps of 20.', code: 'format_mismatch', exact: true },
})

export const transport = choice(['json', 'binary'], 'How we send audio: base64 in text frames, or raw binary frames.', {
  code: 'format_mismatch',
})

/** A law named beside a rate that it does not have. */
export const LAWS_AT_8K = {
  if: { properties: { encoding: { enum: ['pcmu', 'pcma'] } }, required: ['encoding'] },
  then: { properties: { sample_rate: { const: 8000 } } },
}

/** An object whose fields are the bot's own. */
export const data = (description: string) =>
  Type.Record(Type.String(), Type.Unknown(), {
    description: `${description} At most ${MAX_DATA_BYTES} bytes as JSON, 8 levels deep.`,
    reading: { says: '`{path}` must be a JSON object.' },
  })
