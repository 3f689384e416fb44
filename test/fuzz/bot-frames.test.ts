import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BOT_ERROR_CODES, type BotMessage } from '../../src/bot/dialect.ts'
import { Playback } from '../../src/bot/playback.ts'
import { FROM_BOT } from '../../src/bot/schema/from-bot.ts'
import { NativeWire } from '../helpers/native.ts'

const LIMIT = { numRuns: 3000, interruptAfterTimeLimit: 2000, markInterruptAsFailure: false }
const NAMES = [
  ...Object.values(FROM_BOT).flatMap((definition) => definition.names as readonly string[]),
  'error', 'response.done', 'nonsense', '__proto__', 'toString', '', 'constructor',
] // prettier-ignore
const FIELDS = [...new Set(Object.values(FROM_BOT).flatMap((definition) => Object.keys(definition.fields.properties)))]
const wire = new NativeWire()

/** What a message may mean at the most, whatever was sent. */
function sane(m: BotMessage | undefined): void {
  if (!m) return
  expect(m.ref?.length ?? 0).toBeLessThanOrEqual(256)
  switch (m.kind) {
    case 'audio':
      expect(m.bytes.length).toBeGreaterThan(0)
      expect([undefined, 8000, 16_000, 24_000]).toContain(m.sampleRate)
      break
    case 'mistake':
      expect(BOT_ERROR_CODES).toContain(m.code)
      expect(m.message.length).toBeLessThan(500)
      break
    case 'digits':
      expect(m.digits).toMatch(/^[0-9A-D*#w]{1,64}$/)
      expect(Math.min(m.durationMs, m.gapMs)).toBeGreaterThanOrEqual(40)
      expect(Math.max(m.durationMs, m.gapMs)).toBeLessThanOrEqual(2000)
      break
    case 'transfer':
      expect([m.target, m.callerId, ...Object.entries(m.headers).flat()].join('')).not.toMatch(/[\r\n]/)
      expect(m.timeoutMs >= 5000 && m.timeoutMs <= 120_000).toBe(true)
      expect(Buffer.byteLength(JSON.stringify(m.context ?? {}))).toBeLessThanOrEqual(4096)
      break
    case 'note':
      expect(Buffer.byteLength(JSON.stringify(m.data))).toBeLessThanOrEqual(4096)
      break
    case 'reject':
      expect(m.sipStatus >= 400 && m.sipStatus <= 699).toBe(true)
      expect(m.reason).toMatch(/^[^\0-\x1f]{1,256}$/)
      break
    case 'hangup':
      expect(m.reason).toMatch(/^[^\0-\x1f]{1,256}$/)
      expect(m.sipStatus === undefined || (m.sipStatus >= 300 && m.sipStatus <= 699)).toBe(true)
      expect(m.q850 === undefined || (m.q850 >= 1 && m.q850 <= 127)).toBe(true)
      break
    case 'replay':
      expect(m.ms >= 20 && m.ms <= 10_000).toBe(true)
      break
    case 'update':
      for (const side of [m.input, m.output]) {
        expect((side?.frameMs ?? 20) % 20).toBe(0)
        expect(Object.values(side ?? {})).not.toContain(undefined)
      }
      expect(Object.values(m.listening ?? {})).not.toContain(undefined)
      break
    default:
  }
}

const word = fc.oneof(fc.constantFrom(...NAMES), fc.jsonValue())
const hostile = fc.record(
  {
    ...Object.fromEntries(FIELDS.map((name) => [name, fc.oneof(fc.string(), fc.double(), fc.jsonValue())])),
    type: word,
    event: word,
    delta: fc.oneof(fc.base64String({ maxLength: 400 }), fc.jsonValue()),
    media: fc.oneof(fc.record({ payload: fc.base64String({ maxLength: 300 }) }), fc.jsonValue()),
    mark: fc.oneof(fc.record({ name: fc.oneof(fc.string(), fc.jsonValue()) }), fc.jsonValue()),
    digits: fc.oneof(fc.stringMatching(/^[0-9A-Dw*#]{0,70}$/), fc.jsonValue()),
    target: fc.oneof(fc.string({ unit: 'binary' }), fc.jsonValue()),
    headers: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
    reason: fc.oneof(fc.string({ unit: 'binary', maxLength: 600 }), fc.jsonValue()),
    data: fc.oneof(fc.object({ maxDepth: 12 }), fc.jsonValue()),
    context: fc.oneof(fc.object({ maxDepth: 12 }), fc.jsonValue()),
    event_id: fc.jsonValue(),
    call_id: fc.oneof(fc.constant('c1'), fc.jsonValue()),
    ack: fc.jsonValue(),
  },
  { requiredKeys: [] },
)

const DEEP = 100_000
const LARGE: Record<string, string> = {
  'an array of two million': `{"type":"clear","x":[${'1,'.repeat(2e6)}1]}`,
  'arrays two million deep': `{"type":"clear","x":${'['.repeat(2e6)}${']'.repeat(2e6)}}`,
  'a tail of two million after audio': `{"type":"media","media":{"payload":"AAAAAAAA"},"x":[${'1,'.repeat(2e6)}1]}`,
  'an object of 200,000 names': `{"type":"session.note","data":{${Array.from({ length: 200_000 }, (_, i) => `"k${i}":1`).join()}}}`,
  'a name of 4 MB': `{"type":"mark","mark":{"name":"${'e\u0301'.repeat(1e6)}"}}`,
  'a type of 4 MB': `{"type":"response.${'x'.repeat(4e6)}"}`,
  'digits of 4 MB': `{"type":"dtmf.send","digits":"${'1'.repeat(4e6)}"}`,
  'a number of 4 MB': `{"type":"dtmf.send","digits":"1","gap_ms":"${'9'.repeat(4e6)}"}`,
  'bad base64 of 4 MB': `{"type":"media","media":{"payload":"${'*AAA'.repeat(1e6)}"}}`,
  'a header of 4 MB': `{"type":"session.transfer","target":"1","headers":{"X-${'b'.repeat(4e6)}":"a"}}`,
  'base64 that never ends': `{"type":"media","media":{"payload":"${'A'.repeat(4e6)}`,
  'the key again and again': '{"delta":'.repeat(400_000),
}

describe('frames from a bot', () => {
  it('of random bytes never throw, as text or binary', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, isBinary) => {
        const got = wire.dialect.decode(Buffer.from(bytes), isBinary)
        if (!Array.isArray(got)) sane(got)
      }),
      LIMIT,
    )
  })

  it('of hostile JSON never throw, and what they mean is bounded', () => {
    fc.assert(
      fc.property(hostile, (message) => sane(wire.decode(message))),
      LIMIT,
    )
  })

  it.each(NAMES)('of type "%s" with any one field wrong never throw', (type) => {
    for (const name of FIELDS)
      for (const value of [null, true, -1, 1e300, '', 'x', '\u0000', '\ud800', [], [[]], {}, { a: { b: {} } }])
        sane(wire.decode({ type, [name]: value }))
  })

  it('cut anywhere never throw', () => {
    const text = JSON.stringify({
      type: 'response.audio.delta',
      item_id: 'i"\\"delta":"x',
      delta: 'QUJD'.repeat(30),
      tail: { delta: 'x' },
    })
    for (let i = 0; i <= text.length; i++) sane(wire.decode(text.slice(0, i)))
  })

  it('mean the same by the fast way as by JSON.parse', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 400 }),
        fc.string({ minLength: 1, maxLength: 256 }),
        fc.boolean(),
        fc.boolean(),
        (bytes, item, payloadFirst, spaced) => {
          const delta = Buffer.from(bytes).toString('base64')
          const message = payloadFirst
            ? { type: 'response.audio.delta', delta, item_id: item }
            : { type: 'response.audio.delta', item_id: item, delta }
          const got = wire.decode(JSON.stringify(message, null, spaced ? 1 : undefined))
          expect(got).toMatchObject({ kind: 'audio', bytes, itemId: item })
        },
      ),
      LIMIT,
    )
  })

  it.each(FIELDS)('nested 100,000 deep in `%s` do no harm', (field) => {
    const nest = `${'{"a":'.repeat(9000)}1${'}'.repeat(9000)}`
    const deep = `${'['.repeat(DEEP)}${']'.repeat(DEEP)}`
    for (const { names } of Object.values(FROM_BOT))
      for (const value of names[0] === 'session.note' ? [nest, deep] : [nest])
        sane(wire.decode(`{"type":"${names[0]}","${field}":${value}}`))
    sane(wire.decode(`{"type":"media","${field}":${'['.repeat(DEEP)}`))
  })

  it.each(Object.entries(LARGE))('of the size of %s are read in a moment', (_what, text) => {
    const frame = Buffer.from(text)
    const before = process.threadCpuUsage()
    const got = wire.dialect.decode(frame, false)
    const { user, system } = process.threadCpuUsage(before)
    // Far above what it takes here: what is meant is "not a second in which other calls are silent".
    expect((user + system) / 1000).toBeLessThan(400)
    if (!Array.isArray(got)) sane(got)
  })

  it('leave nothing behind: memory is flat over 400 MB of large and small ones', () => {
    setFlagsFromString('--expose_gc')
    const gc = runInNewContext('gc') as () => void
    const large = Buffer.alloc(1_000_000, 0x41)
    const frames: [Buffer, boolean][] = [
      [large, true],
      [Buffer.from(`{"type":"response.audio.delta","item_id":"a","delta":"${large.toString('latin1')}"}`), false],
      [Buffer.from(`{"type":"mark","mark":{"name":"${large.toString('latin1')}"}}`), false],
      [Buffer.from(`{"type":"session.note","data":{"a":"${large.toString('latin1')}"}}`), false],
      [Buffer.from('{"type":"response.audio.delta","delta":"AA=="}'), false],
      [Buffer.of(0), true],
    ]
    const used = (): number => {
      gc()
      const { heapUsed, arrayBuffers } = process.memoryUsage()
      return heapUsed + arrayBuffers
    }
    const run = (rounds: number): void => {
      for (let i = 0; i < rounds; i++) for (const [frame, isBinary] of frames) wire.dialect.decode(frame, isBinary)
    }
    run(20)
    const before = used()
    run(100)
    expect(used() - before).toBeLessThan(16_000_000)
  })

  it('of 1 byte to 1 MB leave the playback sound', () => {
    const nothing = (): void => undefined
    const playback = new Playback({
      format: { encoding: 'pcm16', sampleRate: 8000 },
      bufferMs: 10_000,
      gate: 'open',
      listener: { mark: nothing, playback: nothing, flow: nothing, empty: nothing },
    })
    const frame = new Uint8Array(160)
    fc.assert(
      fc.property(fc.constantFrom(0, 1, 2, 3, 159, 160, 161, 65_537, 1_000_001), (n) => {
        playback.write(new Uint8Array(n))
        playback.frameInto(frame, 'pcma')
        expect(playback.queuedMs).toBeLessThanOrEqual(10_000)
      }),
      { ...LIMIT, numRuns: 300 },
    )
  })
})
