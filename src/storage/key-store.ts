import type { Selectable } from 'kysely'
import { RIGHTS, type AccountContext, type ApiKey, type KeyStore, type StoredKey } from '../accounts/ports.ts'
import { DomainError } from '../lib/errors.ts'
import { instant, optionalInstant, sqlState, UNIQUE_VIOLATION, type Database } from './database.ts'
import type { ApiKeysTable } from './schema.ts'

export class SqlKeyStore implements KeyStore {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async insert(ctx: AccountContext, key: StoredKey): Promise<void> {
    try {
      await this.#db
        .insertInto('api_keys')
        .values({
          id: key.id,
          account_id: ctx.accountId,
          name: key.name,
          prefix: key.prefix,
          digest: key.digest,
          rights: key.rights,
          scope: key.scope.kind,
          project_id: key.scope.kind === 'project' ? key.scope.projectId : null,
          created_at: instant(key.createdAtMs),
          expires_at: optionalInstant(key.expiresAtMs),
          revoked_at: optionalInstant(key.revokedAtMs),
          last_used_at: optionalInstant(key.lastUsedAtMs),
        })
        .execute()
    } catch (err) {
      if (sqlState(err) === UNIQUE_VIOLATION)
        throw new DomainError('CONFLICT', 'There is such a key already.', { field: 'key' })
      throw err
    }
  }

  async list(ctx: AccountContext): Promise<ApiKey[]> {
    const rows = await this.#db
      .selectFrom('api_keys')
      .selectAll()
      .where('account_id', '=', ctx.accountId)
      .orderBy('created_at')
      .orderBy('id')
      .execute()
    return rows.map((row) => {
      const { digest: _, ...key } = keyFrom(row)
      return key
    })
  }

  async revoke(ctx: AccountContext, id: string, atMs: number): Promise<boolean> {
    const result = await this.#db
      .updateTable('api_keys')
      .set((e) => ({ revoked_at: e.fn.coalesce('revoked_at', instant(atMs)) }))
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', id)
      .executeTakeFirst()
    return result.numUpdatedRows > 0n
  }

  async findByPrefix(prefix: string): Promise<StoredKey | undefined> {
    const row = await this.#db.selectFrom('api_keys').selectAll().where('prefix', '=', prefix).executeTakeFirst()
    return row && keyFrom(row)
  }

  async touch(ctx: AccountContext, id: string, atMs: number): Promise<void> {
    await this.#db
      .updateTable('api_keys')
      .set({ last_used_at: instant(atMs) })
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', id)
      .execute()
  }
}

const keyFrom = (row: Selectable<ApiKeysTable>): StoredKey => ({
  id: row.id,
  accountId: row.account_id,
  name: row.name,
  prefix: row.prefix,
  digest: row.digest,
  rights: RIGHTS.filter((r) => row.rights.includes(r)),
  scope:
    row.scope === 'project' && row.project_id !== null
      ? { kind: 'project', projectId: row.project_id }
      : { kind: 'account' },
  createdAtMs: row.created_at,
  expiresAtMs: row.expires_at ?? undefined,
  revokedAtMs: row.revoked_at ?? undefined,
  lastUsedAtMs: row.last_used_at ?? undefined,
})
