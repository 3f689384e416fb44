import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { FakeBot, type Conversation, type Json } from '../fakes/bot.ts'
import { FakeClock, settle } from '../fakes/clock.ts'
import { planOf } from '../fakes/plan.ts'
import { connected, FRAME, sessionTo, STOP, synced } from '../fakes/session.ts'

describe('the handshake', () => {
  it('carries the headers of the plan and a signature over time, URL and call', async () => {
    const { talk, bot } = await connected({}, { headers: { Authorization: 'Bearer t' }, secret: 's3' })
    const h = talk.request.headers
    const timestamp = h['x-trunkline-timestamp'] as string
    expect(h.authorization).toBe('Bearer t')
    expect(h['x-trunkline-call-id']).toBe('c1')
    expect(Math.abs(Number(timestamp) * 1000 - systemClock.wallMs())).toBeLessThan(60_000)
    expect(h['x-trunkline-signature']).toBe(
      `v1=${createHmac('sha256', 's3').update(`${timestamp}\nGET\n${bot.url}\nc1`).digest('hex')}`,
    )
    expect(h['sec-websocket-protocol']).toBe('trunkline.v1')
    expect(h['sec-websocket-extensions']).toBeUndefined()
  })

  it.each([undefined, 'trunkline.v1'])('opens with a bot that chooses the subprotocol %s', async (subprotocol) => {
    const { told } = await connected({ subprotocol })
    expect(told[0].what).toBe('opened')
  })

  it('fills the templates of the address and keeps its query', async () => {
    const bot = await FakeBot.listen()
    onTestFinished(() => bot.close())
    sessionTo(
      planOf(`${bot.url}/{call_id}?a=%20b&n={from}&x={system_msg}`, { start: { from: '+911', system_msg: 'secret' } }),
    )
    expect((await bot.conversation()).request.url).toBe('/bot/c1?a=%20b&n=%2B911&x={system_msg}')
  })

  it('tells a refusal, a redirect and a dead address as lost, never open', async () => {
    const bot = await FakeBot.listen({ refuse: 403 })
    onTestFinished(() => bot.close())
    expect(await sessionTo(planOf(bot.url)).until('lost')).toMatchObject({
      clean: false,
      wasOpen: false,
      reason: 'Unexpected server response: 403',
    })
    expect(await sessionTo(planOf('ws://127.0.0.1:1/')).until('lost')).toMatchObject({
      wasOpen: false,
      reason: 'ECONNREFUSED',
    })
    expect(await sessionTo(planOf('http://127.0.0.1:1/')).until('lost')).toMatchObject({ wasOpen: false })
    const redirect = createServer((s) =>
      s.on('error', () => undefined).end('HTTP/1.1 302 Found\r\nLocation: ws://169.254.169.254/\r\n\r\n'),
    )
    redirect.listen(0, '127.0.0.1')
    onTestFinished(() => void redirect.close())
    await once(redirect, 'listening')
    expect(
      await sessionTo(planOf(`ws://127.0.0.1:${(redirect.address() as AddressInfo).port}/`)).until('lost'),
    ).toMatchObject({ reason: 'Unexpected server response: 302' })
  })

  it('gives up on a server that never answers the handshake', async () => {
    const sockets: Socket[] = []
    const silent = createServer((s) => void sockets.push(s.on('error', () => undefined)))
    silent.listen(0, '127.0.0.1')
    onTestFinished(() => (sockets.forEach((s) => s.destroy()), void silent.close()))
    await once(silent, 'listening')
    const clock = new FakeClock()
    const { until } = sessionTo(planOf(`ws://127.0.0.1:${(silent.address() as AddressInfo).port}/`), { clock })
    await once(silent, 'connection')
    await settle()
    clock.advance(5000)
    expect(await until('lost')).toMatchObject({ wasOpen: false, reason: 'connect_timeout' })
  })
})

describe('start and the phone side', () => {
  it('sends start first, with the facts of the plan and the state of the call', async () => {
    const { talk, session } = await connected({}, {}, { state: 'ringing' })
    expect(talk.messages[0]).toMatchObject({
      type: 'start',
      event: 'start',
      version: '1',
      call_id: 'c1',
      stream_id: 'c1.1.1',
      seq: 1,
      state: 'ringing',
      from: '+911',
      limits: { buffer_ms: 120_000 },
    })
    session.progress(180)
    session.answered()
    session.answered()
    session.digit('5', 120, 'rfc4733')
    session.held(true)
    session.transferStatus({ ref: 't', state: 'failed', sipStatus: 486 })
    await talk.next('transfer.status')
    expect(talk.messages.map((m) => m.type)).toEqual([
      'start',
      'call.progress',
      'call.answered',
      'dtmf',
      'hold',
      'transfer.status',
    ])
    expect(talk.messages.map((m) => m.seq)).toEqual([1, 2, 3, 4, 5, 6])
  })

  it('keeps what is asked before the answer of an inbound call that we answer ourselves, and does it then, in order', async () => {
    const start = { direction: 'inbound', answer_mode: 'auto' }
    const { talk, session, told } = await connected({}, { start }, { state: 'ringing' })
    talk.send({ type: 'dtmf.send', digits: '1' })
    talk.send({ type: 'recording.start', event_id: 'r' })
    talk.send({ type: 'session.transfer', target: '+911', event_id: 't' })
    await synced(talk)
    expect(told.filter((t) => t.what === 'request' || t.what === 'digits')).toEqual([])
    session.answered()
    expect(told.filter((t) => t.what === 'digits')).toMatchObject([{ digits: '1' }])
    expect(told.filter((t) => t.what === 'request')).toMatchObject([
      { request: { ask: 'recording', ref: 'r' } },
      { request: { ask: 'transfer', ref: 't' } },
    ])
    expect(talk.of('error')).toEqual([])
  })

  it.each([
    ['outbound', 'auto'],
    ['inbound', 'bot'],
  ])('refuses it where the answer may never come (%s, answer_mode %s)', async (direction, answer_mode) => {
    const { talk } = await connected({}, { start: { direction, answer_mode } }, { state: 'ringing' })
    talk.send({ type: 'session.transfer', target: '+911', event_id: 't' })
    expect(await talk.next('error')).toMatchObject({ ref: 't', error: { code: 'not_allowed' } })
  })

  it('sends caller audio as base64 text, gap-free, and the same as binary frames', async () => {
    const { talk, hear } = await connected()
    hear(3)
    await talk.next('media', 3)
    expect(talk.of('media').map((m) => (m.media as Json).timestamp)).toEqual([0, 20, 40])
    expect(talk.heard()).toEqual(Buffer.concat([FRAME, FRAME, FRAME]))
    talk.send({ type: 'session.update', transport: 'binary', audio: { input: { encoding: 'pcm16', frame_ms: 40 } } })
    await synced(talk)
    hear(2)
    await talk.until(() => talk.frames.length === 1)
    expect(talk.frames[0].length).toBe(640)
  })

  it('tells what was lost of a frame', async () => {
    const { talk, session } = await connected()
    session.sink.frame(FRAME, 'pcmu', 20)
    expect(await talk.next('media')).toMatchObject({ lost_ms: 20 })
  })

  it('ends with stop and close 1000, marks answered before', async () => {
    const { talk, session, until, told } = await connected()
    talk.say(new Uint8Array(1600).fill(1))
    talk.send({ type: 'mark', mark: { name: 'm' } })
    await synced(talk)
    session.stop(STOP)
    session.stop(STOP)
    expect(await talk.ended()).toEqual({ code: 1000, reason: 'caller_hangup' })
    expect(talk.messages.slice(-2)).toMatchObject([
      { type: 'mark', mark: { status: 'cleared' } },
      { type: 'stop', reason: 'caller_hangup', sip_status: 200, q850: 16 },
    ])
    await until('ended')
    expect(told.filter((t) => t.what === 'lost')).toEqual([])
  })

  it('holds opening audio until the answer and starts with its first sample', async () => {
    const { talk, session, play, told } = await connected({}, {}, { state: 'ringing' })
    talk.say(FRAME)
    await synced(talk)
    expect(play(3).length).toBe(0)
    told.length = 0
    session.answered()
    expect(told).toEqual([{ what: 'wake' }])
    expect(play(1)).toEqual(Buffer.from(FRAME))
  })

  it('parts the bot from the call while the caller talks to someone else', async () => {
    const { talk, session, play } = await connected()
    talk.say(new Uint8Array(800).fill(9))
    await synced(talk)
    session.setJoined(false)
    expect(await talk.next('cleared')).toMatchObject({ discarded_ms: 100 })
    expect(session.listening).toBe(false)
    talk.say(FRAME)
    expect(await talk.next('error')).toMatchObject({ error: { code: 'not_allowed', fatal: false } })
    session.setJoined(true)
    talk.say(FRAME)
    await synced(talk)
    expect(play(3)).toEqual(Buffer.from(FRAME))
  })
})

describe('what a bot asks', () => {
  it('plays deltas of any kind and answers clear with the heard ms', async () => {
    const { talk, play } = await connected()
    talk.say(FRAME)
    talk.send({ event: 'media', media: { payload: Buffer.from(FRAME).toString('base64') } })
    talk.socket.send(Buffer.alloc(8000, 7))
    talk.send({ type: 'mark', mark: { name: 'm' } })
    await synced(talk)
    expect(play(2)).toEqual(Buffer.concat([FRAME, FRAME]))
    talk.send({ event: 'clearAudio', event_id: 'x' })
    expect(await talk.next('cleared')).toMatchObject({ played_ms: 40, discarded_ms: 1000, items: [], ref: 'x' })
    expect(talk.of('mark')).toMatchObject([{ mark: { name: 'm', status: 'cleared', played_ms: 40 } }])
    expect(play(3).length).toBe(0)
  })

  it('asks for hang-up at once, or after what is queued', async () => {
    const now = await connected()
    now.talk.say(FRAME)
    now.talk.send({ type: 'session.hangup', reason: 'bye', sip_status: 603 })
    expect(await now.until('request')).toMatchObject({ request: { ask: 'hangup', reason: 'bye', sipStatus: 603 } })
    const later = await connected()
    later.talk.say(Buffer.concat([FRAME, FRAME]))
    later.talk.send({ type: 'session.hangup', after_playback: true })
    await synced(later.talk)
    later.play(1)
    expect(later.told.some((t) => t.what === 'request')).toBe(false)
    later.play(1)
    expect(await later.until('request')).toMatchObject({ request: { ask: 'hangup', reason: 'bot_hangup' } })
  })

  it('plays the last sentence of a bot that said hang up after it and left', async () => {
    const { talk, play, told, until } = await connected()
    talk.say(Buffer.concat([FRAME, FRAME]))
    talk.send({ type: 'session.hangup', after_playback: true })
    await synced(talk)
    talk.socket.close(1000)
    await talk.ended()
    expect(play(2)).toEqual(Buffer.concat([FRAME, FRAME]))
    await until('lost')
    expect(told.map((t) => t.what).filter((w) => w !== 'wake')).toEqual(['opened', 'request', 'ended', 'lost'])
  })

  it('hangs up after a while even when nobody pulls the audio', async () => {
    const clock = new FakeClock()
    const { talk, until, told } = await connected({}, {}, { clock })
    talk.say(new Uint8Array(8000))
    talk.send({ type: 'session.hangup', after_playback: true })
    await synced(talk)
    clock.advance(5900)
    expect(told.some((t) => t.what === 'request')).toBe(false)
    clock.advance(200)
    await until('request')
  })

  it('passes a transfer on, and digits', async () => {
    const { talk, until } = await connected()
    talk.send({ type: 'session.transfer', event_id: 't1', target: '+919800000000', timeout_s: 20 })
    expect(await until('request')).toMatchObject({
      request: { ask: 'transfer', ref: 't1', target: '+919800000000', timeoutMs: 20_000, onFail: 'resume' },
    })
    talk.send({ type: 'dtmf.send', digits: '12w#', method: 'rfc4733' })
    expect(await until('digits')).toMatchObject({ digits: '12w#', durationMs: 160, gapMs: 80, method: 'rfc4733' })
  })

  it('says dtmf_failed when the leg cannot send them', async () => {
    const { talk } = await connected({}, {}, { digits: false })
    talk.send({ type: 'dtmf.send', digits: '1', event_id: 'd' })
    expect(await talk.next('error')).toMatchObject({ ref: 'd', error: { code: 'dtmf_failed' } })
  })

  it('asks for answer or reject before the answer only', async () => {
    const ringing = await connected({}, {}, { state: 'ringing' })
    ringing.talk.send({ type: 'call.answer', ack: true, event_id: 'a' })
    expect(await ringing.until('request')).toMatchObject({ request: { ask: 'answer' } })
    expect(await ringing.talk.next('ack')).toMatchObject({ ref: 'a' })
    const answered = await connected()
    answered.talk.send({ type: 'call.reject', sip_status: 486 })
    expect(await answered.talk.next('error')).toMatchObject({ error: { code: 'not_allowed' } })
    const outbound = await connected({}, { start: { direction: 'outbound' } }, { state: 'ringing' })
    outbound.talk.send({ type: 'call.answer' })
    expect(await outbound.talk.next('error')).toMatchObject({ error: { code: 'not_allowed' } })
  })

  it('switches the output format by session.update and by the delta itself', async () => {
    const { talk, play } = await connected()
    talk.send({ type: 'session.update', audio: { output: { encoding: 'pcm16', sample_rate: 8000 } } })
    talk.socket.send(Buffer.alloc(320))
    talk.say(FRAME, { format: { encoding: 'pcmu' } })
    await synced(talk)
    const out = play(2)
    expect([...out.subarray(0, 160)].every((b) => b === 0xff)).toBe(true)
    expect(out.subarray(160)).toEqual(Buffer.from(FRAME))
    talk.send({ type: 'session.update', audio: { output: { encoding: 'pcm16', sample_rate: 44100 } } })
    expect(await talk.next('error')).toMatchObject({ error: { code: 'format_mismatch' } })
  })

  it('tells flow and refuses over the cap, once a second', async () => {
    const { talk } = await connected({}, { bufferMs: 1000 })
    for (let i = 0; i < 5; i++) talk.socket.send(Buffer.alloc(4000, 1))
    await synced(talk)
    expect(talk.of('flow')).toMatchObject([{ state: 'xoff', queued_ms: 1000 }])
    expect(talk.of('error')).toMatchObject([{ error: { code: 'buffer_full', fatal: false } }])
  })
})

describe('a bot that misbehaves', () => {
  it('is told and goes on', async () => {
    const { talk, told } = await connected()
    for (const bad of [
      '{',
      '[]',
      '{"type":"what"}',
      '{"type":"media","stream_id":"zzz","media":{"payload":"AAAA"}}',
      '{"type":"media","media":{"payload":"A"}}',
    ])
      talk.send(bad)
    talk.socket.send(Buffer.alloc(0))
    await synced(talk)
    expect(talk.of('error').map((m) => (m.error as Json).code)).toEqual([
      'bad_json',
      'bad_json',
      'unknown_type',
      'not_allowed',
      'bad_audio',
    ])
    expect(told.map((t) => t.what)).not.toContain('fault')
  })

  it('is closed with 1008 after more than 50 bad messages in a second, and hears of ten of them', async () => {
    const clock = new FakeClock()
    const { talk, until } = await connected({}, {}, { clock })
    for (let i = 0; i < 50; i++) talk.send('{')
    await synced(talk)
    clock.advance(1000)
    for (let i = 0; i < 51; i++) talk.send('{')
    expect(await talk.ended()).toMatchObject({ code: 1008 })
    expect(talk.of('error').length).toBe(20)
    expect(await until('lost')).toMatchObject({ clean: false, wasOpen: true, reason: 'too many bad messages' })
  })

  it('is closed with 1009 for a message over 4 MiB', async () => {
    const { talk, until } = await connected()
    talk.send('x'.repeat(4 * 1024 * 1024 + 1))
    expect(await talk.ended()).toMatchObject({ code: 1009 })
    expect(await until('lost')).toMatchObject({ clean: false, reason: 'oversize' })
  })

  it('may send in fragments', async () => {
    const { talk, play } = await connected()
    const text = JSON.stringify({ type: 'response.audio.delta', delta: Buffer.from(FRAME).toString('base64') })
    for (let i = 0; i < text.length; i++) talk.socket.send(text[i], { fin: i === text.length - 1 })
    await synced(talk)
    expect(play(1)).toEqual(Buffer.from(FRAME))
  })

  it.each([
    ['closes with 1000', (t: Conversation) => t.socket.close(1000), { clean: true, reason: 'closed_1000' }],
    [
      'closes with 1011',
      (t: Conversation) => t.socket.close(1011, 'oops'),
      { clean: false, reason: 'closed_1011: oops' },
    ],
    ['is torn down', (t: Conversation) => t.socket.terminate(), { clean: false, reason: 'closed_1006' }],
  ])('%s: lost is told once', async (_how, end, want) => {
    const { talk, until, told } = await connected()
    end(talk)
    expect(await until('lost')).toMatchObject({ wasOpen: true, ...want })
    expect(told.filter((t) => t.what === 'lost').length).toBe(1)
  })

  it('that is silent and has never answered a ping is dead after 20 s', async () => {
    const clock = new FakeClock()
    const { talk, until, told, session } = await connected({}, {}, { clock })
    talk.socket.pause()
    clock.advance(19_900)
    expect(told.some((t) => t.what === 'lost')).toBe(false)
    clock.advance(200)
    expect(await until('lost')).toMatchObject({ clean: false, wasOpen: true, reason: 'ping_timeout' })
    expect(session.listening).toBe(false)
  })
})
