import type { Selectable } from 'kysely'
import type { AccountContext } from '../calls/ports.ts'
import type { Database } from './database.ts'
import type { RecordingsTable } from './schema.ts'

/** A recording as the projector knows it from call events; the file's name follows from the id. */
export interface StoredRecording {
  id: string
  accountId: string
  callId: string
  nodeId: string
  status: 'capturing' | 'ready' | 'failed'
  startedAtMs: number
  finishedAtMs?: number
  durationMs?: number
  bytes?: number
  failure?: string
}

/** Read only: rows come from the `recording…` events of calls. */
export class SqlRecordingStore {
  readonly #db: Database
  readonly #nodeId: string

  constructor(db: Database, nodeId: string) {
    this.#db = db
    this.#nodeId = nodeId
  }

  async get(ctx: AccountContext, id: string): Promise<StoredRecording | undefined> {
    const row = await this.#of(ctx).where('id', '=', id).executeTakeFirst()
    return row && recordingFrom(row)
  }

  async listOfCall(ctx: AccountContext, callId: string): Promise<StoredRecording[]> {
    return (await this.#of(ctx).where('call_id', '=', callId).orderBy('started_at').execute()).map(recordingFrom)
  }

  /** Captures on this node's disk that nobody has finished: what a crash leaves behind. */
  async listUnfinished(): Promise<StoredRecording[]> {
    const rows = await this.#db
      .selectFrom('recordings')
      .selectAll()
      .where('node_id', '=', this.#nodeId)
      .where('status', '=', 'capturing')
      .orderBy('started_at')
      .execute()
    return rows.map(recordingFrom)
  }

  #of(ctx: AccountContext) {
    return this.#db.selectFrom('recordings').selectAll().where('account_id', '=', ctx.accountId)
  }
}

const recordingFrom = (row: Selectable<RecordingsTable>): StoredRecording => ({
  id: row.id,
  accountId: row.account_id,
  callId: row.call_id,
  nodeId: row.node_id,
  status: row.status as StoredRecording['status'],
  startedAtMs: row.started_at,
  finishedAtMs: row.finished_at ?? undefined,
  durationMs: row.duration_ms ?? undefined,
  bytes: row.bytes ?? undefined,
  failure: row.failure ?? undefined,
})
