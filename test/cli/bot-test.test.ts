import { spawnSync } from 'node:child_process'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseBotTest, runBotTest } from '../../src/cli/bot-test.ts'
import { FULL, QUICK } from '../../src/conformance/pace.ts'
import { FakeBot, type Json } from '../fakes/bot.ts'
import { inVirtualTime } from '../helpers/real-bots.ts'

async function run(args: string[]): Promise<{ code: number; said: string }> {
  let said = ''
  const code = await inVirtualTime((clock) =>
    runBotTest(parseBotTest(args), clock, { write: (text: string) => (said += text) }),
  )
  return { code, said }
}

async function echo(): Promise<FakeBot> {
  const bot = await FakeBot.listen({
    echo: true,
    onMessage: (m, talk) => m.type === 'speech.started' && talk.send({ type: 'clear' }),
  })
  onTestFinished(() => bot.close())
  return bot
}

describe('the command line of `bot test`', () => {
  it('takes a bare address as a native bot with µ-law in JSON', () => {
    expect(parseBotTest(['wss://bot.example.com/call?x=1'])).toEqual({
      target: {
        url: 'wss://bot.example.com/call?x=1',
        dialect: 'native',
        secret: undefined,
        headers: {},
        format: { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
        transport: 'json',
        insecure: false,
      },
      pace: FULL,
      json: false,
    })
  })

  it('takes everything that a bot may be configured with', () => {
    const { target, pace, json } = parseBotTest(
      'ws://127.0.0.1:9 --insecure --quick --json --secret s --encoding pcm16 --rate 16000 --transport binary'
        .split(' ')
        .concat(['--dialect', 'twilio', '--header', 'Authorization: Bearer a:b', '--header', 'X-A:1']),
    )
    expect(target).toMatchObject({
      dialect: 'twilio',
      secret: 's',
      insecure: true,
      transport: 'binary',
      format: { encoding: 'pcm16', sampleRate: 16_000, frameMs: 20 },
      headers: { Authorization: 'Bearer a:b', 'X-A': '1' },
    })
    expect(pace).toBe(QUICK)
    expect(json).toBe(true)
  })

  it.each([
    [[], 'one address'],
    [['wss://a.example', 'wss://b.example'], 'one address'],
    [['ws://127.0.0.1:9000'], '--insecure'],
    [['wss://10.0.0.1/'], '--insecure'],
    [['nonsense'], 'not a URL'],
    [['wss://a.example', '--dialect', 'klingon'], 'native, twilio'],
    [['wss://a.example', '--encoding', 'mp3'], 'pcm16'],
    [['wss://a.example', '--rate', '16000'], '8000'],
    [['wss://a.example', '--transport', 'xml'], 'binary'],
    [['wss://a.example', '--header', 'no colon'], "'Name: value'"],
    [['wss://a.example', '--loud'], '--loud'],
  ])('%j is refused with a hint', (args, hint) => {
    expect(() => parseBotTest(args)).toThrow(hint)
  })

  it('by itself: 2 for a wrong line, 1 for a bot that fails', () => {
    const cli = (...args: string[]) => spawnSync(process.execPath, ['src/cli/main.ts', 'bot', ...args])
    const wrong = cli('test', 'ws://127.0.0.1:1')
    expect(wrong.status).toBe(2)
    expect(wrong.stderr.toString()).toContain('--insecure')
    expect(cli('tset').status).toBe(2)
    const dead = cli('test', 'ws://127.0.0.1:1', '--insecure')
    expect(dead.stdout.toString()).toMatch(/FAIL {2}opens the WebSocket +ECONNREFUSED/)
    expect(dead.status).toBe(1)
  })
})

describe('the report', () => {
  it('is a line per rule and a sum, without colours where nobody sees them', async () => {
    const bot = await echo()
    const { code, said } = await run([bot.url, '--insecure', '--quick'])
    const lines = said.split('\n')
    expect(lines[0]).toBe(`${bot.url} (native)`)
    expect(lines.filter((l) => /^ {2}(pass|warn|FAIL|info) {2}/.test(l)).length).toBe(15)
    expect(said).toMatch(/\n13 passed, 0 failed, 2 not judged; it took \d+\.\d s\.\n$/)
    expect(said).not.toContain('\x1b')
    expect(code).toBe(0)
  })

  it('is JSON for machines, all of it or nothing', async () => {
    const bot = await echo()
    const { code, said } = await run([bot.url, '--insecure', '--quick', '--json'])
    const report = JSON.parse(said) as { passed: boolean; took_ms: number; rules: Json[] }
    expect(report).toMatchObject({ url: bot.url, dialect: 'native', passed: true })
    expect(report.rules[0]).toEqual({ rule: 'connects', verdict: 'pass', detail: expect.any(String) as string })
    expect(code).toBe(0)
    const dead = await run(['ws://127.0.0.1:1', '--insecure', '--json'])
    expect(JSON.parse(dead.said)).toMatchObject({ passed: false })
    expect(dead.code).toBe(1)
  })
})
