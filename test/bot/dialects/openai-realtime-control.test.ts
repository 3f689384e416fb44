import { afterEach, describe, expect, it } from 'vitest'
import { RealtimeCaller, type CallerOptions } from '../../fakes/realtime-caller.ts'
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

const FACTS = { text: 'Namaste, how can I help?' }
const results = (caller: RealtimeCaller): { callId: unknown; output: Json }[] =>
  caller.model
    .of('conversation.item.create')
    .map((e) => e.item as Json)
    .filter((item) => item.type === 'function_call_output')
    .map((item) => ({ callId: item.call_id, output: JSON.parse(String(item.output)) as Json }))

describe('one response at a time', () => {
  const creates = (caller: RealtimeCaller): number => caller.model.of('response.create').length

  it('a key of the caller is told to the model, which answers it', () => {
    const caller = started()
    caller.tell({ kind: 'dtmf', digit: '5', durationMs: 100, method: 'rfc4733' })
    const [item] = caller.model.of('conversation.item.create')
    expect(item.item).toEqual({
      id: 'tl_item_2',
      type: 'message',
      role: 'user',
      content: [{ type: 'input_text', text: 'The caller pressed 5.' }],
    })
    expect(creates(caller)).toBe(1)
  })

  it('keys pressed during an answer make one more answer, after it', () => {
    const caller = started()
    caller.model.respond()
    caller.pump()
    for (const digit of '123') caller.tell({ kind: 'dtmf', digit, durationMs: 100, method: 'info' })
    expect(caller.model.of('conversation.item.create')).toHaveLength(3)
    expect(creates(caller)).toBe(0)
    caller.model.finish()
    caller.pump()
    expect(creates(caller)).toBe(1)
  })

  it('while the caller speaks none is asked for: the server answers all of it by itself', () => {
    const caller = started()
    caller.model.speechStarted()
    caller.pump()
    caller.tell({ kind: 'dtmf', digit: '1', durationMs: 100, method: 'rfc4733' })
    caller.model.speechStopped()
    caller.model.respond()
    caller.model.finish()
    caller.pump()
    expect(creates(caller)).toBe(0)
  })

  it('a key that the server learns of too late for its own answer makes another', () => {
    const caller = started()
    caller.model.speechStarted()
    caller.pump()
    caller.model.speechStopped()
    caller.model.respond()
    // All of that is still on its way to us.
    caller.dialect.tell({ kind: 'dtmf', digit: '1', durationMs: 100, method: 'rfc4733' }, 0)
    caller.model.finish()
    caller.pump()
    expect(creates(caller)).toBe(1)
  })

  it.each([true, false])(
    'is asked for again where the server was quicker (its error names ours: %s)',
    (namesEvents) => {
      const caller = started({ namesEvents })
      // The server has begun to answer the caller, but we do not know yet.
      caller.model.respond()
      caller.dialect.tell({ kind: 'dtmf', digit: '1', durationMs: 100, method: 'rfc4733' }, 0)
      caller.pump()
      expect(creates(caller)).toBe(1)
      caller.model.finish()
      caller.pump()
      expect(creates(caller)).toBe(2)
    },
  )

  it('the greeting is not lost to an answer of the server either', () => {
    const caller = started({}, { facts: FACTS, state: 'ringing' })
    caller.model.respond()
    caller.pump()
    caller.tell({ kind: 'answered', atMs: 1 })
    caller.tell({ kind: 'dtmf', digit: '1', durationMs: 100, method: 'rfc4733' })
    caller.model.finish()
    caller.pump()
    expect(JSON.stringify(caller.model.of('response.create'))).toContain(FACTS.text)
  })
})

describe('functions', () => {
  const called = (
    name: string,
    args: unknown,
    script: Script = {},
    options: CallerOptions = {},
  ): [RealtimeCaller, string] => {
    // prettier-ignore
    const caller = started(script, options)
    caller.model.respond()
    const id = caller.model.call(name, args)
    caller.model.finish()
    caller.pump()
    return [caller, id]
  }
  const creates = (caller: RealtimeCaller): number => caller.model.of('response.create').length

  it.each(['ga', 'beta'] as const)(
    '%s end_call: hangs up after the goodbye, and asks for no more words',
    (spelling) => {
      const [caller, id] = called('end_call', { reason: 'all done' }, { spelling })
      expect(caller.got('hangup')).toEqual([{ kind: 'hangup', reason: 'all done', afterPlayback: true, ref: id }])
      expect(results(caller)).toEqual([{ callId: id, output: { ok: true } }])
      expect(creates(caller)).toBe(0)
    },
  )

  it.each(['', '{}', '{"reason":""}', '{"reason":7}'])('end_call with arguments %j needs no reason', (args) => {
    const [caller] = called('end_call', args)
    expect(caller.got('hangup')).toMatchObject([{ reason: 'bot_hangup' }])
  })

  it.each(['ga', 'beta'] as const)('%s transfer_call: bridges, and is answered once it is over', (spelling) => {
    const [caller, id] = called('transfer_call', { target: ' +919812345678 ' }, { spelling })
    expect(caller.got('transfer')).toEqual([
      {
        kind: 'transfer',
        target: '+919812345678',
        mode: 'bridge',
        timeoutMs: 30_000,
        onFail: 'resume',
        headers: {},
        afterPlayback: true,
        ref: id,
      },
    ])
    for (const state of ['trying', 'ringing', 'answered'] as const)
      caller.tell({ kind: 'transferStatus', status: { ref: id, state } })
    expect(results(caller)).toEqual([])
    for (let twice = 0; twice < 2; twice++)
      caller.tell({ kind: 'transferStatus', status: { ref: id, state: 'completed', sipStatus: 200 } })
    expect(results(caller)).toEqual([{ callId: id, output: { ok: true } }])
    expect(creates(caller)).toBe(0)
  })

  it('transfer_call that fails: the model learns why and speaks', () => {
    const [caller, id] = called('transfer_call', { target: '+911' })
    caller.tell({ kind: 'transferStatus', status: { ref: 'another', state: 'failed' } })
    caller.tell({ kind: 'transferStatus', status: { ref: id, state: 'failed', sipStatus: 486, reason: 'busy' } })
    expect(results(caller)).toEqual([
      { callId: id, output: { ok: false, error: 'The transfer failed: busy.', sip_status: 486 } },
    ])
    expect(creates(caller)).toBe(1)
  })

  it('transfer_call that is not allowed: the same', () => {
    const [caller, id] = called('transfer_call', { target: '+911' })
    caller.tell({ kind: 'error', code: 'not_allowed', message: 'Not before the answer.', ref: id })
    caller.tell({ kind: 'error', code: 'not_allowed', message: 'Not before the answer.', ref: id })
    expect(results(caller)).toEqual([{ callId: id, output: { ok: false, error: 'Not before the answer.' } }])
    expect(creates(caller)).toBe(1)
  })

  it.each(['ga', 'beta'] as const)('%s send_dtmf: sends the digits and goes on', (spelling) => {
    const [caller, id] = called('send_dtmf', { digits: '12w#a' }, { spelling })
    expect(caller.got('digits')).toMatchObject([{ digits: '12w#A', method: 'auto', ref: id }])
    expect(results(caller)).toEqual([{ callId: id, output: { ok: true } }])
    expect(creates(caller)).toBe(1)
  })

  it('send_dtmf on a leg that cannot: the model is told so', () => {
    const [caller, id] = called('send_dtmf', { digits: '1' }, {}, { noDigits: true })
    expect(results(caller)).toEqual([{ callId: id, output: { ok: false, error: 'This leg sends no digits.' } }])
    expect(creates(caller)).toBe(1)
  })

  it.each([
    ['send_dtmf', { digits: 'call mum' }, /digits/],
    ['send_dtmf', { digits: '1'.repeat(65) }, /digits/],
    ['send_dtmf', {}, /digits/],
    ['transfer_call', {}, /target/],
    ['transfer_call', { target: 'sip:a@b\r\nX: y' }, /target/],
    ['transfer_call', '{"target":', /JSON/],
    ['transfer_call', '[]', /JSON/],
    ['end_call', `{"reason":"${'x'.repeat(20_000)}"}`, /JSON/],
    ['book_table', { at: 8 }, /no function "book_table"/],
    ['constructor', {}, /no function/],
  ])('%s with %j is answered by an error, and the call goes on', (name, args, error) => {
    const [caller, id] = called(name, args)
    expect(results(caller)).toEqual([
      { callId: id, output: { ok: false, error: expect.stringMatching(error) as string } },
    ])
    expect(caller.messages).toEqual([])
    expect(creates(caller)).toBe(1)
  })

  it('the answer waits until the response that called is done', () => {
    const caller = started()
    caller.model.respond()
    caller.model.call('send_dtmf', { digits: '1' })
    caller.pump()
    expect(results(caller)).toHaveLength(1)
    expect(creates(caller)).toBe(0)
    caller.model.finish()
    caller.pump()
    expect(creates(caller)).toBe(1)
  })

  it('a call that only response.output_item.done tells of is carried out; an unfinished one is not', () => {
    const caller = call({}, { wire: () => undefined }).start()
    const item = { type: 'function_call', call_id: 'call_1', name: 'end_call', arguments: '{}' }
    const done = (more: Json): string => JSON.stringify({ type: 'response.output_item.done', item: { ...item, ...more } }) // prettier-ignore
    expect(caller.read(done({ status: 'incomplete' }))).toEqual([])
    expect(caller.read(done({ status: 'completed' }))).toHaveLength(1)
    expect(caller.read(done({ status: 'completed' }))).toEqual([])
  })

  it('what else the session tells is not written', () => {
    const caller = started()
    const before = caller.dialect.lastSeq
    caller.tell({ kind: 'mark', name: 'm', status: 'played', playedMs: 1 })
    caller.tell({ kind: 'playback', state: 'drained', queuedMs: 0 })
    caller.tell({ kind: 'error', code: 'bad_json', message: 'x' })
    caller.tell({ kind: 'ack', ref: 'x' })
    caller.tell({ kind: 'held', held: true })
    caller.tell({ kind: 'stop', stop: { reason: 'caller_hangup', sipStatus: 200, q850: 16 }, stats: {} })
    expect(caller.dialect.lastSeq).toBe(before)
  })
})
