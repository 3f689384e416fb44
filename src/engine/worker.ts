/**
 * The media side of the seam: owns one playout loop, one share of the RTP ports and the legs that were placed here. As
 * a thread entry (workerData says so) or inline in the control thread: the same class, commands in, events out.
 */
import type { Stop } from '../calls/ports.ts'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parentPort, workerData } from 'node:worker_threads'
import { checkEgress } from '../egress/egress.ts'
import type { LegId } from '../calls/ids.ts'
import { systemClock, type Clock } from '../lib/clock.ts'
import { DomainError, errorText } from '../lib/errors.ts'
import { Playout } from '../media/playout.ts'
import { PortPool } from '../rtp/port-pool.ts'
import { RtpSocket } from '../rtp/socket.ts'
import { createLog, type Log } from '../telemetry/log.ts'
import { LegSession, type LegHouse } from './leg-session.ts'
import type { Command, Event, FromWorker, WorkerOptions, WorkerStats } from './protocol.ts'
import { warmUp } from './warm-up.ts'

const SHUTDOWN: Stop = { reason: 'error', sipStatus: 500, q850: 41 }

export class MediaWorker {
  readonly #options: WorkerOptions
  readonly #post: (message: FromWorker) => void
  readonly #log: Log
  readonly #playout: Playout
  readonly #ports: PortPool
  readonly #legs = new Map<LegId, LegSession>()
  /** Legs whose socket is being bound; false: closed before it was. */
  readonly #opening = new Map<LegId, boolean>()
  readonly #closing = new Set<Promise<void>>()
  readonly #house: LegHouse
  readonly #loopDelay = monitorEventLoopDelay({ resolution: 20 })

  constructor(options: WorkerOptions, post: (message: FromWorker) => void, clock: Clock, log: Log) {
    this.#options = options
    this.#post = post
    this.#log = log
    this.#playout = new Playout(clock, (err) => log.error({ err }, 'playout slot failed'))
    this.#ports = new PortPool(options.rtp, options.rtp.quarantineMs, clock)
    this.#house = {
      clock,
      log,
      playout: this.#playout,
      recordingsDir: options.recordingsDir,
      promptsDir: options.promptsDir,
      resolve: (url) => checkEgress(url, 'bot', options.egress),
      emit: (event: Event) => post(event),
      fault: (legId, err) => this.#fault(legId, err),
      counts: { botSockets: 0, recordings: 0 },
    }
    warmUp()
    this.#playout.start()
    this.#loopDelay.enable()
  }

  /** Never throws: what goes wrong in a leg's command ends that leg. */
  handle(command: Command): void {
    switch (command.do) {
      case 'open':
        return void this.#open(command.request, command.legId)
      case 'stats':
        return this.#post({ reply: command.request, ok: true, value: this.#stats() })
      case 'shutdown':
        return void this.#shutdown(command.request)
      case 'crash':
        return queueMicrotask(() => {
          throw new Error('crash asked for')
        })
      case 'close':
        return this.#close(command.legId, command.stop)
      default:
    }
    const leg = this.#legs.get(command.legId)
    if (!leg) return
    try {
      this.#apply(leg, command)
    } catch (err) {
      this.#fault(command.legId, err)
    }
  }

  #apply(leg: LegSession, command: Exclude<Command, { do: 'open' | 'stats' | 'shutdown' | 'crash' | 'close' }>): void {
    switch (command.do) {
      case 'connect':
        return leg.connect(command.remote)
      case 'attachBot':
        return leg.attachBot(command.plan)
      case 'callProgress':
        return leg.callProgress(command.sipStatus)
      case 'callAnswered':
        return leg.callAnswered()
      case 'digit':
        return leg.digit(command.digit, command.durationMs)
      case 'held':
        return leg.held(command.held)
      case 'transferStatus':
        return leg.transferStatus(command.status)
      case 'recordingStatus':
        return leg.recordingStatus(command.status)
      case 'play':
        return leg.play(command.prompt)
      case 'pauseRecording':
        return leg.pauseRecording(command.paused)
      case 'stopRecording':
        return leg.stopRecording()
      case 'bridge': {
        const other = this.#legs.get(command.other)
        if (other && other !== leg) leg.bridge(other)
        else this.#log.warn({ legId: command.legId, other: command.other }, 'bridge: no such leg in this worker')
        return
      }
      case 'unbridge':
        return leg.unbridge()
      case 'detachBot':
        return leg.detachBot(command.stop)
      case 'record':
        return leg.record(command.plan)
    }
  }

  async #open(request: number, legId: LegId): Promise<void> {
    this.#opening.set(legId, true)
    try {
      const socket = await RtpSocket.openFrom(this.#ports, this.#options.rtp.host)
      if (this.#opening.get(legId) !== true) {
        await socket.close()
        this.#ports.release(socket.port)
        throw new DomainError('CONFLICT', 'The leg was closed while it was being opened.')
      }
      this.#legs.set(legId, new LegSession(legId, socket, this.#house))
      this.#post({ reply: request, ok: true, value: { host: this.#options.rtp.advertisedHost, port: socket.port } })
    } catch (err) {
      const code = err instanceof DomainError ? err.code : 'UNAVAILABLE'
      this.#post({ reply: request, ok: false, code, message: errorText(err) })
    } finally {
      this.#opening.delete(legId)
    }
  }

  #close(legId: LegId, stop: Stop): void {
    if (this.#opening.has(legId)) this.#opening.set(legId, false)
    const leg = this.#legs.get(legId)
    if (!leg) return
    this.#legs.delete(legId)
    const closing = leg
      .close(stop)
      .catch((err: unknown) => this.#log.error({ legId, err }, 'leg did not close cleanly'))
      .then(() => {
        this.#ports.release(leg.port)
        this.#closing.delete(closing)
      })
    this.#closing.add(closing)
  }

  #fault(legId: LegId, err: unknown): void {
    if (!this.#legs.has(legId)) return
    this.#log.error({ legId, err }, 'leg failed and is closed')
    this.#post({ on: 'crashed', legId, reason: errorText(err) })
    this.#close(legId, SHUTDOWN)
  }

  #stats(): WorkerStats {
    const d = this.#loopDelay
    // The histogram counts ns between samples that should be 20 ms apart.
    const ms = (ns: number): number => (Number.isFinite(ns) ? Math.max(0, ns / 1e6 - 20) : 0)
    const loopDelayMs = { mean: ms(d.mean), p99: ms(d.percentile(99)), max: ms(d.max) }
    d.reset()
    return {
      legs: this.#legs.size + this.#opening.size,
      botSockets: this.#house.counts.botSockets,
      recordings: this.#house.counts.recordings,
      ports: this.#ports.counts,
      playoutLatenessMs: this.#playout.takeMaxLatenessMs(),
      loopDelayMs,
      heapBytes: process.memoryUsage().heapUsed,
    }
  }

  async #shutdown(request: number): Promise<void> {
    for (const legId of [...this.#opening.keys(), ...this.#legs.keys()]) this.#close(legId, SHUTDOWN)
    await Promise.all(this.#closing)
    this.#playout.stop()
    this.#loopDelay.disable()
    this.#post({ reply: request, ok: true, value: undefined })
  }
}

// vitest runs tests in threads of its own: only our workerData makes this an entry.
const entry = workerData as { trunklineWorker?: WorkerOptions } | null
if (parentPort && entry?.trunklineWorker) {
  const port = parentPort
  const options = entry.trunklineWorker
  const worker = new MediaWorker(
    options,
    (m) => port.postMessage(m),
    systemClock,
    createLog(options.logLevel).child({ worker: options.index }),
  )
  port.on('message', (commands: Command[]) => {
    for (const command of commands) {
      worker.handle(command)
      if (command.do === 'shutdown') port.unref()
    }
  })
}
