import { createHmac } from 'node:crypto'
import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { BotMessage, BridgeMessage, MediaFrame } from '../../../src/bot/dialect.ts'
import { native, signature } from '../../../src/bot/dialects/native.ts'
import { NativeWire, PCMU } from '../../helpers/native.ts'

const decode = (m: object | string | Uint8Array, wire = new NativeWire()): BotMessage | undefined => wire.decode(m)
const bytes = Uint8Array.from({ length: 160 }, (_, i) => (i * 13) & 255)
const b64 = Buffer.from(bytes).toString('base64')
const frame = (more: Partial<MediaFrame> = {}): MediaFrame => ({
  audio: bytes,
  chunk: 0,
  timestampMs: 0,
  lostMs: 0,
  replay: false,
  ...more,
})

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
    expect(decode(bytes)).toMatchObject({ kind: 'audio', bytes })
    expect(decode(new Uint8Array(0))).toBeUndefined()
  })

  it('keeps item ids apart when only the payload looks alike, and non-ASCII ones whole', () => {
    const wire = new NativeWire()
    for (const item of ['a', 'a', 'b', 'आवाज़', 'b'])
      expect(decode({ type: 'response.audio.delta', item_id: item, delta: b64 }, wire)).toMatchObject({
        itemId: item,
      })
    expect(decode({ type: 'response.audio.delta', delta: b64 }, wire)).toMatchObject({ itemId: undefined })
    decode(bytes, wire)
    expect(decode({ type: 'response.audio.delta', item_id: 'b', delta: b64 }, wire)).toMatchObject({ itemId: 'b' })
  })

  it.each([
    ['a law', { format: { encoding: 'pcma' } }, { encoding: 'pcma', sampleRate: undefined }],
    [
      'pcm16 at 24 kHz',
      { format: { encoding: 'pcm16', sample_rate: 24000 } },
      { encoding: 'pcm16', sampleRate: 24000 },
    ],
    [
      'a rate as text',
      { format: { encoding: 'pcm16', sample_rate: '16000' } },
      { encoding: 'pcm16', sampleRate: 16000 },
    ],
    ['the form of OpenAI', { format: { type: 'audio/pcm', rate: 24000 } }, { encoding: 'pcm16', sampleRate: 24000 }],
    ['a law at 16 kHz', { format: { encoding: 'pcmu', sample_rate: 16000 } }, { code: 'format_mismatch' }],
    ['44.1 kHz', { format: { encoding: 'pcm16', sample_rate: 44100 } }, { code: 'format_mismatch' }],
    ['opus', { format: { encoding: 'opus' } }, { code: 'format_mismatch' }],
    ['nonsense', { format: { encoding: [[[]]], sample_rate: {} } }, { code: 'format_mismatch' }],
  ])('takes the format that a delta names: %s', (_what, format, means) => {
    expect(decode({ type: 'response.audio.delta', delta: b64, ...format })).toMatchObject(means)
  })

  it('takes the format of Plivo’s playAudio', () => {
    const media = { contentType: 'audio/x-l16;rate=16000', sampleRate: 16000, payload: b64 }
    expect(decode({ event: 'playAudio', media })).toMatchObject({ encoding: 'pcm16', sampleRate: 16000 })
  })

  it('reads one message of 2 MiB and small ones after it', () => {
    const wire = new NativeWire()
    const large = Buffer.alloc(2 * 1024 * 1024, 0x41)
    expect(
      (decode({ type: 'media', media: { payload: large.toString('base64') } }, wire) as { bytes: Uint8Array }).bytes
        .length,
    ).toBe(large.length)
    expect((decode({ type: 'media', media: { payload: b64 } }, wire) as { bytes: Uint8Array }).bytes).toEqual(bytes)
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
  /** `dir` as the bot sees it: "in" is what it gets from us, "out" what it sends. */
  type Step =
    | { dir: 'out'; frame: object | string; means: unknown }
    | { dir: 'in'; frame: object; tsMs: number; tell: BridgeMessage }
    | { dir: 'in'; frame: object; tsMs: number; media: Omit<MediaFrame, 'audio'> & { audio: string } }
  const dir = new URL('../../../fixtures/bot/native/', import.meta.url)
  const plain = (message: unknown): unknown =>
    JSON.parse(
      JSON.stringify(message ?? null, (key, value: unknown) =>
        key === 'bytes' ? Buffer.from(value as Uint8Array).toString('hex') : value,
      ),
    )

  for (const file of readdirSync(dir))
    it(`reads and writes ${file}`, () => {
      const wire = new NativeWire()
      for (const line of readFileSync(new URL(file, dir), 'utf8').split('\n')) {
        if (line === '') continue
        const step = JSON.parse(line) as Step
        if (step.dir === 'out') {
          expect(plain(decode(step.frame, wire)), line).toEqual(step.means)
          continue
        }
        if ('tell' in step) wire.dialect.tell(step.tell, step.tsMs)
        else wire.dialect.media({ ...step.media, audio: Buffer.from(step.media.audio, 'hex') }, step.tsMs)
        expect(wire.last).toEqual(step.frame)
      }
    })
})

describe('messages to the bot', () => {
  it('are text of exactly these bytes', () => {
    const wire = new NativeWire()
    wire.dialect.tell({ kind: 'mark', name: 'm1', status: 'played', playedMs: 1840 }, 2000)
    wire.dialect.media(frame({ audio: Uint8Array.of(0xff, 0xff), chunk: 1, timestampMs: 20 }), 2011.6)
    wire.dialect.tell({ kind: 'pong' }, 2020)
    expect(wire.texts).toEqual([
      '{"type":"mark","event":"mark","call_id":"c1","seq":1,"ts":2000,"mark":{"name":"m1","status":"played","played_ms":1840}}',
      '{"type":"media","event":"media","call_id":"c1","seq":2,"ts":2012,"media":{"track":"inbound","chunk":1,"timestamp":20,"payload":"//8="}}',
      '{"type":"pong","event":"pong","call_id":"c1","seq":3,"ts":2020}',
    ])
    expect(wire.dialect.lastSeq).toBe(3)
  })

  it('say of media what was lost and what is sent again', () => {
    const wire = new NativeWire()
    const text = wire.dialect.media(frame({ chunk: 7, timestampMs: 140, lostMs: 20, replay: true }), 150)
    expect(wire.last).toEqual({
      type: 'media',
      event: 'media',
      call_id: 'c1',
      seq: 1,
      ts: 150,
      media: { track: 'inbound', chunk: 7, timestamp: 140, payload: b64 },
      lost_ms: 20,
      replay: true,
    })
    expect(text).toBe(Buffer.byteLength(wire.texts[0]))
  })

  it('carry frames of any size: 200 ms at 24 kHz, then 20 ms at 8 kHz', () => {
    const wire = new NativeWire()
    const large = Uint8Array.from({ length: 9600 }, (_, i) => (i * 7) & 255)
    wire.dialect.media(frame({ audio: large }), 0)
    expect(wire.last).toMatchObject({ media: { payload: Buffer.from(large).toString('base64') } })
    wire.dialect.media(frame(), 0)
    expect(wire.last).toMatchObject({ media: { payload: b64 } })
  })

  it('are raw frames where the bot wants binary, but for audio that is sent again', () => {
    const wire = new NativeWire('both', { ...PCMU, transport: 'binary' })
    expect(wire.dialect.media(frame({ lostMs: 40 }), 0)).toBe(160)
    expect(wire.binaries).toEqual([Buffer.from(bytes)])
    expect(wire.texts).toEqual([])
    wire.dialect.media(frame({ replay: true }), 0)
    expect(wire.last).toMatchObject({ type: 'media', seq: 1, replay: true })
  })

  it('have the discriminator that the bot asked for', () => {
    const byType = new NativeWire('type')
    byType.dialect.media(frame(), 0)
    expect(byType.last).not.toHaveProperty('event')
    const byEvent = new NativeWire('event')
    byEvent.dialect.tell({ kind: 'flow', state: 'xoff', queuedMs: 1 }, 0)
    expect(byEvent.last).toEqual({ event: 'flow', call_id: 'c1', seq: 1, ts: 0, state: 'xoff', queued_ms: 1 })
  })

  it('let no fact of `start` replace the envelope', () => {
    const wire = new NativeWire()
    const facts = {
      call_id: 'evil',
      stream_id: 'leg',
      seq: 9,
      type: 'x',
      resume: 'x',
      from: '+911',
      custom: { a: 1 },
      limits: { max_call_s: 60 },
    }
    wire.dialect.tell({ kind: 'start', state: 'ringing', audio: PCMU, facts, bufferMs: 5, token: 'r', standIn: 0 }, 0)
    expect(wire.last).toEqual({
      type: 'start',
      event: 'start',
      version: '1',
      call_id: 'c1',
      stream_id: 's1',
      seq: 1,
      ts: 0,
      from: '+911',
      custom: { a: 1 },
      state: 'ringing',
      audio: {
        input: { encoding: 'pcmu', sample_rate: 8000, frame_ms: 20 },
        output: { encoding: 'pcmu', sample_rate: 8000, frame_ms: 20 },
        transport: 'json',
      },
      resume_token: 'r',
      resume: null,
      stand_in: 0,
      limits: { buffer_ms: 5, max_call_s: 60 },
    })
  })
})

describe('a hang-up', () => {
  it.each([
    ['nothing else', { type: 'session.hangup' }],
    ['wrong fields', { type: 'session.hangup', reason: [], sip_status: 'x', q850: 900, after_playback: 'soon' }],
    ['a reason of 1 MB', { type: 'session.hangup', reason: '\n'.repeat(1_000_000) }],
  ])('is obeyed with %s', (_what, message) => {
    expect(decode(message)).toEqual({
      kind: 'hangup',
      reason: 'bot_hangup',
      sipStatus: undefined,
      q850: undefined,
      afterPlayback: false,
    })
  })
})

describe('the handshake', () => {
  const handshake = { url: 'wss://bot.example/x?a=1', callId: 'c1', wallMs: 1_760_000_000_999, facts: {} }

  it('is signed with timestamp, method, URL and call id', () => {
    const text = '1760000000\nGET\nwss://bot.example/x?a=1\nc1'
    const expected = `v1=${createHmac('sha256', 'a secret of the bot').update(text).digest('hex')}`
    expect(signature('a secret of the bot', '1760000000', handshake.url, 'c1')).toBe(expected)
    expect(native.headers({ ...handshake, secret: 'a secret of the bot' })).toEqual({
      'X-Trunkline-Timestamp': '1760000000',
      'X-Trunkline-Signature': expected,
    })
  })

  it('is unsigned without a secret', () => {
    expect(native.headers(handshake)).toEqual({ 'X-Trunkline-Timestamp': '1760000000' })
  })
})
