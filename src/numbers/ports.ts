import type { AccountContext } from '../accounts/ports.ts'

/** One number (DID) of an account, and what a call to it does. */
export interface PhoneNumber {
  id: string
  accountId: string
  /** E.164 with '+'. */
  number: string
  /** The trunk that it lives on, inbound and outbound. */
  trunkId: string
  action: 'bot' | 'reject'
  botId?: string
  record: boolean
  createdAtMs: number
}

export interface NumberStore {
  /** Rejects with DomainError CONFLICT when the account has the number already. */
  insert(ctx: AccountContext, number: PhoneNumber): Promise<void>
  update(ctx: AccountContext, number: PhoneNumber): Promise<boolean>
  remove(ctx: AccountContext, id: string): Promise<boolean>
  get(ctx: AccountContext, id: string): Promise<PhoneNumber | undefined>
  findByNumber(ctx: AccountContext, number: string): Promise<PhoneNumber | undefined>
  list(ctx: AccountContext): Promise<PhoneNumber[]>
  /** Every account's numbers: for the directory alone. */
  listAll(): Promise<PhoneNumber[]>
}
