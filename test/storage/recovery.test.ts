import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { openStorage } from '../../src/storage/index.ts'
import { silentLog } from '../../src/telemetry/log.ts'

let dataDir: string
const children: ChildProcess[] = []

const run = (calls: number): ChildProcess => {
  const env = { ...process.env, TEST_DATABASE_URL: undefined }
  const child = spawn(process.execPath, [join(import.meta.dirname, 'crash-child.ts'), dataDir, String(calls)], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env,
  })
  children.push(child)
  return child
}

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'trunkline-crash-'))
})
afterEach(async () => {
  for (const child of children.splice(0))
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  rmSync(dataDir, { recursive: true, force: true })
})

describe('after kill -9', { timeout: 60_000 }, () => {
  it('every live call has a terminal record within 3 s of the next start, dated by the last sign of life', async () => {
    const child = run(20)
    await once(child.stdout!, 'data')
    const killedAtMs = systemClock.wallMs()
    child.kill('SIGKILL')
    await once(child, 'exit')

    // CPU time: other tests may hold the machine. Nothing here waits for anything but the disk.
    const before = process.cpuUsage()
    const storage = await openStorage({ dataDir, clock: systemClock, log: silentLog })
    const { openCalls } = await storage.recover()
    const calls = await storage.calls.list({ accountId: 'a' }, { limit: 100 })
    const { user, system } = process.cpuUsage(before)

    expect((user + system) / 1000).toBeLessThan(3000)
    expect(openCalls).toHaveLength(20)
    expect(calls).toHaveLength(20)
    for (const call of calls) {
      expect(call).toMatchObject({ state: 'ended', outcome: { result: 'failed', reason: 'node_crash' } })
      expect(Math.abs(call.endedAtMs! - killedAtMs)).toBeLessThan(5000)
    }
    expect(await storage.recordings.listUnfinished()).toHaveLength(4)
    expect((await storage.recover()).openCalls).toEqual([])
    await storage.close()
  })

  it('a second process on the same directory exits at once, naming the first', async () => {
    const first = run(1)
    await once(first.stdout!, 'data')
    const second = run(1)
    let said = ''
    second.stderr!.on('data', (text: Buffer) => (said += text.toString()))
    const [code] = (await once(second, 'exit')) as [number]
    expect(code).toBe(1)
    expect(said).toContain(`in use by process ${first.pid}`)
    expect(first.exitCode).toBeNull()
  })
})
