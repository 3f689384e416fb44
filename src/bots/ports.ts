import type { AccountContext } from '../accounts/ports.ts'
import type { BotSettings } from '../calls/ports.ts'

/** A bot as stored: settings plus identity. `publicNo` is the number that vendor routes call `Voicechat_id`. */
export interface Bot extends BotSettings {
  id: string
  publicNo: number
  accountId: string
  createdAtMs: number
}

/** The number comes from the database. */
export type NewBot = Omit<Bot, 'publicNo'>

export interface BotStore {
  insert(ctx: AccountContext, bot: NewBot): Promise<Bot>
  update(ctx: AccountContext, bot: Bot): Promise<boolean>
  remove(ctx: AccountContext, id: string): Promise<boolean>
  get(ctx: AccountContext, id: string): Promise<Bot | undefined>
  findByPublicNo(ctx: AccountContext, publicNo: number): Promise<Bot | undefined>
  list(ctx: AccountContext): Promise<Bot[]>
  /** Every account's bots: for the directory alone. */
  listAll(): Promise<Bot[]>
}
