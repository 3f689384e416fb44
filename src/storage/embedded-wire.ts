import { chmodSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'

/**
 * PostgreSQL's wire protocol on a Unix socket in front of one PGlite. PGlite is a single session: what one connection
 * sends between two points of rest must reach it unmixed, or a Bind meets another connection's unnamed statement and
 * answers with its rows. (`@electric-sql/pglite-socket` 0.2.17 queues message by message and mixes them as soon as a
 * Bind exceeds one socket read of 64 KiB: test/storage/embedded.test.ts.) So messages are gathered up to Sync or Query,
 * and a connection keeps the session until its transaction ends.
 *
 *   conn A  P B D E S ──▶┐
 *   conn B  Q ──────────▶│ #queue of units ──▶ execRaw (one unit at a time; while a transaction is open, its owner's)
 *   conn C  P B… (not yet whole: waits outside)
 */
export interface WireBackend {
  /** Runs protocol messages; what comes back goes to `onData`, valid only during the call. */
  exec(messages: Uint8Array, onData: (data: Uint8Array) => void): Promise<void>
  isInTransaction(): boolean
}

const STARTUP_MIN = 8
const SSL_REQUEST = 80877103
const GSS_REQUEST = 80877104
const CANCEL_REQUEST = 80877102
const QUERY = 0x51
const SYNC = 0x53
const FLUSH = 0x48
const TERMINATE = 0x58
// COPY and function calls are not served: nothing here uses them.
const ENDS_UNIT = new Set([QUERY, SYNC, FLUSH])

// Nothing of ours comes near; a broken client must not fill the memory.
const MAX_UNIT_BYTES = 64 * 1024 * 1024
const ROLLBACK = Buffer.from('Q\0\0\0\x0dROLLBACK\0', 'latin1')
const SYNC_MESSAGE = Buffer.from('S\0\0\0\x04', 'latin1')

interface Unit {
  owner: Connection
  bytes: Buffer
  /** The session rests after it: no half-sent extended query. */
  rests: boolean
}

export class WireServer {
  readonly #backend: WireBackend
  readonly #onError: (err: unknown) => void
  readonly #server: Server
  readonly #connections = new Set<Connection>()
  #queue: Unit[] = []
  /** Whose transaction or extended query is open. */
  #owner: Connection | undefined
  #busy: Promise<void> | undefined

  constructor(backend: WireBackend, onError: (err: unknown) => void) {
    this.#backend = backend
    this.#onError = onError
    this.#server = createServer((socket) => this.#accept(socket))
  }

  async listen(path: string): Promise<void> {
    // The directory is locked by us: a socket file that is there is a dead process's.
    rmSync(path, { force: true })
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(path, resolve)
    })
    this.#server.on('error', this.#onError)
    chmodSync(path, 0o600)
  }

  /** Finishes the unit under way, then drops every connection. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()))
    this.#queue = []
    await this.#busy
    for (const connection of this.#connections) connection.destroy()
    await closed
  }

  #accept(socket: Socket): void {
    const connection = new Connection(socket, (bytes, rests) => {
      this.#queue.push({ owner: connection, bytes, rests })
      this.#wake()
    })
    this.#connections.add(connection)
    socket.on('error', this.#onError)
    socket.on('close', () => {
      this.#connections.delete(connection)
      this.#queue = this.#queue.filter((unit) => unit.owner !== connection)
      connection.gone = true
      this.#wake()
    })
  }

  #wake(): void {
    this.#busy ??= this.#work().finally(() => {
      this.#busy = undefined
    })
  }

  async #work(): Promise<void> {
    for (;;) {
      const owner = this.#owner
      if (owner?.gone) {
        await this.#abandon()
        continue
      }
      const at = owner ? this.#queue.findIndex((unit) => unit.owner === owner) : 0
      const unit = this.#queue[at]
      if (!unit) return
      this.#queue.splice(at, 1)
      try {
        await this.#backend.exec(unit.bytes, (data) => unit.owner.send(data))
      } catch (err) {
        this.#onError(err)
        unit.owner.destroy()
      }
      this.#owner = unit.rests && !this.#backend.isInTransaction() ? undefined : unit.owner
    }
  }

  /** The owner has gone in the middle: the session is brought to rest for the others. */
  async #abandon(): Promise<void> {
    this.#owner = undefined
    try {
      await this.#backend.exec(SYNC_MESSAGE, () => undefined)
      if (this.#backend.isInTransaction()) await this.#backend.exec(ROLLBACK, () => undefined)
    } catch (err) {
      this.#onError(err)
    }
  }
}

class Connection {
  readonly #socket: Socket
  readonly #onUnit: (bytes: Buffer, rests: boolean) => void
  #chunks: Buffer[] = []
  #bytes = 0
  /** Bytes at the front that are whole messages. */
  #scanned = 0
  #started = false
  gone = false

  constructor(socket: Socket, onUnit: (bytes: Buffer, rests: boolean) => void) {
    this.#socket = socket
    this.#onUnit = onUnit
    socket.on('data', (chunk: Buffer) => this.#take(chunk))
  }

  send(data: Uint8Array): void {
    // PGlite reuses the memory behind `data`.
    if (!this.gone && this.#socket.writable) this.#socket.write(Buffer.from(data))
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes > MAX_UNIT_BYTES) return this.destroy()
    // Concatenate only when the message that we wait for can be whole.
    let all = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks)
    if (!this.#started) all = this.#start(all)
    for (let end = this.#messageEnd(all, this.#scanned); end > 0; end = this.#messageEnd(all, this.#scanned)) {
      const type = all[this.#scanned]
      if (type === TERMINATE) return this.destroy()
      this.#scanned = end
      if (!ENDS_UNIT.has(type)) continue
      this.#onUnit(all.subarray(0, end), type !== FLUSH)
      all = all.subarray(end)
      this.#scanned = 0
    }
    this.#chunks = all.length ? [all] : []
    this.#bytes = all.length
  }

  /** End of the message at `at`, or 0 while it is not whole. One type byte, then the length without it. */
  #messageEnd(all: Buffer, at: number): number {
    if (!this.#started || all.length < at + 5) return 0
    const end = at + 1 + all.readUInt32BE(at + 1)
    return end > at + 4 && end <= all.length ? end : 0
  }

  /** The messages without type byte that open a connection. */
  #start(all: Buffer): Buffer {
    while (!this.#started && all.length >= STARTUP_MIN) {
      const length = all.readUInt32BE(0)
      const code = all.readUInt32BE(4)
      if (code === CANCEL_REQUEST || length < STARTUP_MIN) {
        this.destroy()
        return all.subarray(all.length)
      }
      if (all.length < length) break
      if (code === SSL_REQUEST || code === GSS_REQUEST) this.send(Buffer.from('N'))
      else {
        this.#started = true
        this.#onUnit(all.subarray(0, length), true)
      }
      all = all.subarray(length)
    }
    return all
  }
}
