import Type, { type Static } from 'typebox'
import { BARGE_IN_POLICIES, DIALECTS, type BotSettings, type DialectName } from '../calls/ports.ts'
import type { Bot } from './ports.ts'

/** A bot as the API and the bootstrap file give it. Header values and the secret go in and never come out. */
const encoding = (description: string) =>
  Type.Union([Type.Literal('pcmu'), Type.Literal('pcma'), Type.Literal('pcm16')], { description })
const rate = (description: string) =>
  Type.Union([Type.Literal(8000), Type.Literal(16_000), Type.Literal(24_000)], { description })
const name = Type.String({ minLength: 1, maxLength: 100, examples: ['Receptionist'] })
const url = Type.String({
  minLength: 1,
  maxLength: 2048,
  description:
    'Where the bot is dialled: wss://…, or https://… of a page that answers with it; {call_id}, {account_id}, {voicechat_id}, {direction}, {from} and {to} are filled in.',
  examples: ['wss://bot.example.com/voice?call={call_id}'],
})
const text = (description: string) => Type.String({ maxLength: 16_384, description })

/** The protocol that a bot speaks. */
export const Dialect = Type.Enum(DIALECTS, {
  description:
    'The protocol that the bot speaks. Default: native; openai-realtime for wss://api.openai.com/v1/realtime.',
})

const optionalFields = {
  headers: Type.Record(Type.String({ maxLength: 100 }), Type.String({ maxLength: 4096 }), {
    maxProperties: 8,
    description: 'Extra handshake headers; they go to `url` only, not to its stand-ins.',
    examples: [{ Authorization: 'Bearer of-the-bot' }],
  }),
  secret: Type.String({
    minLength: 16,
    maxLength: 256,
    description: "Key of the handshake's signature: ours for native, the vendor's kind for its dialect.",
  }),
  dialect: Dialect,
  answerMode: Type.Union([Type.Literal('auto'), Type.Literal('bot')], {
    description: 'bot: the bot answers the call itself.',
  }),
  answerOnAudio: Type.Boolean({ description: "With answerMode bot: the bot's first audio answers the call, too." }),
  input: encoding('Audio to the bot. The G.711 laws have 8000 samples a second only.'),
  inputRate: rate('Samples a second, to the bot.'),
  output: encoding('Audio from the bot.'),
  outputRate: rate('Samples a second, from the bot.'),
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
  vad: Type.Boolean({ description: 'Tell when the caller starts and stops to speak.' }),
  bargeIn: Type.Enum(BARGE_IN_POLICIES, {
    description: "What the caller's speech does to the bot's: nothing, tell, throw away what is queued, or pause it.",
  }),
  amd: Type.Boolean({
    description: 'Tell whether a human or a machine has answered, and its beep. Outbound calls only.',
  }),
  silenceMs: Type.Integer({
    minimum: 0,
    maximum: 600_000,
    description: 'Tell when neither side has spoken for so many ms; 0: never.',
    examples: [10_000],
  }),
  quality: Type.Boolean({ description: 'Tell loss, jitter and delay each 5 s.' }),
  onClose: Type.Union([Type.Literal('hangup'), Type.Literal('reconnect'), Type.Literal('fallback')], {
    description: "What the bot's own close with code 1000 means.",
  }),
  reconnectMs: Type.Integer({
    minimum: 0,
    maximum: 60_000,
    description: 'A lost bot is dialled again for so long, ms; 0: not at all.',
  }),
  fallbackUrls: Type.Array(url, {
    maxItems: 5,
    description: 'Dialled in this order when the bot cannot be reached or is lost for good.',
    examples: [['wss://standby.example.com/voice']],
  }),
  onLost: Type.Union([Type.Literal('hangup'), Type.Literal('transfer'), Type.Literal('prompt')], {
    description: 'What becomes of the call when no bot is left.',
  }),
  fallbackTarget: Type.String({
    minLength: 1,
    maxLength: 255,
    description: "Number or SIP URI for onLost 'transfer'.",
    examples: ['+911143104500'],
  }),
  fallbackPrompt: Type.String({
    pattern: '^[A-Za-z0-9._-]{1,100}\\.wav$',
    description: "WAV file of the prompts' directory for onLost 'prompt'; the call ends after it.",
    examples: ['sorry.wav'],
  }),
  record: Type.Boolean(),
  maxCallMs: Type.Integer({ minimum: 1000, maximum: 86_400_000 }),
  custom: Type.Record(Type.String({ maxLength: 64 }), Type.String({ maxLength: 1024 }), {
    maxProperties: 20,
    description: 'Told to the bot as `start.custom`; customParameters, extra_headers … in other dialects.',
  }),
  systemMsg: text('Prompt for the bot.'),
  language: Type.String({ maxLength: 35, examples: ['en-IN'] }),
  text: text('Opening text for the bot.'),
}

export const BotInput = Type.Object(
  { name, url, ...Type.Partial(Type.Object(optionalFields)).properties },
  {
    additionalProperties: false,
    examples: [
      {
        name: 'Receptionist',
        url: 'wss://bot.example.com/voice',
        bargeIn: 'auto_clear',
        fallbackUrls: ['wss://b.example.com/voice'],
      },
      { name: 'Written for Twilio', url: 'wss://bot.example.com/media-stream', dialect: 'twilio' },
      {
        name: 'Model without a bot',
        url: 'wss://api.openai.com/v1/realtime?model=gpt-realtime',
        dialect: 'openai-realtime',
        headers: { Authorization: 'Bearer sk-…' },
        systemMsg: 'You are a receptionist.',
        text: 'Greet the caller.',
      },
    ],
  },
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
    fallbackPrompt: nullable(optionalFields.fallbackPrompt),
    systemMsg: nullable(optionalFields.systemMsg),
    language: nullable(optionalFields.language),
    text: nullable(optionalFields.text),
  }),
  { additionalProperties: false },
)
export type BotPatch = Static<typeof BotPatch>

/** Also fills in what a bot that was stored by an older version does not have. */
export const BOT_DEFAULTS = {
  custom: {},
  headers: {},
  dialect: 'native',
  answerMode: 'auto',
  answerOnAudio: false,
  input: 'pcmu',
  inputRate: 8000,
  output: 'pcmu',
  outputRate: 8000,
  transport: 'json',
  frameMs: 20,
  discriminator: 'both',
  beforeAnswer: 'buffer',
  bufferMs: 120_000,
  vad: false,
  bargeIn: 'none',
  amd: false,
  silenceMs: 0,
  quality: false,
  onClose: 'hangup',
  reconnectMs: 15_000,
  fallbackUrls: [] as string[],
  onLost: 'hangup',
  record: false,
  maxCallMs: 3_600_000,
} as const satisfies Partial<BotSettings>

/** The one address that tells its protocol by itself. */
export function dialectOfUrl(text: string): DialectName | undefined {
  const parsed = URL.parse(text)
  const isModel = parsed?.hostname === 'api.openai.com' && parsed.pathname === '/v1/realtime'
  return isModel ? 'openai-realtime' : undefined
}

/** Settings of a bot that is only a URL (a request's `wss_url`), or of one to be stored. */
export const botSettingsFrom = (input: BotInput): BotSettings => ({
  ...BOT_DEFAULTS,
  ...input,
  dialect: input.dialect ?? dialectOfUrl(input.url) ?? BOT_DEFAULTS.dialect,
  headers: { ...input.headers },
  custom: { ...input.custom },
  fallbackUrls: [...(input.fallbackUrls ?? [])],
})

export type BotView = Omit<Bot, 'headers' | 'secret'> & { headerNames: string[]; signed: boolean }

/** Without header values and secret. */
export function botView(bot: Bot): BotView {
  const { headers, secret, ...rest } = bot
  return { ...rest, headerNames: Object.keys(headers), signed: secret !== undefined }
}
