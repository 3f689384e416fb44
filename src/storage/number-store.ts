import type { Selectable } from 'kysely'
import type { AccountContext } from '../calls/ports.ts'
import { DomainError } from '../lib/errors.ts'
import type { NumberStore, PhoneNumber } from '../numbers/ports.ts'
import { FOREIGN_KEY_VIOLATION, instant, sqlState, UNIQUE_VIOLATION, type Database } from './database.ts'
import type { NumbersTable } from './schema.ts'

export class SqlNumberStore implements NumberStore {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async insert(ctx: AccountContext, number: PhoneNumber): Promise<void> {
    try {
      await this.#db
        .insertInto('numbers')
        .values({
          id: number.id,
          account_id: ctx.accountId,
          number: number.number,
          created_at: instant(number.createdAtMs),
          ...columns(number),
        })
        .execute()
    } catch (err) {
      if (sqlState(err) === UNIQUE_VIOLATION)
        throw new DomainError('CONFLICT', `The account has the number ${number.number} already.`, { field: 'number' })
      throw missing(err)
    }
  }

  async update(ctx: AccountContext, number: PhoneNumber): Promise<boolean> {
    try {
      const result = await this.#db
        .updateTable('numbers')
        .set(columns(number))
        .where('account_id', '=', ctx.accountId)
        .where('id', '=', number.id)
        .executeTakeFirst()
      return result.numUpdatedRows > 0n
    } catch (err) {
      throw missing(err)
    }
  }

  async remove(ctx: AccountContext, id: string): Promise<boolean> {
    const result = await this.#db
      .deleteFrom('numbers')
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', id)
      .executeTakeFirst()
    return result.numDeletedRows > 0n
  }

  async get(ctx: AccountContext, id: string): Promise<PhoneNumber | undefined> {
    const row = await this.#of(ctx).where('id', '=', id).executeTakeFirst()
    return row && numberFrom(row)
  }

  async findByNumber(ctx: AccountContext, number: string): Promise<PhoneNumber | undefined> {
    const row = await this.#of(ctx).where('number', '=', number).executeTakeFirst()
    return row && numberFrom(row)
  }

  async list(ctx: AccountContext): Promise<PhoneNumber[]> {
    return (await this.#of(ctx).orderBy('created_at').orderBy('id').execute()).map(numberFrom)
  }

  async listAll(): Promise<PhoneNumber[]> {
    const rows = await this.#db.selectFrom('numbers').selectAll().orderBy('created_at').orderBy('id').execute()
    return rows.map(numberFrom)
  }

  #of(ctx: AccountContext) {
    return this.#db.selectFrom('numbers').selectAll().where('account_id', '=', ctx.accountId)
  }
}

/** The service has checked trunk and bot; they may have gone since. */
const missing = (err: unknown): unknown =>
  sqlState(err) === FOREIGN_KEY_VIOLATION
    ? new DomainError('INVALID', 'The trunk or the bot is not one of this account.', { cause: err })
    : err

const columns = (number: PhoneNumber) => ({
  trunk_id: number.trunkId,
  action: number.action,
  bot_id: number.botId ?? null,
  record: number.record,
})

const numberFrom = (row: Selectable<NumbersTable>): PhoneNumber => ({
  id: row.id,
  accountId: row.account_id,
  number: row.number,
  trunkId: row.trunk_id,
  action: row.action === 'bot' ? 'bot' : 'reject',
  botId: row.bot_id ?? undefined,
  record: row.record,
  createdAtMs: row.created_at,
})
