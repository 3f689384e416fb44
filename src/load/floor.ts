/** Measures the floor: the same callers and bots over a bare relay (test/bench/relay.ts), without SIP. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { sleep } from '../lib/clock.ts'
import { BotServer } from './bot-server.ts'
import { loadClip } from './clips.ts'
import { echoBot, echoCounts } from './echo-bot.ts'
import type { LoadOptions, Progress } from './options.ts'
import { Pacer } from './pacer.ts'
import { PhoneMedia } from './phone-media.ts'
import { processUsage } from './process-usage.ts'

const BENCH = join(import.meta.dirname, '../../test/bench')
const SETTLE_MS = 3_000

export async function measureFloor(o: LoadOptions, say: Progress): Promise<{ c: number | null; node: number | null }> {
  say('measuring the floor: a bare relay in Node')
  const node = await cpuPercentPerCall(o, [process.execPath, join(BENCH, 'relay.ts')])
  const dir = mkdtempSync(join(tmpdir(), 'trunkline-floor-'))
  try {
    const program = join(dir, 'relay')
    if (!compile(program)) return { c: null, node }
    say('measuring the floor: a bare relay in C')
    return { c: await cpuPercentPerCall(o, [program]), node }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function compile(program: string): boolean {
  const source = join(BENCH, 'relay.c')
  return existsSync(source) && spawnSync('cc', ['-O2', '-o', program, source], { stdio: 'ignore' }).status === 0
}

async function cpuPercentPerCall(o: LoadOptions, command: string[]): Promise<number | null> {
  const { clock, calls } = o
  const counts = echoCounts()
  const bots = await BotServer.listen((socket) => echoBot(socket, clock, counts))
  const pinned = o.pin ? ['taskset', '-c', '0', ...command] : command
  const relay = spawn(pinned[0], [...pinned.slice(1), String(calls), bots.url], { stdio: ['pipe', 'pipe', 'ignore'] })
  o.onStop(() => relay.kill('SIGKILL'))
  const media: PhoneMedia[] = []
  try {
    const ports = await announcedPorts(relay)
    const pacer = new Pacer(clock)
    const speech = loadClip('hello-caller')
    for (const port of ports) {
      const phone = await PhoneMedia.open({ clock, pacer, host: '127.0.0.1' })
      media.push(phone)
      void phone.play(speech, true)
      phone.connect({ host: '127.0.0.1', port, codec: 'pcmu', payloadType: 0 })
    }
    await sleep(clock, SETTLE_MS)
    const before = processUsage(relay.pid ?? 0)
    const startMs = clock.now()
    await sleep(clock, o.seconds * 1000)
    const after = processUsage(relay.pid ?? 0)
    if (!before || !after) return null
    const seconds = (clock.now() - startMs) / 1000
    return ((after.cpuSeconds - before.cpuSeconds) / seconds / calls) * 100
  } finally {
    await Promise.all(media.map((m) => m.close()))
    relay.stdin.end()
    if (relay.exitCode === null && relay.signalCode === null) {
      const exit = once(relay, 'exit')
      if (!(await Promise.race([exit.then(() => true), sleep(clock, 3000).then(() => false)]))) relay.kill('SIGKILL')
    }
    await bots.close()
  }
}

/** The first line of the relay: `{"ports":[…]}`. */
async function announcedPorts(relay: ChildProcess): Promise<number[]> {
  if (!relay.stdout) throw new Error('the relay has no output')
  for await (const line of createInterface({ input: relay.stdout }))
    return (JSON.parse(line) as { ports: number[] }).ports
  throw new Error('the relay ended before it was ready')
}
