import { describe, expect, it } from 'vitest'
import { newKeyText } from '../../src/accounts/key-text.ts'
import { settle } from '../fakes/clock.ts'
import { configuration } from './rig.ts'

const A = { accountId: 'a' }

async function withKey(input = {}) {
  const rig = configuration()
  await rig.accounts.create({ id: 'a', name: 'A' })
  return { ...rig, ...(await rig.accounts.createKey(A, input)) }
}

describe('API keys', () => {
  it('are shown once, hold 192 random bits, and are known by their prefix', async () => {
    const { key, text, accounts } = await withKey({ name: 'backend' })
    expect(text).toMatch(/^tl_[0-9a-f]{12}_[A-Za-z0-9_-]{32}$/)
    expect(text.startsWith(`${key.prefix}_`)).toBe(true)
    expect(await accounts.listKeys(A)).toMatchObject([
      { name: 'backend', rights: ['read', 'write', 'delete'], scope: { kind: 'account' } },
    ])
    expect(await accounts.authenticate(text)).toMatchObject({ accountId: 'a', keyId: key.id })
  })

  it.each([
    ['another secret', (text: string) => `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : 'A'}`],
    ['an unknown prefix', () => newKeyText()],
    ['no key at all', () => 'Bearer'],
    ['nothing', () => ''],
    ['a very long text', () => 'x'.repeat(1_000_000)],
  ])('are refused with %s', async (_, change) => {
    const { text, accounts } = await withKey()
    expect(await accounts.authenticate(change(text))).toBeUndefined()
  })

  it('end when they expire', async () => {
    const { text, clock, accounts } = await withKey({ expiresAtMs: Date.UTC(2026, 0, 1) + 1000 })
    expect(await accounts.authenticate(text)).toBeDefined()
    clock.advance(1000)
    expect(await accounts.authenticate(text)).toBeUndefined()
  })

  it('end at once when they are revoked, in their own account only', async () => {
    const { text, key, accounts } = await withKey()
    await accounts.authenticate(text)
    await expect(accounts.revokeKey({ accountId: 'b' }, key.id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await accounts.revokeKey(A, key.id)
    expect(await accounts.authenticate(text)).toBeUndefined()
  })

  it('are looked up again after 15 s, so that another node may revoke them', async () => {
    const { text, key, clock, stores, accounts } = await withKey()
    for (let i = 0; i < 5; i++) await accounts.authenticate(text)
    expect(stores.keys.lookUps).toBe(1)
    await stores.keys.revoke(A, key.id, 1)
    clock.advance(15_000)
    expect(await accounts.authenticate(text)).toBeUndefined()
  })

  it('that were good stay good while the database is away; unknown ones can not be judged', async () => {
    const { text, clock, stores, accounts } = await withKey()
    await accounts.authenticate(text)
    stores.keys.down = true
    clock.advance(60_000)
    expect(await accounts.authenticate(text)).toBeDefined()
    await expect(accounts.authenticate(newKeyText())).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('note when they were last used, at most once a minute', async () => {
    const { text, clock, accounts } = await withKey()
    const lastUsed = async (): Promise<number | undefined> => {
      await settle()
      return (await accounts.listKeys(A))[0].lastUsedAtMs
    }
    await accounts.authenticate(text)
    const first = await lastUsed()
    expect(first).toBe(clock.wallMs())
    clock.advance(59_000)
    await accounts.authenticate(text)
    expect(await lastUsed()).toBe(first)
    clock.advance(1000)
    await accounts.authenticate(text)
    expect(await lastUsed()).toBe(clock.wallMs())
  })

  it('need an account, a right and a time to come', async () => {
    const { accounts } = await withKey()
    await expect(accounts.createKey({ accountId: 'b' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(accounts.createKey(A, { rights: [] })).rejects.toMatchObject({ code: 'INVALID', field: 'rights' })
    await expect(accounts.createKey(A, { expiresAtMs: 1 })).rejects.toMatchObject({
      code: 'INVALID',
      field: 'expiresAtMs',
    })
    await expect(accounts.createKey(A, { text: 'weak' })).rejects.toMatchObject({ code: 'INVALID', field: 'key' })
  })
})

describe('the admin key', () => {
  it('is the configured one where there is one', async () => {
    const { accounts } = configuration()
    expect(accounts.isAdmin('')).toBe(false)
    expect(await accounts.prepareAdminKey('configured-admin-key-1234')).toBeUndefined()
    expect(accounts.isAdmin('configured-admin-key-1234')).toBe(true)
    expect(accounts.isAdmin('configured-admin-key-1235')).toBe(false)
  })

  it('is made and told at the first start only', async () => {
    const { accounts, newAccounts } = configuration()
    const text = await accounts.prepareAdminKey(undefined)
    const restarted = newAccounts()
    expect(await restarted.prepareAdminKey(undefined)).toBeUndefined()
    expect(restarted.isAdmin(text!)).toBe(true)
  })
})
