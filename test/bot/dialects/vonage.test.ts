import { describe, expect, it } from 'vitest'
import type { AudioFormat, BotMessage } from '../../../src/bot/dialect.ts'
import { vonage } from '../../../src/bot/dialects/vonage.ts'
import { CALL_ID, open, playDialogues, read, surviveHostility, UNTOLD } from './dialogue.ts'

playDialogues('vonage', vonage)

const connected = (facts: Record<string, unknown>, configured?: AudioFormat): Record<string, unknown> => {
  const { dialect, wrote, start } = open(vonage, { facts, configured })
  dialect.tell(start, 0)
  expect(wrote).toHaveLength(1)
  return JSON.parse(wrote[0]) as Record<string, unknown>
}

describe('messages to the bot', () => {
  it.each([
    ['pcmu', 8000, 16000],
    ['pcma', 8000, 16000],
    ['pcm16', 8000, 8000],
    ['pcm16', 16000, 16000],
    ['pcm16', 24000, 24000],
  ] as const)('are frames of 20 ms, when %s at %i is configured at %i', (encoding, sampleRate, rate) => {
    const input = { encoding, sampleRate, frameMs: 100 }
    const l16 = { encoding: 'pcm16', sampleRate: rate, frameMs: 20 }
    const output = { encoding: 'pcm16', sampleRate: 24000, frameMs: 20 } as const
    expect(vonage.audio({ input, output, transport: 'json' }, '')).toEqual({ input: l16, output: l16, transport: 'binary' }) // prettier-ignore
    expect(connected({}, input)['content-type']).toBe(`audio/l16;rate=${rate}`)
  })

  it('write a frame of audio as it lies in the session’s buffer', () => {
    const written: Uint8Array[] = []
    const format = { encoding: 'pcm16', sampleRate: 16000, frameMs: 20 } as const
    const dialect = vonage.create({
      wire: { text: () => undefined, binary: (bytes) => void written.push(bytes) },
      callId: 'c',
      streamId: 's',
      plan: { start: {} } as never,
      audio: { input: format, output: format, transport: 'binary' },
    })
    const audio = new Uint8Array(640)
    expect(dialect.media({ audio, chunk: 0, timestampMs: 0, lostMs: 0, replay: false }, 0)).toBe(640)
    expect(written[0]).toBe(audio)
  })

  it('flatten free data beside `content-type`, 512 bytes of it, the customer’s own first', () => {
    const custom = { 'content-type': 'audio/mp3', event: 'x', a: 'x'.repeat(300), b: 'y'.repeat(300), __proto__x: 1 }
    const got = connected({ from: '+91', to: 'z'.repeat(200), custom })
    expect(got).toEqual({
      event: 'websocket:connected',
      'content-type': 'audio/l16;rate=16000',
      a: custom.a,
      __proto__x: '1',
      call_id: CALL_ID,
      from: '+91',
    })
    const { event, 'content-type': type, ...headers } = got
    expect([event, type]).toHaveLength(2)
    expect(Buffer.byteLength(JSON.stringify(headers))).toBeLessThanOrEqual(512)
  })

  it('count bytes, not characters', () => {
    const fits = (name: string, value: string): boolean => name in connected({ custom: { [name]: value } })
    expect(fits('k', 'a'.repeat(512 - '{"k":""}'.length))).toBe(true)
    expect(fits('k', 'a'.repeat(513 - '{"k":""}'.length))).toBe(false)
    expect(fits('k', 'अ'.repeat(168))).toBe(true)
    expect(fits('k', 'अ'.repeat(169))).toBe(false)
  })

  it('are none for what Vonage has no word for', () => {
    const { dialect, wrote } = open(vonage)
    const stop = { kind: 'stop', stop: { reason: 'caller_hangup', sipStatus: 200, q850: 16 }, stats: {} } as const
    for (const message of [...UNTOLD, stop]) dialect.tell(message, 0)
    expect(wrote).toEqual(['{"event":"websocket:cleared"}'])
    expect(dialect.lastSeq).toBe(0)
  })

  it('are not announced by headers or a subprotocol', () => {
    expect(vonage.headers({ url: 'wss://x', callId: CALL_ID, wallMs: 0, facts: {}, secret: 's' })).toEqual({})
    expect(vonage.subprotocols).toEqual([])
  })
})

describe('a notify', () => {
  it.each([[{}], [{ reply: 1 }], ['text'], [5], [[1, 2]], [{ '\u2028"\\': '\ud800' }], [false]])(
    'with the payload %j comes back with it, on another socket as well',
    (payload) => {
      const mark = read(open(vonage).dialect, { action: 'notify', payload }) as BotMessage & { kind: 'mark' }
      const { dialect, wrote } = open(vonage)
      dialect.tell({ ...mark, status: 'played', playedMs: 20 }, 0)
      expect(JSON.parse(wrote[0])).toEqual({ event: 'websocket:notify', payload })
    },
  )

  it('is refused when it is too large or nested too deeply', () => {
    const { dialect } = open(vonage)
    const deep = `{"action":"notify","payload":${'['.repeat(50_000)}${']'.repeat(50_000)}}`
    for (const m of [deep, { action: 'notify', payload: { x: 'y'.repeat(2000) } }])
      expect(read(dialect, m)).toMatchObject({ kind: 'mistake', code: 'bad_json' })
  })
})

describe('messages from the bot', () => {
  it.each([1, 319, 640, 641, 100_000])('may be %i bytes of audio in one frame', (size) => {
    const bytes = Buffer.alloc(size, 0x7b)
    expect(read(open(vonage).dialect, bytes, true)).toMatchObject({ kind: 'audio', bytes: Uint8Array.from(bytes) })
  })

  it('may be echoes of our own: they are named as unknown', () => {
    const { dialect } = open(vonage)
    for (const m of [{ event: 'websocket:connected' }, { action: ['clear'] }, { action: null }, {}])
      expect(read(dialect, m)).toMatchObject({ kind: 'mistake', code: 'unknown_type', bad: false })
  })

  surviveHostility(vonage, Buffer.alloc(3), ['action'], ['notify', 'websocket:dtmf'])
})
