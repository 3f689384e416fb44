import { afterEach, describe, expect, it } from 'vitest'
import { DECODE } from '../../../src/audio/g711.ts'
import { openaiRealtime } from '../../../src/bot/dialects/openai-realtime.ts'
import { RealtimeCaller, plan, type CallerOptions } from '../../fakes/realtime-caller.ts'
import type { Json, Script } from '../../fakes/realtime-server.ts'

const callers: RealtimeCaller[] = []
const call = (script: Script = {}, options: CallerOptions = {}): RealtimeCaller => {
  const caller = new RealtimeCaller(script, options)
  callers.push(caller)
  return caller
}
const started = (script: Script = {}, options: CallerOptions = {}): RealtimeCaller => call(script, options).start()

afterEach(() => {
  for (const { model } of callers.splice(0)) expect(model.complaints).toEqual([])
})

const FACTS = {
  system_msg: 'You are a friendly clerk.',
  language: 'hi-IN',
  text: 'Namaste, how can I help?',
  custom: { voice: 'marin' },
}
const speech = (ms: number, bytesPerMs = 8): Uint8Array => new Uint8Array(ms * bytesPerMs).map((_, i) => (i * 7) & 255)
describe('the kind', () => {
  it('starts with G.711 as configured, in JSON, and with the one PCM of the API otherwise', () => {
    const format = (encoding: 'pcmu' | 'pcma' | 'pcm16'): unknown => openaiRealtime.audio(plan(encoding).audio, '')
    const both = (encoding: string, sampleRate: number): unknown => ({
      input: { encoding, sampleRate, frameMs: 20 },
      output: { encoding, sampleRate, frameMs: 20 },
      transport: 'json',
    })
    expect(format('pcmu')).toEqual(both('pcmu', 8000))
    expect(format('pcma')).toEqual(both('pcma', 8000))
    expect(format('pcm16')).toEqual(both('pcm16', 24_000))
  })

  it('offers no subprotocol and adds no header', () => {
    expect(openaiRealtime.subprotocols).toEqual([])
    const handshake = { url: 'wss://x', callId: 'c', wallMs: 0, secret: 's', facts: {} }
    expect(openaiRealtime.headers(handshake)).toEqual({})
  })
})

describe('agreeing on the session', () => {
  it('asks a GA server for what the customer configured, once', () => {
    const caller = started({}, { facts: FACTS })
    expect(caller.model.of('session.update')).toHaveLength(1)
    expect(caller.model.session).toMatchObject({
      type: 'realtime',
      instructions: 'You are a friendly clerk.',
      output_modalities: ['audio'],
      audio: {
        input: {
          format: { type: 'audio/pcmu' },
          turn_detection: { type: 'server_vad' },
          transcription: { language: 'hi' },
        },
        output: { format: { type: 'audio/pcmu' }, voice: 'marin' },
      },
    })
    const tools = (caller.model.session as { tools: Json[] }).tools
    expect(tools.map((t) => t.name)).toEqual(['end_call', 'transfer_call', 'send_dtmf'])
    expect(caller.got('update')).toEqual([])
  })

  it('leaves to the server what the customer did not configure', () => {
    const { session } = started({}, { encoding: 'pcma' }).model
    expect(session).not.toHaveProperty('instructions')
    expect(session).toMatchObject({ audio: { input: { format: { type: 'audio/pcma' } } } })
    expect((session as { audio: { input: Json; output: Json } }).audio.input).not.toHaveProperty('transcription')
    expect((session as { audio: { input: Json; output: Json } }).audio.output).not.toHaveProperty('voice')
  })

  it.each([
    ['hi-IN', 'hi'],
    ['en', 'en'],
    ['pt_BR', 'pt'],
    ['EN-us', 'en'],
    ['fil-PH', 'fil'],
    ['english', undefined],
    ['', undefined],
    [7, undefined],
  ])('language %s is %s to the model', (language, expected) => {
    const session = started({}, { facts: { language } }).model.session
    const { input } = (session as { audio: { input: { transcription?: Json } } }).audio
    expect(input.transcription?.language).toBe(expected)
  })

  it.each([
    ['names the event that its error is about', { spelling: 'beta' }],
    ['does not', { spelling: 'beta', namesEvents: false }],
    ['raises none, and confirms in its own spelling', { spelling: 'beta', lenient: true }],
  ] as [string, Script][])('asks again in the beta shape of a server that %s', (_what, script) => {
    const caller = started(script, { facts: FACTS })
    expect(caller.model.of('session.update')).toHaveLength(2)
    expect(caller.model.session).toMatchObject({
      modalities: ['audio', 'text'],
      instructions: 'You are a friendly clerk.',
      voice: 'marin',
      input_audio_format: 'g711_ulaw',
      output_audio_format: 'g711_ulaw',
      input_audio_transcription: { model: 'whisper-1', language: 'hi' },
      turn_detection: { type: 'server_vad' },
    })
    expect(caller.got('update')).toEqual([])
    expect(caller.model.of('response.create')).toHaveLength(1)
  })

  it.each(['ga', 'beta'] as const)('goes over to 24 kHz PCM with a %s server that confirms it instead', (spelling) => {
    const caller = started({ spelling, laws: 'replaced' }, { facts: FACTS })
    const pcm = { encoding: 'pcm16', sampleRate: 24_000 }
    expect(caller.got('update')).toEqual([{ kind: 'update', input: pcm, output: pcm }])
    caller.hear(5)
    expect(caller.model.heard).toHaveLength(960)
    caller.model.respond()
    caller.model.speak(speech(100, 48))
    caller.pump()
    expect(Buffer.concat(caller.played)).toEqual(Buffer.from(speech(100, 48)))
  })

  it.each(['ga', 'beta'] as const)(
    'asks for 24 kHz PCM where a %s server refuses G.711: no instruction is lost',
    (spelling) => {
      // prettier-ignore
      const caller = started({ spelling, laws: 'refused' }, { facts: FACTS })
      expect(caller.model.session).toMatchObject({ instructions: 'You are a friendly clerk.' })
      expect(caller.got('update')).toHaveLength(1)
      expect(caller.audio.output).toMatchObject({ encoding: 'pcm16', sampleRate: 24_000 })
      expect(caller.model.of('response.create')).toHaveLength(1)
    },
  )

  it.each([
    ['the transcription', 'session.audio.input.transcription.model', 'pcmu'],
    ['the voice', 'session.audio.output.voice', 'pcmu'],
  ])('does without %s where the server refuses it', (_what, param, encoding) => {
    const caller = started({ refuses: [param] }, { facts: FACTS })
    expect(caller.model.of('session.update')).toHaveLength(2)
    expect(caller.audio.input.encoding).toBe(encoding)
    expect(caller.model.session).toMatchObject({ type: 'realtime', instructions: 'You are a friendly clerk.' })
  })

  it('takes what session.created said where every update is refused, and stops asking', () => {
    const caller = call({}, { wire: () => undefined }).start()
    const format = { type: 'audio/pcmu' }
    const session = { type: 'realtime', audio: { input: { format }, output: { format: { type: 'audio/pcm', rate: 24_000 } } } } // prettier-ignore
    caller.read(JSON.stringify({ type: 'session.created', session }))
    for (let i = 0; i < 10; i++) caller.read('{"type":"error","error":{"code":"server_error"}}')
    expect(caller.dialect.lastSeq).toBe(4)
    expect(caller.audio.input).toMatchObject({ encoding: 'pcmu', sampleRate: 8000 })
    expect(caller.audio.output).toMatchObject({ encoding: 'pcm16', sampleRate: 24_000 })
  })

  it('takes a confirmation without formats as the 24 kHz PCM that the API has by default', () => {
    const caller = call({}, { wire: () => undefined }).start()
    caller.read('{"type":"session.updated","session":{}}')
    expect(caller.audio.input).toMatchObject({ encoding: 'pcm16', sampleRate: 24_000 })
  })

  it('does not take an error about another event for a refusal', () => {
    const caller = call({}, { wire: () => undefined }).start()
    caller.read('{"type":"error","error":{"code":"x","event_id":"not_ours"}}')
    expect(caller.dialect.lastSeq).toBe(1)
  })
})

describe('caller audio', () => {
  const unsettled = (options: CallerOptions = {}): { caller: RealtimeCaller; wire: Json[] } => {
    const wire: Json[] = []
    const caller = call({}, { ...options, wire: (frame) => void wire.push(JSON.parse(frame) as Json) }).start()
    return { caller, wire }
  }
  const appended = (wire: Json[]): Buffer =>
    Buffer.concat(
      wire.filter((e) => e.type === 'input_audio_buffer.append').map((e) => Buffer.from(String(e.audio), 'base64')),
    )
  const confirm = (type: string): string => {
    const format = { type, ...(type === 'audio/pcm' ? { rate: 24_000 } : {}) }
    return JSON.stringify({ type: 'session.updated', session: { audio: { input: { format }, output: { format } } } })
  }

  it('is appended frame by frame once the session is settled, byte for byte', () => {
    const caller = started()
    for (let i = 0; i < 5; i++) expect(caller.hear(i)).toBeGreaterThan(160)
    expect(caller.model.of('input_audio_buffer.append')).toHaveLength(5)
    expect(caller.model.heard).toEqual(Buffer.concat([0, 1, 2, 3, 4].map((i) => Buffer.alloc(160, i))))
  })

  it('returns the bytes that each frame takes on the wire', () => {
    const sizes: number[] = []
    const caller = call({}, { wire: (frame) => void sizes.push(Buffer.byteLength(frame)) }).start()
    caller.read(confirm('audio/pcmu'))
    for (const ms of [20, 60, 200, 20]) expect(caller.hear(1, ms)).toBe(sizes.at(-1))
  })

  it('waits until the format is settled and then is sent whole and in order', () => {
    const { caller, wire } = unsettled()
    for (let i = 0; i < 50; i++) caller.hear(i)
    expect(appended(wire)).toHaveLength(0)
    caller.read(confirm('audio/pcmu'))
    caller.hear(50)
    expect(appended(wire)).toEqual(Buffer.concat(Array.from({ length: 51 }, (_, i) => Buffer.alloc(160, i))))
    expect(wire.length).toBeLessThan(5)
  })

  it('of longer than 2 s is held only for its last 2 s', () => {
    const { caller, wire } = unsettled()
    for (let i = 0; i < 130; i++) caller.hear(i)
    caller.read(confirm('audio/pcmu'))
    expect(appended(wire)).toEqual(Buffer.concat(Array.from({ length: 100 }, (_, i) => Buffer.alloc(160, i + 30))))
  })

  it('that was held is converted where another format is settled on', () => {
    const { caller, wire } = unsettled()
    caller.hear(0x10)
    caller.hear(0x20)
    caller.read(confirm('audio/pcm'))
    const pcm = appended(wire)
    expect(pcm).toHaveLength(2 * 960)
    expect(pcm.readInt16LE(480) / DECODE.pcmu[0x10]).toBeCloseTo(1, 2)
    expect(pcm.readInt16LE(960 + 480) / DECODE.pcmu[0x20]).toBeCloseTo(1, 2)
    caller.hear(77)
    expect(appended(wire).subarray(1920)).toEqual(Buffer.from(new Int16Array(480).fill(77).buffer))
  })
})

describe('the greeting', () => {
  const creates = (caller: RealtimeCaller): Json[] => caller.model.of('response.create')

  it('is said as soon as the session of an answered call is settled', () => {
    const caller = started({}, { facts: FACTS })
    expect(creates(caller)).toHaveLength(1)
    expect(JSON.stringify(creates(caller)[0].response)).toContain(FACTS.text)
  })

  it.each(['ringing', 'early'] as const)('waits for the answer of a call that is %s, and is said once', (state) => {
    const caller = started({}, { facts: FACTS, state })
    expect(creates(caller)).toEqual([])
    caller.tell({ kind: 'progress', sipStatus: 180 })
    caller.tell({ kind: 'answered', atMs: 900 })
    expect(creates(caller)).toHaveLength(1)
    caller.model.respond()
    caller.model.speak(speech(100))
    caller.model.finish()
    caller.pump()
    expect(creates(caller)).toHaveLength(1)
  })

  it('waits for the session where the answer comes first', () => {
    const wire: string[] = []
    const caller = call({}, { facts: FACTS, state: 'ringing', wire: (frame) => void wire.push(frame) }).start()
    caller.tell({ kind: 'answered', atMs: 1 })
    expect(wire.filter((f) => f.includes('response.create'))).toEqual([])
    caller.read('{"type":"session.updated","session":{"input_audio_format":"g711_ulaw"}}')
    caller.read('{"type":"session.updated","session":{"input_audio_format":"g711_ulaw"}}')
    expect(wire.filter((f) => f.includes('response.create'))).toHaveLength(1)
  })

  it('is nothing where no text is configured', () => {
    expect(creates(started({}, { facts: { text: '  ' } }))).toEqual([])
  })

  it('is not said again where the socket was lost in the middle of the call', () => {
    const resume = { count: 1, gapMs: 840, lastSeq: 12, unplayedMarks: [] }
    const caller = started({}, { facts: FACTS, resume })
    expect(creates(caller)).toEqual([])
    // What is cut now came by the socket before: this session has no such item.
    const items = [{ itemId: 'item_old', playedMs: 1, discardedMs: 2 }]
    caller.tell({ kind: 'cleared', playedMs: 1, discardedMs: 2, items })
    expect(caller.model.of('conversation.item.truncate')).toEqual([])
  })

  it('is still said where the socket was lost before the answer', () => {
    const resume = { count: 1, gapMs: 0, lastSeq: 3, unplayedMarks: [] }
    const caller = started({}, { facts: FACTS, state: 'ringing', resume })
    caller.tell({ kind: 'answered', atMs: 1 })
    expect(creates(caller)).toHaveLength(1)
  })
})

describe("the model's audio", () => {
  it.each(['ga', 'beta'] as const)('is read by its %s names, with its item, and ends with audioDone', (spelling) => {
    const caller = started({ spelling })
    caller.model.respond()
    const item = caller.model.speak(speech(1000), { deltaMs: 130 })
    caller.model.finish()
    caller.pump()
    expect(Buffer.concat(caller.played)).toEqual(Buffer.from(speech(1000)))
    expect(new Set(caller.got('audio').map((m) => m.itemId))).toEqual(new Set([item]))
    expect(caller.got('audioDone')).toEqual([{ kind: 'audioDone', itemId: item }])
  })

  it('of 60 s that comes at once is passed on whole', () => {
    const caller = started()
    caller.model.respond()
    caller.model.speak(speech(60_000), { deltaMs: 5000 })
    caller.pump()
    expect(Buffer.concat(caller.played).equals(speech(60_000))).toBe(true)
  })
})

describe('the caller interrupts', () => {
  const truncates = (caller: RealtimeCaller): Json[] =>
    caller.model.of('conversation.item.truncate').map(({ event_id: _, type: __, ...rest }) => rest)

  it.each(['ga', 'beta'] as const)('%s: the playback is cleared and the item cut to what was heard', (spelling) => {
    const caller = started({ spelling })
    caller.model.respond()
    const item = caller.model.speak(speech(3000))
    caller.pump().play(1234)
    caller.model.speechStarted()
    caller.pump()
    expect(caller.got('clear')).toHaveLength(1)
    expect(truncates(caller)).toEqual([{ item_id: item, content_index: 0, audio_end_ms: 1234 }])
    // The server has cancelled the response by itself.
    expect(caller.model.of('response.cancel')).toEqual([])
  })

  it('an item heard to its end is left alone, those behind it are cut to nothing', () => {
    const caller = started()
    caller.model.respond()
    caller.model.speak(speech(500))
    const cut = caller.model.speak(speech(500), { contentIndex: 2 })
    const unheard = caller.model.speak(speech(500))
    caller.model.finish()
    caller.pump().play(700)
    caller.model.speechStarted()
    caller.pump()
    expect(truncates(caller)).toEqual([
      { item_id: cut, content_index: 2, audio_end_ms: 200 },
      { item_id: unheard, content_index: 0, audio_end_ms: 0 },
    ])
  })

  it('after the last word: nothing is cut', () => {
    const caller = started()
    caller.model.respond()
    caller.model.speak(speech(500))
    caller.model.finish()
    caller.pump().play(500)
    caller.model.speechStarted()
    caller.pump()
    expect(truncates(caller)).toEqual([])
  })

  it('never asks for more than the item has', () => {
    const caller = started()
    caller.model.respond()
    const item = caller.model.speak(speech(100))
    caller.pump()
    caller.tell({ kind: 'cleared', playedMs: 99.9, discardedMs: 0.1, items: [{ itemId: item, playedMs: 99.9, discardedMs: 0.1 }] }) // prettier-ignore
    expect(truncates(caller)).toEqual([{ item_id: item, content_index: 0, audio_end_ms: 99 }])
  })

  it('what is still on its way of the answer is not played', () => {
    const caller = started()
    const response = caller.model.respond()
    caller.model.speak(speech(200), { done: false })
    caller.pump()
    const before = caller.played.length
    caller.read('{"type":"input_audio_buffer.speech_started"}')
    const late = { type: 'response.output_audio.delta', response_id: response, item_id: 'item_9', delta: 'AAAA' }
    expect(caller.read(JSON.stringify(late))).toEqual([])
    expect(caller.read(JSON.stringify({ ...late, response_id: 'resp_next' }))).toHaveLength(1)
    expect(caller.played).toHaveLength(before + 1)
  })

  it('and the cut is ours: the model is told to stop as well, while it is still at it', () => {
    const caller = started()
    caller.model.respond()
    const item = caller.model.speak(speech(2000))
    caller.pump().play(300)
    caller.clear()
    caller.pump()
    expect(truncates(caller)).toEqual([{ item_id: item, content_index: 0, audio_end_ms: 300 }])
    expect(caller.model.of('response.cancel')).toHaveLength(1)
    caller.model.respond()
    caller.model.speak(speech(200))
    caller.model.finish()
    caller.pump().clear()
    expect(caller.model.of('response.cancel')).toHaveLength(1)
  })
})
