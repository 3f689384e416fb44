/** Drives a real baresip 1.0 (Debian: baresip-core) through its ctrl_tcp socket: netstrings of JSON. */
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'

export interface BaresipOptions {
  dir: string
  sipPort: number
  ctrlPort: number
  rtpFirst: number
  /** Tone that it speaks, Hz. */
  toneHz: number
  codec: 'PCMU' | 'PCMA'
  transport: 'udp' | 'tcp'
}

interface Message {
  event?: boolean
  type?: string
  param?: string
  response?: boolean
  token?: string
  data?: string
  ok?: boolean
}

export class Baresip {
  readonly dir: string
  readonly uri: string
  readonly #child: ChildProcess
  #socket: Socket | undefined
  #buffer = Buffer.alloc(0)
  readonly events: Message[] = []
  #waiting: { want: (m: Message) => boolean; done: (m: Message) => void }[] = []
  output = ''

  private constructor(options: BaresipOptions, child: ChildProcess) {
    this.dir = options.dir
    this.uri = `sip:phone@127.0.0.1:${options.sipPort};transport=${options.transport}`
    this.#child = child
    const note = (chunk: Buffer): void => void (this.output += chunk.toString())
    child.stdout?.on('data', note)
    child.stderr?.on('data', note)
  }

  static async start(options: BaresipOptions): Promise<Baresip> {
    const { dir, sipPort, ctrlPort, rtpFirst, toneHz, codec, transport } = options
    await mkdir(join(dir, 'rec'), { recursive: true })
    await writeFile(
      join(dir, 'config'),
      `poll_method epoll
sip_listen 127.0.0.1:${sipPort}
sip_trans_def ${transport}
call_local_timeout 30
call_max_calls 4
audio_source ausine,${toneHz}
ausrc_srate 48000
ausrc_channels 2
audio_player aubridge,null_${sipPort}
audio_alert aubridge,alert_${sipPort}
auplay_srate 8000
auplay_channels 1
rtp_ports ${rtpFirst}-${rtpFirst + 40}
jitter_buffer_delay 5-10
rtp_stats yes
module_path /usr/lib/baresip/modules
module g711.so
module ausine.so
module aubridge.so
module sndfile.so
snd_path ${join(dir, 'rec')}
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen 127.0.0.1:${ctrlPort}
`,
    )
    await writeFile(
      join(dir, 'accounts'),
      `<sip:phone@127.0.0.1:${sipPort};transport=${transport}>;regint=0;answermode=auto;audio_codecs=${codec};ptime=20\n`,
    )
    await writeFile(join(dir, 'contacts'), '')
    const phone = new Baresip(options, spawn('baresip', ['-f', dir], { stdio: ['pipe', 'pipe', 'pipe'] }))
    await phone.#attach(ctrlPort)
    return phone
  }

  async #attach(port: number): Promise<void> {
    for (let attempt = 0; attempt < 100; attempt++) {
      const socket = await new Promise<Socket | undefined>((resolve) => {
        const s = connect(port, '127.0.0.1', () => resolve(s))
        s.once('error', () => resolve(undefined))
      })
      if (socket) {
        socket.on('error', () => {})
        socket.on('data', (chunk) => this.#read(chunk))
        this.#socket = socket
        return
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error(`baresip did not open its control port:\n${this.output}`)
  }

  #read(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk])
    for (;;) {
      const colon = this.#buffer.indexOf(0x3a)
      if (colon < 0) return
      const length = Number(this.#buffer.subarray(0, colon).toString())
      if (this.#buffer.length < colon + 1 + length + 1) return
      const message = JSON.parse(this.#buffer.subarray(colon + 1, colon + 1 + length).toString()) as Message
      this.#buffer = this.#buffer.subarray(colon + 1 + length + 1)
      this.events.push(message)
      for (const w of this.#waiting.filter((w) => w.want(message))) {
        this.#waiting = this.#waiting.filter((x) => x !== w)
        w.done(message)
      }
    }
  }

  /** Resolves with the first message, past or to come, that fits. */
  waitFor(want: (m: Message) => boolean, what: string, limitMs = 10_000): Promise<Message> {
    const past = this.events.find(want)
    if (past) return Promise.resolve(past)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(new Error(`baresip: no ${what} in ${limitMs} ms; saw ${JSON.stringify(this.events)}\n${this.output}`)),
        limitMs,
      )
      this.#waiting.push({
        want,
        done: (m) => {
          clearTimeout(timer)
          resolve(m)
        },
      })
    })
  }

  event(type: string, limitMs?: number): Promise<Message> {
    return this.waitFor((m) => m.event === true && m.type === type, type, limitMs)
  }

  async command(command: string, params = ''): Promise<Message> {
    const token = `${command}-${this.events.length}`
    const text = JSON.stringify({ command, params, token })
    this.#socket!.write(`${Buffer.byteLength(text)}:${text},`)
    return this.waitFor((m) => m.response === true && m.token === token, `response to ${command}`)
  }

  /** The recording of what it heard (`dec`) or said (`enc`) in its last call. */
  async dump(side: 'dec' | 'enc'): Promise<string> {
    const files = (await readdir(join(this.dir, 'rec'))).filter((f) => f.endsWith(`${side}.wav`)).sort()
    if (files.length === 0) throw new Error(`baresip recorded nothing:\n${this.output}`)
    return join(this.dir, 'rec', files.at(-1)!)
  }

  async stop(): Promise<void> {
    this.#socket?.destroy()
    if (this.#child.exitCode !== null) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill('SIGTERM')
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), 3000)
    await gone
    clearTimeout(kill)
  }
}
