import { describe, expect, it } from 'vitest'
import type { AudioFormat, AudioMessage } from '../../../src/bot/dialect.ts'
import { telnyx, telnyxKind } from '../../../src/bot/dialects/telnyx.ts'
import { FakeClock } from '../../fakes/clock.ts'
import { CALL_ID, open, playDialogues, read, surviveHostility, UNTOLD } from './dialogue.ts'

const kind = telnyxKind(new FakeClock())
const l16: AudioFormat = { encoding: 'pcm16', sampleRate: 16000, frameMs: 20 }
const frame = { audio: new Uint8Array(160), chunk: 0, timestampMs: 0, lostMs: 0, replay: false }

playDialogues('telnyx', kind)

describe('messages to the bot', () => {
  it('begin with `connected` and `start`, adjacent, with ids of the shapes that Telnyx has', () => {
    const { dialect, wrote, start } = open(kind, { callId: 'c1', streamId: 's1', facts: { account_id: 'a1' } })
    dialect.tell(start, 0)
    expect(wrote).toHaveLength(2)
    expect(wrote[0]).toBe('{"event":"connected","version":"1.0.0"}')
    const started = JSON.parse(wrote[1]) as { stream_id: string; start: Record<string, string> }
    const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/
    for (const id of [started.stream_id, started.start.user_id, started.start.call_session_id]) expect(id).toMatch(uuid)
    expect(started.start.call_control_id).toMatch(/^v2:[\w-]+$/)
  })

  it('have strings for all that counts', () => {
    const { dialect, wrote, start } = open(kind)
    dialect.tell(start, 0)
    dialect.media(frame, 0)
    dialect.tell({ kind: 'dtmf', digit: '*', durationMs: 100, method: 'info' }, 1500.7)
    const [, , media, dtmf] = wrote.map((text) => JSON.parse(text) as Record<string, unknown>)
    expect(media).toMatchObject({ sequence_number: '2', media: { chunk: '1', timestamp: '0' } })
    // Media time counts from the first of them: here it is the digit.
    expect(dtmf).toMatchObject({ sequence_number: '3', occurred_at: '2026-01-01T00:00:00.000Z' })
    expect(dialect.lastSeq).toBe(3)
  })

  it('have L16 in network order, and leave the session’s own bytes as they are', () => {
    const { dialect, wrote } = open(kind, { configured: l16 })
    const audio = Uint8Array.of(0x34, 0x12, 0x78, 0x56)
    for (let i = 0; i < 2; i++) {
      dialect.media({ ...frame, audio }, 0)
      const { media } = JSON.parse(wrote[i]) as { media: { payload: string } }
      expect(Buffer.from(media.payload, 'base64').toString('hex')).toBe('12345678')
    }
    expect([...audio]).toEqual([0x34, 0x12, 0x78, 0x56])
  })

  it('are none for what Telnyx has no word for, but for errors', () => {
    const { dialect, wrote } = open(kind)
    for (const message of UNTOLD) dialect.tell(message, 0)
    expect(wrote).toHaveLength(1)
    expect(JSON.parse(wrote[0])).toMatchObject({ event: 'error', payload: { code: 100002, detail: 'no id' } })
  })

  it.each([
    [
      { encoding: 'pcmu', sampleRate: 8000, frameMs: 100 },
      { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
    ],
    [
      { encoding: 'pcma', sampleRate: 8000, frameMs: 20 },
      { encoding: 'pcma', sampleRate: 8000, frameMs: 20 },
    ],
    [{ encoding: 'pcm16', sampleRate: 8000, frameMs: 20 }, l16],
    [{ encoding: 'pcm16', sampleRate: 24000, frameMs: 20 }, l16],
  ] as [AudioFormat, AudioFormat][])('%# have a codec for each way', (configured, got) => {
    const pcmu: AudioFormat = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }
    expect(telnyx.audio({ input: configured, output: pcmu, transport: 'binary' }, '')).toEqual({
      input: got,
      output: pcmu,
      transport: 'json',
    })
  })

  it('are not announced by headers or a subprotocol', () => {
    expect(telnyx.headers({ url: 'wss://x', callId: CALL_ID, wallMs: 0, facts: {}, secret: 's' })).toEqual({})
    expect(telnyx.subprotocols).toEqual([])
  })
})

describe('messages from the bot', () => {
  it.each([160, 1, 4001, 240_000])('may have %i bytes of audio, and no stream_id or any other', (size) => {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 255)
    const { dialect } = open(kind)
    for (const stream_id of [undefined, 'other', 7]) {
      const m = { event: 'media', stream_id, media: { payload: Buffer.from(bytes).toString('base64') } }
      expect(Buffer.from((read(dialect, m) as AudioMessage).bytes).equals(bytes)).toBe(true)
    }
  })

  it('keep L16 whole when it is cut between the bytes of a sample, wherever that is', () => {
    const sent = Uint8Array.from({ length: 200 }, (_, i) => (i * 37) & 255)
    const wanted = Buffer.from(sent).swap16()
    for (let first = 1; first < 12; first++)
      for (let step = 1; step < 50; step += 3) {
        const { dialect } = open(kind, { configured: l16 })
        const heard: Uint8Array[] = []
        for (let at = 0, size = first; at < sent.length; at += size, size = at === size ? step : size) {
          const payload = Buffer.from(sent.subarray(at, at + size)).toString('base64')
          const got = read(dialect, { event: 'media', media: { payload } }) as AudioMessage | undefined
          if (got) heard.push(got.bytes)
        }
        expect(Buffer.concat(heard).equals(wanted)).toBe(true)
      }
  })

  it.each([
    ['no JSON', 'hello', 'bad_json'],
    ['no base64', { event: 'media', media: { payload: '***' } }, 'bad_audio'],
    ['no payload', { event: 'media' }, 'bad_audio'],
    ['a mark without a name', { event: 'mark' }, 'bad_json'],
    ['an event of another protocol', { event: 'playAudio' }, 'unknown_type'],
    ['no event', {}, 'unknown_type'],
    ['binary audio', Buffer.alloc(160), 'bad_audio'],
  ])('are a mistake with %s', (_what, m, code) => {
    expect(read(open(kind).dialect, m, Buffer.isBuffer(m))).toMatchObject({ kind: 'mistake', code })
  })

  surviveHostility(kind)
})
