/**
 * Everything that the demo needs, in one process on loopback: a simulated carrier, bots on a WebSocket, and the real
 * server between them, in a temporary directory that goes away at the end.
 *
 *   Phone (SIP, RTP) ──▶ server ──▶ BotServer (WebSocket)
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newKeyText } from '../accounts/key-text.ts'
import { loadConfig } from '../config.ts'
import type { Clock } from '../lib/clock.ts'
import { token } from '../lib/ids.ts'
import { bootstrapFile, DID } from '../load/bootstrap.ts'
import { BotServer } from '../load/bot-server.ts'
import { loadClip } from '../load/clips.ts'
import { demoBot, type DemoBotEvents } from '../load/demo-bot.ts'
import type { Clip } from '../load/demo-script.ts'
import { Pacer } from '../load/pacer.ts'
import { Phone } from '../load/phone.ts'
import { startServer, type RunningServer } from '../server.ts'
import { createLog, silentLog } from '../telemetry/log.ts'

export const BOT_CLIPS: Record<Clip, Buffer> = {
  greeting: loadClip('bot-greeting'),
  answer: loadClip('bot-answer'),
  key: loadClip('bot-key'),
  goodbye: loadClip('bot-goodbye'),
}

export interface StageOptions {
  clock: Clock
  /** 0 = any free port. */
  httpPort: number
  sipPort: number
  logLevel: string
  /** Asked for each bot connection: what to do with what happens there. */
  bot(): DemoBotEvents
}

interface Parts {
  phone: Phone
  bots: BotServer
  server: RunningServer
  apiKey: string
  adminKey: string
  dir: string
}

export class Stage {
  readonly phone: Phone
  readonly bots: BotServer
  readonly server: RunningServer
  readonly apiKey: string
  readonly adminKey: string
  readonly #dir: string
  #closed: Promise<void> | undefined

  private constructor(parts: Parts) {
    this.phone = parts.phone
    this.bots = parts.bots
    this.server = parts.server
    this.apiKey = parts.apiKey
    this.adminKey = parts.adminKey
    this.#dir = parts.dir
  }

  static async open(o: StageOptions): Promise<Stage> {
    const dir = mkdtempSync(join(tmpdir(), 'trunkline-demo-'))
    const opened: { close(): Promise<unknown> }[] = []
    try {
      const bots = await BotServer.listen((socket) => demoBot(socket, BOT_CLIPS, o.bot()))
      opened.push(bots)
      const phone = await Phone.start({ clock: o.clock, log: silentLog, pacer: new Pacer(o.clock) })
      opened.push(phone)
      const apiKey = newKeyText()
      const adminKey = token(192)
      const file = join(dir, 'bootstrap.json')
      const installation = { botUrl: bots.url, dialect: 'native-binary', recording: true, maxCalls: 100 } as const
      writeFileSync(file, JSON.stringify(bootstrapFile({ ...installation, carrierPort: phone.port, apiKey })))
      const config = loadConfig({
        TRUNKLINE_HTTP_PORT: String(o.httpPort),
        TRUNKLINE_SIP_PORT: String(o.sipPort),
        TRUNKLINE_DATA_DIR: join(dir, 'data'),
        TRUNKLINE_BOOTSTRAP: file,
        TRUNKLINE_ALLOW_INSECURE_BOTS: '1',
        TRUNKLINE_ADMIN_KEY: adminKey,
        TRUNKLINE_LOG_LEVEL: o.logLevel,
        TRUNKLINE_DRAIN_S: '0',
      })
      const server = await startServer(config, o.clock, createLog(o.logLevel))
      return new Stage({ phone, bots, server, apiKey, adminKey, dir })
    } catch (err) {
      for (const part of opened.reverse()) await part.close()
      rmSync(dir, { recursive: true, force: true })
      throw err
    }
  }

  get api(): string {
    return this.server.httpUrl
  }

  /** What the simulated caller dials. */
  get target(): string {
    return `sip:${DID}@127.0.0.1:${this.server.sipPort}`
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.phone.close()
    await this.server.close()
    await this.bots.close()
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
