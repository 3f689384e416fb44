import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { BotMessage, BridgeMessage } from '../../../src/bot/dialect.ts'
import { NativeDialect } from '../../../src/bot/dialects/native.ts'

const make = (discriminator: 'both' | 'type' | 'event' = 'both'): NativeDialect =>
  new NativeDialect({ callId: 'c1', streamId: 's1', discriminator })
const text = (m: object | string): Buffer => Buffer.from(typeof m === 'string' ? m : JSON.stringify(m))
/** Decodes and copies the borrowed bytes, so that results can be compared. */
const decode = (m: object | string, dialect = make()): BotMessage | undefined => {
  const got = dialect.decode(text(m), false)
  return got?.kind === 'audio' ? { ...got, bytes: Uint8Array.from(got.bytes) } : got
}
const bytes = Uint8Array.from({ length: 160 }, (_, i) => (i * 13) & 255)
const b64 = Buffer.from(bytes).toString('base64')

describe('audio from the bot', () => {
  it.each([
    ['response.audio.delta', { type: 'response.audio.delta', delta: b64 }],
    [
      'the GA name',
      { type: 'response.output_audio.delta', response_id: 'r', output_index: 0, content_index: 0, delta: b64 },
    ],
    ['media by event', { event: 'media', media: { payload: b64 } }],
    [
      'playAudio in Plivo form',
      { event: 'playAudio', media: { contentType: 'audio/x-mulaw', sampleRate: 8000, payload: b64 } },
    ],
    ['playAudio in jambonz form', { type: 'playAudio', data: { audioContent: b64 } }],
    ['Python spacing', `{"type": "response.audio.delta", "delta": "${b64}"}`],
    ['base64 without padding', { type: 'response.audio.delta', delta: b64.replace(/=+$/, '') }],
    ['the URL alphabet', { type: 'response.audio.delta', delta: b64.replaceAll('+', '-').replaceAll('/', '_') }],
    ['escaped slashes, as PHP writes', `{"type":"response.audio.delta","delta":"${b64.replaceAll('/', '\\/')}"}`],
    ['line breaks within base64', { type: 'response.audio.delta', delta: b64.replace(/(.{64})/g, '$1\n') }],
    ['the right call_id', { type: 'media', call_id: 'c1', stream_id: 's1', media: { payload: b64 } }],
    ['a short delta', { type: 'media', media: { payload: b64 }, note: '"delta":' }],
  ])('reads %s', (_what, message) => {
    const got = decode(message)
    expect(got).toMatchObject({ kind: 'audio' })
    expect((got as { bytes: Uint8Array }).bytes).toEqual(bytes)
  })

  it('reads a binary frame as it is', () => {
    expect(make().decode(Buffer.from(bytes), true)).toMatchObject({ kind: 'audio', bytes: Buffer.from(bytes) })
    expect(make().decode(Buffer.alloc(0), true)).toBeUndefined()
  })

  it('keeps item ids apart when only the payload looks alike, and non-ASCII ones whole', () => {
    const dialect = make()
    for (const item of ['a', 'a', 'b', 'आवाज़', 'b'])
      expect(decode({ type: 'response.audio.delta', item_id: item, delta: b64 }, dialect)).toMatchObject({
        itemId: item,
      })
    expect(decode({ type: 'response.audio.delta', delta: b64 }, dialect)).toMatchObject({ itemId: undefined })
    dialect.decode(Buffer.from(bytes), true)
    expect(decode({ type: 'response.audio.delta', item_id: 'b', delta: b64 }, dialect)).toMatchObject({ itemId: 'b' })
  })

  it('takes the format that a delta names', () => {
    expect(
      decode({ type: 'response.audio.delta', delta: b64, format: { encoding: 'pcm16', sample_rate: 8000 } }),
    ).toMatchObject({ encoding: 'pcm16' })
    expect(
      decode({ type: 'response.audio.delta', delta: b64, format: { encoding: 'pcm16', sample_rate: 24000 } }),
    ).toMatchObject({ kind: 'mistake', code: 'format_mismatch' })
    expect(
      decode({ event: 'playAudio', media: { contentType: 'audio/x-l16;rate=16000', sampleRate: 16000, payload: b64 } }),
    ).toMatchObject({ code: 'format_mismatch' })
  })

  it('reads one message of 2 MiB and small ones after it', () => {
    const dialect = make()
    const large = Buffer.alloc(2 * 1024 * 1024, 0x41)
    expect(
      (decode({ type: 'media', media: { payload: large.toString('base64') } }, dialect) as { bytes: Uint8Array }).bytes
        .length,
    ).toBe(large.length)
    expect((decode({ type: 'media', media: { payload: b64 } }, dialect) as { bytes: Uint8Array }).bytes).toEqual(bytes)
  })

  it.each([
    ['a WAV file', Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVEfmt '), Buffer.alloc(100)])],
    ['an MP3 file', Buffer.concat([Buffer.from('ID3\x03\0\0\0'), Buffer.alloc(100)])],
  ])('says that %s is no audio', (_what, file) => {
    expect(decode({ type: 'response.audio.delta', delta: file.toString('base64') })).toMatchObject({
      kind: 'mistake',
      code: 'bad_audio',
    })
    expect(make().decode(file, true)).toMatchObject({ kind: 'mistake', code: 'bad_audio' })
  })

  it.each([
    ['bad base64', { type: 'response.audio.delta', delta: '*'.repeat(80) }],
    ['odd base64', { type: 'response.audio.delta', delta: 'A'.repeat(81) }],
    ['a number as audio', { type: 'response.audio.delta', delta: 5 }],
    ['no audio at all', { type: 'media' }],
  ])('says bad_audio to %s', (_what, message) => {
    expect(decode({ ...message, event_id: 'e1' })).toMatchObject({
      kind: 'mistake',
      code: 'bad_audio',
      bad: true,
      ref: 'e1',
    })
  })
})

describe('the dialogues in fixtures/bot/native', () => {
  const dir = new URL('../../../fixtures/bot/native/', import.meta.url)
  for (const file of readdirSync(dir))
    it(`reads and writes ${file}`, () => {
      const dialect = make()
      for (const line of readFileSync(new URL(file, dir), 'utf8').split('\n')) {
        if (line === '') continue
        // `dir` as the bot sees it: "in" is what it gets from us, "out" what it sends.
        const step = JSON.parse(line) as {
          dir: 'in' | 'out'
          frame: object | string
          tsMs?: number
          tell?: BridgeMessage
          means?: unknown
        }
        if (step.dir === 'out') {
          const got = decode(step.frame, dialect)
          expect(
            JSON.parse(
              JSON.stringify(got ?? null, (k, v: unknown) =>
                k === 'bytes' ? Buffer.from(v as Uint8Array).toString('hex') : v,
              ),
            ),
          ).toEqual(step.means)
        } else expect(JSON.parse(dialect.encode(step.tell!, step.tsMs ?? 0))).toEqual(step.frame)
      }
    })
})

describe('messages to the bot', () => {
  it('writes media by hand exactly as JSON would', () => {
    const dialect = make()
    const first = JSON.parse(dialect.encodeMedia(bytes, 0, 0, 0, 3).toString()) as object
    expect(first).toEqual({
      type: 'media',
      event: 'media',
      call_id: 'c1',
      seq: 1,
      ts: 3,
      media: { track: 'inbound', chunk: 0, timestamp: 0, payload: b64 },
    })
    expect(JSON.parse(dialect.encodeMedia(bytes, 7, 140, 20, 150).toString())).toMatchObject({
      seq: 2,
      lost_ms: 20,
      media: { chunk: 7, timestamp: 140 },
    })
    expect(JSON.parse(dialect.encode({ kind: 'pong' }, 160))).toEqual({
      type: 'pong',
      event: 'pong',
      call_id: 'c1',
      seq: 3,
      ts: 160,
    })
  })

  it('writes the discriminator that the bot asked for', () => {
    expect(JSON.parse(make('type').encodeMedia(bytes, 0, 0, 0, 0).toString())).not.toHaveProperty('event')
    expect(JSON.parse(make('event').encode({ kind: 'flow', state: 'xoff', queuedMs: 1 }, 0))).toEqual({
      event: 'flow',
      call_id: 'c1',
      seq: 1,
      ts: 0,
      state: 'xoff',
      queued_ms: 1,
    })
  })

  it('lets no fact of `start` replace the envelope', () => {
    const facts = {
      call_id: 'evil',
      stream_id: 'leg',
      seq: 9,
      type: 'x',
      from: '+911',
      custom: { a: 1 },
      limits: { max_call_s: 60 },
    }
    const audio = {
      input: { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
      output: { encoding: 'pcm16', sampleRate: 8000, frameMs: 20 },
      transport: 'json',
    } as const
    expect(JSON.parse(make().encode({ kind: 'start', state: 'ringing', audio, facts, bufferMs: 5 }, 0))).toMatchObject({
      type: 'start', call_id: 'c1', stream_id: 's1', seq: 1, from: '+911', state: 'ringing', resume: null, limits: { buffer_ms: 5, max_call_s: 60 },
      audio: { input: { encoding: 'pcmu', sample_rate: 8000, frame_ms: 20 }, transport: 'json' },
    }) // prettier-ignore
  })
})
