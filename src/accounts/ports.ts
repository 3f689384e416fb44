/** Tenants and their keys, and what the services need from storage to keep them. */
import type { AccountContext } from '../calls/ports.ts'

/** Whose rows: the first argument of every store and service call that touches a tenant's data. */
export type { AccountContext }

export interface Account {
  id: string
  name: string
  createdAtMs: number
}

export const RIGHTS = ['read', 'write', 'delete'] as const
export type Right = (typeof RIGHTS)[number]

/** 'project' keys see one project of the account only. */
export type KeyScope = { kind: 'account' } | { kind: 'project'; projectId: string }

/** A key as people may see it: never its text, never its digest. */
export interface ApiKey {
  id: string
  accountId: string
  name: string
  /** The readable start of the key's text (`tl_0a1b2c3d4e5f`), to tell keys apart. */
  prefix: string
  rights: Right[]
  scope: KeyScope
  createdAtMs: number
  expiresAtMs?: number
  revokedAtMs?: number
  lastUsedAtMs?: number
}

/** Who is asking, once a key has been checked. Usable wherever an AccountContext is. */
export interface Principal extends AccountContext {
  readonly keyId: string
  readonly rights: readonly Right[]
  readonly scope: KeyScope
}

export interface AccountStore {
  insert(account: Account): Promise<void>
  get(id: string): Promise<Account | undefined>
  list(): Promise<Account[]>
}

/** A key row with its digest: HMAC-SHA-256 of the text, hex. */
export interface StoredKey extends ApiKey {
  digest: string
}

export interface KeyStore {
  insert(ctx: AccountContext, key: StoredKey): Promise<void>
  list(ctx: AccountContext): Promise<ApiKey[]>
  /** False when there is no such key in the account. */
  revoke(ctx: AccountContext, id: string, atMs: number): Promise<boolean>
  /** By the short id in the key's text: the one look-up that comes before the tenant is known. */
  findByPrefix(prefix: string): Promise<StoredKey | undefined>
  touch(ctx: AccountContext, id: string, atMs: number): Promise<void>
}

/** Small values of the installation itself, outside any tenant. */
export interface InstanceStore {
  get(name: string): Promise<string | undefined>
  put(name: string, value: string): Promise<void>
}

/** Digests of keys; the pepper stays behind it. */
export interface KeyHasher {
  digest(text: string): string
}
