import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { AccountService } from '../../src/accounts/service.ts'
import { systemClock } from '../../src/lib/clock.ts'
import type { Storage } from '../../src/storage/index.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { trunkFrom } from '../../src/trunks/trunk.ts'
import { botSettingsFrom } from '../../src/bots/bot.ts'
import { databases, type TestHome } from '../helpers/database.ts'

const A = { accountId: 'a' }
const B = { accountId: 'b' }

describe.each(databases)('stores on $name', { timeout: 60_000 }, ({ home: newHome }) => {
  let home: TestHome
  let storage: Storage

  beforeAll(async () => {
    home = await newHome()
    storage = await home.open()
    for (const { accountId } of [A, B])
      await storage.accounts.insert({ id: accountId, name: accountId, createdAtMs: 1000 })
  })
  afterAll(async () => {
    await storage.close()
    await home.remove()
  })

  it('keep accounts and refuse a second of the same id', async () => {
    expect(await storage.accounts.get('a')).toEqual({ id: 'a', name: 'a', createdAtMs: 1000 })
    expect((await storage.accounts.list()).map((a) => a.id)).toEqual(['a', 'b'])
    await expect(storage.accounts.insert({ id: 'a', name: 'x', createdAtMs: 1 })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
  })

  it('keep keys as digests only, and check them', async () => {
    const accounts = new AccountService({ ...storage, clock: systemClock, hasher: storage.vault, log: silentLog })
    const { key, text } = await accounts.createKey(A, {
      name: 'k',
      rights: ['write', 'read'],
      scope: { kind: 'project', projectId: 'p' },
    })
    const stored = await storage.keys.findByPrefix(key.prefix)
    expect(JSON.stringify(stored)).not.toContain(text)
    expect(await accounts.authenticate(text)).toEqual({
      accountId: 'a',
      keyId: key.id,
      rights: ['read', 'write'],
      scope: { kind: 'project', projectId: 'p' },
    })
    await storage.keys.touch(A, key.id, 5_000_123)
    expect(await accounts.listKeys(A)).toEqual([{ ...key, lastUsedAtMs: expect.any(Number) as number }])
    expect(await accounts.listKeys(B)).toEqual([])
    expect(await storage.keys.revoke(B, key.id, 1)).toBe(false)
    await accounts.revokeKey(A, key.id)
    expect(await accounts.authenticate(text)).toBeUndefined()
  })

  it('keep trunks with their passwords sealed, within their account', async () => {
    const trunk = trunkFrom('t1', 'a', {
      name: 'T',
      host: '192.0.2.1',
      outboundAuth: { username: 'u', password: 'hunter2hunter2' },
    })
    await storage.trunks.insert(A, trunk)
    expect(await storage.trunks.get(A, 't1')).toEqual(trunk)
    expect(await storage.trunks.get(B, 't1')).toBeUndefined()
    expect(await storage.trunks.list(B)).toEqual([])
    expect(await storage.trunks.update(B, trunk)).toBe(false)
    expect(await storage.trunks.remove(B, 't1')).toBe(false)
    expect(await storage.trunks.update(A, { ...trunk, port: 5070 })).toBe(true)
    expect((await storage.trunks.listAll())[0].port).toBe(5070)
    await expect(storage.trunks.insert(A, trunk)).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(storage.trunks.insert({ accountId: 'nobody' }, { ...trunk, id: 't9' })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('keep bots under growing public numbers, headers and address sealed', async () => {
    const settings = botSettingsFrom({ name: 'B', url: 'wss://bot.example/?token=1', headers: { 'x-key': 'v' } })
    const first = await storage.bots.insert(A, { ...settings, id: 'b1', accountId: 'a', createdAtMs: 1000 })
    const second = await storage.bots.insert(B, { ...settings, id: 'b2', accountId: 'b', createdAtMs: 1000 })
    expect(second.publicNo).toBeGreaterThan(first.publicNo)
    expect(await storage.bots.findByPublicNo(A, first.publicNo)).toEqual(first)
    expect(await storage.bots.findByPublicNo(A, second.publicNo)).toBeUndefined()
    expect(await storage.bots.findByPublicNo(A, 1e300)).toBeUndefined()
    expect(await storage.bots.update(A, { ...first, name: 'C' })).toBe(true)
    expect((await storage.bots.list(A)).map((b) => [b.name, b.url])).toEqual([['C', settings.url]])
    expect(await storage.bots.listAll()).toHaveLength(2)
  })

  it('seal the stand-ins of bots, and fill in what rows of an older version lack', async () => {
    const seal = vi.spyOn(storage.vault, 'seal')
    const input = { name: 'S', url: 'wss://bot.example/', fallbackUrls: ['wss://standby.example/?token=1'] }
    const bot = await storage.bots.insert(A, { ...botSettingsFrom(input), id: 'b3', accountId: 'a', createdAtMs: 1000 })
    expect(seal).toHaveBeenCalledWith(expect.objectContaining({ fallbackUrls: input.fallbackUrls }), 'bots/b3')
    seal.mockRestore()
    expect(await storage.bots.get(A, 'b3')).toEqual(bot)
    const { name, url, headers, id, accountId, createdAtMs, publicNo } = bot
    const older = { name, url, headers, id, accountId, createdAtMs, publicNo, dialect: 'native', frameMs: 40 }
    await storage.bots.update(A, older as unknown as typeof bot)
    expect(await storage.bots.get(A, 'b3')).toEqual({ ...bot, frameMs: 40, fallbackUrls: [] })
    expect(await storage.bots.remove(A, 'b3')).toBe(true)
  })

  it('keep numbers once per account, on trunks and with bots of their own account', async () => {
    const number = {
      id: 'n1',
      accountId: 'a',
      number: '+912240001234',
      trunkId: 't1',
      action: 'bot',
      botId: 'b1',
      record: true,
      createdAtMs: 1000,
    } as const
    await storage.numbers.insert(A, number)
    expect(await storage.numbers.findByNumber(A, number.number)).toEqual(number)
    expect(await storage.numbers.findByNumber(B, number.number)).toBeUndefined()
    await expect(storage.numbers.insert(A, { ...number, id: 'n2' })).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(storage.numbers.insert(B, { ...number, id: 'n3' })).rejects.toMatchObject({ code: 'INVALID' })
    await expect(storage.numbers.update(A, { ...number, botId: 'b2' })).rejects.toMatchObject({ code: 'INVALID' })
    await expect(storage.trunks.remove(A, 't1')).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(storage.bots.remove(A, 'b1')).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await storage.numbers.remove(B, 'n1')).toBe(false)
    expect(await storage.numbers.remove(A, 'n1')).toBe(true)
    expect(await storage.bots.remove(A, 'b1')).toBe(true)
  })

  it('answer a repeated request as the first one, and tell a crash from one under way', async () => {
    const { idempotency } = storage
    const request = { op: 'calls.create', key: 'k1', bodyDigest: 'd', callId: 'c1' }
    const claims = await Promise.all(Array.from({ length: 20 }, () => idempotency.begin(A, request)))
    expect(claims.map((c) => c.state).sort()).toEqual([...Array.from({ length: 19 }, () => 'inFlight'), 'new'])
    expect(await idempotency.begin(B, request)).toEqual({ state: 'new' })
    await idempotency.finish(A, request, [201, { id: 'c1' }])
    expect(await idempotency.begin(A, request)).toEqual({ state: 'done', reply: [201, { id: 'c1' }] })
    expect(await idempotency.begin(A, { ...request, bodyDigest: 'other' })).toEqual({ state: 'mismatch' })
    await idempotency.abandon(B, request)
    expect(await idempotency.begin(B, request)).toEqual({ state: 'new' })

    await storage.close()
    storage = await home.open()
    expect(await storage.idempotency.begin(A, request)).toMatchObject({ state: 'done' })
    expect(await storage.idempotency.begin(B, request)).toEqual({ state: 'interrupted', callId: 'c1' })
    expect(await storage.idempotency.begin(B, request)).toEqual({ state: 'inFlight' })
    await storage.idempotency.purge()
    expect(await storage.idempotency.begin(A, request)).toMatchObject({ state: 'done' })
  })

  it('refuse a database that was made with another secret key', async () => {
    await storage.close()
    const { renameSync, rmSync } = await import('node:fs')
    const path = `${home.dataDir}/secret.key`
    renameSync(path, `${path}.kept`)
    await expect(home.open()).rejects.toThrow('secret.key')
    rmSync(path)
    renameSync(`${path}.kept`, path)
    storage = await home.open()
    expect(storage.ready()).toBe(true)
  })
})
