import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { botInit, parseBotInit } from '../../src/cli/bot-init.ts'
import { parseBotTest, runBotTest } from '../../src/cli/bot-test.ts'
import { inVirtualTime, startBot } from '../helpers/real-bots.ts'

function written(language: 'ts' | 'python'): { dir: string; said: string } {
  const dir = mkdtempSync(join(tmpdir(), 'trunkline-bot-'))
  onTestFinished(() => rmSync(dir, { recursive: true }))
  let said = ''
  expect(botInit({ language, dir }, { write: (text) => (said += text) })).toBe(0)
  return { dir, said }
}

/** `bot test --quick` in virtual time: the bot's process is given a moment of real time in each slot. */
async function tested(url: string): Promise<{ code: number; said: string }> {
  let said = ''
  const out = { write: (text: string) => (said += text) }
  const code = await inVirtualTime((clock) => runBotTest(parseBotTest([url, '--insecure', '--quick']), clock, out), 2)
  return { code, said }
}

// Debian's python3-websockets belongs to Debian's Python, which is not always the first one.
const python = ['python3', '/usr/bin/python3', ...(process.env.TEST_PYTHON ? [process.env.TEST_PYTHON] : [])]
const withWebsockets = python.find((p) => spawnSync(p, ['-c', 'import websockets']).status === 0)

describe('bot init', () => {
  it('reads its command line', () => {
    expect(parseBotInit(['ts'])).toEqual({ language: 'ts', dir: 'trunkline-bot' })
    expect(parseBotInit(['python', 'x/y'])).toEqual({ language: 'python', dir: 'x/y' })
    for (const wrong of [[], ['rust'], ['ts', 'a', 'b'], ['ts', '--force']]) expect(() => parseBotInit(wrong)).toThrow()
  })

  it('writes a TypeScript bot that starts by its package.json and passes `bot test`', async () => {
    const { dir, said } = written('ts')
    expect(readdirSync(dir).sort()).toEqual(['bot.ts', 'package.json'])
    expect(said).toContain(`cd ${dir} && npm install && npm start`)
    expect(said).toContain('trunkline bot test ws://127.0.0.1:9000 --insecure')
    const { scripts, dependencies } = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8')) as {
      scripts: { start: string }
      dependencies: Record<string, string>
    }
    expect(Object.keys(dependencies)).toEqual(['ws'])
    expect(readFileSync(join(dir, 'bot.ts'), 'utf8').split('\n').length).toBeLessThan(40)

    symlinkSync(resolve('node_modules'), join(dir, 'node_modules'))
    const [node, file] = scripts.start.split(' ')
    expect(node).toBe('node')
    await using bot = await startBot([process.execPath, join(dir, file)])
    const report = await tested(bot.url)
    expect(report.said).not.toMatch(/ {2}(FAIL|warn) /)
    expect(report.code).toBe(0)
    await expect.poll(() => bot.said()).toContain('ended: caller_hangup')
  })

  it('writes a Python bot whose syntax is right', () => {
    const { dir } = written('python')
    expect(readdirSync(dir).sort()).toEqual(['bot.py', 'requirements.txt'])
    execFileSync('python3', ['-c', 'import ast, sys; ast.parse(open(sys.argv[1]).read())', join(dir, 'bot.py')])
  })

  const without = withWebsockets === undefined ? ' (skipped: no python3 here can import websockets)' : ''
  it.skipIf(withWebsockets === undefined)(`writes a Python bot that passes \`bot test\`${without}`, async () => {
    const { dir } = written('python')
    await using bot = await startBot([withWebsockets!, '-u', join(dir, 'bot.py')])
    const report = await tested(bot.url)
    expect(report.said).not.toMatch(/ {2}(FAIL|warn) /)
    expect(report.code).toBe(0)
  })

  it('overwrites nothing: with one file there, no other is written', () => {
    const { dir } = written('python')
    rmSync(join(dir, 'requirements.txt'))
    writeFileSync(join(dir, 'bot.py'), 'mine')
    let said = ''
    expect(botInit({ language: 'python', dir }, { write: (text) => (said += text) })).toBe(1)
    expect(said).toContain('bot.py: there already')
    expect(readdirSync(dir)).toEqual(['bot.py'])
    expect(readFileSync(join(dir, 'bot.py'), 'utf8')).toBe('mine')
  })
})
