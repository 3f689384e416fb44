import { DomainError } from '../lib/errors.ts'
import type { CallId } from './ids.ts'
import type { CallFilter, CallStore } from './ports.ts'
import type { CallRecord } from './record.ts'
import type { CallRegistry } from './registry.ts'

/** Calls as APIs read them: live and just ended ones from memory, the others from the store, as one list. */
export class CallReads {
  readonly #registry: CallRegistry
  readonly #store: CallStore

  constructor(registry: CallRegistry, store: CallStore) {
    this.#registry = registry
    this.#store = store
  }

  async get(accountId: string, callId: CallId): Promise<CallRecord> {
    const known = this.#registry.record(callId)
    return this.#owned(accountId, known ?? (await this.#store.get({ accountId }, callId)))
  }

  async getByLogId(accountId: string, logId: number): Promise<CallRecord> {
    const known = this.#registry.recordByLogId(logId)
    return this.#owned(accountId, known ?? (await this.#store.getByLogId({ accountId }, logId)))
  }

  /** Newest first. The rows trail the journal a little, so a call in memory stands for its row. */
  async list(accountId: string, filter: CallFilter): Promise<CallRecord[]> {
    const known = [...this.#registry.records()].filter((r) => r.accountId === accountId && matches(r, filter))
    // A row whose twin in memory no longer matches (its state has moved on) must not come back through the store.
    const stored = (await this.#store.list({ accountId }, filter)).filter((r) => !this.#registry.record(r.id))
    return [...known, ...stored]
      .sort((a, b) => b.createdAtMs - a.createdAtMs || (a.id < b.id ? 1 : -1))
      .slice(0, filter.limit)
  }

  live(accountId?: string): CallRecord[] {
    const records: CallRecord[] = []
    for (const call of this.#registry.all())
      if (accountId === undefined || call.record.accountId === accountId) records.push(call.record)
    return records
  }

  #owned(accountId: string, record: CallRecord | undefined): CallRecord {
    // Another account's call is as unknown as no call.
    if (!record || record.accountId !== accountId) throw new DomainError('NOT_FOUND', 'There is no such call.')
    return record
  }
}

function matches(record: CallRecord, filter: CallFilter): boolean {
  if (filter.direction && record.direction !== filter.direction) return false
  if (filter.states && !filter.states.includes(record.state)) return false
  if (filter.before && !isBefore(record, filter.before)) return false
  if (!filter.phoneNumber) return true
  const remote = record.direction === 'inbound' ? record.from : record.to
  const wanted = filter.phoneNumber.replace(/\D/g, '').replace(/^0+/, '')
  return wanted !== '' && remote.replace(/\D/g, '').endsWith(wanted)
}

const isBefore = (record: CallRecord, mark: { createdAtMs: number; id: string }): boolean =>
  record.createdAtMs < mark.createdAtMs || (record.createdAtMs === mark.createdAtMs && record.id < mark.id)
