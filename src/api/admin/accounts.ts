import { Type } from '@fastify/type-provider-typebox'
import { DateTime } from 'luxon'
import type { Account, ApiKey } from '../../accounts/ports.ts'
import { InputError } from '../errors.ts'
import { row } from '../route.ts'

export const Id = Type.String({ minLength: 1, maxLength: 64 })
export const ByAccount = Type.Object({ accountId: Id })
export const ByIdInAccount = Type.Object({ accountId: Id, id: Id })
export const Time = Type.String({ description: 'RFC 3339, UTC.' })

const AccountView = Type.Object({ id: Type.String(), name: Type.String(), createdAt: Time })

const Right = Type.Union([Type.Literal('read'), Type.Literal('write'), Type.Literal('delete')])

const NewKey = Type.Object(
  {
    name: Type.Optional(Type.String({ maxLength: 100 })),
    rights: Type.Optional(Type.Array(Right, { minItems: 1, uniqueItems: true, description: 'Default: all.' })),
    expiresAt: Type.Optional(Type.String({ maxLength: 40, description: 'RFC 3339. Default: never.' })),
  },
  { additionalProperties: false },
)

const KeyView = Type.Object({
  id: Type.String(),
  name: Type.String(),
  prefix: Type.String({ description: 'The readable start of the key, to tell keys apart.' }),
  rights: Type.Array(Right),
  createdAt: Time,
  expiresAt: Type.Optional(Time),
  revokedAt: Type.Optional(Time),
  lastUsedAt: Type.Optional(Time),
})

const KeyMade = Type.Object({
  ...KeyView.properties,
  key: Type.String({ description: 'The key itself. It is shown this once and stored nowhere.' }),
})

export const timeView = (ms: number): string => DateTime.fromMillis(ms, { zone: 'utc' }).toISO()!
const maybeTime = (ms: number | undefined): string | undefined => (ms === undefined ? undefined : timeView(ms))

export const accountView = ({ id, name, createdAtMs }: Account): Type.Static<typeof AccountView> => ({
  id,
  name,
  createdAt: timeView(createdAtMs),
})

export const keyView = (key: ApiKey): Type.Static<typeof KeyView> => ({
  id: key.id,
  name: key.name,
  prefix: key.prefix,
  rights: key.rights,
  createdAt: timeView(key.createdAtMs),
  expiresAt: maybeTime(key.expiresAtMs),
  revokedAt: maybeTime(key.revokedAtMs),
  lastUsedAt: maybeTime(key.lastUsedAtMs),
})

export function newKeyFrom({ expiresAt, ...rest }: Type.Static<typeof NewKey>, nowMs: number) {
  if (expiresAt === undefined) return rest
  const expiresAtMs = DateTime.fromISO(expiresAt, { zone: 'utc' }).toMillis()
  // NaN, for a text that is no time, is not above now either.
  if (!(expiresAtMs > nowMs))
    throw new InputError([{ field: 'expiresAt', message: 'must be an RFC 3339 time in the future' }])
  return { ...rest, expiresAtMs }
}

export const accounts = [
  row({
    op: 'admin.accounts.list',
    method: 'GET',
    url: '/admin/v1/accounts',
    summary: 'List accounts',
    right: 'read',
    reply: { 200: Type.Object({ data: Type.Array(AccountView) }) },
    handle: async (_given, core) => [200, { data: (await core.accounts.list()).map(accountView) }],
  }),
  row({
    op: 'admin.accounts.create',
    method: 'POST',
    url: '/admin/v1/accounts',
    summary: 'Create an account',
    right: 'write',
    body: Type.Object({ name: Type.String({ minLength: 1, maxLength: 200 }) }, { additionalProperties: false }),
    reply: { 201: AccountView },
    handle: async ({ body }, core) => [201, accountView(await core.accounts.create(body))],
  }),
  row({
    op: 'admin.accounts.get',
    method: 'GET',
    url: '/admin/v1/accounts/:accountId',
    summary: 'One account',
    right: 'read',
    params: ByAccount,
    reply: { 200: AccountView },
    handle: async ({ params }, core) => [200, accountView(await core.accounts.get(params.accountId))],
  }),
  row({
    op: 'admin.keys.list',
    method: 'GET',
    url: '/admin/v1/accounts/:accountId/keys',
    summary: 'List the keys of an account',
    right: 'read',
    params: ByAccount,
    reply: { 200: Type.Object({ data: Type.Array(KeyView) }) },
    handle: async ({ params }, core) => {
      await core.accounts.get(params.accountId)
      return [200, { data: (await core.accounts.listKeys(params)).map(keyView) }]
    },
  }),
  row({
    op: 'admin.keys.create',
    method: 'POST',
    url: '/admin/v1/accounts/:accountId/keys',
    summary: 'Make a key',
    description: 'The reply is the only place where the key itself ever appears.',
    right: 'write',
    params: ByAccount,
    body: NewKey,
    reply: { 201: KeyMade },
    handle: async ({ params, body }, core) => {
      const { key, text } = await core.accounts.createKey(params, newKeyFrom(body, core.clock.wallMs()))
      return [201, { ...keyView(key), key: text }]
    },
  }),
  row({
    op: 'admin.keys.revoke',
    method: 'DELETE',
    url: '/admin/v1/accounts/:accountId/keys/:id',
    summary: 'Revoke a key',
    right: 'delete',
    params: ByIdInAccount,
    reply: { 204: Type.Null() },
    handle: async ({ params }, core) => {
      await core.accounts.revokeKey(params, params.id)
      return [204, null]
    },
  }),
]
