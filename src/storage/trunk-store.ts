import type { Selectable } from 'kysely'
import type { AccountContext } from '../calls/ports.ts'
import { DomainError } from '../lib/errors.ts'
import type { TrunkSettings } from '../sip/trunk/settings.ts'
import type { TrunkStore } from '../trunks/ports.ts'
import { FOREIGN_KEY_VIOLATION, jsonText, sqlState, UNIQUE_VIOLATION, type Database } from './database.ts'
import type { TrunksTable } from './schema.ts'
import type { Vault } from './vault.ts'

/** Digest credentials are sealed; everything else is plain jsonb. */
export class SqlTrunkStore implements TrunkStore {
  readonly #db: Database
  readonly #vault: Vault

  constructor(db: Database, vault: Vault) {
    this.#db = db
    this.#vault = vault
  }

  async insert(ctx: AccountContext, trunk: TrunkSettings): Promise<void> {
    try {
      await this.#db
        .insertInto('trunks')
        .values({ id: trunk.id, account_id: ctx.accountId, ...this.#columns(trunk) })
        .execute()
    } catch (err) {
      if (sqlState(err) === UNIQUE_VIOLATION)
        throw new DomainError('CONFLICT', 'There is such a trunk already.', { field: 'id' })
      if (sqlState(err) === FOREIGN_KEY_VIOLATION) throw new DomainError('NOT_FOUND', 'There is no such account.')
      throw err
    }
  }

  async update(ctx: AccountContext, trunk: TrunkSettings): Promise<boolean> {
    const result = await this.#db
      .updateTable('trunks')
      .set(this.#columns(trunk))
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', trunk.id)
      .executeTakeFirst()
    return result.numUpdatedRows > 0n
  }

  async remove(ctx: AccountContext, id: string): Promise<boolean> {
    try {
      const result = await this.#db
        .deleteFrom('trunks')
        .where('account_id', '=', ctx.accountId)
        .where('id', '=', id)
        .executeTakeFirst()
      return result.numDeletedRows > 0n
    } catch (err) {
      if (sqlState(err) === FOREIGN_KEY_VIOLATION)
        throw new DomainError('CONFLICT', 'Numbers still live on this trunk.', { cause: err })
      throw err
    }
  }

  async get(ctx: AccountContext, id: string): Promise<TrunkSettings | undefined> {
    const row = await this.#db
      .selectFrom('trunks')
      .selectAll()
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', id)
      .executeTakeFirst()
    return row && this.#trunkFrom(row)
  }

  async list(ctx: AccountContext): Promise<TrunkSettings[]> {
    const rows = await this.#db
      .selectFrom('trunks')
      .selectAll()
      .where('account_id', '=', ctx.accountId)
      .orderBy('created_at')
      .orderBy('id')
      .execute()
    return rows.map((row) => this.#trunkFrom(row))
  }

  async listAll(): Promise<TrunkSettings[]> {
    const rows = await this.#db.selectFrom('trunks').selectAll().orderBy('created_at').orderBy('id').execute()
    return rows.map((row) => this.#trunkFrom(row))
  }

  #columns(trunk: TrunkSettings): { settings: string; sealed: string } {
    const { id, accountId: _, inboundAuth, outboundAuth, ...settings } = trunk
    return { settings: jsonText(settings), sealed: this.#vault.seal({ inboundAuth, outboundAuth }, `trunks/${id}`) }
  }

  #trunkFrom(row: Selectable<TrunksTable>): TrunkSettings {
    const secrets = this.#vault.open(row.sealed, `trunks/${row.id}`) as Pick<
      TrunkSettings,
      'inboundAuth' | 'outboundAuth'
    >
    return { ...(row.settings as unknown as TrunkSettings), ...secrets, id: row.id, accountId: row.account_id }
  }
}
