import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import type { AudioMessage } from '../../../src/bot/dialect.ts'
import { exotel } from '../../../src/bot/dialects/exotel.ts'
import { CALL_ID, open, playDialogues, read, surviveHostility, UNTOLD } from './dialogue.ts'

playDialogues('exotel', exotel)

describe('the rate', () => {
  it.each([
    ['wss://bot.example/ws', 8000, 1600],
    ['wss://bot.example/ws?sample-rate=8000', 8000, 1600],
    ['wss://bot.example/ws?sample-rate=16000', 16000, 3200],
    ['wss://key:token@bot.example/ws?agent=7&sample-rate=24000&x=y', 24000, 4800],
    ['wss://bot.example/ws?sample-rate=44100', 8000, 1600],
    ['wss://bot.example/ws?sample-rate=', 8000, 1600],
    ['wss://bot.example/ws?sample_rate=16000', 8000, 1600],
    ['not an address', 8000, 1600],
  ])('is read from the address of the bot: %s', (url, sampleRate, bytes) => {
    const g711 = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 } as const
    const plan = exotel.audio({ input: g711, output: g711, transport: 'binary' }, url)
    const format = { encoding: 'pcm16', sampleRate, frameMs: 100 }
    expect(plan).toEqual({ input: format, output: format, transport: 'json' })
    expect(plan.input).not.toBe(plan.output)

    // 100 ms of it in one message, and named as a string.
    const { dialect, wrote, start } = open(exotel, { url })
    dialect.tell(start, 0)
    const audio = Uint8Array.from({ length: bytes }, (_, i) => i & 255)
    dialect.media({ audio, chunk: 4, timestampMs: 400, lostMs: 0, replay: false }, 400)
    const [, started, media] = wrote.map((text) => JSON.parse(text) as Record<string, Record<string, unknown>>)
    expect(started.start.media_format).toEqual({
      encoding: 'audio/x-raw',
      sample_rate: String(sampleRate),
      bit_rate: '16',
    })
    expect(media).toMatchObject({ sequence_number: '2', media: { chunk: '5', timestamp: '400' } })
    expect(Buffer.from(media.media.payload as string, 'base64').equals(audio)).toBe(true)
  })
})

describe('messages to the bot', () => {
  it('have no value that is not a string', () => {
    const { dialect, wrote, start } = open(exotel)
    dialect.tell(start, 0)
    dialect.media({ audio: new Uint8Array(1600), chunk: 0, timestampMs: 0, lostMs: 0, replay: false }, 0)
    dialect.tell({ kind: 'dtmf', digit: '#', durationMs: 90, method: 'info' }, 0)
    dialect.tell({ kind: 'mark', name: 'm', status: 'played', playedMs: 1 }, 0)
    dialect.tell({ kind: 'stop', stop: { reason: 'busy', sipStatus: 486, q850: 17 }, stats: {} }, 0)
    expect(wrote).toHaveLength(6)
    for (const text of wrote) {
      expect(text).not.toMatch(/":(\d|true|false|null)/)
      expect(text).not.toMatch(/"[a-z]+[A-Z][A-Za-z]*":/)
    }
  })

  it.each([
    ['caller_hangup', 'callended'],
    ['no_answer', 'callended'],
    ['max_duration', 'callended'],
    ['bot_hangup', 'stopped'],
    ['transferred', 'stopped'],
    ['bot_lost', 'stopped'],
  ])('tell the end by %s as %s', (reason, told) => {
    const { dialect, wrote } = open(exotel)
    dialect.tell({ kind: 'stop', stop: { reason, sipStatus: 200, q850: 16 }, stats: {} }, 0)
    expect(JSON.parse(wrote[0])).toMatchObject({ event: 'stop', stop: { reason: told } })
  })

  it('carry nothing that Exotel has no word for', () => {
    const { dialect, wrote } = open(exotel)
    for (const message of UNTOLD) dialect.tell(message, 0)
    expect(wrote).toEqual([])
  })

  it('have no headers of their own', () => {
    expect(exotel.headers({ url: 'wss://x', secret: 's', callId: CALL_ID, wallMs: 0, facts: {} })).toEqual({})
    expect(exotel.subprotocols).toEqual([])
  })
})

describe('the socket', () => {
  it('takes Basic from the userinfo of the address', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    const authorization = new Promise((resolve) => {
      server.on('connection', (_socket, request) => resolve(request.headers.authorization))
    })
    const { port } = server.address() as AddressInfo
    const client = new WebSocket(`ws://key:tok%40en@127.0.0.1:${port}/ws?sample-rate=16000`)
    await once(client, 'open')
    expect(await authorization).toBe(`Basic ${Buffer.from('key:tok@en').toString('base64')}`)
    client.terminate()
    server.close()
  })
})

describe('messages from the bot', () => {
  it.each([1, 319, 320, 1600, 3200, 100_000, 250_001])('may have %i bytes of audio', (size) => {
    const bytes = Uint8Array.from({ length: size }, (_, i) => (i * 11) & 255)
    const payload = Buffer.from(bytes).toString('base64')
    const got = read(open(exotel).dialect, { event: 'media', stream_sid: 'x', media: { payload } }) as AudioMessage
    expect(Buffer.from(got.bytes).equals(bytes)).toBe(true)
  })

  it('may name any stream, in any spelling', () => {
    const { dialect } = open(exotel)
    for (const id of [{}, { stream_sid: 'invented' }, { streamSid: 'x' }, { stream_sid: 7 }, { stream_id: 'y' }])
      for (const [m, kind] of [
        [{ event: 'media', media: { payload: 'AAAA' } }, 'audio'],
        [{ event: 'mark', mark: { name: 'm', timestamp: '1700000000000' } }, 'mark'],
        [{ event: 'clear' }, 'clear'],
        [{ event: 'session.transfer', target: '+918000000009' }, 'transfer'],
        [{ event: 'stop' }, 'hangup'],
      ] as const)
        expect(read(dialect, { ...id, ...m })).toMatchObject({ kind })
  })

  it.each([
    ['no payload', { event: 'media', media: {} }, 'bad_audio'],
    ['no base64', { event: 'media', media: { payload: '%%%%' } }, 'bad_audio'],
    ['a mark of no name', { event: 'mark', mark: { name: '' } }, 'bad_json'],
    ['a list', '[]', 'bad_json'],
  ])('are a mistake with %s', (_what, m, code) => {
    expect(read(open(exotel).dialect, m)).toMatchObject({ kind: 'mistake', code })
  })

  surviveHostility(exotel)
})
