import type { Account, AccountStore, InstanceStore } from '../accounts/ports.ts'
import { DomainError } from '../lib/errors.ts'
import { instant, sqlState, UNIQUE_VIOLATION, type Database } from './database.ts'

export class SqlAccountStore implements AccountStore {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async insert(account: Account): Promise<void> {
    try {
      await this.#db
        .insertInto('accounts')
        .values({ id: account.id, name: account.name, created_at: instant(account.createdAtMs) })
        .execute()
    } catch (err) {
      if (sqlState(err) === UNIQUE_VIOLATION)
        throw new DomainError('CONFLICT', 'There is such an account already.', { field: 'id' })
      throw err
    }
  }

  async get(id: string): Promise<Account | undefined> {
    const row = await this.#db.selectFrom('accounts').selectAll().where('id', '=', id).executeTakeFirst()
    return row && { id: row.id, name: row.name, createdAtMs: row.created_at }
  }

  async list(): Promise<Account[]> {
    const rows = await this.#db.selectFrom('accounts').selectAll().orderBy('created_at').orderBy('id').execute()
    return rows.map((row) => ({ id: row.id, name: row.name, createdAtMs: row.created_at }))
  }
}

export class SqlInstanceStore implements InstanceStore {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async get(name: string): Promise<string | undefined> {
    const row = await this.#db.selectFrom('instance_values').select('value').where('name', '=', name).executeTakeFirst()
    return row?.value
  }

  async put(name: string, value: string): Promise<void> {
    await this.#db
      .insertInto('instance_values')
      .values({ name, value })
      .onConflict((c) => c.column('name').doUpdateSet({ value }))
      .execute()
  }

  /** Stores the value unless there is one; returns the one in force. Settles races between nodes. */
  async putIfAbsent(name: string, value: string): Promise<string> {
    await this.#db
      .insertInto('instance_values')
      .values({ name, value })
      .onConflict((c) => c.column('name').doNothing())
      .execute()
    return (await this.get(name)) ?? value
  }
}
