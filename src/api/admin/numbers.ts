import { Type } from '@fastify/type-provider-typebox'
import type { PhoneNumber } from '../../numbers/ports.ts'
import { row } from '../route.ts'
import { ByAccount, ByIdInAccount, Id, Time, timeView } from './accounts.ts'

const Action = Type.Union([Type.Literal('bot'), Type.Literal('reject')], {
  description: 'What a call to the number does.',
})

const NewNumber = Type.Object(
  {
    number: Type.String({ minLength: 1, maxLength: 40, description: 'E.164, or as written in the default region.' }),
    trunkId: Id,
    action: Action,
    botId: Type.Optional(Id),
    record: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

const NumberPatch = Type.Object(
  {
    trunkId: Type.Optional(Id),
    action: Type.Optional(Action),
    botId: Type.Optional(Type.Union([Id, Type.Null()])),
    record: Type.Optional(Type.Boolean()),
  },
  { additionalProperties: false },
)

const NumberView = Type.Object({
  id: Type.String(),
  accountId: Type.String(),
  number: Type.String(),
  trunkId: Type.String(),
  action: Action,
  botId: Type.Optional(Type.String()),
  record: Type.Boolean(),
  createdAt: Time,
})

export function numberView({ createdAtMs, ...rest }: PhoneNumber): Type.Static<typeof NumberView> {
  return { ...rest, createdAt: timeView(createdAtMs) }
}

const URL = '/admin/v1/accounts/:accountId/numbers'

export const numbers = [
  row({
    op: 'admin.numbers.list',
    method: 'GET',
    url: URL,
    summary: 'List numbers',
    right: 'read',
    params: ByAccount,
    reply: { 200: Type.Object({ data: Type.Array(NumberView) }) },
    handle: async ({ params }, core) => [200, { data: (await core.numbers.list(params)).map(numberView) }],
  }),
  row({
    op: 'admin.numbers.create',
    method: 'POST',
    url: URL,
    summary: 'Add a number',
    right: 'write',
    params: ByAccount,
    body: NewNumber,
    reply: { 201: NumberView },
    handle: async ({ params, body }, core) => {
      await core.accounts.get(params.accountId)
      return [201, numberView(await core.numbers.create(params, body))]
    },
  }),
  row({
    op: 'admin.numbers.get',
    method: 'GET',
    url: `${URL}/:id`,
    summary: 'One number',
    right: 'read',
    params: ByIdInAccount,
    reply: { 200: NumberView },
    handle: async ({ params }, core) => [200, numberView(await core.numbers.get(params, params.id))],
  }),
  row({
    op: 'admin.numbers.update',
    method: 'PATCH',
    url: `${URL}/:id`,
    summary: 'Change what a number does',
    right: 'write',
    params: ByIdInAccount,
    body: NumberPatch,
    reply: { 200: NumberView },
    handle: async ({ params, body }, core) => [200, numberView(await core.numbers.update(params, params.id, body))],
  }),
  row({
    op: 'admin.numbers.remove',
    method: 'DELETE',
    url: `${URL}/:id`,
    summary: 'Remove a number',
    right: 'delete',
    params: ByIdInAccount,
    reply: { 204: Type.Null() },
    handle: async ({ params }, core) => {
      await core.numbers.remove(params, params.id)
      return [204, null]
    },
  }),
]
