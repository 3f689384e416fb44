import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BOT_ERROR_CODES, type BotMessage } from '../../src/bot/dialect.ts'
import { NativeDialect } from '../../src/bot/dialects/native.ts'
import { Playback } from '../../src/bot/playback.ts'

const LIMIT = { numRuns: 3000, interruptAfterTimeLimit: 2000, markInterruptAsFailure: false }
const TYPES = [
  'response.audio.delta', 'media', 'playAudio', 'mark', 'clear', 'dtmf.send', 'dtmf', 'session.transfer', 'session.hangup', 'session.update', 'call.answer',
  'call.reject', 'ping', 'response.audio.done', 'response.cancel', 'nonsense', '__proto__', 'toString',
] // prettier-ignore
const dialect = new NativeDialect({ callId: 'c1', streamId: 's1', discriminator: 'both' })

function sane(m: BotMessage | undefined): void {
  if (!m) return
  if (m.kind === 'audio') expect(m.bytes.length).toBeGreaterThan(0)
  if (m.kind === 'mistake') {
    expect(BOT_ERROR_CODES).toContain(m.code)
    expect(m.message.length).toBeLessThan(500)
  }
  if (m.kind === 'digits')
    expect(
      m.durationMs >= 40 && m.durationMs <= 2000 && m.gapMs >= 40 && m.gapMs <= 2000 && m.digits.length <= 64,
    ).toBe(true)
  if (m.kind === 'transfer')
    expect(/[\r\n]/.test(m.target + Object.entries(m.headers).flat().join('')) || m.timeoutMs > 120_000).toBe(false)
  if (m.kind === 'reject') expect(m.sipStatus >= 400 && m.sipStatus <= 699).toBe(true)
}

const hostile = fc.record(
  {
    type: fc.oneof(fc.constantFrom(...TYPES), fc.jsonValue()),
    event: fc.oneof(fc.constantFrom(...TYPES), fc.jsonValue()),
    delta: fc.oneof(fc.base64String({ maxLength: 400 }), fc.jsonValue()),
    media: fc.oneof(fc.record({ payload: fc.base64String({ maxLength: 300 }) }), fc.jsonValue()),
    mark: fc.oneof(fc.record({ name: fc.string() }), fc.jsonValue()),
    item_id: fc.oneof(fc.string(), fc.jsonValue()),
    digits: fc.oneof(fc.string(), fc.jsonValue()),
    target: fc.oneof(fc.string(), fc.jsonValue()),
    headers: fc.oneof(fc.dictionary(fc.string(), fc.string()), fc.jsonValue()),
    format: fc.jsonValue(),
    audio: fc.jsonValue(),
    sip_status: fc.jsonValue(),
    duration_ms: fc.oneof(fc.double(), fc.jsonValue()),
    timeout_s: fc.oneof(fc.double(), fc.jsonValue()),
    event_id: fc.jsonValue(),
    call_id: fc.oneof(fc.constant('c1'), fc.jsonValue()),
    ack: fc.jsonValue(),
  },
  { requiredKeys: [] },
)

describe('frames from a bot', () => {
  it('of random bytes never throw, as text or binary', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.boolean(), (bytes, isBinary) =>
        sane(dialect.decode(Buffer.from(bytes), isBinary)),
      ),
      LIMIT,
    )
  })

  it('of hostile JSON never throw, and what they mean is bounded', () => {
    fc.assert(
      fc.property(hostile, (message) => sane(dialect.decode(Buffer.from(JSON.stringify(message)), false))),
      LIMIT,
    )
  })

  it('cut anywhere never throw', () => {
    const text = Buffer.from(
      JSON.stringify({
        type: 'response.audio.delta',
        item_id: 'i"\\"delta":"x',
        delta: 'QUJD'.repeat(30),
        tail: { delta: 'x' },
      }),
    )
    for (let i = 0; i <= text.length; i++) sane(dialect.decode(text.subarray(0, i), false))
  })

  it('mean the same by the fast way as by JSON.parse', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1, maxLength: 400 }),
        fc.string(),
        fc.boolean(),
        fc.boolean(),
        (bytes, item, payloadFirst, spaced) => {
          fc.pre(item !== '' && bytes[0] !== 0x52 && bytes[0] !== 0x49)
          const delta = Buffer.from(bytes).toString('base64')
          const message = payloadFirst
            ? { type: 'response.audio.delta', delta, item_id: item }
            : { type: 'response.audio.delta', item_id: item, delta }
          const got = dialect.decode(Buffer.from(JSON.stringify(message, null, spaced ? 1 : undefined)), false)
          expect(got?.kind).toBe('audio')
          if (got?.kind !== 'audio') return
          expect(Buffer.from(got.bytes)).toEqual(Buffer.from(bytes))
          expect(got.itemId).toBe(item)
        },
      ),
      LIMIT,
    )
  })

  it('nested 100,000 deep are told from audio without harm', () => {
    sane(dialect.decode(Buffer.from('{"type":"media","media":' + '['.repeat(100_000)), false))
    sane(dialect.decode(Buffer.from(`{"type":"clear","x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`), false))
  })

  it('of 1 byte to 1 MB leave the playback sound', () => {
    const nothing = (): void => undefined
    const playback = new Playback({
      encoding: 'pcm16',
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
