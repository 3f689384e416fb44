import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { loadClip } from '../../src/load/clips.ts'
import { DIDS, startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

/** The README's first bot, run as it stands there (but for its port), takes a call. */
let bot: ChildProcess
let t: TestServer
let said = ''

beforeAll(async () => {
  const code = /```js\n([\s\S]*?)```/.exec(readFileSync('README.md', 'utf8'))![1]
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  bot = spawn(process.execPath, ['--input-type=module', '-e', code.replace('9000', String(port))], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  bot.stdout!.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await until(
    () =>
      new Promise<boolean>((resolve) => {
        const s = connect(port, '127.0.0.1', () => resolve(true))
        s.once('error', () => resolve(false)).once('connect', () => s.destroy())
      }),
  )
  t = await startTestServer({ bots: { echo: { url: `ws://127.0.0.1:${port}` } } })
})

afterAll(async () => {
  await t.close()
  bot.kill()
})

it('the first bot of the README greets in its log, echoes the caller, and hangs up at #', async () => {
  const call = await t.carrier.call({ target: t.target(DIDS.echo), from: '+919876500099', captureMs: 5000 })
  await call.answered
  const tone = loadClip('tone-440')
  await call.media.play(tone.subarray(0, 8000))
  await until(() => call.media.heard().includes(tone.subarray(800, 1600)))
  await call.media.press('#')
  expect((await call.ended).by).toBe('peer')
  expect(said).toContain('call from +919876500099')
  await until(() => said.includes('ended: bot_hangup'))
})
