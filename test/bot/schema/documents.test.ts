import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Ajv, type ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BOT_ERROR_CODES, type AudioPlan, type BridgeMessage } from '../../../src/bot/dialect.ts'
import { asyncApi, documents, jsonSchema } from '../../../src/bot/schema/documents.ts'
import { NativeWire, PCMU } from '../../helpers/native.ts'
import { valuesOf, type Schema } from '../../helpers/schema-values.ts'

const LIMIT = { numRuns: 400, interruptAfterTimeLimit: 2000, markInterruptAsFailure: false }
const root = new URL('../../../', import.meta.url)

const schema = jsonSchema() as { $id: string; $defs: Record<string, Schema> }
// Strict: an unknown keyword or one that cannot apply is an error.
const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true })
ajv.addSchema(schema)
const validator = (name: string): ValidateFunction => {
  const validate = ajv.getSchema(`${schema.$id}#/$defs/${name}`)
  if (!validate) throw new Error(`no ${name}`)
  return validate
}
const toBot = validator('toBot')
const fromBot = validator('fromBot')

function valid(validate: ValidateFunction, message: unknown): void {
  if (!validate(message)) expect.fail(`${JSON.stringify(message).slice(0, 500)}\n${ajv.errorsText(validate.errors)}`)
}

describe('docs/schema', () => {
  it.each(Object.entries(documents()))('has %s as `npm run schema` writes it', (name, text) => {
    expect(readFileSync(new URL(`docs/schema/${name}`, root), 'utf8')).toBe(text)
  })

  it('has a JSON Schema that is one by its own schema', () => {
    expect(ajv.validateSchema(schema)).toBe(true)
    for (const name of Object.keys(schema.$defs)) validator(name)
  })

  it('has an AsyncAPI document that is one by the official schema, with payloads that compile as they stand', () => {
    const official = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0-without-$id.json') as object
    const validate = new Ajv({ strict: false, allErrors: true, logger: false, validateFormats: false }).compile(
      official,
    )
    const document = asyncApi()
    valid(validate, document)
    const names = Object.keys((document.components as { messages: object }).messages)
    const { schemas } = document.components as { schemas: Record<string, object> }
    expect(names.length).toBeGreaterThan(50)
    const payloads = new Ajv({ strict: false, validateSchema: false, logger: false })
    for (const name of names) payloads.compile(schemas[name])
  })

  it('has every reference of the AsyncAPI document', () => {
    const document = asyncApi()
    for (const [, ref] of JSON.stringify(document).matchAll(/"\$ref":"#\/([^"]+)"/g)) {
      const target = ref.split('/').reduce<unknown>((node, step) => (node as Record<string, unknown>)?.[step], document)
      expect(target, ref).toBeDefined()
    }
  })

  it('has examples that are valid', () => {
    for (const [name, { examples = [] }] of Object.entries(schema.$defs))
      for (const example of examples) valid(validator(name), example)
  })
})

// ── What we write ───────────────────────────────────────────────────────────────────────────────────────────────

const ms = fc.double({ min: 0, max: 1e7, noNaN: true })
const word = fc.string({ minLength: 1, maxLength: 20, unit: 'grapheme' })
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined })
const ref = maybe(word)
const side: fc.Arbitrary<AudioPlan['input']> = fc
  .record({
    encoding: fc.constantFrom('pcmu', 'pcma', 'pcm16'),
    sampleRate: fc.constantFrom(8000, 16000, 24000),
    frameMs: fc.integer({ min: 1, max: 10 }).map((n) => n * 20),
  })
  .map((f) => (f.encoding === 'pcm16' ? f : { ...f, sampleRate: 8000 as const }))
const sip = maybe(fc.integer({ min: 300, max: 699 }))

/** All that the bridge says: a kind without its row does not compile. */
const KINDS: { [K in BridgeMessage['kind']]: fc.Arbitrary<Omit<Extract<BridgeMessage, { kind: K }>, 'kind'>> } = {
  start: fc.record({
    state: fc.constantFrom('ringing', 'early', 'answered'),
    audio: fc.record({ input: side, output: side, transport: fc.constantFrom('json', 'binary') }),
    facts: fc.record(
      {
        call_id: word,
        account_id: word,
        voicechat_id: maybe(word),
        direction: fc.constantFrom('inbound', 'outbound'),
        from: word,
        to: word,
        language: maybe(word),
        system_msg: maybe(fc.string()),
        answer_mode: fc.constantFrom('auto', 'bot'),
        custom: fc.dictionary(fc.string(), fc.jsonValue()),
        limits: fc.record({ max_call_s: fc.integer({ min: 1 }) }),
        unheard_of: fc.jsonValue(),
      },
      { requiredKeys: [] },
    ),
    bufferMs: fc.integer({ min: 1000, max: 600_000 }),
    token: word,
    standIn: fc.nat(9),
    resume: maybe(
      fc.record({ count: fc.integer({ min: 1, max: 9 }), gapMs: ms, lastSeq: fc.nat(), unplayedMarks: fc.array(word) }),
    ),
  }),
  progress: fc.record({ sipStatus: fc.constantFrom(180, 183) }),
  answered: fc.record({ atMs: ms }),
  dtmf: fc.record({
    digit: fc.constantFrom(...'0123456789*#ABCD'),
    durationMs: ms,
    method: fc.constantFrom('rfc4733', 'info', 'inband'),
  }),
  mark: fc.record({ name: word, status: fc.constantFrom('played', 'cleared'), playedMs: ms, itemId: ref }),
  cleared: fc.record({
    playedMs: ms,
    discardedMs: ms,
    items: fc.array(fc.record({ itemId: word, playedMs: ms, discardedMs: ms })),
    ref,
  }),
  playback: fc.record({
    state: fc.constantFrom('started', 'drained', 'underrun', 'paused', 'resumed'),
    itemId: ref,
    queuedMs: ms,
  }),
  flow: fc.record({ state: fc.constantFrom('xoff', 'xon'), queuedMs: ms }),
  speech: fc.record({ started: fc.boolean(), atMs: ms }),
  amd: fc.record({
    result: fc.constantFrom('human', 'machine', 'fax', 'unknown'),
    confidence: fc.double({ min: 0, max: 1, noNaN: true }),
    atMs: ms,
  }),
  beep: fc.record({ atMs: ms }),
  silence: fc.record({ ms }),
  quality: fc.record({
    quality: fc.record({
      rxLoss: fc.double({ min: 0, max: 1, noNaN: true }),
      rxJitterMs: ms,
      rttMs: maybe(ms),
      mos: fc.double({ min: 1, max: 4.5, noNaN: true }),
      wsRttMs: maybe(ms),
      droppedToBotMs: ms,
    }),
  }),
  error: fc.record({ code: fc.constantFrom(...BOT_ERROR_CODES), message: fc.string(), ref }),
  transferStatus: fc.record({
    status: fc.record({
      ref,
      state: fc.constantFrom('trying', 'ringing', 'answered', 'completed', 'failed', 'cancelled'),
      sipStatus: sip,
      reason: ref,
    }),
  }),
  recordingStatus: fc.record({
    status: fc.record({
      ref,
      state: fc.constantFrom('started', 'stopped', 'paused', 'resumed', 'failed'),
      recordingId: ref,
      reason: ref,
    }),
  }),
  held: fc.record({ held: fc.boolean() }),
  ack: fc.record({ ref: word }),
  pong: fc.record({ ref }),
  stop: fc.record({
    stop: fc.record({ reason: word, sipStatus: fc.integer({ min: 0, max: 699 }), q850: fc.nat(127) }),
    stats: fc.dictionary(word, fc.double({ noNaN: true, noDefaultInfinity: true })),
  }),
}
const said = fc.oneof(
  ...Object.entries(KINDS).map(([kind, rest]) =>
    (rest as fc.Arbitrary<object>).map((fields) => ({ kind, ...fields }) as BridgeMessage),
  ),
)

describe('the schema holds for what the bridge writes', () => {
  it.each(['both', 'type', 'event'] as const)('by %s', (discriminator) => {
    fc.assert(
      fc.property(said, ms, (message, tsMs) => {
        const wire = new NativeWire(discriminator)
        wire.dialect.tell(message, tsMs)
        expect(wire.texts.length).toBe(1)
        valid(toBot, wire.last)
      }),
      LIMIT,
    )
  })

  it('and for caller audio', () => {
    const wire = new NativeWire()
    const audio = new Uint8Array(160)
    wire.dialect.media({ audio, chunk: 0, timestampMs: 0, lostMs: 0, replay: false }, 0)
    valid(toBot, wire.last)
    wire.dialect.media({ audio, chunk: 9, timestampMs: 180, lostMs: 40, replay: true }, 200.5)
    valid(toBot, wire.last)
  })

  it('and for no message under the name of another', () => {
    fc.assert(
      fc.property(said, (message) => {
        const wire = new NativeWire('type')
        wire.dialect.tell(message, 0)
        const fitting = Object.keys(schema.$defs).filter(
          (name) => name.startsWith('bridge.') && validator(name)(wire.last),
        )
        expect(fitting.length).toBe(1)
      }),
      { ...LIMIT, numRuns: 60 },
    )
  })
})

// ── What we read ────────────────────────────────────────────────────────────────────────────────────────────────

describe('the schema and the reader agree', () => {
  const dir = new URL('fixtures/bot/native/', root)
  const steps = readdirSync(dir)
    .flatMap((file) => readFileSync(new URL(file, dir), 'utf8').split('\n'))
    .filter((line) => line !== '')
    .map(
      (line) => JSON.parse(line) as { dir: string; frame: unknown; means?: { kind: string } | null; tolerated?: true },
    )
    .filter(({ dir }) => dir === 'out')
  const isMistake = (means: { kind: string } | null | undefined): boolean => means?.kind === 'mistake'

  it('on the messages of bots in fixtures/bot/native', () => {
    expect(steps.length).toBeGreaterThan(60)
    for (const { frame, means, tolerated } of steps) if (!isMistake(means) && !tolerated) valid(fromBot, frame)
  })

  it('on what is read though it is not as it should be', () => {
    for (const { frame, tolerated } of steps) if (tolerated) expect(fromBot(frame), JSON.stringify(frame)).toBe(false)
  })

  it.each(Object.entries(schema.$defs).filter(([name]) => name.startsWith('bot.') && name !== 'bot.relayed'))(
    'on any %s that is valid',
    (name, definition) => {
      const validate = validator(name)
      const wire = new NativeWire()
      fc.assert(
        fc.property(valuesOf(definition), (fields) => {
          const message = { ...(fields as object), call_id: undefined, stream_id: undefined, event: undefined, type: definition.title } // prettier-ignore
          const text = JSON.stringify(message)
          fc.pre(validate(JSON.parse(text)))
          const got = wire.decode(text)
          // Audio that is no audio, and data that is too large, are beyond the schema.
          if (got?.kind === 'mistake') expect(got.message, text).toMatch(/base64|4096 bytes|Unicode|pcm/)
        }),
        { ...LIMIT, numRuns: 100 },
      )
    },
  )
})

describe('docs/bot-protocol.md', () => {
  const text = readFileSync(new URL('docs/bot-protocol.md', root), 'utf8')

  it('shows only JSON that is valid', () => {
    const blocks = [...text.matchAll(/```json\n([\s\S]*?)```/g)].map(([, block]) => block)
    expect(blocks.length).toBeGreaterThan(3)
    for (const block of blocks)
      for (const piece of block.split(/\n(?=\{)/)) {
        const message = JSON.parse(piece) as { call_id?: string }
        valid(message.call_id === undefined ? fromBot : toBot, message)
      }
  })

  it('names every message and every error code', () => {
    for (const [name, { title, properties }] of Object.entries(schema.$defs)) {
      if (!properties || name === 'bot.relayed') continue
      const word = properties.type as { enum?: string[] }
      for (const spelling of word.enum ?? [title ?? '']) expect(text, name).toContain(`\`${spelling}\``)
    }
    for (const code of BOT_ERROR_CODES) expect(text).toContain(`\`${code}\``)
    expect(PCMU.transport).toBe('json')
  })
})
