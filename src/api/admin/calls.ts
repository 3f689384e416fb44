import { Type } from '@fastify/type-provider-typebox'
import type { CallRecord } from '../../calls/record.ts'
import { durationSeconds } from '../../calls/record.ts'
import { DomainError } from '../../lib/errors.ts'
import { row } from '../route.ts'
import { ByAccount, ByIdInAccount, Id, Time, timeView } from './accounts.ts'

const Nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()])

const FREE = { type: 'object', additionalProperties: true } as const

const CallView = Type.Object({
  id: Type.String(),
  logId: Type.Integer({ description: 'What vendor routes call logid.' }),
  accountId: Type.String(),
  direction: Type.String(),
  state: Type.String(),
  from: Type.String(),
  to: Type.String(),
  trunkId: Type.String(),
  numberId: Nullable(Type.String()),
  botId: Nullable(Type.String()),
  botUrl: Nullable(Type.String()),
  createdAt: Time,
  ringingAt: Nullable(Time),
  answeredAt: Nullable(Time),
  endedAt: Nullable(Time),
  durationS: Nullable(Type.Integer({ description: 'Answer to end; null while live.' })),
  outcome: Nullable(
    Type.Object({
      result: Type.String(),
      reason: Type.String(),
      sipStatus: Type.Integer(),
      q850: Type.Integer(),
      by: Type.String(),
      detail: Type.Optional(Type.String()),
    }),
  ),
  transferTarget: Nullable(Type.String()),
  transferContext: Nullable(
    Type.Unsafe<Record<string, unknown>>({ ...FREE, description: "The bot's, for its last transfer." }),
  ),
  notes: Nullable(Type.Unsafe<Record<string, unknown>>({ ...FREE, description: 'What the bot noted about the call.' })),
  recordingStatus: Nullable(Type.Union([Type.Literal('capturing'), Type.Literal('ready'), Type.Literal('failed')])),
  recordingUrl: Nullable(Type.String({ description: 'A signed link, made for this reply.' })),
})

export function callView(call: CallRecord, recordingUrl: string | undefined): Type.Static<typeof CallView> {
  const time = (ms: number | undefined): string | null => (ms === undefined ? null : timeView(ms))
  return {
    id: call.id,
    logId: call.logId,
    accountId: call.accountId,
    direction: call.direction,
    state: call.state,
    from: call.from,
    to: call.to,
    trunkId: call.trunkId,
    numberId: call.numberId ?? null,
    botId: call.botId ?? null,
    botUrl: call.botUrl ?? null,
    createdAt: timeView(call.createdAtMs),
    ringingAt: time(call.ringingAtMs),
    answeredAt: time(call.answeredAtMs),
    endedAt: time(call.endedAtMs),
    durationS: durationSeconds(call),
    outcome: call.outcome ?? null,
    transferTarget: call.transferTarget ?? null,
    transferContext: call.transferContext ?? null,
    notes: call.notes ?? null,
    recordingStatus: call.recordingStatus ?? null,
    recordingUrl: recordingUrl ?? null,
  }
}

const LiveQuery = Type.Object({ accountId: Type.Optional(Id) })
const ListQuery = Type.Object({
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 50 })),
  direction: Type.Optional(Type.Union([Type.Literal('inbound'), Type.Literal('outbound')])),
  number: Type.Optional(Type.String({ maxLength: 40, description: 'The remote side, or its last digits.' })),
})

export const calls = [
  row({
    op: 'admin.calls.live',
    method: 'GET',
    url: '/admin/v1/calls/live',
    summary: 'Calls that go on now',
    right: 'read',
    query: LiveQuery,
    reply: { 200: Type.Object({ data: Type.Array(CallView) }) },
    handle: async ({ query }, core) => {
      const live = core.reads.live(query.accountId).filter((call) => call.state !== 'ended')
      return [200, { data: live.map((call) => callView(call, undefined)) }]
    },
  }),
  row({
    op: 'admin.calls.hangup',
    method: 'POST',
    url: '/admin/v1/calls/:callId/hangup',
    summary: 'Hang up a live call',
    right: 'write',
    params: Type.Object({ callId: Id }),
    reply: { 202: CallView },
    handle: async ({ params }, core) => {
      const call = core.reads.live().find(({ id, state }) => id === params.callId && state !== 'ended')
      if (!call) throw new DomainError('NOT_FOUND', 'There is no such live call.')
      core.calls.hangup(undefined, call.id)
      return [202, callView(call, undefined)]
    },
  }),
  row({
    op: 'admin.calls.list',
    method: 'GET',
    url: '/admin/v1/accounts/:accountId/calls',
    summary: 'Calls of an account, newest first',
    right: 'read',
    params: ByAccount,
    query: ListQuery,
    reply: { 200: Type.Object({ data: Type.Array(CallView) }) },
    handle: async ({ params, query, baseUrl }, core) => {
      const { limit = 50, direction, number: phoneNumber } = query
      const list = await core.reads.list(params.accountId, { limit, direction, phoneNumber })
      return [200, { data: list.map((call) => callView(call, core.recordings.link(call, baseUrl))) }]
    },
  }),
  row({
    op: 'admin.calls.get',
    method: 'GET',
    url: '/admin/v1/accounts/:accountId/calls/:id',
    summary: 'One call',
    right: 'read',
    params: ByIdInAccount,
    reply: { 200: CallView },
    handle: async ({ params, baseUrl }, core) => {
      const call = await core.reads.get(params.accountId, params.id)
      return [200, callView(call, core.recordings.link(call, baseUrl))]
    },
  }),
]
