import type { ColumnType, Generated } from 'kysely'
import type { CallEvent } from '../calls/events.ts'
import type { CallRecord } from '../calls/record.ts'

/**
 * The tables as Kysely sees them. Times are timestamptz in the database and wall-clock ms here (database.ts sets the
 * parser); `instant(ms)` writes them. jsonb columns are read as objects and written as text (`jsonText`).
 */
type Instant = ColumnType<number, unknown, unknown>
type OptionalInstant = ColumnType<number | null, unknown, unknown>
type Json<T> = ColumnType<T, string, string>

export interface AccountsTable {
  id: string
  name: string
  created_at: Instant
}

export interface ApiKeysTable {
  id: string
  account_id: string
  name: string
  prefix: string
  digest: string
  rights: string[]
  scope: string
  project_id: string | null
  created_at: Instant
  expires_at: OptionalInstant
  revoked_at: OptionalInstant
  last_used_at: OptionalInstant
}

/** Trunks and bots: `settings` without secrets, `sealed` with them (vault.ts). */
export interface TrunksTable {
  id: string
  account_id: string
  settings: Json<Record<string, unknown>>
  sealed: string
  created_at: Generated<number>
}

export interface BotsTable {
  id: string
  account_id: string
  public_no: Generated<number>
  settings: Json<Record<string, unknown>>
  sealed: string
  created_at: Instant
}

export interface NumbersTable {
  id: string
  account_id: string
  number: string
  trunk_id: string
  action: string
  bot_id: string | null
  record: boolean
  created_at: Instant
}

/** `record` is the truth; the columns beside it are what queries filter and sort by. */
export interface CallsTable {
  id: string
  account_id: string
  log_id: number
  node_id: string
  seq: number
  direction: string
  state: string
  result: string | null
  from_number: string
  to_number: string
  /** Digits of the far side's number, reversed: a search by the tail of a number is a prefix search here. */
  remote_reversed: string
  trunk_id: string
  number_id: string | null
  bot_id: string | null
  created_at: Instant
  answered_at: OptionalInstant
  ended_at: OptionalInstant
  last_event_at: Instant
  record: Json<CallRecord>
}

export interface CallEventsTable {
  call_id: string
  seq: number
  account_id: string
  at: Instant
  type: string
  event: Json<CallEvent>
}

export interface RecordingsTable {
  id: string
  account_id: string
  call_id: string
  node_id: string
  status: string
  started_at: Instant
  finished_at: OptionalInstant
  duration_ms: number | null
  bytes: number | null
  failure: string | null
}

export interface ScheduledCallsTable {
  id: string
  account_id: string
  call_id: string
  log_id: number
  at: Instant
  status: string
  /** The request (vault.ts). */
  sealed: string
  failure: string | null
  claimed_by: string | null
  created_at: Instant
}

export interface IdempotencyKeysTable {
  account_id: string
  op: string
  key: string
  body_digest: string
  node_id: string
  call_id: string | null
  status: string
  reply: Json<unknown>
  created_at: Instant
}

export interface JournalPositionsTable {
  node_id: string
  segment: number
  byte_offset: number
}

/** Small values of the installation, outside any tenant. */
export interface InstanceValuesTable {
  name: string
  value: string
}

export interface Schema {
  accounts: AccountsTable
  api_keys: ApiKeysTable
  trunks: TrunksTable
  bots: BotsTable
  numbers: NumbersTable
  calls: CallsTable
  call_events: CallEventsTable
  recordings: RecordingsTable
  scheduled_calls: ScheduledCallsTable
  idempotency_keys: IdempotencyKeysTable
  journal_positions: JournalPositionsTable
  instance_values: InstanceValuesTable
}
