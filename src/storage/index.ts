import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { AccountContext } from '../calls/ports.ts'
import { every, type Clock, type Timer } from '../lib/clock.ts'
import { hexToken } from '../lib/ids.ts'
import type { Log } from '../telemetry/log.ts'
import { SqlAccountStore, SqlInstanceStore } from './account-store.ts'
import { SqlBotStore } from './bot-store.ts'
import { SqlCallStore } from './call-store.ts'
import { migrate, openDatabase, ping, type Database, type DatabaseTarget } from './database.ts'
import { EmbeddedDatabase } from './embedded.ts'
import { IdempotencyStore } from './idempotency-store.ts'
import { Jobs } from './jobs.ts'
import { FileJournal } from './journal.ts'
import { SqlKeyStore } from './key-store.ts'
import { lockDirectory, type DataLock } from './lock.ts'
import { BlockLogIds } from './log-ids.ts'
import { SqlNumberStore } from './number-store.ts'
import { Projector } from './projector.ts'
import { SqlRecordingStore } from './recording-store.ts'
import { AliveStamp, recoverCalls, type Recovery } from './recovery.ts'
import { SqlScheduleStore } from './schedule-store.ts'
import { SqlTrunkStore } from './trunk-store.ts'
import { Vault } from './vault.ts'

export { DirectoryInUse } from './lock.ts'

export interface StorageOptions {
  dataDir: string
  /** PostgreSQL to use; absent: the embedded database in the data directory. */
  databaseUrl?: string
  clock: Clock
  log: Log
  /** Default: made once and kept in the data directory. */
  nodeId?: string
}

const PING_MS = 2000
const PURGE_MS = 3_600_000

/**
 * Everything that is kept: opened in the one right order, closed in the other.
 *
 *   lock ─▶ secret key ─▶ embedded database ─▶ migrations ─▶ journal ─▶ projector catches up ─▶ (recover) ─▶ stores
 */
export class Storage {
  readonly nodeId: string
  readonly journal: FileJournal
  readonly projector: Projector
  readonly calls: SqlCallStore
  readonly accounts: SqlAccountStore
  readonly keys: SqlKeyStore
  readonly instance: SqlInstanceStore
  readonly trunks: SqlTrunkStore
  readonly numbers: SqlNumberStore
  readonly bots: SqlBotStore
  readonly recordings: SqlRecordingStore
  readonly schedules: SqlScheduleStore
  readonly idempotency: IdempotencyStore
  readonly jobs: Jobs
  readonly logIds: BlockLogIds
  /** The key hasher of the account service. */
  readonly vault: Vault

  readonly #parts: StorageParts
  readonly #timers: Timer[]
  #up = true
  #closing: Promise<void> | undefined

  constructor(parts: StorageParts) {
    const { db, vault, nodeId, clock, log } = parts
    this.#parts = parts
    this.nodeId = nodeId
    this.vault = vault
    this.journal = parts.journal
    this.projector = parts.projector
    this.jobs = parts.jobs
    this.logIds = parts.logIds
    this.calls = new SqlCallStore(db)
    this.accounts = new SqlAccountStore(db)
    this.keys = new SqlKeyStore(db)
    this.instance = new SqlInstanceStore(db)
    this.trunks = new SqlTrunkStore(db, vault)
    this.numbers = new SqlNumberStore(db)
    this.bots = new SqlBotStore(db, vault)
    this.recordings = new SqlRecordingStore(db, nodeId)
    this.schedules = new SqlScheduleStore(db, parts.jobs, vault, nodeId)
    this.idempotency = new IdempotencyStore(db, clock, nodeId)
    this.#timers = [
      every(clock, PING_MS, () => void this.#ping()),
      every(
        clock,
        PURGE_MS,
        () => void this.idempotency.purge().catch((err: unknown) => log.warn({ err }, 'old keys stay')),
      ),
    ]
  }

  /** Whether the database answers and call records keep up. Calls go on without. */
  ready(): boolean {
    return this.#up && this.projector.healthy && !this.#closing
  }

  /** Ends the calls that a crash left open. Once, at the start, before calls are taken. */
  async recover(nodeId: string = this.nodeId, nowMs: number = this.#parts.clock.wallMs()): Promise<Recovery> {
    const recovery = await recoverCalls({ ...this.#parts, aliveMs: this.#parts.alive.lastMs }, nodeId, nowMs)
    this.#parts.alive.start(this.#parts.clock, this.#parts.log)
    return recovery
  }

  /** Whether the call was ever placed, by all that is journalled so far. */
  async callExists(ctx: AccountContext, callId: string): Promise<boolean> {
    await this.projector.caughtUp()
    return (await this.calls.get(ctx, callId)) !== undefined
  }

  /** Everything journalled is projected if the database lets us; else the next start does it. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { jobs, journal, projector, logIds, alive } = this.#parts
    for (const timer of this.#timers) timer.cancel()
    logIds.close()
    await jobs.stop()
    await journal.close()
    if (projector.healthy) await projector.caughtUp()
    await projector.stop()
    await alive.stop()
    await closeBase(this.#parts)
  }

  async #ping(): Promise<void> {
    try {
      await ping(this.#parts.db)
      this.#up = true
    } catch (err) {
      if (this.#up) this.#parts.log.error({ err }, 'database does not answer')
      this.#up = false
    }
  }
}

interface Base {
  lock: DataLock
  embedded?: EmbeddedDatabase
  db?: Database
}

interface StorageParts extends Base {
  db: Database
  vault: Vault
  nodeId: string
  clock: Clock
  log: Log
  journal: FileJournal
  projector: Projector
  jobs: Jobs
  logIds: BlockLogIds
  alive: AliveStamp
}

/** Rejects with DirectoryInUse when another process holds the data directory. */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const dataDir = resolve(options.dataDir)
  const { clock, log } = options
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const base: Base = { lock: lockDirectory(dataDir) }
  try {
    const vault = Vault.open(dataDir)
    const nodeId = options.nodeId ?? ownNodeId(dataDir)
    if (options.databaseUrl === undefined) base.embedded = await EmbeddedDatabase.open(dataDir, clock, log)
    const target: DatabaseTarget = base.embedded
      ? { socketDir: base.embedded.socketDir }
      : { url: options.databaseUrl! }
    const db = (base.db = openDatabase(target, log))
    await migrate(db, log)
    await checkKey(db, vault)
    const journal = await FileJournal.open({ dir: join(dataDir, 'journal'), clock, log })
    const settleDisk = (): Promise<void> => base.embedded?.settleDisk() ?? Promise.resolve()
    const projector = new Projector({ journal, db, nodeId, clock, log, settleDisk })
    await projector.start()
    const logIds = await BlockLogIds.open(db, clock, log)
    const jobs = new Jobs(target, clock, log)
    await jobs.start()
    return new Storage({
      ...base,
      db,
      vault,
      nodeId,
      clock,
      log,
      journal,
      projector,
      jobs,
      logIds,
      alive: new AliveStamp(dataDir),
    })
  } catch (err) {
    await closeBase(base)
    throw err
  }
}

async function closeBase(base: Base): Promise<void> {
  await base.db?.destroy()
  await base.embedded?.close()
  base.lock.release()
}

/** Secrets sealed with another key would fail one by one, long after the start. */
async function checkKey(db: Database, vault: Vault): Promise<void> {
  const known = await new SqlInstanceStore(db).putIfAbsent('secret_key_fingerprint', vault.fingerprint)
  if (known !== vault.fingerprint)
    throw new Error(
      'the secret.key in the data directory is not the one that this database was made with; copy secret.key from the data directory of the node that was first',
    )
}

function ownNodeId(dataDir: string): string {
  const path = join(dataDir, 'node-id')
  try {
    writeFileSync(path, `node-${hexToken(32)}\n`, { flag: 'wx' })
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code !== 'EEXIST') throw err
  }
  return readFileSync(path, 'utf8').trim()
}
