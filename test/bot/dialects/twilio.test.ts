import { createHash } from 'node:crypto'
import { TwilioRealtimeTransportLayer } from '@openai/agents-extensions'
import twilioSdk from 'twilio'
import { describe, expect, it } from 'vitest'
import type { AudioMessage, BotMessage, MediaFrame, SessionPlan } from '../../../src/bot/dialect.ts'
import { twilio } from '../../../src/bot/dialects/twilio.ts'
import { accountSid, callSid, streamSid } from '../../../src/lib/sids.ts'
import { ACCOUNT_ID, CALL_ID, open, playDialogues, read, surviveHostility, UNTOLD } from './dialogue.ts'

const frame = (chunk: number, fill = chunk): MediaFrame => ({
  audio: new Uint8Array(160).fill(fill),
  chunk,
  timestampMs: chunk * 20,
  lostMs: 0,
  replay: false,
})

playDialogues('twilio', twilio)

describe('the handshake', () => {
  const secret = '12345678901234567890123456789012'
  const sign = (url: string, key: string | undefined = secret): string =>
    twilio.headers({ url, secret: key, callId: CALL_ID, wallMs: 0, facts: {} })['X-Twilio-Signature']

  it.each([
    'wss://bot.example/stream',
    'wss://bot.example/',
    'wss://bot.example:8443/a/b?tenant=7&name=%E0%A4%B8&x=a%20b',
    "wss://bot.example/s?q='1'",
  ])('is signed as the SDK of Twilio checks it: %s', (url) => {
    const { validateRequest } = twilioSdk
    expect(validateRequest(secret, sign(url), url, {})).toBe(true)
    expect(validateRequest('other', sign(url), url, {})).toBe(false)
    expect(validateRequest(secret, sign(url), `${url}0`, {})).toBe(false)
    // twilio-aspnet#162: what is signed is wss, not the https that a framework sees.
    expect(validateRequest(secret, sign(url), url.replace('wss:', 'https:'), {})).toBe(false)
  })

  it('is signed with its query', () => {
    const url = `wss://bot.example/s?bodySHA256=${createHash('sha256').update('').digest('hex')}`
    expect(twilioSdk.validateRequestWithBody(secret, sign(url), url, '')).toBe(true)
  })

  it('has no headers of its own without a secret, and no subprotocol', () => {
    expect(twilio.headers({ url: 'wss://x', callId: CALL_ID, wallMs: 0, facts: {} })).toEqual({})
    expect(twilio.subprotocols).toEqual([])
  })
})

describe('messages to the bot', () => {
  it('are µ-law at 8 kHz in 20 ms, whatever is configured', () => {
    const wanted = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }
    const l16 = { encoding: 'pcm16', sampleRate: 24000, frameMs: 100 } as const
    expect(twilio.audio({ input: l16, output: l16, transport: 'binary' }, 'wss://x')).toEqual({
      input: wanted,
      output: wanted,
      transport: 'json',
    })
  })

  it('begin with `connected` and `start`, adjacent, with the ids that Twilio has', () => {
    const { dialect, wrote, start } = open(twilio)
    dialect.tell(start, 0)
    const [connected, started] = wrote.map((text) => JSON.parse(text) as { start: Record<string, string> })
    expect(wrote).toHaveLength(2)
    expect(connected).toEqual({ event: 'connected', protocol: 'Call', version: '1.0.0' })
    expect(started.start).toMatchObject({
      accountSid: accountSid(ACCOUNT_ID),
      callSid: callSid(CALL_ID),
      streamSid: streamSid('leg-1.1'),
    })
    for (const [name, prefix] of [
      ['accountSid', 'AC'],
      ['callSid', 'CA'],
      ['streamSid', 'MZ'],
    ])
      // prettier-ignore
      expect(started.start[name]).toMatch(new RegExp(`^${prefix}[0-9a-f]{32}$`))
    expect(dialect.lastSeq).toBe(1)
  })

  it('carry nothing that Twilio has no word for', () => {
    const { dialect, wrote } = open(twilio)
    for (const message of UNTOLD) dialect.tell(message, 0)
    expect(wrote).toEqual([])
    expect(dialect.lastSeq).toBe(0)
  })

  it('give every parameter as a string, and the customer’s own above ours', () => {
    const { dialect, wrote, start } = open(twilio, {
      facts: { from: '+911', text: 'hello', custom: JSON.parse('{"from":5,"__proto__":"x","deep":{"a":1}}') as object },
    })
    dialect.tell(start, 0)
    expect(wrote[1]).toContain('"customParameters":{"from":"5","text":"hello","__proto__":"x","deep":"{\\"a\\":1}"}')
  })

  it('write audio from one buffer again and again', () => {
    const buffers = new Set<ArrayBufferLike>()
    const pcmu = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 } as const
    const dialect = twilio.create({
      wire: { text: (text) => void buffers.add((text as Uint8Array).buffer), binary: () => undefined },
      callId: CALL_ID,
      streamId: 's',
      plan: { start: {} } as unknown as SessionPlan,
      audio: { input: pcmu, output: pcmu, transport: 'json' },
    })
    const reused = frame(0)
    for (let i = 0; i < 1000; i++) {
      reused.chunk = i
      reused.timestampMs = i * 20
      dialect.media(reused, 0)
    }
    expect(buffers.size).toBe(1)
  })
})

describe('messages from the bot', () => {
  it.each([1, 159, 160, 161, 4001, 2 * 1024 * 1024])('may have %i bytes of audio', (size) => {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 7) & 255)
    const payload = Buffer.from(bytes).toString('base64')
    const got = read(open(twilio).dialect, { event: 'media', streamSid: 'MZ', media: { payload } }) as AudioMessage
    expect(Buffer.from(got.bytes).equals(bytes)).toBe(true)
  })

  it('may name no stream, or any other', () => {
    const { dialect } = open(twilio)
    for (const streamSid of [undefined, 'MZother', 5, null])
      for (const [m, kind] of [
        [{ event: 'media', media: { payload: 'AAAA' } }, 'audio'],
        [{ event: 'mark', mark: { name: 'm' } }, 'mark'],
        [{ event: 'clear' }, 'clear'],
      ] as const)
        expect(read(dialect, { ...m, streamSid })).toMatchObject({ kind })
  })

  it('may be unknown: they are ignored', () => {
    const { dialect } = open(twilio)
    for (const m of [{ event: 'media.started' }, { event: 'connected' }, {}, { event: 7 }, { type: 'response.done' }])
      expect(read(dialect, m)).toBeUndefined()
  })

  it('may come as JSON in binary frames, but audio may not', () => {
    const { dialect } = open(twilio)
    expect(read(dialect, { event: 'clear' }, true)).toEqual({ kind: 'clear' })
    expect(read(dialect, Buffer.alloc(160, 0xff), true)).toMatchObject({ kind: 'mistake', code: 'bad_audio' })
    expect(read(dialect, Buffer.alloc(160, 0x7b), true)).toMatchObject({ kind: 'mistake', code: 'bad_json' })
  })

  it.each([
    ['no JSON', 'hello', 'bad_json'],
    ['no base64', { event: 'media', media: { payload: '***' } }, 'bad_audio'],
    ['no payload', { event: 'media' }, 'bad_audio'],
    ['a mark without a name', { event: 'mark' }, 'bad_json'],
    ['a transfer to nowhere', { event: 'session.transfer' }, 'transfer_failed'],
  ])('are a mistake with %s', (_what, m, code) => {
    expect(read(open(twilio).dialect, m)).toMatchObject({ kind: 'mistake', code })
  })

  surviveHostility(twilio)
})

/** A WebSocket in memory: what is sent is kept, what shall be heard is called. */
class FakeSocket {
  readyState = 1
  readonly sent: string[] = []
  readonly #listeners = new Map<string, ((event: unknown) => void)[]>()
  addEventListener(name: string, listener: (event: unknown) => void): void {
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), listener])
  }
  send(text: string): void {
    this.sent.push(text)
  }
  hear(text: string): void {
    for (const listener of this.#listeners.get('message') ?? []) listener({ data: text })
  }
  close(): void {
    this.readyState = 3
  }
  take(): Record<string, unknown>[] {
    return this.sent.splice(0).map((text) => JSON.parse(text) as Record<string, unknown>)
  }
}

describe('the Twilio transport of @openai/agents', () => {
  const delta = (bytes: number): object => ({
    type: 'response.output_audio.delta', event_id: 'e', response_id: 'r1', item_id: 'i1', output_index: 0, content_index: 0,
    delta: Buffer.alloc(bytes, 0x55).toString('base64'),
  }) // prettier-ignore

  it('hears the caller without gaps, speaks, and is told by marks how far it was heard', async () => {
    const bot = new FakeSocket()
    const model = new FakeSocket()
    const transport = new TwilioRealtimeTransportLayer({
      twilioWebSocket: bot as never,
      createWebSocket: async () => model as never,
      skipOpenEventListeners: true,
    })
    const errors: unknown[] = []
    transport.on('error', (error) => errors.push(error))
    await transport.connect({ apiKey: 'sk-test', model: 'gpt-realtime' })
    const { dialect, wrote, start } = open(twilio)
    const say = (): void => wrote.splice(0).forEach((text) => bot.hear(text))

    dialect.tell(start, 0)
    for (const chunk of [0, 1, 2]) dialect.media(frame(chunk, 0x10 + chunk), 0)
    say()
    const heard = (): string[] =>
      model
        .take()
        .filter((m) => m.type === 'input_audio_buffer.append')
        .map((m) => Buffer.from(m.audio as string, 'base64').toString('hex'))
    expect(heard()).toEqual([0x10, 0x11, 0x12].map((fill) => Buffer.alloc(160, fill).toString('hex')))

    // Frame 3 was dropped on a full socket: from the timestamps it knows how much silence to put in its place.
    dialect.media(frame(4, 0x20), 0)
    say()
    expect(heard()).toEqual([Buffer.alloc(160, 0xff).toString('hex'), Buffer.alloc(160, 0x20).toString('hex')])

    model.hear(JSON.stringify({ type: 'response.created', event_id: 'e', response: { id: 'r1' } }))
    model.hear(JSON.stringify(delta(800)))
    model.hear(JSON.stringify(delta(160)))
    const spoken = bot.take().map((m) => read(dialect, m) as BotMessage)
    expect(spoken.map((m) => m.kind)).toEqual(['audio', 'mark', 'audio', 'mark'])
    expect(spoken[0]).toMatchObject({ bytes: new Uint8Array(800).fill(0x55) })

    // 100 ms of it are played, then the caller speaks: the model's history is cut at what was heard (and its margin).
    const [first, second] = spoken.filter((m) => m.kind === 'mark')
    dialect.tell({ kind: 'mark', name: first.name, status: 'played', playedMs: 100 }, 0)
    say()
    model.take()
    transport.interrupt()
    expect(bot.take().map((m) => read(dialect, m))).toEqual([{ kind: 'clear' }])
    expect(model.take()).toContainEqual(
      expect.objectContaining({ type: 'conversation.item.truncate', item_id: 'i1', audio_end_ms: 120 }),
    )
    // The cleared mark comes back as if played, which this bot knows and drops.
    dialect.tell({ kind: 'mark', name: second.name, status: 'cleared', playedMs: 100 }, 0)
    dialect.tell({ kind: 'stop', stop: { reason: 'caller_hangup', sipStatus: 200, q850: 16 }, stats: {} }, 0)
    say()
    transport.close()
    expect(errors).toEqual([])
  })
})
