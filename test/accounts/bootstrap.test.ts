import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { applyBootstrap } from '../../src/accounts/bootstrap.ts'
import { newKeyText } from '../../src/accounts/key-text.ts'
import { configuration } from './rig.ts'

const A = { accountId: 'acme' }
const account = () => ({
  id: 'acme',
  name: 'Acme',
  keys: [{ key: newKeyText(), name: 'backend', rights: ['read', 'write'] }] as Record<string, unknown>[],
  trunks: [{ id: 'carrier', name: 'Carrier', host: '203.0.113.5', allowedCidrs: ['203.0.113.0/24'] }] as Record<
    string,
    unknown
  >[],
  bots: [{ id: 'greeter', name: 'Greeter', url: 'wss://bot.example.com/call' }] as Record<string, unknown>[],
  numbers: [{ number: '022 4000 1234', trunkId: 'carrier', action: 'bot', botId: 'greeter' }] as Record<
    string,
    unknown
  >[],
})

describe('the bootstrap file', () => {
  let dir: string
  let path: string
  const write = (content: unknown): void =>
    writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content))
  beforeAll(() => {
    dir = mkdtempSync(join(tmpdir(), 'trunkline-bootstrap-'))
    path = join(dir, 'bootstrap.json')
  })
  afterAll(() => rmSync(dir, { recursive: true }))

  it('declares everything, changes nothing the second time, and only what has changed the third', async () => {
    const { services, counted, accounts, trunks, bots, numbers } = configuration()
    const acme = account()
    write({ accounts: [acme] })
    expect(await applyBootstrap(path, services)).toBe(5)
    const before = counted.changes
    expect(await applyBootstrap(path, services)).toBe(0)
    expect(counted.changes).toBe(before)
    expect(await accounts.authenticate(acme.keys[0].key as string)).toMatchObject({
      accountId: 'acme',
      rights: ['read', 'write'],
    })
    expect(await trunks.get(A, 'carrier')).toMatchObject({ port: 5060, allowedCidrs: ['203.0.113.0/24'] })
    expect((await bots.get(A, 'greeter')).publicNo).toBe(1)

    acme.trunks[0].port = 5070
    acme.numbers[0].action = 'reject'
    write({ accounts: [acme] })
    expect(await applyBootstrap(path, services)).toBe(2)
    expect((await trunks.get(A, 'carrier')).port).toBe(5070)
    expect((await numbers.list(A))[0]).toMatchObject({ number: '+912240001234', action: 'reject' })
    expect(await applyBootstrap(path, services)).toBe(0)
  })

  it.each<[string, (acme: ReturnType<typeof account>) => unknown, string]>([
    ['a text that is no JSON', () => '{', 'bootstrap.json: '],
    ['an account without id', (a) => ({ ...a, id: undefined }), 'accounts[0].id: '],
    ['an unknown field', (a) => ({ ...a, colour: 'red' }), 'accounts[0].colour'],
    ['a wrong trunk host', (a) => void (a.trunks[0].host = 'bad host'), 'accounts[0].trunks[0].host'],
    [
      'a wrong address range',
      (a) => void (a.trunks[0].allowedCidrs = ['10.0.0.0/8', '10.0.0.0/64']),
      'accounts[0].trunks[0].allowedCidrs[1]',
    ],
    ['a trunk field that is none', (a) => void (a.trunks[0].hosts = []), 'accounts[0].trunks[0].hosts'],
    [
      'a refused bot address',
      (a) => void (a.bots[0].url = 'http://x'),
      'accounts[0].bots[0].url: the address must begin with wss://',
    ],
    [
      'a number that is none',
      (a) => void (a.numbers[0].number = '12'),
      "accounts[0].numbers[0].number: '12' is not a phone number",
    ],
    ['a number on an unknown trunk', (a) => void (a.numbers[0].trunkId = 'nowhere'), 'accounts[0].numbers[0].trunkId'],
    ['a weak key', (a) => void (a.keys[0].key = 'secret'), 'accounts[0].keys[0].key'],
    ['a right that is none', (a) => void (a.keys[0].rights = ['all']), 'accounts[0].keys[0].rights[0]'],
  ])('names the place of %s', async (_, spoil, says) => {
    const acme = account()
    const spoilt = spoil(acme)
    write(typeof spoilt === 'string' ? spoilt : { accounts: [spoilt ?? acme] })
    await expect(applyBootstrap(path, configuration().services)).rejects.toThrow(says)
  })

  it('that is not there is named', async () => {
    await expect(applyBootstrap('/nowhere/file.json', configuration().services)).rejects.toThrow('/nowhere/file.json')
  })
})
