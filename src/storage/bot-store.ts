import type { Selectable } from 'kysely'
import { BOT_DEFAULTS } from '../bots/bot.ts'
import type { Bot, BotStore, NewBot } from '../bots/ports.ts'
import type { AccountContext } from '../calls/ports.ts'
import { DomainError } from '../lib/errors.ts'
import { FOREIGN_KEY_VIOLATION, instant, jsonText, sqlState, UNIQUE_VIOLATION, type Database } from './database.ts'
import type { BotsTable } from './schema.ts'
import type { Vault } from './vault.ts'

type Sealed = Pick<Bot, 'headers' | 'secret' | 'url'> & Partial<Pick<Bot, 'fallbackUrls'>>

/** Handshake headers, the signing secret and the addresses (which may carry tokens) are sealed. */
export class SqlBotStore implements BotStore {
  readonly #db: Database
  readonly #vault: Vault

  constructor(db: Database, vault: Vault) {
    this.#db = db
    this.#vault = vault
  }

  async insert(ctx: AccountContext, bot: NewBot): Promise<Bot> {
    try {
      const { public_no } = await this.#db
        .insertInto('bots')
        .values({ id: bot.id, account_id: ctx.accountId, created_at: instant(bot.createdAtMs), ...this.#columns(bot) })
        .returning('public_no')
        .executeTakeFirstOrThrow()
      return { ...bot, accountId: ctx.accountId, publicNo: public_no }
    } catch (err) {
      if (sqlState(err) === UNIQUE_VIOLATION)
        throw new DomainError('CONFLICT', 'There is such a bot already.', { field: 'id' })
      if (sqlState(err) === FOREIGN_KEY_VIOLATION) throw new DomainError('NOT_FOUND', 'There is no such account.')
      throw err
    }
  }

  async update(ctx: AccountContext, bot: Bot): Promise<boolean> {
    const result = await this.#db
      .updateTable('bots')
      .set(this.#columns(bot))
      .where('account_id', '=', ctx.accountId)
      .where('id', '=', bot.id)
      .executeTakeFirst()
    return result.numUpdatedRows > 0n
  }

  async remove(ctx: AccountContext, id: string): Promise<boolean> {
    try {
      const result = await this.#db
        .deleteFrom('bots')
        .where('account_id', '=', ctx.accountId)
        .where('id', '=', id)
        .executeTakeFirst()
      return result.numDeletedRows > 0n
    } catch (err) {
      if (sqlState(err) === FOREIGN_KEY_VIOLATION)
        throw new DomainError('CONFLICT', 'Numbers still lead to this bot.', { cause: err })
      throw err
    }
  }

  async get(ctx: AccountContext, id: string): Promise<Bot | undefined> {
    const row = await this.#of(ctx).where('id', '=', id).executeTakeFirst()
    return row && this.#botFrom(row)
  }

  async findByPublicNo(ctx: AccountContext, publicNo: number): Promise<Bot | undefined> {
    if (!Number.isSafeInteger(publicNo)) return undefined
    const row = await this.#of(ctx).where('public_no', '=', publicNo).executeTakeFirst()
    return row && this.#botFrom(row)
  }

  async list(ctx: AccountContext): Promise<Bot[]> {
    const rows = await this.#of(ctx).orderBy('public_no').execute()
    return rows.map((row) => this.#botFrom(row))
  }

  async listAll(): Promise<Bot[]> {
    const rows = await this.#db.selectFrom('bots').selectAll().orderBy('public_no').execute()
    return rows.map((row) => this.#botFrom(row))
  }

  #of(ctx: AccountContext) {
    return this.#db.selectFrom('bots').selectAll().where('account_id', '=', ctx.accountId)
  }

  #columns(bot: NewBot & { publicNo?: number }): { settings: string; sealed: string } {
    const { id, publicNo: _no, accountId: _account, createdAtMs: _created, ...rest } = bot
    const { headers, secret, url, fallbackUrls, ...settings } = rest
    const sealed = this.#vault.seal({ headers, secret, url, fallbackUrls } satisfies Sealed, `bots/${id}`)
    return { settings: jsonText(settings), sealed }
  }

  /** Rows of older versions lack the fields that came later: those get their defaults. */
  #botFrom(row: Selectable<BotsTable>): Bot {
    const secrets = this.#vault.open(row.sealed, `bots/${row.id}`) as Sealed
    const identity = { id: row.id, accountId: row.account_id, publicNo: row.public_no, createdAtMs: row.created_at }
    return { ...BOT_DEFAULTS, ...(row.settings as unknown as Bot), ...secrets, ...identity }
  }
}
