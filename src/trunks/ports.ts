import type { AccountContext } from '../accounts/ports.ts'
import type { TrunkSettings } from '../sip/trunk/settings.ts'

export interface TrunkStore {
  insert(ctx: AccountContext, trunk: TrunkSettings): Promise<void>
  update(ctx: AccountContext, trunk: TrunkSettings): Promise<boolean>
  remove(ctx: AccountContext, id: string): Promise<boolean>
  get(ctx: AccountContext, id: string): Promise<TrunkSettings | undefined>
  list(ctx: AccountContext): Promise<TrunkSettings[]>
  /** Every account's trunks: for the gateway and the directory alone. */
  listAll(): Promise<TrunkSettings[]>
}
