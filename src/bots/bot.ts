import Type, { type Static } from 'typebox'
import type { BotSettings } from '../calls/ports.ts'
import type { Bot } from './ports.ts'

/** A bot as the API and the bootstrap file give it. Header values and the secret go in and never come out. */
const encoding = Type.Union([Type.Literal('pcmu'), Type.Literal('pcma'), Type.Literal('pcm16')])
const name = Type.String({ minLength: 1, maxLength: 100 })
const url = Type.String({ minLength: 1, maxLength: 2048, description: 'Where the bot is dialled: wss://…' })
const text = (description: string) => Type.String({ maxLength: 16_384, description })

const optionalFields = {
  headers: Type.Record(Type.String({ maxLength: 100 }), Type.String({ maxLength: 4096 }), {
    maxProperties: 8,
    description: 'Extra handshake headers.',
  }),
  secret: Type.String({ minLength: 16, maxLength: 256, description: 'Key of the handshake signature.' }),
  dialect: Type.Literal('native'),
  answerMode: Type.Union([Type.Literal('auto'), Type.Literal('bot')], {
    description: 'bot: the bot answers the call itself.',
  }),
  input: encoding,
  output: encoding,
  transport: Type.Union([Type.Literal('json'), Type.Literal('binary')]),
  frameMs: Type.Integer({
    minimum: 20,
    maximum: 200,
    multipleOf: 20,
    description: 'Audio per message to the bot, ms.',
  }),
  discriminator: Type.Union([Type.Literal('both'), Type.Literal('type'), Type.Literal('event')]),
  beforeAnswer: Type.Union([Type.Literal('buffer'), Type.Literal('early_media'), Type.Literal('drop')]),
  bufferMs: Type.Integer({ minimum: 1000, maximum: 600_000, description: 'Playback buffer, ms.' }),
  onLost: Type.Union([Type.Literal('hangup'), Type.Literal('transfer')]),
  fallbackTarget: Type.String({
    minLength: 1,
    maxLength: 255,
    description: "Number or SIP URI for onLost 'transfer'.",
  }),
  record: Type.Boolean(),
  maxCallMs: Type.Integer({ minimum: 1000, maximum: 86_400_000 }),
  systemMsg: text('Prompt for the bot.'),
  language: Type.String({ maxLength: 35 }),
  text: text('Opening text for the bot.'),
}

export const BotInput = Type.Object(
  { name, url, ...Type.Partial(Type.Object(optionalFields)).properties },
  { additionalProperties: false },
)
export type BotInput = Static<typeof BotInput>

const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])

/** Absent fields stay as they are; `null` takes an optional one off. */
export const BotPatch = Type.Partial(
  Type.Object({
    name,
    url,
    ...optionalFields,
    secret: nullable(optionalFields.secret),
    fallbackTarget: nullable(optionalFields.fallbackTarget),
    systemMsg: nullable(optionalFields.systemMsg),
    language: nullable(optionalFields.language),
    text: nullable(optionalFields.text),
  }),
  { additionalProperties: false },
)
export type BotPatch = Static<typeof BotPatch>

export const BOT_DEFAULTS = {
  headers: {},
  dialect: 'native',
  answerMode: 'auto',
  input: 'pcmu',
  output: 'pcmu',
  transport: 'json',
  frameMs: 20,
  discriminator: 'both',
  beforeAnswer: 'buffer',
  bufferMs: 120_000,
  onLost: 'hangup',
  record: false,
  maxCallMs: 3_600_000,
} as const satisfies Partial<BotSettings>

/** Settings of a bot that is only a URL (a request's `wss_url`), or of one to be stored. */
export const botSettingsFrom = (input: BotInput): BotSettings => ({
  ...BOT_DEFAULTS,
  ...input,
  headers: { ...input.headers },
})

export type BotView = Omit<Bot, 'headers' | 'secret'> & { headerNames: string[]; signed: boolean }

/** Without header values and secret. */
export function botView(bot: Bot): BotView {
  const { headers, secret, ...rest } = bot
  return { ...rest, headerNames: Object.keys(headers), signed: secret !== undefined }
}
