import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer, type WebSocket } from 'ws'

export type Json = Record<string, unknown>

export interface FakeBotOptions {
  /** Sends caller audio straight back: as deltas, or as binary frames when it came so. */
  echo?: boolean
  /** Chosen when offered; absent: none is chosen. */
  subprotocol?: string
  /** Runs for each connection before anything is read. */
  onConnection?(talk: Conversation): void
  /** Answers each text message. */
  onMessage?(message: Json, talk: Conversation): void
  /** False: WebSocket pings stay unanswered. */
  autoPong?: boolean
  /** Refuses the handshake with this status. */
  refuse?: number
}

/** One call's socket as the bot sees it: everything that came, and ways to wait for more. */
export class Conversation {
  readonly socket: WebSocket
  readonly request: IncomingMessage
  readonly messages: Json[] = []
  /** Binary frames. */
  readonly frames: Buffer[] = []
  closed: { code: number; reason: string } | undefined
  #waiting: { check: () => boolean; resolve: () => void }[] = []

  constructor(socket: WebSocket, request: IncomingMessage, options: FakeBotOptions) {
    this.socket = socket
    this.request = request
    socket.on('message', (data: Buffer, isBinary) => {
      if (isBinary) {
        this.frames.push(data)
        if (options.echo) socket.send(data)
      } else {
        const message = JSON.parse(data.toString()) as Json
        this.messages.push(message)
        if (options.echo && message.type === 'media') this.say((message.media as Json).payload as string)
        options.onMessage?.(message, this)
      }
      this.#look()
    })
    socket.on('close', (code, reason) => {
      this.closed = { code, reason: reason.toString() }
      this.#look()
    })
    socket.on('error', () => undefined)
  }

  send(message: Json | string): void {
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  }

  /** Audio, as base64 or bytes. */
  say(audio: string | Uint8Array, more: Json = {}): void {
    const delta = typeof audio === 'string' ? audio : Buffer.from(audio).toString('base64')
    this.send({ type: 'response.audio.delta', delta, ...more })
  }

  of(type: string): Json[] {
    return this.messages.filter((m) => (m.type ?? m.event) === type)
  }

  /** All caller audio so far, from text and binary frames. */
  heard(): Buffer {
    return Buffer.concat([
      ...this.of('media').map((m) => Buffer.from((m.media as Json).payload as string, 'base64')),
      ...this.frames,
    ])
  }

  /** Resolves once `check` holds; looked at after each arrival. */
  until(check: () => boolean): Promise<void> {
    if (check()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ check, resolve }))
  }

  /** The `n`th message of that type (1 = first), now or later. */
  async next(type: string, n = 1): Promise<Json> {
    await this.until(() => this.of(type).length >= n)
    return this.of(type)[n - 1]
  }

  async ended(): Promise<{ code: number; reason: string }> {
    await this.until(() => this.closed !== undefined)
    return this.closed!
  }

  #look(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const w of waiting)
      if (w.check()) w.resolve()
      else this.#waiting.push(w)
  }
}

/** A WebSocket bot on loopback. `await using` closes it. */
export class FakeBot {
  readonly #server: WebSocketServer
  readonly conversations: Conversation[] = []
  #waiting: ((talk: Conversation) => void)[] = []

  private constructor(server: WebSocketServer, options: FakeBotOptions) {
    this.#server = server
    server.on('connection', (socket, request) => {
      const talk = new Conversation(socket, request, options)
      this.conversations.push(talk)
      options.onConnection?.(talk)
      for (const resolve of this.#waiting.splice(0)) resolve(talk)
    })
  }

  static async listen(options: FakeBotOptions = {}): Promise<FakeBot> {
    const server = new WebSocketServer({
      host: '127.0.0.1',
      port: 0,
      perMessageDeflate: false,
      autoPong: options.autoPong ?? true,
      handleProtocols: (offered) =>
        options.subprotocol !== undefined && offered.has(options.subprotocol) ? options.subprotocol : false,
      ...(options.refuse === undefined ? {} : { verifyClient: (_info, done) => done(false, options.refuse) }),
    })
    await once(server, 'listening')
    return new FakeBot(server, options)
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/bot`
  }

  /** The first conversation, now or when it comes; afterwards use `conversations`. */
  conversation(): Promise<Conversation> {
    if (this.conversations.length > 0) return Promise.resolve(this.conversations.at(-1)!)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async close(): Promise<void> {
    for (const client of this.#server.clients) client.terminate()
    await new Promise<void>((resolve) => this.#server.close(() => resolve()))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
