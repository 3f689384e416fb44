import { join, resolve } from 'node:path'
import { applyBootstrap } from './accounts/bootstrap.ts'
import { MemoryDirectory } from './accounts/directory.ts'
import { AccountService } from './accounts/service.ts'
import type { Core, Health } from './api/core.ts'
import { dialScheduled } from './api/dial.ts'
import { buildServer, type ApiServer } from './api/server.ts'
import { BotService } from './bots/service.ts'
import { noteLate } from './calls/late.ts'
import { CallService } from './calls/service.ts'
import type { Config } from './config.ts'
import { parseTarget } from './egress/egress.ts'
import { parseHeaders } from './egress/headers.ts'
import { EngineHost } from './engine/host.ts'
import type { Clock } from './lib/clock.ts'
import { advertisableAddress } from './lib/interfaces.ts'
import { NumberService } from './numbers/service.ts'
import { finishCapture, unfinishedCaptures } from './recordings/finish.ts'
import { RecordingService, type LeftOvers } from './recordings/service.ts'
import { ScheduleService } from './schedules/service.ts'
import { SipGateway } from './sip/gateway.ts'
import { openStorage, type Storage } from './storage/index.ts'
import type { Log } from './telemetry/log.ts'
import { TrunkService } from './trunks/service.ts'

export interface RunningServer {
  readonly httpUrl: string
  readonly sipPort: number
  /** The admin key, when this start generated it: it is shown once. */
  readonly newAdminKey: string | undefined
  readonly core: Core
  readonly calls: CallService
  readonly recordings: RecordingService
  readonly engine: EngineHost
  readonly gateway: SipGateway
  readonly storage: Storage
  /** Takes no new calls, lets the live ones end (at most `limitMs`), then closes. */
  drain(limitMs: number): Promise<void>
  /** Ends what lives, at once. Idempotent. */
  close(): Promise<void>
}

/**
 * The composition, by hand and in order: storage ─▶ configuration ─▶ engine ─▶ SIP ─▶ calls ─▶ what a crash left ─▶
 * API ─▶ SIP is opened last, when everything behind it is there.
 */
export async function startServer(config: Config, clock: Clock, log: Log): Promise<RunningServer> {
  const advertisedHost = config.advertisedHost ?? advertisableAddress(config.sipHost)
  if (!advertisedHost)
    throw new Error('TRUNKLINE_ADVERTISED_HOST is needed: this machine has no address of its own to name')
  const dataDir = resolve(config.dataDir)
  const recordingsDir = join(dataDir, 'recordings')
  const storage = await openStorage({ dataDir, databaseUrl: config.databaseUrl, clock, log })
  const closers: (() => Promise<unknown>)[] = [() => storage.close()]
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => (closing ??= closeAll(closers, log))

  try {
    const engine = new EngineHost({
      clock,
      log,
      workers: config.mediaWorkers,
      rtp: { host: config.sipHost, advertisedHost, ...config.rtpPorts, quarantineMs: config.rtpQuarantineMs },
      recordingsDir,
      promptsDir: resolve(config.promptsDir),
      egress: { allowInsecure: config.allowInsecureBots },
    })
    closers.unshift(() => engine.shutdown())
    await engine.start()

    const directory = new MemoryDirectory(storage)
    const gateway = new SipGateway({
      clock,
      log,
      host: config.sipHost,
      port: config.sipPort,
      advertisedHost,
      // One carrier may serve several accounts from the same addresses: the number tells whose call it is.
      chooseTrunk: (trunkIds, number) => trunkIds.find((id) => directory.inboundRoute(id, number)),
    })
    closers.unshift(() => gateway.close())

    const changed = async (): Promise<void> => {
      await directory.reload()
      gateway.setTrunks([...directory.trunks])
    }
    const services = configurationServices(config, storage, changed, clock, log)
    const newAdminKey = await services.accounts.prepareAdminKey(config.adminKey)
    if (config.bootstrap) await applyBootstrap(config.bootstrap, services)
    await changed()

    const recordings = new RecordingService({
      dir: recordingsDir,
      store: storage.recordings,
      files: { finishCapture, unfinishedCaptures },
      digest: (text) => storage.vault.digest(text),
      clock,
      log,
    })
    await storage.recover()
    const leftOvers = await recordings.leftOvers()
    const { journal, logIds, nodeId } = storage
    const calls = new CallService(
      {
        clock,
        log,
        signaling: gateway,
        media: engine,
        journal,
        directory,
        logIds,
        recordings,
        nodeId,
        maxCalls: config.maxCalls,
      },
      storage.calls,
    )
    const schedules = new ScheduleService({
      store: storage.schedules,
      logIds,
      callExists: (ctx, callId) => storage.callExists(ctx, callId),
      clock,
      log,
    })
    let draining = false
    let listening = false
    const core: Core = {
      clock,
      log,
      settings: { publicUrl: config.publicUrl, defaultRegion: config.defaultRegion, defaultZone: config.defaultZone },
      calls,
      reads: calls.reads,
      ...services,
      schedules,
      recordings,
      idempotency: storage.idempotency,
      readGauges: () => engine.stats(),
      health: async () => health({ sip: listening, database: storage.ready(), draining }),
    }
    const app = await buildServer(core)
    closers.unshift(() => app.close())
    await gateway.listen()
    listening = true
    await schedules.start((due) => dialScheduled(core, due))
    const httpUrl = await listenHttp(app, config)
    // The calls that a crash cut off have their terminal records; their recordings may take longer than a start should.
    const finishing = finishRecordings(leftOvers, recordings, storage, clock).catch((err: unknown) =>
      log.error({ err }, 'recordings of an earlier run could not be finished'),
    )
    closers.unshift(
      () => endCalls(calls),
      () => finishing,
    )
    log.info(
      { http: httpUrl, sip: `${config.sipHost}:${gateway.port}`, advertisedHost, workers: config.mediaWorkers },
      'Trunkline is up',
    )

    return {
      httpUrl,
      sipPort: gateway.port,
      newAdminKey,
      core,
      calls,
      recordings,
      engine,
      gateway,
      storage,
      async drain(limitMs) {
        draining = true
        gateway.drain()
        await calls.drain(limitMs)
        await close()
      },
      close,
    }
  } catch (err) {
    await close()
    throw err
  }
}

/** Finishes what an earlier run was recording when it died, and tells the calls. */
async function finishRecordings(
  leftOvers: LeftOvers,
  recordings: RecordingService,
  storage: Storage,
  clock: Clock,
): Promise<void> {
  const world = { journal: storage.journal, store: storage.calls, clock }
  for (const r of await recordings.recover(leftOvers))
    await noteLate(
      world,
      r,
      r.callId,
      r.ready
        ? { type: 'recordingFinished', recordingId: r.id, durationMs: r.durationMs, bytes: r.bytes }
        : { type: 'recordingFailed', recordingId: r.id, reason: r.reason },
    )
}

function configurationServices(
  config: Config,
  storage: Storage,
  changed: () => Promise<void>,
  clock: Clock,
  log: Log,
): Pick<Core, 'bots'> & { accounts: AccountService; trunks: TrunkService; numbers: NumberService; bots: BotService } {
  const accounts = new AccountService({
    accounts: storage.accounts,
    keys: storage.keys,
    instance: storage.instance,
    hasher: storage.vault,
    clock,
    log,
  })
  const trunks = new TrunkService({ store: storage.trunks, changed, clock })
  const bots = new BotService({
    store: storage.bots,
    checkUrl: (url) => void parseTarget(url, 'bot', { allowInsecure: config.allowInsecureBots }),
    checkHeaders: (headers) => void parseHeaders(headers),
    changed,
    clock,
  })
  const numbers = new NumberService({
    store: storage.numbers,
    trunkExists: async (ctx, id) => (await storage.trunks.get(ctx, id)) !== undefined,
    botExists: async (ctx, id) => (await storage.bots.get(ctx, id)) !== undefined,
    changed,
    clock,
    region: config.defaultRegion,
  })
  return { accounts, trunks, bots, numbers }
}

async function listenHttp(app: ApiServer, config: Config): Promise<string> {
  const address = await app.listen({ host: config.httpHost, port: config.httpPort })
  return address.replace('0.0.0.0', '127.0.0.1').replace('[::]', '127.0.0.1')
}

function health(parts: { sip: boolean; database: boolean; draining: boolean }): Health {
  return {
    ready: parts.sip && parts.database && !parts.draining,
    checks: {
      sip: parts.sip ? 'ok' : 'not listening',
      database: parts.database ? 'ok' : 'does not answer, or call records lag',
      draining: parts.draining ? 'shutting down' : 'ok',
    },
  }
}

/** How long hang-ups may take on the wire before the sockets close, ms. */
const GOODBYE_MS = 2000

async function endCalls(calls: CallService): Promise<void> {
  calls.refuseNew()
  calls.endAll()
  await calls.settledWithin(GOODBYE_MS)
}

/** In order, each whatever became of the one before. */
async function closeAll(closers: (() => Promise<unknown>)[], log: Log): Promise<void> {
  for (const close of closers)
    try {
      await close()
    } catch (err) {
      log.error({ err }, 'while closing')
    }
}
