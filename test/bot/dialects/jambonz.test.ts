import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { type AudioStream, createEndpoint } from '@jambonz/sdk/websocket'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import type { AudioFormat, BotMessage, Dialect } from '../../../src/bot/dialect.ts'
import { jambonz } from '../../../src/bot/dialects/jambonz.ts'
import { wavFile } from '../../../src/audio/wav.ts'
import { ACCOUNT_ID, CALL_ID, open, playDialogues, read, surviveHostility, UNTOLD } from './dialogue.ts'

playDialogues('jambonz', jambonz)

const frame = (audio: Uint8Array, chunk: number): Parameters<Dialect['media']>[0] => ({
  audio,
  chunk,
  timestampMs: chunk * 20,
  lostMs: 0,
  replay: false,
})

describe('messages to the bot', () => {
  it('have a rate for each way, in 20 ms', () => {
    const input: AudioFormat = { encoding: 'pcm16', sampleRate: 16000, frameMs: 100 }
    const output: AudioFormat = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }
    expect(jambonz.audio({ input, output, transport: 'json' }, '')).toEqual({
      input: { ...input, frameMs: 20 },
      output: { encoding: 'pcm16', sampleRate: 8000, frameMs: 20 },
      transport: 'binary',
    })
  })

  it('are none for what jambonz has no word for', () => {
    const { dialect, wrote } = open(jambonz)
    for (const message of UNTOLD) dialect.tell(message, 0)
    expect(wrote).toEqual([])
  })

  it('never let free data stand in for what the call says of itself', () => {
    const { dialect, wrote, start } = open(jambonz, { facts: { from: '+91', custom: { callSid: 'x', mixType: 'stereo' } } }) // prettier-ignore
    dialect.tell(start, 0)
    expect(JSON.parse(wrote[0])).toMatchObject({ callSid: CALL_ID, mixType: 'mono', sampleRate: 8000, from: '+91' })
  })

  it('write a frame of audio as it lies in the session’s buffer', () => {
    const written: Uint8Array[] = []
    const audio = jambonz.audio({ input: l16(8000), output: l16(8000), transport: 'binary' }, '')
    const wire = { text: () => undefined, binary: (bytes: Uint8Array) => void written.push(bytes) }
    const dialect = jambonz.create({ wire, callId: 'c', streamId: 's', plan: { start: {} } as never, audio })
    const bytes = new Uint8Array(320)
    expect(dialect.media(frame(bytes, 0), 0)).toBe(320)
    expect(written[0]).toBe(bytes)
  })
})

const l16 = (sampleRate: 8000 | 16000): AudioFormat => ({ encoding: 'pcm16', sampleRate, frameMs: 20 })

describe('marks', () => {
  const ask = (dialect: Dialect, name: string): BotMessage => read(dialect, { type: 'mark', data: { name } }) as BotMessage // prettier-ignore

  it('are 30 at most; what is more is discarded, until one of them is answered', () => {
    const { dialect, wrote } = open(jambonz)
    const names = Array.from({ length: 30 }, (_, i) => (ask(dialect, `m${i}`) as { name: string }).name)
    expect(new Set(names).size).toBe(30)
    expect(ask(dialect, 'm30')).toMatchObject({ kind: 'mistake', code: 'rate_limited', bad: false })
    dialect.tell({ kind: 'mark', name: names[0], status: 'played', playedMs: 1 }, 0)
    expect(ask(dialect, 'm31')).toMatchObject({ kind: 'mark' })
    expect(wrote).toEqual(['{"type":"mark","data":{"name":"m0","event":"playout"}}'])
    read(dialect, { type: 'clearMarks' })
    expect(wrote).toHaveLength(31)
    for (let i = 0; i < 30; i++) expect(ask(dialect, 'again')).toMatchObject({ kind: 'mark' })
    expect(ask(dialect, 'again')).toMatchObject({ kind: 'mistake' })
  })

  it('are answered once each, whatever comes between', () => {
    const { dialect, wrote } = open(jambonz)
    const waiting: string[] = []
    let asked = 0
    for (let i = 0; i < 400; i++) {
      const step = (i * 7919) % 13
      if (step === 12) read(dialect, { type: 'clearMarks' })
      else if (step > 7) {
        const name = waiting.shift()
        if (name !== undefined) dialect.tell({ kind: 'mark', name, status: step === 9 ? 'cleared' : 'played', playedMs: 0 }, 0) // prettier-ignore
      } else {
        const got = ask(dialect, `b${i}`)
        if (got.kind === 'mark') {
          waiting.push(got.name)
          asked++
        }
      }
    }
    for (const name of waiting) dialect.tell({ kind: 'mark', name, status: 'cleared', playedMs: 0 }, 0)
    const answered = wrote.map((text) => (JSON.parse(text) as { data: { name: string } }).data.name)
    expect(answered).toHaveLength(asked)
    expect(new Set(answered).size).toBe(asked)
  })

  it('of a socket that was lost count as well', () => {
    const { dialect, start } = open(jambonz)
    const unplayedMarks = Array.from({ length: 30 }, (_, i) => `m${i}:x`)
    dialect.tell({ ...start, resume: { count: 1, gapMs: 1, lastSeq: 0, unplayedMarks } } as never, 0)
    expect(ask(dialect, 'y')).toMatchObject({ kind: 'mistake' })
  })
})

describe('clips', () => {
  const payload = Buffer.alloc(64, 1).toString('base64')
  const clip = (data: object): unknown => read(open(jambonz).dialect, { type: 'playAudio', data: { audioContent: payload, ...data } }) // prettier-ignore

  it('take the place of what is played, or wait, as their own flag says and not that of the one before', () => {
    const { dialect } = open(jambonz)
    for (const queuePlay of [true, false, true, undefined, true, true]) {
      const got = read(dialect, { type: 'playAudio', data: { audioContent: payload, queuePlay } }) as BotMessage[]
      expect(got.map((m) => m.kind)).toEqual(queuePlay === true ? ['audio', 'mark'] : ['clear', 'audio', 'mark'])
    }
  })

  it('may be long WAV files, and what is cut off at the end is played as far as it goes', () => {
    const pcm = Int16Array.from({ length: 24_000 * 5 }, (_, i) => i & 0x7fff)
    const file = wavFile(pcm, undefined, 24_000)
    for (const cut of [0, 1, 1001]) {
      const audioContent = file.subarray(0, file.length - cut).toString('base64')
      const [, audio] = clip({ audioContent, audioContentType: 'wav' }) as BotMessage[]
      if (audio.kind !== 'audio') throw new Error(audio.kind)
      const samples = Buffer.from(pcm.buffer).subarray(0, (pcm.length * 2 - cut) & ~1)
      expect(audio).toMatchObject({ encoding: 'pcm16', sampleRate: 24_000 })
      expect(Buffer.from(audio.bytes).equals(samples)).toBe(true)
    }
  })

  it.each([
    ['a rate that we have not', { sampleRate: 48_000 }, 'format_mismatch'],
    ['a rate that is none', { sampleRate: [[8000]] }, 'format_mismatch'],
    ['no audio', { audioContent: undefined }, 'bad_audio'],
    ['an MP3 that calls itself WAV', { audioContent: Buffer.from('ID3'.repeat(40)).toString('base64'), audioContentType: 'wav' }, 'bad_audio'], // prettier-ignore
    ['a WAV file without samples', { audioContent: Buffer.from('RIFF\0\0\0\0WAVEfmt ').toString('base64') }, 'bad_audio'], // prettier-ignore
  ])('with %s are a mistake', (_what, data, code) => {
    expect(clip(data)).toMatchObject({ kind: 'mistake', code })
  })
})

describe('messages from the bot', () => {
  surviveHostility(
    jambonz,
    Buffer.alloc(3),
    ['data', 'audioContent', 'audioContentType', 'sampleRate', 'id', 'queuePlay'],
    ['playAudio', 'killAudio', 'clearMarks', 'disconnect', 'wav', 'raw', Buffer.from('RIFF1234WAVEfmt ').toString('base64')], // prettier-ignore
  )
})

describe('a bot on @jambonz/sdk', () => {
  /** Their endpoint on loopback, our dialect on a socket to it. */
  async function join(): Promise<{ dialect: Dialect; bot: AudioStream; heard: BotMessage[] }> {
    const server = createServer()
    const quiet = { info: () => undefined, error: () => undefined, debug: () => undefined }
    const audio = createEndpoint({ server, logger: quiet }).audio({ path: '/audio' })
    const stream = once(audio, 'connection') as Promise<[AudioStream]>
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}/audio`
    const socket = new WebSocket(url, [...jambonz.subprotocols])
    onTestFinished(() => {
      socket.terminate()
      server.closeAllConnections()
      server.close()
    })
    await once(socket, 'open')
    expect(socket.protocol).toBe('audio.drachtio.org')
    const facts = {
      account_id: ACCOUNT_ID,
      from: '+911',
      to: '+912',
      direction: 'inbound',
      custom: { purpose: 'test' },
    }
    const formats = jambonz.audio({ input: l16(16000), output: l16(8000), transport: 'json' }, url)
    const dialect = jambonz.create({
      wire: { text: (f) => socket.send(f.toString()), binary: (f) => socket.send(f) },
      callId: CALL_ID,
      streamId: 's',
      plan: { start: facts } as never,
      audio: formats,
    })
    const heard: BotMessage[] = []
    socket.on('message', (data, isBinary) => heard.push(...[read(dialect, data as Buffer, isBinary) ?? []].flat()))
    dialect.tell({ kind: 'start', state: 'answered', audio: formats, facts, bufferMs: 1, token: 't', standIn: 0 }, 0)
    return { dialect, bot: (await stream)[0], heard }
  }
  const until = async (ready: () => boolean): Promise<void> => {
    for (let i = 0; !ready() && i < 5000; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(ready()).toBe(true)
  }

  it('is told of the call, hears the caller and his keys', async () => {
    const { dialect, bot } = await join()
    expect(bot.callSid).toBe(CALL_ID)
    expect(bot.sampleRate).toBe(16000)
    expect(bot.metadata).toMatchObject({ purpose: 'test', from: '+911', mixType: 'mono', accountSid: ACCOUNT_ID })
    const audio: Buffer[] = []
    const digits: unknown[] = []
    bot.on('audio', (pcm: Buffer) => audio.push(pcm))
    bot.on('dtmf', (digit: unknown) => digits.push(digit))
    for (let i = 0; i < 3; i++) dialect.media(frame(new Uint8Array(640).fill(i), i), i * 20)
    dialect.tell({ kind: 'dtmf', digit: '7', durationMs: 250, method: 'rfc4733' }, 60)
    await until(() => digits.length === 1)
    expect(audio.map((pcm) => [pcm.length, pcm[0]])).toEqual([[640, 0], [640, 1], [640, 2]]) // prettier-ignore
    expect(digits).toEqual([{ digit: '7', duration: '2000' }])
  })

  it('speaks, by frames and by clips, and learns what was heard', async () => {
    const { dialect, bot, heard } = await join()
    const told: unknown[] = []
    bot.on('mark', (mark: unknown) => told.push(mark))
    bot.on('playDone', (done: unknown) => told.push(done))
    bot.sendAudio(Buffer.alloc(320, 1))
    bot.sendMark('chunk-1')
    bot.playAudio(Buffer.alloc(64, 2).toString('base64'), { audioContentType: 'raw', sampleRate: 16000, id: 'greeting', queuePlay: true }) // prettier-ignore
    bot.sendMark('chunk-2')
    bot.clearMarks()
    bot.killAudio()
    bot.disconnect()
    await until(() => heard.at(-1)?.kind === 'hangup')
    expect(heard.map((m) => m.kind)).toEqual(['audio', 'mark', 'audio', 'mark', 'mark', 'clear', 'hangup'])
    expect(heard[2]).toMatchObject({ encoding: 'pcm16', sampleRate: 16000, bytes: new Uint8Array(64).fill(2) })
    for (const m of heard)
      if (m.kind === 'mark') dialect.tell({ kind: 'mark', name: m.name, status: 'cleared', playedMs: 0 }, 0)
    await until(() => told.length === 3)
    expect(told).toEqual([
      { name: 'chunk-1', event: 'cleared' },
      { name: 'chunk-2', event: 'cleared' },
      { id: 'greeting' },
    ])
  })

  it('is hung up with the socket', async () => {
    const { bot } = await join()
    const closed = once(bot, 'close')
    bot.close()
    await closed
  })
})
