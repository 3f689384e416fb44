/**
 * The server under load: a child process of its own, in a temporary directory, configured by a bootstrap file; what it
 * uses is read from the kernel and from its own /metrics. Ended by its process id, its directory removed.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, openSync, closeSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sleep, type Clock } from '../lib/clock.ts'
import { bootstrapFile, DID, type Installation } from './bootstrap.ts'
import { openFiles, processUsage, type OpenFiles, type ProcessUsage } from './process-usage.ts'

export interface BridgeOptions extends Installation {
  clock: Clock
  /** Media workers; default: the server's own. */
  workers?: number
  /** Ties the process to one core (with `taskset`). */
  core?: number
  /** Of this folder, in place of the server's main.ts. */
  program?: string
  /** How long RTP ports rest, ms. */
  quarantineMs?: number
}

const MAIN = join(import.meta.dirname, '../main.ts')
const READY_MS = 60_000
const STOP_MS = 15_000
const LOG_TAIL = 4000

export class Bridge {
  readonly pid: number
  readonly sipPort: number
  readonly httpPort: number
  readonly #child: ChildProcess
  readonly #dir: string
  readonly #clock: Clock
  readonly #exited: Promise<void>
  #alive = true

  private constructor(child: ChildProcess, dir: string, ports: { http: number; sip: number }, clock: Clock) {
    this.#child = child
    this.#dir = dir
    this.#clock = clock
    this.pid = child.pid ?? 0
    this.httpPort = ports.http
    this.sipPort = ports.sip
    this.#exited = new Promise((resolve) => {
      const gone = (): void => {
        this.#alive = false
        resolve()
      }
      child.once('exit', gone)
      child.once('error', gone)
    })
  }

  /** Resolves when /readyz says so; rejects with the end of the server's log. */
  static async start(o: BridgeOptions): Promise<Bridge> {
    const dir = mkdtempSync(join(tmpdir(), 'trunkline-load-'))
    const ports = { http: await freePort(), sip: await freePort() }
    const file = join(dir, 'bootstrap.json')
    writeFileSync(file, JSON.stringify(bootstrapFile(o), null, 2))
    // Only these: nothing of the caller's environment reaches the server.
    const env: Record<string, string> = {
      TRUNKLINE_HTTP_PORT: String(ports.http),
      TRUNKLINE_SIP_PORT: String(ports.sip),
      TRUNKLINE_DATA_DIR: join(dir, 'data'),
      TRUNKLINE_BOOTSTRAP: file,
      TRUNKLINE_ALLOW_INSECURE_BOTS: '1',
      TRUNKLINE_MAX_CALLS: String(o.maxCalls),
      TRUNKLINE_DRAIN_S: '0',
    }
    if (o.workers !== undefined) env.TRUNKLINE_MEDIA_WORKERS = String(o.workers)
    if (o.quarantineMs !== undefined) env.TRUNKLINE_RTP_QUARANTINE_MS = String(o.quarantineMs)
    const log = openSync(join(dir, 'log'), 'w')
    const main = o.program === undefined ? MAIN : join(import.meta.dirname, o.program)
    const command =
      o.core === undefined ? [process.execPath, main] : ['taskset', '-c', String(o.core), process.execPath, main]
    // taskset replaces itself by the program: the id stays the server's own.
    const child = spawn(command[0], command.slice(1), { env: pathFor(o, env), stdio: ['ignore', log, log] })
    closeSync(log)
    const bridge = new Bridge(child, dir, ports, o.clock)
    try {
      await bridge.#ready()
    } catch (err) {
      await bridge.stop()
      throw err
    }
    return bridge
  }

  get alive(): boolean {
    return this.#alive
  }

  /** The address to call. */
  get target(): string {
    return `sip:${DID}@127.0.0.1:${this.sipPort}`
  }

  /** Has the server call `number`, with a bot that is only this address. Rejects when it will not. */
  async dial(number: string, botUrl: string, apiKey: string): Promise<void> {
    const reply = await fetch(`http://127.0.0.1:${this.httpPort}/api/dial_by_aivoicebot`, {
      method: 'POST',
      headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
      body: JSON.stringify({ customer_no: number, wss_url: botUrl }),
    })
    if (!reply.ok) throw new Error(`dial: ${reply.status} ${(await reply.text()).slice(0, 200)}`)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  usage(): ProcessUsage | undefined {
    return processUsage(this.pid)
  }

  openFiles(): OpenFiles | undefined {
    return openFiles(this.pid)
  }

  /** Every sample of /metrics, by name with labels: `name{a="b"}`. Empty when the server does not answer. */
  async metrics(): Promise<Map<string, number>> {
    const samples = new Map<string, number>()
    let text: string
    try {
      const reply = await fetch(`http://127.0.0.1:${this.httpPort}/metrics`)
      if (!reply.ok) return samples
      text = await reply.text()
    } catch {
      return samples // the run goes on without; the report shows null
    }
    for (const line of text.split('\n')) {
      const at = line.lastIndexOf(' ')
      if (at > 0 && !line.startsWith('#')) samples.set(line.slice(0, at), Number(line.slice(at + 1)))
    }
    return samples
  }

  logTail(): string {
    return readFileSync(join(this.#dir, 'log'), 'utf8').slice(-LOG_TAIL)
  }

  /** SIGTERM twice (the second cuts live calls off), then SIGKILL. */
  async stop(): Promise<void> {
    for (const signal of ['SIGTERM', 'SIGTERM', 'SIGKILL'] as const) {
      if (!this.#alive) break
      this.#child.kill(signal)
      await Promise.race([this.#exited, sleep(this.#clock, STOP_MS / 3)])
    }
    await this.#exited
    rmSync(this.#dir, { recursive: true, force: true })
  }

  async #ready(): Promise<void> {
    const untilMs = this.#clock.now() + READY_MS
    while (this.#alive && this.#clock.now() < untilMs) {
      const ok = await fetch(`http://127.0.0.1:${this.httpPort}/readyz`).then(
        (reply) => reply.ok,
        () => false, // not listening yet
      )
      if (ok) return
      await sleep(this.#clock, 100)
    }
    throw new Error(`the server did not become ready (${this.#alive ? 'time is up' : 'it exited'}):\n${this.logTail()}`)
  }
}

/** `taskset` is looked up; node is not. */
const pathFor = (o: BridgeOptions, env: Record<string, string>): Record<string, string> =>
  o.core === undefined ? env : { ...env, PATH: '/usr/local/bin:/usr/bin:/bin' }

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
