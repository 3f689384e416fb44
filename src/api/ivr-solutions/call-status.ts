/**
 * `get_call_status` of IVR Solutions, which its own text describes twice: as the live status of a call by `logid`, and
 * as the list of disposition labels. With `logid` it is the one, without it the other.
 */
import { Type } from '@fastify/type-provider-typebox'
import { DateTime, IANAZone } from 'luxon'
import type { CallState } from '../../calls/machine.ts'
import { durationSeconds, type CallRecord } from '../../calls/record.ts'
import { DomainError } from '../../lib/errors.ts'
import type { ScheduledCall, ScheduleStatus } from '../../schedules/ports.ts'
import { orUndefined } from '../errors.ts'
import { row } from '../route.ts'

export const DISPOSITIONS = [
  { id: 1, name: 'Interested' },
  { id: 2, name: 'Not Interested' },
  { id: 3, name: 'Call Back Later' },
  { id: 4, name: 'Wrong Number' },
  { id: 5, name: 'DND' },
  { id: 6, name: 'Converted' },
  { id: 7, name: 'Follow Up Required' },
]

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const LocalTime = Type.String({ description: '"YYYY-MM-DD HH:mm:ss" in the zone asked for.' })

const CallStatus = Type.Object({
  logid: Type.Integer(),
  call_id: Type.String(),
  call_status: Type.String({
    description: 'scheduled, initiated, ringing, answered, no_answer, busy, failed or cancelled.',
  }),
  call_type: Type.String({ description: 'incoming or outgoing.' }),
  client_no: Nullable(Type.String()),
  did_no: Nullable(Type.String()),
  call_time: LocalTime,
  answer_time: Nullable(LocalTime),
  end_time: Nullable(LocalTime),
  call_duration: Nullable(Type.Integer({ description: 'Seconds from answer to end; null while the call goes on.' })),
  recording_url: Nullable(Type.String()),
})
export type CallStatus = Type.Static<typeof CallStatus>

const StatusQuery = Type.Object({
  logid: Type.Optional(Type.Integer({ minimum: 0, description: 'As given when the call was placed.' })),
  timezone: Type.Optional(
    Type.String({ maxLength: 64, description: 'Zone of the times; default: that of the server.' }),
  ),
})

const STATUS_OF: Readonly<Record<Exclude<CallState, 'ended'>, string>> = {
  queued: 'initiated',
  dialing: 'initiated',
  ringing: 'ringing',
  answered: 'answered',
  talking: 'answered',
  transferring: 'answered',
  bridged: 'answered',
}

export function statusOf(call: CallRecord): string {
  if (call.state !== 'ended') return STATUS_OF[call.state]
  if (call.answeredAtMs !== undefined) return 'answered'
  switch (call.outcome?.result) {
    case 'no_answer':
    case 'busy':
    case 'cancelled':
      return call.outcome.result
    default:
      return 'failed'
  }
}

export function callStatusView(call: CallRecord, zone: string, recordingUrl: string | undefined): CallStatus {
  const inbound = call.direction === 'inbound'
  return {
    logid: call.logId,
    call_id: call.id,
    call_status: statusOf(call),
    call_type: inbound ? 'incoming' : 'outgoing',
    client_no: inbound ? call.from : call.to,
    did_no: inbound ? call.to : call.from,
    call_time: local(call.createdAtMs, zone),
    answer_time: call.answeredAtMs === undefined ? null : local(call.answeredAtMs, zone),
    end_time: call.endedAtMs === undefined ? null : local(call.endedAtMs, zone),
    call_duration: durationSeconds(call),
    recording_url: recordingUrl ?? null,
  }
}

const SCHEDULED: Readonly<Record<ScheduleStatus, string>> = {
  pending: 'scheduled',
  firing: 'scheduled',
  // Its call has a record of its own a moment later.
  fired: 'initiated',
  failed: 'failed',
  missed: 'failed',
  cancelled: 'cancelled',
}

/** A call that has no record yet, because its time has not come (or never will). */
export function scheduledStatusView(call: ScheduledCall, zone: string): CallStatus {
  const dial = call.payload.dial as { to?: string; from?: string } | undefined
  return {
    logid: call.logId,
    call_id: call.callId,
    call_status: SCHEDULED[call.status],
    call_type: 'outgoing',
    client_no: dial?.to ?? null,
    did_no: dial?.from ?? null,
    call_time: local(call.atMs, zone),
    answer_time: null,
    end_time: null,
    call_duration: null,
    recording_url: null,
  }
}

const local = (ms: number, zone: string): string => DateTime.fromMillis(ms, { zone }).toFormat('yyyy-MM-dd HH:mm:ss')

export const callStatus = [
  row({
    op: 'ivr.callstatus.get',
    method: ['GET', 'POST'],
    url: '/api/get_call_status',
    summary: 'Status of a call, or the list of call status labels',
    description: 'With logid: how that call stands. Without it: the labels that update_call_note takes.',
    right: 'read',
    envelope: 'boolean',
    input: StatusQuery,
    reply: {
      200: Type.Object({
        status: Type.Boolean(),
        data: Type.Union([Type.Array(Type.Object({ id: Type.Integer(), name: Type.String() })), CallStatus]),
      }),
    },
    handle: async ({ input, principal, baseUrl }, core) => {
      const { logid, timezone: zone = core.settings.defaultZone } = input
      if (logid === undefined) return [200, { status: true, data: DISPOSITIONS }]
      if (!IANAZone.isValidZone(zone))
        throw new DomainError('INVALID', 'timezone is not a known time zone', { field: 'timezone' })
      const { accountId } = principal
      const call = await orUndefined(core.reads.getByLogId(accountId, logid))
      if (call) {
        return [200, { status: true, data: callStatusView(call, zone, core.recordings.link(call, baseUrl)) }]
      }
      const scheduled = await core.schedules.findByLogId(principal, logid)
      if (!scheduled) throw new DomainError('NOT_FOUND', 'There is no such call.')
      return [200, { status: true, data: scheduledStatusView(scheduled, zone) }]
    },
  }),
]
