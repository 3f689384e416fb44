import { type Static, Type } from 'typebox'
import { Value } from 'typebox/value'
import { validateV3Signature } from 'plivo/dist/utils/v3Security.js'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AudioFormat, AudioMessage, DialectKind } from '../../../src/bot/dialect.ts'
import { plivo, plivoKind, vobiz } from '../../../src/bot/dialects/plivo.ts'
import { FakeClock } from '../../fakes/clock.ts'
import { ACCOUNT_ID, CALL_ID, open, playDialogues, read, surviveHostility, UNTOLD } from './dialogue.ts'

const fixed = (of: DialectKind, rates: (8000 | 16000 | 24000)[]): DialectKind =>
  plivoKind(rates, of.headers, new FakeClock())
const kind = fixed(plivo, [8000, 16000])

playDialogues('plivo', kind)
playDialogues('vobiz', fixed(vobiz, [8000, 16000, 24000]))

describe('the handshake', () => {
  const secret = 'ODgxMmJjZmYtZGFkMy00'
  const headers = (url: string): Record<string, string> =>
    plivo.headers({ url, secret, callId: CALL_ID, wallMs: 0, facts: {} })
  /** As plivo-stream-sdk-node does: the address from what it sees of the request. */
  const seen = (url: string): string => {
    const { protocol, host, pathname, search } = new URL(url)
    return `${protocol === 'wss:' ? 'https' : 'http'}://${host}${pathname}${search}`
  }
  const valid = (url: string, h: Record<string, string>, key = secret): boolean =>
    validateV3Signature('GET', seen(url), h['X-Plivo-Signature-V3-Nonce'], key, h['X-Plivo-Signature-V3'])

  it.each([
    'wss://bot.example/',
    'wss://bot.example',
    'wss://Bot.example/Stream/',
    'ws://127.0.0.1:8080/a/b',
    'wss://bot.example:8443/s?tenant=7&b=2&a=1',
    'wss://bot.example/s?b=2&b=1&b=10',
    'wss://bot.example/s?name=%E0%A4%B8&x=a%20b&y=c+d&flag&empty=',
    'wss://bot.example/a%20b/?q=a/b?c',
    'wss://bot.example:443/s',
  ])('is signed as the SDK of Plivo checks it: %s', (url) => {
    const h = headers(url)
    expect(valid(url, h)).toBe(true)
    expect(valid(url, h, 'other')).toBe(false)
    expect(valid(`${url}${url.includes('?') ? '&' : '?'}more=1`, h)).toBe(false)
    expect(valid(url, { ...h, 'X-Plivo-Signature-V3-Nonce': '1' })).toBe(false)
  })

  it('is signed so for any address that a client can dial', () => {
    // Their parser takes an '@' for the end of a user name, wherever it stands, and a plain object for a map.
    const address = fc
      .webUrl({ validSchemes: ['ws', 'wss'], withQueryParameters: true, withFragments: true })
      .filter((url) => !/@|__/.test(url))
    fc.assert(
      fc.property(address, (url) => {
        expect(valid(url, headers(url))).toBe(true)
      }),
      { interruptAfterTimeLimit: 1500, numRuns: 200 },
    )
  })

  it('has another nonce each time, and none of it without a secret', () => {
    const nonces = new Set(Array.from({ length: 20 }, () => headers('wss://x/')['X-Plivo-Signature-V3-Nonce']))
    expect(nonces.size).toBe(20)
    expect(plivo.headers({ url: 'wss://x/', callId: CALL_ID, wallMs: 0, facts: {} })).toEqual({})
    expect(vobiz.headers({ url: 'wss://x/', callId: CALL_ID, wallMs: 0, facts: {}, secret })).toEqual({})
    expect(plivo.subprotocols).toEqual([])
  })
})

/** What the SDK (plivo-stream-sdk-node) demands of every message that it reads; it gives all others to `onError`. */
const Uuid = Type.String({ pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$' })
const Sdk = {
  start: Type.Object({
    sequenceNumber: Type.Number(),
    start: Type.Object({
      callId: Uuid,
      streamId: Uuid,
      accountId: Type.String(),
      tracks: Type.Array(Type.String()),
      mediaFormat: Type.Object({ encoding: Type.String(), sampleRate: Type.Number() }),
    }),
    extra_headers: Type.String(),
  }),
  media: Type.Object({
    sequenceNumber: Type.Number(),
    streamId: Uuid,
    media: Type.Object({
      track: Type.String(),
      timestamp: Type.String(),
      chunk: Type.Number(),
      payload: Type.String(),
    }),
    extra_headers: Type.String(),
  }),
  dtmf: Type.Object({
    sequenceNumber: Type.Number(),
    streamId: Uuid,
    dtmf: Type.Object({ track: Type.String(), digit: Type.String(), timestamp: Type.String() }),
    extra_headers: Type.String(),
  }),
  playedStream: Type.Object({ sequenceNumber: Type.Number(), streamId: Uuid, name: Type.String() }),
  clearedAudio: Type.Object({ sequenceNumber: Type.Number(), streamId: Uuid }),
}
type SdkMedia = Static<typeof Sdk.media>

describe('messages to the bot', () => {
  const frame = { audio: new Uint8Array(160), chunk: 0, timestampMs: 0, lostMs: 0, replay: false }

  it.each([
    ['UUIDs', CALL_ID, '0192f0c8-7a1e-7c3d-9b5f-3e2a1d4c5b6b'],
    ['names', 'c1', 'leg-1.1'],
  ])('are of the shapes that the SDK demands when our ids are %s', (_what, callId, streamId) => {
    const { dialect, wrote, start } = open(kind, { callId, streamId, facts: { custom: { क: 'ख"\\' } } })
    dialect.media(frame, 0) // A frame before the start has the fields as well.
    dialect.tell(start, 0)
    dialect.media(frame, 0)
    dialect.tell({ kind: 'dtmf', digit: '#', durationMs: 100, method: 'inband' }, 10.4)
    dialect.tell({ kind: 'mark', name: 'm', status: 'played', playedMs: 0 }, 0)
    dialect.tell({ kind: 'cleared', playedMs: 0, discardedMs: 0, items: [] }, 0)
    const events = wrote.map((text) => JSON.parse(text) as { event: keyof typeof Sdk })
    expect(events.map((m) => m.event)).toEqual(['media', 'start', 'media', 'dtmf', 'playedStream', 'clearedAudio'])
    for (const m of events) expect([...Value.Errors(Sdk[m.event], m)]).toEqual([])
    for (const [at, extra] of [
      [0, {}],
      [1, { क: 'ख"\\' }],
      [2, { क: 'ख"\\' }],
      [3, { क: 'ख"\\' }],
    ] as const)
      // prettier-ignore
      expect(JSON.parse((events[at] as unknown as SdkMedia).extra_headers)).toEqual(extra)
  })

  it('keep ids from one socket of a call to the next, the stream’s aside', () => {
    const started = (streamId: string): Record<string, string> => {
      const { dialect, wrote, start } = open(kind, { callId: 'c1', streamId })
      dialect.tell(start, 0)
      return (JSON.parse(wrote[0]) as { start: Record<string, string> }).start
    }
    expect(started('a')).toEqual(started('a'))
    expect(started('a').callId).toBe(started('b').callId)
    expect(started('a').streamId).not.toBe(started('b').streamId)
    expect(started('a').accountId).toBe(ACCOUNT_ID)
  })

  it('count from 0, and have timestamps without jitter, though the clock has some', () => {
    const clock = new FakeClock(1_000_000)
    const { dialect, wrote, start } = open(plivoKind([8000], plivo.headers, clock))
    dialect.tell(start, 0)
    expect(dialect.lastSeq).toBe(0)
    for (const [chunk, lateMs] of [
      [0, 0],
      [1, 7],
      [2, 0],
      [5, 3],
    ]) {
      clock.jumpWall(lateMs)
      dialect.media({ ...frame, chunk, timestampMs: chunk * 20 }, chunk * 20 + lateMs)
    }
    const media = wrote.slice(1).map((text) => JSON.parse(text) as SdkMedia)
    expect(media.map((m) => Number(m.media.timestamp) - 1_000_000)).toEqual([0, 20, 40, 100])
    expect(media.map((m) => m.media.chunk)).toEqual([1, 2, 3, 6])
    expect(media.map((m) => m.sequenceNumber)).toEqual([1, 2, 3, 4])
    expect(dialect.lastSeq).toBe(4)
  })

  it('leave out free data beyond 512 bytes', () => {
    const custom = { a: 'x'.repeat(300), b: 'y'.repeat(300), c: 'z' }
    const { dialect, wrote, start } = open(kind, { facts: { custom } })
    dialect.tell(start, 0)
    const extra = (JSON.parse(wrote[0]) as { extra_headers: string }).extra_headers
    expect(JSON.parse(extra)).toEqual({ a: custom.a, c: 'z' })
    expect(Buffer.byteLength(extra)).toBeLessThanOrEqual(512)
  })

  it('are none for what Plivo has no word for, but for errors', () => {
    const { dialect, wrote } = open(kind)
    const stop = { kind: 'stop', stop: { reason: 'caller_hangup', sipStatus: 200, q850: 16 }, stats: {} } as const
    for (const message of [...UNTOLD, stop]) dialect.tell(message, 0)
    expect(wrote.map((text) => (JSON.parse(text) as { event: string }).event)).toEqual(['clearedAudio', 'playFailed'])
  })

  it('write audio from one buffer again and again', () => {
    const buffers = new Set<ArrayBufferLike>()
    const wire = { text: (t: string | Uint8Array) => void buffers.add((t as Uint8Array).buffer), binary: () => undefined } // prettier-ignore
    const audio = plivo.audio({ input: mulaw(20), output: mulaw(20), transport: 'json' }, '')
    const dialect = kind.create({ wire, callId: 'c', streamId: 's', plan: { start: {} } as never, audio })
    for (let i = 0; i < 1000; i++) dialect.media({ ...frame, chunk: i, timestampMs: i * 20 }, i * 20)
    expect(buffers.size).toBe(1)
  })
})

const mulaw = (frameMs: number): AudioFormat => ({ encoding: 'pcmu', sampleRate: 8000, frameMs })

describe('formats', () => {
  it.each([
    [plivo, 'pcmu', 8000, 'pcmu', 8000],
    [plivo, 'pcma', 8000, 'pcmu', 8000],
    [plivo, 'pcm16', 8000, 'pcm16', 8000],
    [plivo, 'pcm16', 16000, 'pcm16', 16000],
    [plivo, 'pcm16', 24000, 'pcm16', 16000],
    [vobiz, 'pcm16', 24000, 'pcm16', 24000],
  ] as const)('%# are those of the vendor, in 20 ms', (of, encoding, sampleRate, gotEncoding, gotRate) => {
    const got = of.audio({ input: { encoding, sampleRate, frameMs: 100 }, output: mulaw(60), transport: 'binary' }, '')
    expect(got).toEqual({
      input: { encoding: gotEncoding, sampleRate: gotRate, frameMs: 20 },
      output: mulaw(20),
      transport: 'json',
    })
  })

  it('stand on each message, and change from one to the next', () => {
    const { dialect } = open(kind)
    const payload = Buffer.alloc(60, 1).toString('base64')
    for (let i = 0; i < 3; i++)
      for (const [contentType, sampleRate, encoding, rate] of [
        ['audio/x-mulaw', 8000, 'pcmu', 8000],
        ['audio/x-l16', '16000', 'pcm16', 16000],
        ['audio/x-l16', undefined, 'pcm16', 8000],
        ['Audio/x-L16; rate=24000', undefined, 'pcm16', 24000],
        ['audio/x-l16;rate=8000', 16000, 'pcm16', 16000],
      ] as const)
        expect(read(dialect, { event: 'playAudio', media: { contentType, sampleRate, payload } })).toMatchObject({
          encoding,
          sampleRate: rate,
        })
    const bare = read(dialect, { event: 'playAudio', media: { payload } }) as AudioMessage
    expect([bare.encoding, bare.sampleRate]).toEqual([undefined, undefined])
  })
})

describe('messages from the bot', () => {
  it.each([1, 159, 161, 4001, 1024 * 1024])('may have %i bytes of audio', (size) => {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 255)
    const media = { contentType: 'audio/x-mulaw', sampleRate: 8000, payload: Buffer.from(bytes).toString('base64') }
    const got = read(open(kind).dialect, { event: 'playAudio', media }) as AudioMessage
    expect(Buffer.from(got.bytes).equals(bytes)).toBe(true)
  })

  it.each([
    ['no JSON', 'hello', 'bad_json'],
    ['no base64', { event: 'playAudio', media: { contentType: 'audio/x-mulaw', payload: '***' } }, 'bad_audio'],
    ['no media', { event: 'playAudio' }, 'bad_audio'],
    ['a rate that is no number', { event: 'playAudio', media: { contentType: 'audio/x-l16', sampleRate: [8000] } }, 'format_mismatch'], // prettier-ignore
    ['a checkpoint without a name', { event: 'checkpoint', streamId: 'x' }, 'bad_json'],
    ['digits that are none', { event: 'sendDTMF', dtmf: '' }, 'dtmf_failed'],
    ['binary audio', Buffer.alloc(160), 'bad_audio'],
  ])('are a mistake with %s', (_what, m, code) => {
    expect(read(open(kind).dialect, m, Buffer.isBuffer(m))).toMatchObject({ kind: 'mistake', code })
  })

  surviveHostility(
    kind,
    { event: 'playAudio', media: { contentType: 'audio/x-mulaw', sampleRate: 8000, payload: 'AAAA' } },
    ['contentType', 'sampleRate', 'streamId'],
    ['playAudio', 'checkpoint', 'clearAudio', 'sendDTMF', 'audio/x-l16', 'audio/x-mulaw;rate=8000'],
  )
})
