/**
 * Asks the REST side, at a rate or as fast as it answers. A process of its own (`fork`), because the phones of the load
 * run, whose time is what is measured, must not wait for it: the parent sends an Asking, any second message ends it, and
 * it replies with what it got.
 */
import { Agent, request } from 'node:http'
import { setPriority } from 'node:os'
import { every, systemClock, type Clock, type Timer } from '../lib/clock.ts'
import { LatencyHistogram } from './stats.ts'

export interface Ask {
  method: 'GET' | 'POST'
  path: string
  key?: string
  /** JSON. */
  body?: string
}

export interface Asking {
  port: number
  /** Asked in turn, over and over. */
  asks: Ask[]
  /** Absent: the next as soon as one is answered. */
  perSecond?: number
  /** Unanswered at once, at most. */
  lanes: number
}

export interface Asked {
  perSecond: number
  /** `200` and the like; `none`: no answer at all. */
  byStatus: Record<string, number>
  answerMs: { p50: number; p99: number }
}

const TICK_MS = 5
const TIMEOUT_MS = 10_000
/** Below the phones and the server: on a small machine the client takes what they leave. */
const NICE = 10

/** Sends one, gives its status; rejects when there was no answer. */
type Send = (ask: Ask) => Promise<number>

export class Asker {
  readonly #clock: Clock
  readonly #asking: Asking
  readonly #send: Send
  readonly #byStatus: Record<string, number> = {}
  readonly #answers = new LatencyHistogram()
  #startMs = 0
  #sent = 0
  #unanswered = 0
  #going = false
  #timer: Timer | undefined

  constructor(clock: Clock, asking: Asking, send: Send) {
    this.#clock = clock
    this.#asking = asking
    this.#send = send
  }

  start(): void {
    this.#startMs = this.#clock.now()
    this.#going = true
    if (this.#asking.perSecond !== undefined) this.#timer = every(this.#clock, TICK_MS, () => this.#fill())
    this.#fill()
  }

  /** What was answered until now; later answers do not count. */
  stop(): Asked {
    this.#going = false
    this.#timer?.cancel()
    const seconds = Math.max(0.001, (this.#clock.now() - this.#startMs) / 1000)
    const p = this.#answers.percentiles()
    return {
      perSecond: Math.round((this.#sent / seconds) * 10) / 10,
      byStatus: { ...this.#byStatus },
      answerMs: { p50: p?.p50 ?? 0, p99: p?.p99 ?? 0 },
    }
  }

  #fill(): void {
    const { asks, lanes, perSecond } = this.#asking
    const due =
      perSecond === undefined ? Infinity : Math.floor(((this.#clock.now() - this.#startMs) * perSecond) / 1000)
    while (this.#going && this.#unanswered < lanes && this.#sent < due) void this.#ask(asks[this.#sent++ % asks.length])
  }

  async #ask(ask: Ask): Promise<void> {
    this.#unanswered++
    const sentMs = this.#clock.now()
    const status = await this.#send(ask).then(String, () => 'none')
    this.#unanswered--
    if (!this.#going) return
    this.#byStatus[status] = (this.#byStatus[status] ?? 0) + 1
    this.#answers.record(this.#clock.now() - sentMs)
    this.#fill()
  }
}

function sender({ port, lanes }: Asking): Send {
  const agent = new Agent({ keepAlive: true, maxSockets: lanes })
  return ({ method, path, key, body }) =>
    new Promise((resolve, reject) => {
      const headers: Record<string, string> = {}
      if (key !== undefined) headers.authorization = `Bearer ${key}`
      if (body !== undefined) headers['content-type'] = 'application/json'
      const asked = request({ host: '127.0.0.1', port, agent, method, path, headers, timeout: TIMEOUT_MS }, (reply) => {
        reply.on('error', reject)
        reply.on('end', () => resolve(reply.statusCode ?? 0))
        reply.resume()
      })
      asked.on('timeout', () => asked.destroy(new Error('no answer in time')))
      asked.on('error', reject)
      asked.end(body)
    })
}

if (import.meta.main) {
  setPriority(NICE)
  process.on('disconnect', () => process.exit(0))
  process.once('message', (asking: Asking) => {
    const asker = new Asker(systemClock, asking, sender(asking))
    asker.start()
    process.once('message', () => process.send?.(asker.stop(), () => process.exit(0)))
  })
}
