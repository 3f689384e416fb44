import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { AudioPlan, BotMessage, BridgeMessage } from '../../../src/bot/dialect.ts'
import { openaiRealtime } from '../../../src/bot/dialects/openai-realtime.ts'
import { TOOLS } from '../../../src/bot/dialects/openai-tools.ts'
import { RealtimeCaller, plan } from '../../fakes/realtime-caller.ts'
import { PUBLISHED, RealtimeConversation, RealtimeServer, type Json, type Script } from '../../fakes/realtime-server.ts'
import { until } from '../../helpers/until.ts'

interface Line {
  dir: 'in' | 'out'
  frame?: Json
  means?: Json
  tell?: Json
  audio?: string
  writes?: Json[]
}

const START = { bufferMs: 120_000, token: 't', standIn: 0 }

describe('recorded dialogues', () => {
  it.each(['ga-call', 'beta-pcm'])('%s', (name) => {
    const spelling = name.startsWith('ga') ? 'ga' : 'beta'
    const path = new URL(`../../../fixtures/bot/openai-realtime/${name}.ndjson`, import.meta.url)
    const written: Json[] = []
    const caller = new RealtimeCaller({}, { wire: (frame) => void written.push(JSON.parse(frame) as Json) })
    for (const [i, text] of readFileSync(path, 'utf8').trim().split('\n').entries()) {
      const line = JSON.parse(text) as Line
      const where = `line ${i + 1}`
      if (line.frame) {
        expect(PUBLISHED[spelling].check('server', line.frame), where).toBeUndefined()
        const got = caller.dialect.decode(Buffer.from(JSON.stringify(line.frame)), false)
        const list = (Array.isArray(got) ? got : [got]).map((m) =>
          m?.kind === 'audio'
            ? { kind: 'audio', itemId: m.itemId, base64: Buffer.from(m.bytes).toString('base64') }
            : m,
        )
        expect(list, where).toEqual([line.means])
      } else if (line.audio) {
        const audio = Buffer.from(line.audio, 'base64')
        caller.dialect.media({ audio, chunk: 0, timestampMs: 0, lostMs: 0, replay: false }, 0)
      } else {
        const start = line.tell?.kind === 'start' ? { ...START, audio: caller.audio } : {}
        caller.dialect.tell({ ...line.tell, ...start } as BridgeMessage, 0)
      }
      for (const event of written) {
        const [ga, beta] = [PUBLISHED.ga.check('client', event), PUBLISHED.beta.check('client', event)]
        expect(event.type === 'session.update' ? ga && beta : { ga, beta }[spelling], where).toBeUndefined()
        const session = event.session as Json | undefined
        if (session) {
          expect(session.tools).toEqual(TOOLS)
          session.tools = 'the three'
        }
      }
      expect(written.splice(0), where).toEqual(line.writes ?? [])
    }
  })
})

describe('the scripted server', () => {
  it('complains of what the published schema or the reference forbids', () => {
    const model = new RealtimeConversation(() => undefined)
    const say = (event: Json): number => {
      model.receive(JSON.stringify(event))
      return model.complaints.splice(0).length
    }
    expect(say({ type: 'response.create', response: { instruction: 'x' } })).toBe(1)
    expect(say({ type: 'response.create', response: { instructions: 'x' } })).toBe(0)
    expect(say({ type: 'session.update', session: { type: 'realtime', modalities: ['audio'] } })).toBe(1)
    expect(say({ type: 'conversation.item.create', item: { type: 'function_call_output', output: '' } })).toBe(1)
    expect(say({ type: 'conversation.item.create', item: { type: 'function_call_output', call_id: 'c', output: '' } })).toBe(1) // prettier-ignore
    expect(say({ type: 'conversation.item.truncate', item_id: 'i', content_index: 0, audio_end_ms: 5 })).toBe(1)
    expect(say({ type: 'input_audio_buffer.append', audio: '*' })).toBe(2)
    expect(say({ type: 'session.transfer' })).toBe(1)
    expect(() => model.send({ type: 'response.audio.delta', delta: '' })).toThrow(/not in the published schema/)
  })
})

describe('hostile servers', () => {
  const types = [
    'session.created',
    'session.updated',
    'error',
    'response.created',
    'response.done',
    'response.output_item.added',
    'response.output_item.done',
    'response.output_audio.delta',
    'response.audio.delta',
    'response.output_audio.done',
    'response.function_call_arguments.done',
    'input_audio_buffer.speech_started',
    'input_audio_buffer.speech_stopped',
    'response.output_audio_transcript.delta',
    'nonsense',
  ]
  const id = fc.constantFrom('a', 'b', 'tl_1', 'tl_2', '', 'x'.repeat(300))
  const anything = fc.oneof(fc.anything({ maxDepth: 2, withNullPrototype: false }), fc.constant(undefined))
  const field = (good: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
    fc.oneof({ weight: 3, arbitrary: good }, { weight: 1, arbitrary: anything })
  const format = fc.constantFrom(
    'g711_ulaw',
    'g711_alaw',
    'pcm16',
    { type: 'audio/pcmu' },
    { type: 'audio/pcm' },
    'mp3',
  )
  const event = fc.record(
    {
      type: field(fc.constantFrom(...types)),
      delta: field(fc.base64String()),
      item_id: field(id),
      call_id: field(id),
      response_id: field(id),
      content_index: field(fc.integer()),
      name: field(fc.constantFrom('end_call', 'transfer_call', 'send_dtmf', '__proto__')),
      arguments: field(fc.constantFrom('{}', '{"digits":"1"}', '{"target":"+1"}', '{"reason":', 'null')),
      item: field(fc.record({ type: fc.constant('function_call'), call_id: id, name: field(id), arguments: anything }, { requiredKeys: [] })), // prettier-ignore
      response: field(fc.record({ id: field(id) })),
      error: field(fc.record({ event_id: field(id), code: field(fc.constant('conversation_already_has_active_response')), param: anything })), // prettier-ignore
      session: field(fc.record({ input_audio_format: field(format), audio: anything, output_audio_format: field(format) })), // prettier-ignore
    },
    { requiredKeys: ['type'] },
  )
  const frame = fc.oneof(
    { weight: 8, arbitrary: event.map((e) => Buffer.from(text(e))) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)) },
    { weight: 1, arbitrary: fc.tuple(event, fc.nat(80)).map(([e, n]) => Buffer.from(text(e).slice(0, n))) },
  )

  function text(value: unknown): string {
    try {
      return JSON.stringify(value, (_key, v: unknown) => (typeof v === 'bigint' ? String(v) : v)) ?? 'null'
    } catch {
      return '{}'
    }
  }

  it('never throw, and each of their events makes us write a bounded number', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(frame, fc.boolean()), { maxLength: 60 }), (frames) => {
        let writes = 0
        const caller = new RealtimeCaller({}, { wire: (f) => void (JSON.parse(f), writes++), facts: { text: 'Hi' } })
        caller.start()
        for (const [data, isBinary] of frames) {
          writes = 0
          caller.hear(1)
          for (const message of caller.read(data, isBinary && data.length % 7 === 0)) {
            if (message.kind === 'audio') expect(message.bytes.length).toBeGreaterThan(0)
            if (message.kind === 'transfer')
              caller.tell({ kind: 'transferStatus', status: { ref: message.ref, state: 'failed' } })
          }
          // At most 100 ms a message of what was held, a result, a truncation per item and a response.
          expect(writes).toBeLessThan(80)
        }
      }),
      { interruptAfterTimeLimit: 2000, numRuns: 2000 },
    )
  })

  it('that call a thousand functions and name a thousand items leave no memory behind', () => {
    let writes = 0
    const caller = new RealtimeCaller({}, { wire: () => void writes++ }).start()
    const send = (e: Json): BotMessage[] => caller.read(JSON.stringify(e))
    for (let i = 0; i < 1000; i++) {
      send({ type: 'response.output_item.added', item: { type: 'function_call', call_id: `c${i}`, name: 'x' } })
      send({ type: 'response.function_call_arguments.done', call_id: `c${i}`, name: 'transfer_call', arguments: '{"target":"+1"}' }) // prettier-ignore
      send({ type: 'response.audio.delta', item_id: `i${i}`, content_index: 3, delta: 'AAAA' })
    }
    const before = writes
    for (let i = 0; i < 1000; i++) caller.tell({ kind: 'transferStatus', status: { ref: `c${i}`, state: 'completed' } })
    expect(writes - before).toBe(64)
    // Of an item that is long forgotten, the first part is meant.
    expect(() => caller.clear()).not.toThrow()
  })

  it.each([
    ['binary', Buffer.alloc(160), true, 'bad_audio'],
    ['no JSON', Buffer.from('hello'), false, 'bad_json'],
    ['a list', Buffer.from('[1]'), false, 'bad_json'],
    ['bad base64', Buffer.from('{"type":"response.audio.delta","delta":"*"}'), false, 'bad_audio'],
    ['no base64', Buffer.from('{"type":"response.audio.delta","item_id":"itm"}'), false, 'bad_audio'],
    ['1 MB of brackets', Buffer.from('['.repeat(1_000_000)), false, 'bad_json'],
  ] as [string, Buffer, boolean, string][])('that send %s make a mistake', (_what, data, isBinary, code) => {
    const caller = new RealtimeCaller({}, { wire: () => undefined }).start()
    expect(caller.read(data, isBinary)).toMatchObject([{ kind: 'mistake', code, bad: true }])
  })

  it('that end a session in the middle of everything are read to the end', () => {
    const caller = new RealtimeCaller({}, { wire: () => undefined }).start()
    for (const code of ['invalid_api_key', 'session_expired', 'insufficient_quota'])
      expect(caller.read(JSON.stringify({ type: 'error', error: { code, event_id: 'x' } }))).toEqual([])
  })
})

describe('over a real WebSocket', () => {
  const open: { close(): Promise<void> | void }[] = []
  afterEach(async () => {
    for (const it of open.splice(0).reverse()) await it.close()
  })

  const dial = async (
    script: Script,
  ): Promise<{
    server: RealtimeServer
    messages: BotMessage[]
    tell(m: BridgeMessage): void
    hear(n: number): void
  }> => {
    // prettier-ignore
    const server = await RealtimeServer.listen(script)
    open.push(server)
    const botPlan = plan()
    const socket = new WebSocket(server.url, [...openaiRealtime.subprotocols], { headers: botPlan.headers })
    open.push({ close: () => socket.terminate() })
    const audio: AudioPlan = openaiRealtime.audio(botPlan.audio, server.url)
    const messages: BotMessage[] = []
    const dialect = openaiRealtime.create({
      wire: { text: (f) => socket.send(f, { binary: false }), binary: (f) => socket.send(f) },
      callId: 'c1',
      streamId: 's1',
      plan: botPlan,
      audio,
    })
    socket.on('message', (data: Buffer, isBinary) => {
      const got = dialect.decode(data, isBinary)
      for (const m of got === undefined ? [] : Array.isArray(got) ? got : [got])
        messages.push(m.kind === 'audio' ? { ...m, bytes: Uint8Array.from(m.bytes) } : m)
    })
    await once(socket, 'open')
    dialect.tell({ kind: 'start', state: 'answered', audio, facts: { text: 'Hello there' }, ...START }, 0)
    return {
      server,
      messages,
      tell: (m) => dialect.tell(m, 0),
      hear: (n) => {
        for (let i = 0; i < n; i++)
          dialect.media({ audio: new Uint8Array(160).fill(i), chunk: i, timestampMs: i * 20, lostMs: 0, replay: false }, 0) // prettier-ignore
      },
    }
  }

  it.each(['ga', 'beta'] as const)('a whole call with a %s server breaks no rule', async (spelling) => {
    const script: Script = {
      spelling,
      onEvent: (event, model) => {
        if (event.type !== 'response.create' || model.active !== undefined) return
        model.respond()
        // 10 s at once, far faster than real time.
        model.speak(new Uint8Array(80_000).fill(7))
        if (model.of('response.create').length === 2) model.call('end_call', { reason: 'done' })
        model.finish()
      },
    }
    const { server, messages, tell, hear } = await dial(script)
    const got = (kind: BotMessage['kind']): BotMessage[] => messages.filter((m) => m.kind === kind)
    hear(50)
    await until(() => got('audioDone').length === 1)
    const [model] = server.conversations
    await until(() => model.heard.length === 50 * 160)
    model.speechStarted()
    await until(() => got('clear').length === 1)
    const [{ itemId }] = got('audioDone') as { itemId: string }[]
    tell({ kind: 'cleared', playedMs: 420, discardedMs: 9580, items: [{ itemId, playedMs: 420, discardedMs: 9580 }] })
    await until(() => model.sent.some((e) => e.type === 'conversation.item.truncated'))
    model.speechStopped()
    model.respond()
    model.finish()
    tell({ kind: 'dtmf', digit: '5', durationMs: 120, method: 'rfc4733' })
    await until(() => got('hangup').length === 1)
    await until(() => model.items.size > 0 && model.of('conversation.item.create').length === 2)
    expect(model.complaints).toEqual([])
    expect(server.requests[0].headers).toMatchObject({ authorization: 'Bearer k' })
    const bytes = got('audio').reduce((n, m) => n + (m.kind === 'audio' ? m.bytes.length : 0), 0)
    expect(bytes).toBe(160_000)
  })
})
