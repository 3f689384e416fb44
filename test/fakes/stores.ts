import type { Account, AccountContext, AccountStore, KeyStore, StoredKey } from '../../src/accounts/ports.ts'
import type { Bot, BotStore, NewBot } from '../../src/bots/ports.ts'
import { DomainError } from '../../src/lib/errors.ts'
import type { NumberStore, PhoneNumber } from '../../src/numbers/ports.ts'
import type { TrunkSettings } from '../../src/sip/trunk/settings.ts'
import type { TrunkStore } from '../../src/trunks/ports.ts'

/** Rows in memory, as the SQL stores keep them: copies in, copies out, each account its own. */
class Rows<T extends { id: string; accountId: string }> {
  readonly rows = new Map<string, T>()
  /** Set to make the next queries fail. */
  down = false

  protected check(): void {
    if (this.down) throw new Error('database is away')
  }

  async insert(ctx: AccountContext, row: T): Promise<void> {
    this.check()
    if (this.rows.has(row.id)) throw new DomainError('CONFLICT', 'There is such a thing already.', { field: 'id' })
    this.rows.set(row.id, copy({ ...row, accountId: ctx.accountId }))
  }

  async update(ctx: AccountContext, row: T): Promise<boolean> {
    if (!(await this.get(ctx, row.id))) return false
    this.rows.set(row.id, copy(row))
    return true
  }

  async remove(ctx: AccountContext, id: string): Promise<boolean> {
    return (await this.get(ctx, id)) !== undefined && this.rows.delete(id)
  }

  async get(ctx: AccountContext, id: string): Promise<T | undefined> {
    this.check()
    const row = this.rows.get(id)
    return row?.accountId === ctx.accountId ? copy(row) : undefined
  }

  async list(ctx: AccountContext): Promise<T[]> {
    return (await this.listAll()).filter((row) => row.accountId === ctx.accountId)
  }

  async listAll(): Promise<T[]> {
    this.check()
    return [...this.rows.values()].map(copy)
  }
}

const copy = <T>(value: T): T => JSON.parse(JSON.stringify(value)) as T

export class MemoryTrunks extends Rows<TrunkSettings> implements TrunkStore {}

export class MemoryNumbers extends Rows<PhoneNumber> implements NumberStore {
  async findByNumber(ctx: AccountContext, number: string): Promise<PhoneNumber | undefined> {
    return (await this.list(ctx)).find((row) => row.number === number)
  }
}

export class MemoryBots implements BotStore {
  readonly #rows = new Rows<Bot>()
  #publicNo = 0

  async insert(ctx: AccountContext, bot: NewBot): Promise<Bot> {
    const row: Bot = { ...bot, accountId: ctx.accountId, publicNo: ++this.#publicNo }
    await this.#rows.insert(ctx, row)
    return row
  }
  update = (ctx: AccountContext, bot: Bot): Promise<boolean> => this.#rows.update(ctx, bot)
  remove = (ctx: AccountContext, id: string): Promise<boolean> => this.#rows.remove(ctx, id)
  get = (ctx: AccountContext, id: string): Promise<Bot | undefined> => this.#rows.get(ctx, id)
  list = (ctx: AccountContext): Promise<Bot[]> => this.#rows.list(ctx)
  listAll = (): Promise<Bot[]> => this.#rows.listAll()
  findByPublicNo = async (ctx: AccountContext, publicNo: number): Promise<Bot | undefined> =>
    (await this.#rows.list(ctx)).find((bot) => bot.publicNo === publicNo)
}

export class MemoryAccounts implements AccountStore {
  readonly rows = new Map<string, Account>()
  insert = async (account: Account): Promise<void> => void this.rows.set(account.id, account)
  get = async (id: string): Promise<Account | undefined> => this.rows.get(id)
  list = async (): Promise<Account[]> => [...this.rows.values()]
}

export class MemoryKeys extends Rows<StoredKey> implements KeyStore {
  lookUps = 0

  override async list(ctx: AccountContext): Promise<StoredKey[]> {
    return super.list(ctx)
  }

  async revoke(ctx: AccountContext, id: string, atMs: number): Promise<boolean> {
    const key = await this.get(ctx, id)
    return key !== undefined && this.update(ctx, { ...key, revokedAtMs: atMs })
  }

  async findByPrefix(prefix: string): Promise<StoredKey | undefined> {
    this.lookUps++
    return (await this.listAll()).find((key) => key.prefix === prefix)
  }

  async touch(ctx: AccountContext, id: string, atMs: number): Promise<void> {
    const key = await this.get(ctx, id)
    if (key) await this.update(ctx, { ...key, lastUsedAtMs: atMs })
  }
}
