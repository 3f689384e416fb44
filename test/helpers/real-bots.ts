/** Bots that run as they would for their authors: each a process of its own, on a port of its own. */
import { spawn } from 'node:child_process'
import { FakeClock } from '../fakes/clock.ts'
import { until } from './until.ts'

export interface RealBot extends AsyncDisposable {
  url: string
  /** What it has printed. */
  said(): string
}

/** Starts `command`, which prints its address when it listens. */
export async function startBot(command: string[], env: Record<string, string> = {}): Promise<RealBot> {
  const [file, ...args] = command
  const child = spawn(file, args, { env: { ...process.env, PORT: '0', ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  child.stdout.on('data', (text: Buffer) => (said += text.toString()))
  child.stderr.on('data', (text: Buffer) => (said += text.toString()))
  const stop = async (): Promise<void> => {
    child.kill()
    await until(() => child.exitCode !== null || child.signalCode !== null)
  }
  try {
    const url = await until(() => {
      if (child.exitCode !== null) throw new Error(`the bot has ended: ${said}`)
      return /ws:\/\/[\d.]+:\d+/.exec(said)?.[0]
    })
    return { url, said: () => said, [Symbol.asyncDispose]: stop }
  } catch (err) {
    await stop()
    throw err
  }
}

/** One of examples/. */
export const startExample = (name: string, env?: Record<string, string>): Promise<RealBot> =>
  startBot([process.execPath, `examples/${name}`], env)

/**
 * Virtual time goes on until the work is done, 20 ms a step, with a pause after each for the sockets: turns of the event
 * loop where the other side lives in it, ms of real time where it does not.
 */
export async function inVirtualTime<T>(work: (clock: FakeClock) => Promise<T>, realMsPerStep = 0): Promise<T> {
  const clock = new FakeClock()
  let done = false
  const result = work(clock).finally(() => (done = true))
  while (!done) {
    clock.advance(20)
    for (let turn = 0; turn < 4; turn++) await new Promise(setImmediate)
    if (realMsPerStep > 0) await new Promise((resolve) => setTimeout(resolve, realMsPerStep))
  }
  return result
}
