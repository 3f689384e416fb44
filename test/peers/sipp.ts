import { spawn } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface SippRun {
  /** 0 = every call was as the scenario says. */
  code: number
  /** First words of what sipp received and sent, in order: `200 OK`, `BYE`. */
  received: string[]
  sent: string[]
  /** For a failing test's message. */
  report: string
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const s = createSocket('udp4')
    s.once('error', reject)
    s.bind(0, '127.0.0.1', () => {
      const { port } = s.address()
      s.close(() => resolve(port))
    })
  })

let mediaPort = 41_000

/** Starts sipp and waits for its end. `own`: its SIP port, for UAS scenarios that we call. */
export async function sipp(
  args: string[],
  more: {
    port?: number
    scenario?: string
    started?: (port: number, stop: () => void) => void
    timeoutS?: number
  } = {},
): Promise<SippRun> {
  const dir = mkdtempSync(join(tmpdir(), 'trunkline-sipp-'))
  const port = more.port ?? (await freePort())
  mediaPort += 8
  const files = { messages: join(dir, 'messages.log'), errors: join(dir, 'errors.log') }
  const scenario = more.scenario ? ['-sf', join(import.meta.dirname, 'sip', `${more.scenario}.xml`)] : []
  const child = spawn(
    'sipp',
    [
      ...args, ...scenario, '-i', '127.0.0.1', '-p', String(port), '-mi', '127.0.0.1', '-mp', String(mediaPort), '-nostdin',
      '-timeout', String(more.timeoutS ?? 30), '-timeout_error', '-trace_msg', '-message_file', files.messages, '-trace_err', '-error_file', files.errors,
    ],
    { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TERM: 'xterm' } },
  ) // prettier-ignore
  // It may not have bound its socket yet: the repeats of our INVITE bridge that.
  child.once('spawn', () => more.started?.(port, () => child.kill('SIGKILL')))
  let output = ''
  child.stdout.on('data', (d: Buffer) => {
    output = (output + d.toString('latin1')).slice(-6000)
  })
  child.stderr.on('data', (d: Buffer) => (output = (output + d.toString('latin1')).slice(-6000)))
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (c) => resolve(c ?? -1))
  })
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, 'latin1') : '')
  const messages = read(files.messages)
  const errors = read(files.errors)
  rmSync(dir, { recursive: true, force: true })
  return {
    code,
    received: firstLines(messages, 'received'),
    sent: firstLines(messages, 'sent'),
    report: `${errors.slice(0, 4000)}\n${code ? messages.slice(-6000) : ''}\n${output.slice(-1500)}`,
  }
}

function firstLines(log: string, direction: 'received' | 'sent'): string[] {
  const lines: string[] = []
  for (const block of log.split(/^-{20,}.*$/m).slice(1)) {
    const head = /^(?:UDP|TCP) message (received|sent)/im.exec(block)
    const first = /^(SIP\/2\.0 \d{3} .*|[A-Z]+ sips?:.*)$/m.exec(block)?.[1].trim()
    if (head?.[1].toLowerCase() !== direction || !first) continue
    lines.push(first.startsWith('SIP') ? first.slice(8) : first.split(' ')[0])
  }
  return lines
}

export const count = (lines: string[], what: string): number => lines.filter((l) => l.startsWith(what)).length

/**
 * A UDP path that drops datagrams both ways, by a seeded lot, and judges from the wire which calls came to their end:
 * a linear sipp script cannot (the stock UAS aborts on a repeated INVITE, and every UAS script on a late ACK).
 */
export class LossyPath {
  port = 0
  readonly #near = createSocket('udp4')
  readonly #far = new Map<number, Socket>()
  readonly #loss: number
  #seed: number
  /** Call-IDs whose BYE was answered, and the answer reached us. */
  readonly ended = new Set<string>()
  onEnded: () => void = () => undefined

  constructor(loss: number, seed: number) {
    this.#loss = loss
    this.#seed = seed
  }

  async open(toPort: () => number): Promise<void> {
    this.#near.on('message', (bytes, from) => {
      let far = this.#far.get(from.port)
      if (!far) {
        this.#far.set(from.port, (far = createSocket('udp4')))
        far.on('message', (back) => this.#keep() && this.#back(back, from.port, from.address))
      }
      if (this.#keep()) far.send(bytes, toPort(), '127.0.0.1')
    })
    await new Promise<void>((resolve) => this.#near.bind(0, '127.0.0.1', resolve))
    this.port = this.#near.address().port
  }

  #back(bytes: Buffer, port: number, host: string): void {
    this.#near.send(bytes, port, host)
    const text = bytes.toString('latin1')
    const callId = /^Call-ID: *(\S+)/im.exec(text)?.[1]
    if (!callId || !text.startsWith('SIP/2.0 200') || !/^CSeq: *\d+ BYE/im.test(text)) return
    this.ended.add(callId)
    this.onEnded()
  }

  #keep(): boolean {
    this.#seed = (this.#seed * 1103515245 + 12345) % 2 ** 31
    return this.#seed / 2 ** 31 >= this.#loss
  }

  close(): void {
    this.#near.close()
    for (const far of this.#far.values()) far.close()
  }
}
