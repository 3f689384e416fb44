import { Type } from '@fastify/type-provider-typebox'
import { TrunkInput, TrunkPatch, trunkView } from '../../trunks/trunk.ts'
import { row } from '../route.ts'
import { ByAccount, ByIdInAccount } from './accounts.ts'

// Passwords are write-only: their fields do not exist in the reply's schema.
const TrunkReply = Type.Object({
  ...TrunkInput.properties,
  // Its values in the input's schema are made in a loop, which leaves no literal types.
  ptimeMs: Type.Integer(),
  id: Type.String(),
  accountId: Type.String(),
  inboundAuth: Type.Optional(Type.Object({ username: Type.String() })),
  outboundAuth: Type.Optional(Type.Object({ username: Type.String(), realm: Type.Optional(Type.String()) })),
})

const URL = '/admin/v1/accounts/:accountId/trunks'

export const trunks = [
  row({
    op: 'admin.trunks.list',
    method: 'GET',
    url: URL,
    summary: 'List trunks',
    right: 'read',
    params: ByAccount,
    reply: { 200: Type.Object({ data: Type.Array(TrunkReply) }) },
    handle: async ({ params }, core) => [200, { data: (await core.trunks.list(params)).map(trunkView) }],
  }),
  row({
    op: 'admin.trunks.create',
    method: 'POST',
    url: URL,
    summary: 'Add a trunk',
    right: 'write',
    params: ByAccount,
    body: TrunkInput,
    reply: { 201: TrunkReply },
    handle: async ({ params, body }, core) => {
      await core.accounts.get(params.accountId)
      return [201, trunkView(await core.trunks.create(params, body))]
    },
  }),
  row({
    op: 'admin.trunks.get',
    method: 'GET',
    url: `${URL}/:id`,
    summary: 'One trunk',
    right: 'read',
    params: ByIdInAccount,
    reply: { 200: TrunkReply },
    handle: async ({ params }, core) => [200, trunkView(await core.trunks.get(params, params.id))],
  }),
  row({
    op: 'admin.trunks.update',
    method: 'PATCH',
    url: `${URL}/:id`,
    summary: 'Change a trunk',
    description: 'Absent fields stay as they are; null takes an optional one off.',
    right: 'write',
    params: ByIdInAccount,
    body: TrunkPatch,
    reply: { 200: TrunkReply },
    handle: async ({ params, body }, core) => [200, trunkView(await core.trunks.update(params, params.id, body))],
  }),
  row({
    op: 'admin.trunks.remove',
    method: 'DELETE',
    url: `${URL}/:id`,
    summary: 'Remove a trunk',
    right: 'delete',
    params: ByIdInAccount,
    reply: { 204: Type.Null() },
    handle: async ({ params }, core) => {
      await core.trunks.remove(params, params.id)
      return [204, null]
    },
  }),
]
