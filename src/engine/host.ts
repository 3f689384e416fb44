/**
 * The control side of the seam: places legs on workers, forwards the commands of MediaPlane, folds what workers count
 * into the metrics, and survives the death of a worker. With 0 workers the same engine runs inline.
 */
import { Worker } from 'node:worker_threads'
import type { LegId } from '../calls/ids.ts'
import type {
  Stop,
  TransferStatus,
  BotPlan,
  LegMediaStats,
  MediaAddress,
  MediaEvent,
  MediaPlane,
  RecordPlan,
  RecordingStatus,
  RemoteMedia,
} from '../calls/ports.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import { DomainError, errorText } from '../lib/errors.ts'
import { portShare } from '../rtp/port-pool.ts'
import type { Log } from '../telemetry/log.ts'
import { metrics } from '../telemetry/metrics.ts'
import type { BotSummary, Command, FromWorker, Reply, WorkerOptions, WorkerStats } from './protocol.ts'
import { MediaWorker } from './worker.ts'

export interface EngineOptions {
  clock: Clock
  log: Log
  /** Threads; 0: inline in this one. */
  workers: number
  rtp: { host: string; advertisedHost: string; first: number; last: number; quarantineMs: number }
  recordingsDir: string
  promptsDir: string
  egress: { allowInsecure: boolean; ownAddresses?: string[] }
}

export interface EngineStats {
  legs: number
  botSockets: number
  recordings: number
  workers: (WorkerStats & { index: number })[]
}

/** A worker that dies sooner than this after its start is not started again at once. */
const SHORT_LIFE_MS = 5000
const RESTART_PAUSE_MS = 1000
const SHUTDOWN_MS = 5000

interface Pending {
  resolve(value: MediaAddress | WorkerStats | undefined): void
  reject(err: DomainError): void
}

interface Seat {
  readonly index: number
  readonly options: WorkerOptions
  readonly legs: Set<LegId>
  readonly pending: Map<number, Pending>
  /** Commands of this turn, not yet posted. */
  readonly outbox: Command[]
  thread: Worker | undefined
  inline: MediaWorker | undefined
  alive: boolean
  startedAtMs: number
  restart: Timer | undefined
}

export class EngineHost implements MediaPlane {
  readonly #options: EngineOptions
  readonly #seats: Seat[]
  readonly #placed = new Map<LegId, Seat>()
  #listener: (event: MediaEvent) => void = () => undefined
  #request = 0
  #closing = false

  constructor(options: EngineOptions) {
    this.#options = options
    const n = Math.max(1, options.workers)
    this.#seats = Array.from({ length: n }, (_, index) => ({
      index,
      options: {
        index,
        rtp: { ...options.rtp, ...portShare(options.rtp, index, n) },
        recordingsDir: options.recordingsDir,
        promptsDir: options.promptsDir,
        egress: options.egress,
        logLevel: options.log.level,
      },
      legs: new Set<LegId>(),
      pending: new Map<number, Pending>(),
      outbox: [],
      thread: undefined,
      inline: undefined,
      alive: false,
      startedAtMs: 0,
      restart: undefined,
    }))
  }

  /** Resolves when every worker answers. */
  async start(): Promise<void> {
    for (const seat of this.#seats) this.#spawn(seat)
    await this.stats()
  }

  /** Ends every leg and every worker. Bot sockets have been told; a worker that hangs is ended by force. */
  async shutdown(): Promise<void> {
    this.#closing = true
    await Promise.all(
      this.#seats.map(async (seat) => {
        seat.restart?.cancel()
        if (!seat.alive) return
        const limit = this.#options.clock.after(SHUTDOWN_MS, () => this.#rejectAll(seat, 'did not shut down'))
        await this.#ask(seat, (request) => ({ do: 'shutdown', request })).catch((err: unknown) =>
          this.#options.log.warn({ worker: seat.index, err }, 'media worker did not shut down cleanly'),
        )
        limit.cancel()
        seat.alive = false
        await seat.thread?.terminate()
        seat.thread = seat.inline = undefined
      }),
    )
  }

  /** Looks at every worker; also sets the gauges. */
  async stats(): Promise<EngineStats> {
    const answers = await Promise.all(
      this.#seats.map(async (seat) => {
        if (!seat.alive) return undefined
        const value = await this.#ask(seat, (request) => ({ do: 'stats', request })).catch(() => undefined)
        return value && 'legs' in value ? { ...value, index: seat.index } : undefined
      }),
    )
    const workers = answers.filter((w) => w !== undefined)
    const sum = (of: (w: WorkerStats) => number): number => workers.reduce((n, w) => n + of(w), 0)
    for (const w of workers) metrics.mediaLoopDelay.set({ worker: String(w.index) }, w.playoutLatenessMs / 1000)
    metrics.rtpPortsInUse.set(
      { state: 'open' },
      sum((w) => w.ports.used),
    )
    metrics.rtpPortsInUse.set(
      { state: 'quarantine' },
      sum((w) => w.ports.resting),
    )
    return {
      legs: sum((w) => w.legs),
      botSockets: sum((w) => w.botSockets),
      recordings: sum((w) => w.recordings),
      workers,
    }
  }

  // ── MediaPlane ─────────────────────────────────────────────────────────────────────────────────────────────────

  onEvent(listener: (event: MediaEvent) => void): void {
    this.#listener = listener
  }

  async open(legId: LegId, near?: LegId): Promise<MediaAddress> {
    if (this.#closing) throw new DomainError('DRAINING')
    if (this.#placed.has(legId)) throw new DomainError('CONFLICT', `leg ${legId} is open already`)
    const seat = (near === undefined ? undefined : this.#placed.get(near)) ?? this.#leastLoaded()
    if (!seat?.alive)
      throw new DomainError('UNAVAILABLE', 'no media worker is running', { retryAfterMs: RESTART_PAUSE_MS })
    this.#placed.set(legId, seat)
    seat.legs.add(legId)
    try {
      return (await this.#ask(seat, (request) => ({ do: 'open', request, legId }))) as MediaAddress
    } catch (err) {
      this.#forget(legId)
      throw err
    }
  }

  connect(legId: LegId, remote: RemoteMedia): void {
    this.#send({ do: 'connect', legId, remote })
  }
  attachBot(legId: LegId, plan: BotPlan): void {
    this.#send({ do: 'attachBot', legId, plan })
  }
  callProgress(legId: LegId, sipStatus: number): void {
    this.#send({ do: 'callProgress', legId, sipStatus })
  }
  callAnswered(legId: LegId): void {
    this.#send({ do: 'callAnswered', legId })
  }
  digit(legId: LegId, digit: string, durationMs: number): void {
    this.#send({ do: 'digit', legId, digit, durationMs })
  }
  held(legId: LegId, held: boolean): void {
    this.#send({ do: 'held', legId, held })
  }
  transferStatus(legId: LegId, status: TransferStatus): void {
    this.#send({ do: 'transferStatus', legId, status })
  }
  recordingStatus(legId: LegId, status: RecordingStatus): void {
    this.#send({ do: 'recordingStatus', legId, status })
  }
  play(legId: LegId, prompt: string): void {
    this.#send({ do: 'play', legId, prompt })
  }
  bridge(legId: LegId, other: LegId): void {
    if (this.#placed.get(legId) !== this.#placed.get(other)) {
      // A mistake of the caller: `open(other, near)` would have put them together.
      this.#options.log.error({ legId, other }, 'bridge: the legs are in different workers')
      return
    }
    this.#send({ do: 'bridge', legId, other })
  }
  unbridge(legId: LegId): void {
    this.#send({ do: 'unbridge', legId })
  }
  detachBot(legId: LegId, stop: Stop): void {
    this.#send({ do: 'detachBot', legId, stop })
  }
  record(legId: LegId, plan: RecordPlan): void {
    this.#send({ do: 'record', legId, plan })
  }
  pauseRecording(legId: LegId, paused: boolean): void {
    this.#send({ do: 'pauseRecording', legId, paused })
  }
  stopRecording(legId: LegId): void {
    this.#send({ do: 'stopRecording', legId })
  }
  close(legId: LegId, stop: Stop): void {
    this.#send({ do: 'close', legId, stop })
  }

  /** For the test of what happens then: the worker dies of an uncaught error. */
  crash(index: number): void {
    this.#seats[index].thread?.postMessage([{ do: 'crash' }] satisfies Command[])
  }

  // ── Workers ────────────────────────────────────────────────────────────────────────────────────────────────────

  #leastLoaded(): Seat | undefined {
    let best: Seat | undefined
    for (const seat of this.#seats) if (seat.alive && (!best || seat.legs.size < best.legs.size)) best = seat
    return best
  }

  #spawn(seat: Seat): void {
    const { clock, log } = this.#options
    seat.restart = undefined
    seat.alive = true
    seat.startedAtMs = clock.now()
    if (this.#options.workers === 0) {
      // Events come a microtask later, as from a thread: nobody is called from within his own call.
      const post = (message: FromWorker): void => queueMicrotask(() => this.#received(seat, message))
      seat.inline = new MediaWorker(seat.options, post, clock, log)
      return
    }
    const thread = new Worker(new URL('./worker.ts', import.meta.url), {
      name: `media-${seat.index}`,
      workerData: { trunklineWorker: seat.options },
      execArgv: [],
    })
    seat.thread = thread
    let reason = 'exited'
    thread.on('message', (message: FromWorker) => this.#received(seat, message))
    thread.on('messageerror', (err) => log.error({ worker: seat.index, err }, 'unreadable message from a media worker'))
    thread.on('error', (err: unknown) => (reason = errorText(err)))
    thread.on('exit', (code) => {
      if (seat.thread === thread) this.#died(seat, `${reason} (${code})`)
    })
  }

  #died(seat: Seat, reason: string): void {
    const { clock, log } = this.#options
    seat.alive = false
    seat.thread = undefined
    seat.outbox.length = 0
    this.#rejectAll(seat, reason)
    if (this.#closing) return
    log.error({ worker: seat.index, legs: seat.legs.size, reason }, 'media worker died')
    metrics.mediaWorkerRestarts.inc()
    const legs = [...seat.legs]
    for (const legId of legs) this.#forget(legId)
    const shortLived = clock.now() - seat.startedAtMs < SHORT_LIFE_MS
    if (shortLived) seat.restart = clock.after(RESTART_PAUSE_MS, () => this.#spawn(seat))
    else this.#spawn(seat)
    for (const legId of legs) this.#tell({ on: 'crashed', legId, reason: `media worker ${seat.index} died: ${reason}` })
  }

  #rejectAll(seat: Seat, reason: string): void {
    const pending = [...seat.pending.values()]
    seat.pending.clear()
    for (const p of pending) p.reject(new DomainError('UNAVAILABLE', `media worker ${seat.index}: ${reason}`))
  }

  #ask(seat: Seat, command: (request: number) => Command): Promise<MediaAddress | WorkerStats | undefined> {
    const request = ++this.#request
    return new Promise((resolve, reject) => {
      seat.pending.set(request, { resolve, reject })
      this.#post(seat, command(request))
    })
  }

  #send(command: Exclude<Command, { request: number } | { do: 'crash' }>): void {
    const seat = this.#placed.get(command.legId)
    if (seat?.alive) this.#post(seat, command)
  }

  /**
   * Commands of one turn travel as one message and are handled in one turn over there: no playout slot falls between
   * `connect` and `callAnswered`, so the first packet after an answer already carries the bot's opening words.
   */
  #post(seat: Seat, command: Command): void {
    if (seat.inline) return seat.inline.handle(command)
    seat.outbox.push(command)
    if (seat.outbox.length > 1) return
    queueMicrotask(() => seat.thread?.postMessage(seat.outbox.splice(0)))
  }

  #forget(legId: LegId): void {
    this.#placed.get(legId)?.legs.delete(legId)
    this.#placed.delete(legId)
  }

  // ── From a worker ──────────────────────────────────────────────────────────────────────────────────────────────

  #received(seat: Seat, message: FromWorker): void {
    if ('reply' in message) return this.#settle(seat, message)
    if (message.on === 'botSummary') return countBot(message.summary)
    if (message.on === 'closed') {
      countLeg(message.stats)
      this.#forget(message.legId)
    }
    this.#tell(message)
  }

  #settle(seat: Seat, reply: Reply): void {
    const pending = seat.pending.get(reply.reply)
    if (!pending) return
    seat.pending.delete(reply.reply)
    if (reply.ok) pending.resolve(reply.value)
    else pending.reject(new DomainError(reply.code, reply.message))
  }

  #tell(event: MediaEvent): void {
    try {
      this.#listener(event)
    } catch (err) {
      this.#options.log.error({ err, on: event.on, legId: event.legId }, 'media event was not handled')
    }
  }
}

function countBot(summary: BotSummary): void {
  metrics.botSessions.inc({ end: summary.end })
  if (summary.connectMs !== undefined) metrics.botConnect.observe(summary.connectMs / 1000)
  if (summary.firstAudioMs !== undefined) metrics.firstAudio.observe(summary.firstAudioMs / 1000)
  if (summary.droppedToBotMs > 0) metrics.botDroppedMs.inc(summary.droppedToBotMs)
  if (summary.reconnects > 0) metrics.botReconnects.inc(summary.reconnects)
  if (summary.caughtUpMs > 0) metrics.botCaughtUpMs.inc(summary.caughtUpMs)
  for (const [code, n] of Object.entries(summary.errors)) metrics.botErrors.inc({ code }, n)
}

function countLeg(stats: LegMediaStats): void {
  metrics.rtpPackets.inc({ direction: 'rx', kind: 'received' }, stats.rxPackets)
  metrics.rtpPackets.inc({ direction: 'rx', kind: 'lost' }, stats.rxLost)
  metrics.rtpPackets.inc({ direction: 'rx', kind: 'late' }, stats.rxLate)
  metrics.rtpPackets.inc({ direction: 'rx', kind: 'dropped' }, stats.rxDropped)
  metrics.rtpPackets.inc({ direction: 'tx', kind: 'sent' }, stats.txPackets)
  if (stats.rxPackets > 0) metrics.rtpJitter.observe(stats.jitterMs / 1000)
}
