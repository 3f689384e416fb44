/** A WebSocket server on a free loopback port for simulated bots: one object per connection, all of it counted. */
import { WebSocketServer, type WebSocket } from 'ws'
import { errorText } from '../lib/errors.ts'

/** One connection's bot. */
export interface BotConnection {
  text(message: string): void
  binary(frame: Buffer): void
  closed(): void
}

export class BotServer {
  readonly url: string
  readonly #server: WebSocketServer
  /** Socket errors seen, newest last, at most 20. */
  readonly errors: string[] = []
  #connections = 0

  private constructor(server: WebSocketServer, accept: (socket: WebSocket, peerPort: number) => BotConnection) {
    this.#server = server
    this.url = `ws://127.0.0.1:${(server.address() as { port: number }).port}/`
    server.on('error', (err) => this.#failed(err))
    server.on('connection', (socket, request) => {
      this.#connections++
      const bot = accept(socket, request.socket.remotePort ?? 0)
      socket.on('message', (data: Buffer, isBinary) => {
        if (isBinary) bot.binary(data)
        else bot.text(data.toString('utf8'))
      })
      socket.on('error', (err) => this.#failed(err))
      socket.on('close', () => bot.closed())
    })
  }

  static async listen(accept: (socket: WebSocket, peerPort: number) => BotConnection): Promise<BotServer> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: false, backlog: 1024 })
    await new Promise<void>((resolve, reject) => {
      server.once('listening', resolve)
      server.once('error', reject)
    })
    return new BotServer(server, accept)
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** Connections accepted since the start. */
  get connections(): number {
    return this.#connections
  }

  get open(): number {
    return this.#server.clients.size
  }

  close(): Promise<void> {
    for (const client of this.#server.clients) client.terminate()
    return new Promise((resolve) => {
      this.#server.close(() => resolve())
    })
  }

  #failed(err: unknown): void {
    this.errors.push(errorText(err))
    if (this.errors.length > 20) this.errors.shift()
  }
}
