import { describe, expect, it, onTestFinished } from 'vitest'
import { signature } from '../../src/bot/dialects/native.ts'
import { FULL, QUICK } from '../../src/conformance/pace.ts'
import { RULES, type Report, type Rule, type Verdict } from '../../src/conformance/rules.ts'
import { testBot } from '../../src/conformance/run.ts'
import { DEFAULT_FORMAT, type Target } from '../../src/conformance/target.ts'
import { loadClip } from '../../src/load/clips.ts'
import { FakeBot, type Conversation, type FakeBotOptions, type Json } from '../fakes/bot.ts'
import { RealtimeServer } from '../fakes/realtime-server.ts'
import { inVirtualTime } from '../helpers/real-bots.ts'

const VOICE = loadClip('hello-caller')
const GREETING = loadClip('bot-greeting')

/** What a bot does at each message; the rest it does well. */
type Ways = (message: Json, talk: Conversation) => void

/** Echoes, and clears when the caller speaks. */
const well: Ways = (message, talk) => {
  if (message.type === 'media') talk.say((message.media as Json).payload as string)
  if (message.type === 'speech.started') talk.send({ type: 'clear' })
}

async function report(
  ways: Ways,
  more: FakeBotOptions = {},
  options: { target?: Partial<Target>; quick?: boolean } = {},
): Promise<Report & { bot: FakeBot; of(rule: Rule): { verdict: Verdict; detail: string } }> {
  const bot = await FakeBot.listen({ onMessage: ways, ...more })
  onTestFinished(() => bot.close())
  const target: Target = {
    url: bot.url,
    dialect: 'native',
    headers: {},
    format: DEFAULT_FORMAT,
    transport: 'json',
    insecure: true,
    ...options.target,
  }
  const pace = options.quick === false ? FULL : QUICK
  const done = await inVirtualTime((clock) => testBot({ target, pace, clock, voice: VOICE }))
  return { ...done, bot, of: (rule) => done.results.find((r) => r.rule === rule)! }
}

/** Verdicts that are not 'pass', by rule. */
const troubles = ({ results }: Report): Record<string, Verdict> =>
  Object.fromEntries(results.filter((r) => r.verdict !== 'pass').map((r) => [r.rule, r.verdict]))

describe('a bot that does everything well', () => {
  it('passes each rule that applies to it, within the time that is promised', async () => {
    const done = await report(well, { subprotocol: 'trunkline.v1' }, { quick: false })
    expect(troubles(done)).toEqual({ signature: 'info', marks: 'info' })
    expect(done.passed).toBe(true)
    expect(done.results.map((r) => r.rule)).toEqual(Object.keys(RULES))
    expect(done.of('connects').detail).toContain('subprotocol trunkline.v1')
    expect(done.tookMs).toBeLessThan(30_000)
  })

  it('gets one call and no other, with a start, a message and a digit as a bridge of tomorrow may send them', async () => {
    const { bot, tookMs } = await report(well)
    expect(tookMs).toBeLessThan(10_000)
    const [first, second] = bot.conversations
    expect(bot.conversations.length).toBe(2)
    expect(first.messages[0]).toMatchObject({ type: 'start', direction: 'inbound', resume: null })
    expect(first.messages[0]).toHaveProperty('x_from_tomorrow')
    expect(first.of('x_from_tomorrow').length).toBe(1)
    expect(second.messages[0]).toMatchObject({ type: 'start', resume: { count: 1 } })
    expect(second.of('dtmf')[0]).toMatchObject({ dtmf: { digit: '5' } })
    expect(second.of('stop')[0]).toMatchObject({ reason: 'caller_hangup' })
    expect(await second.ended()).toMatchObject({ code: 1000 })
    // The caller's time has no holes.
    const chunks = first.of('media').map((m) => (m.media as Json).chunk)
    expect(chunks).toEqual(chunks.map((_, i) => i))
  })

  it('may speak binary PCM16 at 16 kHz', async () => {
    const done = await report(
      (message, talk) => message.type === 'speech.started' && talk.send({ type: 'clear' }),
      { echo: true },
      { target: { transport: 'binary', format: { encoding: 'pcm16', sampleRate: 16_000, frameMs: 20 } } },
    )
    expect(troubles(done)).toEqual({ signature: 'info', marks: 'info' })
    expect(done.of('format').detail).toContain('longest of 20 ms')
  })

  it('is timed: its greeting, and its answer', async () => {
    const greets = await report((m, talk) => {
      if (m.type === 'start') talk.say(GREETING)
      well({ ...m, type: m.type === 'media' ? '' : m.type }, talk)
    })
    expect(greets.of('answers')).toMatchObject({ verdict: 'pass', detail: expect.stringMatching(/^greets \d+ ms after start/) as string }) // prettier-ignore
    expect(greets.of('barge-in').verdict).toBe('pass')
    const replies = await report((m, talk) => m.type === 'speech.stopped' && talk.say(GREETING))
    expect(replies.of('answers').detail).toMatch(/after the caller's last word/)
  })
})

describe('a bot that is not there', () => {
  it('fails to connect, with the reason, and nothing else is judged', async () => {
    const done = await report(well, { refuse: 403 })
    expect(done.of('connects')).toMatchObject({ verdict: 'fail', detail: 'Unexpected server response: 403' })
    expect(done.passed).toBe(false)
    expect(done.results.length).toBe(Object.keys(RULES).length)
    expect(done.results.filter((r) => r.verdict === 'info').length).toBe(done.results.length - 1)
  })
})

/** Each breaks one rule. */
const BAD: [what: string, Partial<Record<Rule, Verdict>>, Ways, FakeBotOptions?][] = [
  ['dies at start', { start: 'fail' }, (m, talk) => m.type === 'start' && talk.socket.close(1011)],
  ['never says a word', { answers: 'fail', 'barge-in': 'info', format: 'info' }, () => undefined],
  [
    'talks on over the caller',
    { 'barge-in': 'warn' },
    (m, talk) => {
      if (m.type === 'start') for (let i = 0; i < 4; i++) talk.say(GREETING)
    },
  ],
  [
    'closes at a message that it does not know',
    { unknown: 'fail' },
    (m, talk) => (m.type === 'x_from_tomorrow' ? talk.socket.close(1003) : well(m, talk)),
  ],
  ['dies at a key', { dtmf: 'fail' }, (m, talk) => (m.type === 'dtmf' ? talk.socket.terminate() : well(m, talk))],
  [
    'ends the call at a key, as menus do',
    { dtmf: 'info' },
    (m, talk) => (m.type === 'dtmf' ? talk.send({ type: 'session.hangup', reason: 'five' }) : well(m, talk)),
  ],
  [
    'sends a WAV file',
    { answers: 'fail', 'barge-in': 'info', format: 'fail' },
    (m, talk) => m.type === 'start' && talk.say(Buffer.concat([Buffer.from('RIFF....WAVEfmt '), GREETING])),
  ],
  [
    'sends what is no JSON',
    { understood: 'fail' },
    (m, talk) => (m.type === 'start' ? talk.send('{"type":') : well(m, talk)),
  ],
  [
    'asks for what is not allowed',
    { understood: 'warn' },
    (m, talk) => (m.type === 'start' ? talk.send({ type: 'call.answer' }) : well(m, talk)),
  ],
  [
    'gives two marks one name',
    { marks: 'warn' },
    (m, talk) => {
      if (m.type === 'dtmf')
        for (let i = 0; i < 2; i++) {
          talk.say(GREETING)
          talk.send({ type: 'mark', mark: { name: 'm' } })
        }
      else well(m, talk)
    },
  ],
  ['answers no ping', { pong: 'fail' }, well, { autoPong: false }],
  ['does not end', { stop: 'fail' }, (m, talk) => (m.type === 'dtmf' ? talk.socket.pause() : well(m, talk))],
]

describe('a bot that', () => {
  it.each(BAD)('%s', async (_what, expected, ways, options) => {
    const found = troubles(await report(ways, options))
    expect(found).toMatchObject(expected)
    const fails = Object.keys(found).filter((rule) => found[rule] === 'fail')
    const wanted = (Object.keys(expected) as Rule[]).filter((rule) => expected[rule] === 'fail')
    // A bot that dies at each start cannot do well in the rules after it, either.
    if (expected.start !== 'fail') expect(fails.sort()).toEqual(wanted.sort())
  })

  it('hangs up in silence gets another call for what is left to be tested', async () => {
    const done = await report((m, talk) => {
      const resumed = (talk.messages[0].resume ?? undefined) !== undefined
      // Past the words of the first rules.
      if (m.type === 'media' && talk.of('media').length === 250 && talk.of('dtmf').length === 0 && !resumed)
        talk.send({ type: 'session.hangup', reason: 'nobody there' })
      well(m, talk)
    })
    expect(done.of('silence')).toMatchObject({ verdict: 'warn', detail: expect.stringContaining('nobody there') as string }) // prettier-ignore
    expect(done.of('dtmf').verdict).toBe('pass')
    expect(done.passed).toBe(true)
  })

  it('takes one connection only fails to resume, and is said to take no other call', async () => {
    let connections = 0
    const done = await report(well, { onConnection: (talk) => void (connections++ > 0 && talk.socket.terminate()) })
    expect(done.of('resumes').verdict).toBe('fail')
    expect(done.passed).toBe(false)
    expect(done.tookMs).toBeLessThan(60_000)
  })
})

describe('a bot of another platform', () => {
  it('is spoken to in its own words, and judged by the same rules', async () => {
    const done = await report(
      (message, talk) => {
        const { event, streamSid, media } = message
        if (event === 'media') talk.send({ event, streamSid, media: { payload: (media as Json).payload } })
        if (event === 'start') talk.send({ event: 'mark', streamSid, mark: { name: 'm' } })
      },
      {},
      { target: { dialect: 'twilio' } },
    )
    const [first] = done.bot.conversations
    expect(first.messages.slice(0, 2).map((m) => m.event)).toEqual(['connected', 'start'])
    // It has no ear of its own, and Twilio has no speech.started.
    expect(troubles(done)).toEqual({ 'barge-in': 'warn', signature: 'info' })
  })
})

describe('a model that is spoken to directly', () => {
  it('is sent nothing that its schema does not have', async () => {
    const model = await RealtimeServer.listen({
      onEvent(event, conversation) {
        if (event.type !== 'session.update') return
        conversation.respond()
        conversation.speak(GREETING)
        conversation.finish()
      },
    })
    onTestFinished(() => model.close())
    const target: Target = { url: model.url, dialect: 'openai-realtime', headers: {}, format: DEFAULT_FORMAT, transport: 'json', insecure: true } // prettier-ignore
    const done = await inVirtualTime((clock) => testBot({ target, pace: QUICK, clock, voice: VOICE }))
    expect(model.conversations.flatMap((c) => c.complaints)).toEqual([])
    expect(done.results.filter((r) => r.verdict === 'fail')).toEqual([])
  })
})

describe('the signature', () => {
  const verified: FakeBotOptions = {
    onConnection(talk) {
      const { headers } = talk.request
      const host = `ws://${headers.host}${talk.request.url}`
      const timestamp = headers['x-trunkline-timestamp'] as string
      const right = signature('s3cret', timestamp, host, headers['x-trunkline-call-id'] as string)
      if (headers['x-trunkline-signature'] !== right) talk.socket.close(1008, 'bad signature')
    },
  }

  it('that is wrong is turned away by a bot that verifies, which passes', async () => {
    const done = await report(well, verified, { target: { secret: 's3cret' } })
    expect(done.of('signature')).toEqual({ rule: 'signature', verdict: 'pass', detail: 'turned away: closed_1008: bad signature' }) // prettier-ignore
    expect(done.passed).toBe(true)
  })

  it('that is wrong and accepted is worth a warning', async () => {
    const done = await report(well, {}, { target: { secret: 's3cret' } })
    expect(done.of('signature').verdict).toBe('warn')
  })
})
