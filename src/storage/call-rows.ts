import type { Insertable } from 'kysely'
import type { CallEvent } from '../calls/events.ts'
import type { CallRecord } from '../calls/record.ts'
import { reversedDigits } from './call-store.ts'
import { cleanText, instant, jsonText, optionalInstant } from './database.ts'
import type { CallsTable, RecordingsTable } from './schema.ts'

/** A call's row from its record. */
export function callRow(record: CallRecord, lastEventAtMs: number): Insertable<CallsTable> {
  return {
    id: record.id,
    account_id: cleanText(record.accountId),
    log_id: record.logId,
    node_id: record.nodeId,
    seq: record.seq,
    direction: record.direction,
    state: record.state,
    result: record.outcome?.result ?? null,
    from_number: cleanText(record.from),
    to_number: cleanText(record.to),
    remote_reversed: reversedDigits(record.direction === 'inbound' ? record.from : record.to),
    trunk_id: record.trunkId,
    number_id: record.numberId ?? null,
    bot_id: record.botId ?? null,
    created_at: instant(record.createdAtMs),
    answered_at: optionalInstant(record.answeredAtMs),
    ended_at: optionalInstant(record.endedAtMs),
    last_event_at: instant(lastEventAtMs),
    record: jsonText(record),
  }
}

/** The recordings that these events touch, each once and in its last state. */
export function recordingRows(
  events: CallEvent[],
  records: ReadonlyMap<string, CallRecord>,
): Insertable<RecordingsTable>[] {
  const rows = new Map<string, Insertable<RecordingsTable>>()
  for (const event of events) {
    const record = records.get(event.callId)
    if (!record || !('recordingId' in event)) continue
    // A recording that pauses is one that is being made.
    if (event.type === 'recordingPaused' || event.type === 'recordingResumed') continue
    const row = rows.get(event.recordingId) ?? emptyRow(event.recordingId, record, event.atMs)
    rows.set(event.recordingId, row)
    if (event.type === 'recordingStarted') continue
    row.finished_at = instant(event.atMs)
    if (event.type === 'recordingFinished') {
      row.status = 'ready'
      row.duration_ms = Math.round(event.durationMs)
      row.bytes = event.bytes
    } else {
      row.status = 'failed'
      row.failure = cleanText(event.reason)
    }
  }
  return [...rows.values()]
}

const emptyRow = (id: string, record: CallRecord, startedAtMs: number): Insertable<RecordingsTable> => ({
  id,
  account_id: cleanText(record.accountId),
  call_id: record.id,
  node_id: record.nodeId,
  status: 'capturing',
  started_at: instant(startedAtMs),
  finished_at: null,
  duration_ms: null,
  bytes: null,
  failure: null,
})
