import { Type } from '@fastify/type-provider-typebox'
import { BotInput, BotPatch, botView as withoutSecrets } from '../../bots/bot.ts'
import type { Bot } from '../../bots/ports.ts'
import { row } from '../route.ts'
import { ByAccount, ByIdInAccount, Time, timeView } from './accounts.ts'

const { headers: _headers, secret: _secret, ...shown } = BotInput.properties

// Header values and the secret are write-only: their fields do not exist in the reply's schema.
const BotReply = Type.Object({
  ...shown,
  id: Type.String(),
  accountId: Type.String(),
  publicNo: Type.Integer({ description: 'What vendor routes call Voicechat_id.' }),
  headerNames: Type.Array(Type.String()),
  signed: Type.Boolean({ description: 'Whether the handshake is signed.' }),
  createdAt: Time,
})

export function botView(bot: Bot): Type.Static<typeof BotReply> {
  const { createdAtMs, ...rest } = withoutSecrets(bot)
  return { ...rest, createdAt: timeView(createdAtMs) }
}

const URL = '/admin/v1/accounts/:accountId/bots'

export const bots = [
  row({
    op: 'admin.bots.list',
    method: 'GET',
    url: URL,
    summary: 'List bots',
    right: 'read',
    params: ByAccount,
    reply: { 200: Type.Object({ data: Type.Array(BotReply) }) },
    handle: async ({ params }, core) => [200, { data: (await core.bots.list(params)).map(botView) }],
  }),
  row({
    op: 'admin.bots.create',
    method: 'POST',
    url: URL,
    summary: 'Add a bot',
    right: 'write',
    params: ByAccount,
    body: BotInput,
    reply: { 201: BotReply },
    handle: async ({ params, body }, core) => {
      await core.accounts.get(params.accountId)
      return [201, botView(await core.bots.create(params, body))]
    },
  }),
  row({
    op: 'admin.bots.get',
    method: 'GET',
    url: `${URL}/:id`,
    summary: 'One bot',
    right: 'read',
    params: ByIdInAccount,
    reply: { 200: BotReply },
    handle: async ({ params }, core) => [200, botView(await core.bots.get(params, params.id))],
  }),
  row({
    op: 'admin.bots.update',
    method: 'PATCH',
    url: `${URL}/:id`,
    summary: 'Change a bot',
    description: 'Absent fields stay as they are; null takes an optional one off.',
    right: 'write',
    params: ByIdInAccount,
    body: BotPatch,
    reply: { 200: BotReply },
    handle: async ({ params, body }, core) => [200, botView(await core.bots.update(params, params.id, body))],
  }),
  row({
    op: 'admin.bots.remove',
    method: 'DELETE',
    url: `${URL}/:id`,
    summary: 'Remove a bot',
    right: 'delete',
    params: ByIdInAccount,
    reply: { 204: Type.Null() },
    handle: async ({ params }, core) => {
      await core.bots.remove(params, params.id)
      return [204, null]
    },
  }),
]
