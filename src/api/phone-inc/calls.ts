/** Calls in Phone.inc's shape: https://docs.phone.inc (Calls). */
import { Type } from '@fastify/type-provider-typebox'
import { DateTime } from 'luxon'
import type { CallFilter } from '../../calls/ports.ts'
import type { CallState } from '../../calls/machine.ts'
import { durationSeconds, type CallRecord } from '../../calls/record.ts'
import { DomainError } from '../../lib/errors.ts'
import { displayNumber } from '../../numbers/display.ts'
import { row } from '../route.ts'

const Nullable = <T extends Type.TSchema>(schema: T, description?: string) =>
  Type.Union([schema, Type.Null()], { description })

const STATES = ['initiated', 'answered', 'playing_audio', 'transferring', 'recording', 'bridged', 'ended'] as const
type State = (typeof STATES)[number]

const Person = Type.Object({ id: Type.String(), name: Type.String() })

const CallView = Type.Object({
  id: Type.String(),
  from: Type.String({ description: 'E.164.' }),
  to: Type.String({ description: 'E.164.' }),
  direction: Type.Union([Type.Literal('inbound'), Type.Literal('outbound')]),
  state: Type.Enum(STATES),
  started_at: Nullable(Type.String()),
  answered_at: Nullable(Type.String(), 'Null for calls that were not answered.'),
  duration: Nullable(Type.Integer(), 'Seconds from the answer; null while the call goes on.'),
  summary: Nullable(Type.String()),
  transcription: Nullable(Type.String()),
  transcription_segments: Nullable(
    Type.Array(Type.Object({ speaker: Type.String(), text: Type.String(), employee_id: Nullable(Type.String()) })),
  ),
  recording_url: Nullable(Type.String(), 'Made for this reply; null until the call has ended and its file is ready.'),
  main_number_id: Nullable(Type.String()),
  main_number_name: Nullable(Type.String()),
  main_number: Nullable(Type.String()),
  main_number_formatted: Nullable(Type.String()),
  employees: Type.Array(Person),
  initiated_by: Type.Optional(Nullable(Person, 'Outbound calls only.')),
})
export type PhoneIncCall = Type.Static<typeof CallView>

const ListQuery = Type.Object({
  phone_number: Type.Optional(
    Type.String({ maxLength: 40, description: 'Remote side: E.164, or as written locally.' }),
  ),
  direction: Type.Optional(Type.Union([Type.Literal('inbound'), Type.Literal('outbound')])),
  state: Type.Optional(Type.String({ maxLength: 40, description: `${STATES.join(', ')}; others are ignored.` })),
  limit: Type.Optional(Type.Integer({ description: 'Default 10, at most 50.' })),
})

const STATE_OF: Readonly<Record<CallState, State>> = {
  queued: 'initiated',
  dialing: 'initiated',
  ringing: 'initiated',
  answered: 'answered',
  // Caller and bot are two parties in conversation.
  talking: 'bridged',
  transferring: 'transferring',
  bridged: 'bridged',
  ended: 'ended',
}

/** Our states behind one of theirs; undefined for a word that is none of theirs. */
export function statesFrom(state: string | undefined): CallState[] | undefined {
  if (state === undefined || !STATES.includes(state as State)) return undefined
  return (Object.keys(STATE_OF) as CallState[]).filter((ours) => STATE_OF[ours] === state)
}

export function filterFrom(
  query: Type.Static<typeof ListQuery>,
  normalise: (raw: string) => string | undefined,
): CallFilter {
  const { phone_number, direction, state, limit = 10 } = query
  return {
    phoneNumber: phone_number === undefined ? undefined : (normalise(phone_number) ?? phone_number),
    direction,
    states: statesFrom(state),
    limit: Math.min(50, Math.max(1, limit)),
  }
}

export function callView(call: CallRecord, recordingUrl: string | undefined): PhoneIncCall {
  const mainNumber = call.direction === 'inbound' ? call.to : call.from
  const ended = call.state === 'ended'
  const view: PhoneIncCall = {
    id: call.id,
    from: call.from,
    to: call.to,
    direction: call.direction,
    state: STATE_OF[call.state],
    started_at: time(call.dialedAtMs ?? call.ringingAtMs ?? call.createdAtMs),
    answered_at: call.answeredAtMs === undefined ? null : time(call.answeredAtMs),
    duration: durationSeconds(call),
    summary: null,
    transcription: null,
    transcription_segments: null,
    recording_url: ended ? (recordingUrl ?? null) : null,
    main_number_id: call.numberId ?? null,
    main_number_name: null,
    main_number: mainNumber,
    main_number_formatted: displayNumber(mainNumber),
    employees: [],
  }
  if (call.direction === 'outbound') view.initiated_by = null
  return view
}

const time = (ms: number): string => DateTime.fromMillis(ms, { zone: 'utc' }).toFormat("yyyy-MM-dd'T'HH:mm:ss'Z'")

export const calls = [
  row({
    op: 'phoneinc.calls.list',
    method: 'GET',
    url: '/v1/calls',
    summary: 'List recent calls',
    description: 'Newest first. All filters can be combined.',
    right: 'read',
    query: ListQuery,
    reply: { 200: Type.Object({ calls: Type.Array(CallView) }) },
    handle: async ({ query, principal, baseUrl }, core) => {
      const filter = filterFrom(query, (raw) => core.numbers.normalise(raw))
      // A state of theirs that no call of ours is ever in.
      if (filter.states?.length === 0) return [200, { calls: [] }]
      const list = await core.reads.list(principal.accountId, filter)
      return [200, { calls: list.map((call) => callView(call, core.recordings.link(call, baseUrl))) }]
    },
  }),
  row({
    op: 'phoneinc.calls.get',
    method: 'GET',
    url: '/v1/calls/:id',
    summary: 'Retrieve a call',
    right: 'read',
    params: Type.Object({ id: Type.String() }),
    reply: { 200: CallView },
    handle: async ({ params, principal, baseUrl }, core) => {
      // What is no UUID is no call's id: the database need not be asked.
      if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(params.id))
        throw new DomainError('NOT_FOUND', 'There is no such call.')
      const call = await core.reads.get(principal.accountId, params.id.toLowerCase())
      return [200, callView(call, core.recordings.link(call, baseUrl))]
    },
  }),
]
