/**
 * Everything that the routes ask of the program, and nothing more: main.ts hands the real services in, tests a fake
 * (test/fakes/core.ts). A facade sees only this.
 */
import type { AccountContext } from '../accounts/ports.ts'
import type { AccountService } from '../accounts/service.ts'
import type { BotService } from '../bots/service.ts'
import type { CallReads } from '../calls/reads.ts'
import type { CallService } from '../calls/service.ts'
import type { Clock } from '../lib/clock.ts'
import type { NumberService } from '../numbers/service.ts'
import type { RecordingService } from '../recordings/service.ts'
import type { ScheduleService } from '../schedules/service.ts'
import type { Log } from '../telemetry/log.ts'
import type { TrunkService } from '../trunks/service.ts'

type Crud = 'create' | 'update' | 'remove' | 'get' | 'list'

export interface Core {
  clock: Clock
  log: Log
  settings: {
    /** Base of the links that we hand out; absent: taken from the request. */
    publicUrl?: string
    /** ISO 3166 region of numbers without country code. */
    defaultRegion: string
    /** IANA zone of local times without a zone. */
    defaultZone: string
  }
  calls: Pick<CallService, 'place' | 'hangup' | 'transfer'>
  reads: Pick<CallReads, 'get' | 'getByLogId' | 'list' | 'live'>
  accounts: Pick<
    AccountService,
    'authenticate' | 'isAdmin' | 'create' | 'list' | 'get' | 'createKey' | 'listKeys' | 'revokeKey'
  >
  trunks: Pick<TrunkService, Crud>
  numbers: Pick<NumberService, Crud | 'normalise'>
  bots: Pick<BotService, Crud | 'findByPublicNo' | 'settings'>
  schedules: Pick<ScheduleService, 'parse' | 'scheduleCall' | 'findByLogId'>
  recordings: Pick<RecordingService, 'link' | 'open'>
  idempotency: IdempotencyStore
  health(): Promise<Health>
  /** Brings the gauges up to date that others hold: called before each scrape. */
  readGauges(): Promise<unknown>
}

export interface Health {
  ready: boolean
  /** One word per part: 'ok', or what is wrong with it. */
  checks: Record<string, string>
}

/** Requests that must not happen twice, by the caller's key; kept for a day and across restarts. */
export interface IdempotencyStore {
  /** Exactly one caller gets 'new' (or, after a crash, 'interrupted') and must then `finish` or `abandon`. */
  begin(ctx: AccountContext, request: IdempotentRequest): Promise<IdempotencyClaim>
  finish(ctx: AccountContext, request: IdempotentRequest, reply: unknown): Promise<void>
  /** It did not happen: the key may be used again. */
  abandon(ctx: AccountContext, request: IdempotentRequest): Promise<void>
}

export interface IdempotentRequest {
  op: string
  key: string
  /** Digest of the input: the same key with another input is a mistake of the caller. */
  bodyDigest: string
  /** The id that the call will have, so that after a crash it can be told whether it was placed. */
  callId?: string
}

export type IdempotencyClaim =
  | { state: 'new' }
  | { state: 'inFlight' }
  /** Whoever did it died on the way. If a call `callId` exists, it was placed; else do it, under that same id. */
  | { state: 'interrupted'; callId?: string }
  | { state: 'mismatch' }
  | { state: 'done'; reply: unknown }
