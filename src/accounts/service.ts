import { timingSafeEqual } from 'node:crypto'
import type { Clock } from '../lib/clock.ts'
import { DomainError } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import type { Log } from '../telemetry/log.ts'
import { newKeyText, prefixOfKey } from './key-text.ts'
import type {
  Account,
  AccountContext,
  AccountStore,
  ApiKey,
  InstanceStore,
  KeyHasher,
  KeyScope,
  KeyStore,
  Principal,
  Right,
  StoredKey,
} from './ports.ts'
import { RIGHTS } from './ports.ts'

export interface AccountWorld {
  accounts: AccountStore
  keys: KeyStore
  instance: InstanceStore
  hasher: KeyHasher
  clock: Clock
  log: Log
}

export interface NewKey {
  name?: string
  rights?: Right[]
  scope?: KeyScope
  expiresAtMs?: number
  /** A key made elsewhere (bootstrap file); must have the shape of `newKeyText()`. */
  text?: string
}

interface CachedKey {
  key: StoredKey | undefined
  loadedAtMs: number
  touchedAtMs: number
}

// Another node's revocation is seen after this long at the latest.
const FRESH_MS = 15_000
// `last_used` needs no more truth than this, and each write costs a query.
const TOUCH_EVERY_MS = 60_000
// Bounds what guessing keys can make us remember.
const MAX_CACHED = 10_000
const ADMIN_DIGEST = 'admin_key_digest'

/** Tenants, their API keys, and the check of a key on each request (from memory wherever possible). */
export class AccountService {
  readonly #world: AccountWorld
  readonly #cache = new Map<string, CachedKey>()
  #adminDigest: string | undefined

  constructor(world: AccountWorld) {
    this.#world = world
  }

  async create(input: { name: string; id?: string }): Promise<Account> {
    const name = input.name.trim()
    if (!name || name.length > 200)
      throw new DomainError('INVALID', 'name must have 1 to 200 characters', { field: 'name' })
    const { clock, accounts } = this.#world
    const account: Account = { id: input.id ?? uuidv7(clock.wallMs()), name, createdAtMs: clock.wallMs() }
    await accounts.insert(account)
    return account
  }

  async get(accountId: string): Promise<Account> {
    const account = await this.#world.accounts.get(accountId)
    if (!account) throw new DomainError('NOT_FOUND', 'There is no such account.')
    return account
  }

  list(): Promise<Account[]> {
    return this.#world.accounts.list()
  }

  /** The text comes back this once and is stored nowhere. */
  async createKey(ctx: AccountContext, input: NewKey = {}): Promise<{ key: ApiKey; text: string }> {
    const { clock, keys, hasher } = this.#world
    await this.get(ctx.accountId)
    const rights = input.rights ?? [...RIGHTS]
    if (!rights.length) throw new DomainError('INVALID', 'a key needs at least one right', { field: 'rights' })
    if (input.expiresAtMs !== undefined && input.expiresAtMs <= clock.wallMs())
      throw new DomainError('INVALID', 'the expiry lies in the past', { field: 'expiresAtMs' })
    const text = input.text ?? newKeyText()
    const prefix = prefixOfKey(text)
    if (!prefix) throw new DomainError('INVALID', 'a key reads tl_<12 hex digits>_<32 characters>', { field: 'key' })
    const stored: StoredKey = {
      id: uuidv7(clock.wallMs()),
      accountId: ctx.accountId,
      name: input.name ?? '',
      prefix,
      digest: hasher.digest(text),
      rights: RIGHTS.filter((r) => rights.includes(r)),
      scope: input.scope ?? { kind: 'account' },
      createdAtMs: clock.wallMs(),
      expiresAtMs: input.expiresAtMs,
    }
    await keys.insert(ctx, stored)
    this.#cache.delete(prefix)
    const { digest: _, ...key } = stored
    return { key, text }
  }

  listKeys(ctx: AccountContext): Promise<ApiKey[]> {
    return this.#world.keys.list(ctx)
  }

  /** Takes effect on this node at once. */
  async revokeKey(ctx: AccountContext, keyId: string): Promise<void> {
    const found = await this.#world.keys.revoke(ctx, keyId, this.#world.clock.wallMs())
    if (!found) throw new DomainError('NOT_FOUND', 'There is no such key.')
    for (const [prefix, cached] of this.#cache) if (cached.key?.id === keyId) this.#cache.delete(prefix)
  }

  /** Undefined for unknown, revoked and expired keys alike. Rejects with UNAVAILABLE when it can't be known. */
  async authenticate(text: string): Promise<Principal | undefined> {
    const { clock, hasher } = this.#world
    const prefix = prefixOfKey(text)
    const key = prefix === undefined ? undefined : await this.#load(prefix)
    const given = Buffer.from(hasher.digest(text.slice(0, 512)))
    // An unknown prefix costs the same as a wrong secret: one digest, one comparison.
    const same = timingSafeEqual(given, key ? Buffer.from(key.digest) : Buffer.alloc(given.length))
    if (!key || !same) return undefined
    const nowMs = clock.wallMs()
    if (key.revokedAtMs !== undefined || (key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs)) return undefined
    this.#touch(key, nowMs)
    return { accountId: key.accountId, keyId: key.id, rights: key.rights, scope: key.scope }
  }

  /**
   * Settles the admin key at start: the configured one, else the one of an earlier start, else a new one, whose text is
   * returned to be printed once.
   */
  async prepareAdminKey(configured: string | undefined): Promise<string | undefined> {
    const { hasher, instance } = this.#world
    if (configured !== undefined) {
      this.#adminDigest = hasher.digest(configured)
      return undefined
    }
    this.#adminDigest = await instance.get(ADMIN_DIGEST)
    if (this.#adminDigest) return undefined
    const text = newKeyText()
    this.#adminDigest = hasher.digest(text)
    await instance.put(ADMIN_DIGEST, this.#adminDigest)
    return text
  }

  isAdmin(text: string): boolean {
    const given = Buffer.from(this.#world.hasher.digest(text.slice(0, 512)))
    const wanted = this.#adminDigest ? Buffer.from(this.#adminDigest) : Buffer.alloc(given.length)
    return timingSafeEqual(given, wanted) && this.#adminDigest !== undefined
  }

  async #load(prefix: string): Promise<StoredKey | undefined> {
    const { clock, keys, log } = this.#world
    const cached = this.#cache.get(prefix)
    if (cached && clock.now() - cached.loadedAtMs < FRESH_MS) return cached.key
    try {
      const key = await keys.findByPrefix(prefix)
      this.#cache.delete(prefix)
      if (this.#cache.size >= MAX_CACHED) this.#cache.delete(this.#cache.keys().next().value!)
      this.#cache.set(prefix, { key, loadedAtMs: clock.now(), touchedAtMs: cached?.touchedAtMs ?? -Infinity })
      return key
    } catch (err) {
      // The database is away: a key that was good a while ago still is (calls go on without the database).
      if (cached?.key) return cached.key
      log.warn({ err }, 'API key could not be looked up')
      throw new DomainError('UNAVAILABLE', undefined, { cause: err, retryAfterMs: 2000 })
    }
  }

  #touch(key: StoredKey, nowMs: number): void {
    const { clock, keys, log } = this.#world
    const cached = this.#cache.get(key.prefix)
    if (!cached || clock.now() - cached.touchedAtMs < TOUCH_EVERY_MS) return
    cached.touchedAtMs = clock.now()
    keys.touch(key, key.id, nowMs).catch((err: unknown) => log.warn({ err }, 'last use of a key was not noted'))
  }
}
