/**
 * The published descriptions of the native protocol: JSON Schema 2020-12 and AsyncAPI 3.0, both made of the definitions
 * that the bridge itself reads by. docs/schema/ holds what write.ts made of them.
 */
import { FROM_BOT, PASSED_THROUGH } from './from-bot.ts'
import { optional, type Definition } from './parts.ts'
import { TO_BOT } from './to-bot.ts'
import Type from 'typebox'

type Json = Record<string, unknown>

const VERSION = '1.0.0'
const SCHEMA_ID = 'urn:trunkline:bot-protocol:1'

const FROM_ENVELOPE = {
  event_id: optional(Type.String({ maxLength: 256, description: 'Comes back as `ref`.' })),
  ack: optional(Type.Boolean({ description: 'true: an `ack` follows.' })),
  call_id: optional(Type.String({ description: 'Not required; if given it must be that of this call.' })),
  stream_id: optional(Type.String({ description: 'Not required; if given it must be that of this socket.' })),
}
const TO_ENVELOPE = {
  call_id: Type.String(),
  seq: Type.Integer({ minimum: 1, description: 'Counts our text messages, per socket.' }),
  ts: Type.Integer({ description: 'ms since `start` of the session.' }),
}

/** The message as it travels: its fields and the envelope, named by `type`, by `event`, or by both. */
function whole(definition: Definition, envelope: Json): Json {
  const { properties, required = [], ...rest } = published(definition.fields) as Json & { required?: string[] }
  const { properties: outer, required: always = [] } = published(Type.Object(envelope as never)) as Json & { required?: string[] } // prettier-ignore
  const { names } = definition
  const word = names.length === 1 ? { const: names[0] } : { enum: names }
  const named = { anyOf: [{ required: ['type'] }, { required: ['event'] }] }
  const must = [...always, ...required]
  return {
    title: names[0],
    description: definition.about,
    ...rest,
    properties: { type: word, event: word, ...(properties as Json), ...(outer as Json) },
    ...(must.length > 0 ? { required: must } : {}),
    // A definition may have alternatives of its own.
    ...(rest.anyOf === undefined ? named : { anyOf: undefined, allOf: [named, { anyOf: rest.anyOf }] }),
    ...(definition.examples.length === 0 && required.length > 0 ? {} : { examples: examplesOf(definition, envelope) }),
  }
}

function examplesOf({ names, examples }: Definition, envelope: Json): Json[] {
  const bodies = examples.length > 0 ? examples : [{}]
  const outer = envelope === TO_ENVELOPE ? { call_id: 'c1', seq: 1, ts: 0 } : {}
  return bodies.map((body) => ({ type: names[0], ...body, ...outer }))
}

/** Without what is ours alone. */
const published = (schema: object): Json =>
  JSON.parse(JSON.stringify(schema, (key, value: unknown) => (key === 'reading' ? undefined : value))) as Json

/** Other messages of an OpenAI realtime server, which a relaying bot may let through. */
const relayed: Json = {
  title: 'relayed',
  description: 'Other server events of an OpenAI realtime socket: ignored in silence.',
  type: 'object',
  properties: { type: { type: 'string', pattern: PASSED_THROUGH.source } },
  required: ['type'],
}

const all = (definitions: Record<string, Definition>, envelope: Json): [string, Json][] =>
  Object.entries(definitions).map(([name, definition]) => [name, published(whole(definition, envelope))])

/** Keys of `$defs`: `bridge.start`, `bot.clear` … */
const toBot = all(TO_BOT, TO_ENVELOPE).map(([name, schema]): [string, Json] => [`bridge.${name}`, schema])
const fromBot: [string, Json][] = [
  ...all(FROM_BOT, FROM_ENVELOPE).map(([name, schema]): [string, Json] => [`bot.${name}`, schema]),
  ['bot.relayed', relayed],
]

export function jsonSchema(): Json {
  const anyOf = (names: [string, Json][]): Json => ({ anyOf: names.map(([name]) => ({ $ref: `#/$defs/${name}` })) })
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    $id: SCHEMA_ID,
    title: 'Trunkline bot protocol, version 1',
    description:
      'Text messages of both directions; see docs/bot-protocol.md. `$defs/fromBot` is what a bot should send. The bridge is more tolerant than this: numbers as strings are read, numbers out of bounds are moved into them, unknown fields are ignored.',
    $ref: '#/$defs/any',
    $defs: {
      any: { anyOf: [{ $ref: '#/$defs/toBot' }, { $ref: '#/$defs/fromBot' }] },
      toBot: { description: 'From the bridge to the bot.', ...anyOf(toBot) },
      fromBot: { description: 'From the bot to the bridge.', ...anyOf(fromBot) },
      ...Object.fromEntries([...toBot, ...fromBot]),
    },
  }
}

const HANDSHAKE: Json = {
  type: 'object',
  properties: {
    'X-Trunkline-Call-Id': { type: 'string' },
    'X-Trunkline-Timestamp': { type: 'string', description: 'Unix seconds.' },
    'X-Trunkline-Signature': {
      type: 'string',
      pattern: '^v1=[0-9a-f]{64}$',
      description: 'Where the bot has a secret.',
    },
  },
}

/** Seen from the bridge: it sends what is `toBot`. */
export function asyncApi(): Json {
  const messages = [...toBot, ...fromBot]
  const refs = (names: [string, Json][]): Json[] =>
    names.map(([name]) => ({ $ref: `#/channels/call/messages/${name}` }))
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Trunkline bot protocol',
      version: VERSION,
      description:
        'One WebSocket per call, dialled by Trunkline to the address of the bot. Binary frames are raw audio in the agreed format. The meaning of the messages: docs/bot-protocol.md.',
    },
    defaultContentType: 'application/json',
    servers: {
      bot: { host: '{host}', protocol: 'wss', description: 'Your server.', variables: { host: { default: 'bot.example.com' } } }, // prettier-ignore
    },
    channels: {
      call: {
        address: '/',
        description: 'A call: the address is whatever your `wss_url` says.',
        servers: [{ $ref: '#/servers/bot' }],
        bindings: { ws: { method: 'GET', headers: HANDSHAKE } },
        messages: Object.fromEntries(messages.map(([name]) => [name, { $ref: `#/components/messages/${name}` }])),
      },
    },
    operations: {
      tellBot: { action: 'send', channel: { $ref: '#/channels/call' }, messages: refs(toBot) },
      hearBot: { action: 'receive', channel: { $ref: '#/channels/call' }, messages: refs(fromBot) },
    },
    components: {
      messages: Object.fromEntries(
        messages.map(([name, { title, description }]) => [
          name,
          { name: title, summary: description, payload: { $ref: `#/components/schemas/${name}` } },
        ]),
      ),
      schemas: {
        ...Object.fromEntries(messages),
      },
    },
  }
}

/** The files of docs/schema, by name. */
export const documents = (): Record<string, string> => ({
  'bot-protocol.schema.json': `${JSON.stringify(jsonSchema(), null, 2)}\n`,
  'bot-protocol.asyncapi.json': `${JSON.stringify(asyncApi(), null, 2)}\n`,
})
