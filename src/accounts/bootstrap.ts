import { readFileSync } from 'node:fs'
import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { BotInput } from '../bots/bot.ts'
import type { BotService } from '../bots/service.ts'
import { checkFields } from '../lib/checked.ts'
import { DomainError, errorText } from '../lib/errors.ts'
import type { NumberInput } from '../numbers/number.ts'
import type { NumberService } from '../numbers/service.ts'
import type { TrunkService } from '../trunks/service.ts'
import type { TrunkInput } from '../trunks/trunk.ts'
import { prefixOfKey } from './key-text.ts'
import { RIGHTS } from './ports.ts'
import type { AccountService } from './service.ts'

/**
 * The bootstrap file: accounts with their keys, trunks, bots and numbers, by ids of the operator's choice. Applying it
 * makes them be as written; applying it again changes nothing; what it does not name stays.
 *
 *   { "accounts": [ { "id": "acme", "name": "Acme",
 *       "keys":    [ { "key": "tl_…", "name": "backend", "rights": ["read", "write"] } ],
 *       "trunks":  [ { "id": "carrier", "name": "Carrier", "host": "203.0.113.5", "allowedCidrs": ["203.0.113.0/24"] } ],
 *       "bots":    [ { "id": "greeter", "name": "Greeter", "url": "wss://bot.example.com/call" } ],
 *       "numbers": [ { "number": "+912240001234", "trunkId": "carrier", "action": "bot", "botId": "greeter" } ] } ] }
 */
const Id = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9_.\\-]{0,63}$' })
// What is inside trunks, bots and numbers is checked by their services.
const Item = Type.Object({ id: Id })

const BootstrapFile = Type.Object(
  {
    accounts: Type.Array(
      Type.Object(
        {
          id: Id,
          name: Type.String({ minLength: 1, maxLength: 200 }),
          keys: Type.Optional(
            Type.Array(
              Type.Object(
                {
                  key: Type.String(),
                  name: Type.Optional(Type.String({ maxLength: 200 })),
                  rights: Type.Optional(Type.Array(Type.Union(RIGHTS.map((r) => Type.Literal(r))))),
                },
                { additionalProperties: false },
              ),
            ),
          ),
          trunks: Type.Optional(Type.Array(Item)),
          bots: Type.Optional(Type.Array(Item)),
          numbers: Type.Optional(Type.Array(Type.Object({}))),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
const checkFile = Compile(BootstrapFile)

export interface BootstrapServices {
  accounts: AccountService
  trunks: TrunkService
  bots: BotService
  numbers: NumberService
}

/** Applies the file. Errors name it and the place in it: `accounts[0].trunks[1].host: …`. Returns how many things changed. */
export async function applyBootstrap(path: string, services: BootstrapServices): Promise<number> {
  let changes = 0
  const at = async (place: string, apply: () => Promise<boolean>): Promise<void> => {
    try {
      if (await apply()) changes++
    } catch (err) {
      if (!(err instanceof DomainError) || err.code === 'UNAVAILABLE') throw err
      const field = err.field === undefined ? '' : `.${bracketed(err.field)}`
      throw new DomainError('INVALID', `${path}: ${place}${field}: ${err.message}`, { cause: err })
    }
  }
  for (const [i, account] of parse(path).accounts.entries()) {
    const ctx = { accountId: account.id }
    const here = `accounts[${i}]`
    await at(here, () => putAccount(services.accounts, account))
    for (const [k, key] of (account.keys ?? []).entries())
      await at(`${here}.keys[${k}]`, () => putKey(services.accounts, account.id, key))
    for (const [k, { id, ...trunk }] of (account.trunks ?? []).entries())
      await at(`${here}.trunks[${k}]`, () => services.trunks.put(ctx, id, trunk as TrunkInput))
    for (const [k, { id, ...bot }] of (account.bots ?? []).entries())
      await at(`${here}.bots[${k}]`, () => services.bots.put(ctx, id, bot as BotInput))
    for (const [k, number] of (account.numbers ?? []).entries())
      await at(`${here}.numbers[${k}]`, () => services.numbers.put(ctx, number as NumberInput))
  }
  return changes
}

type BootstrapAccount = Static<typeof BootstrapFile>['accounts'][number]
type BootstrapKey = NonNullable<BootstrapAccount['keys']>[number]

function parse(path: string): Static<typeof BootstrapFile> {
  let file: unknown
  try {
    file = JSON.parse(readFileSync(path, 'utf8'))
  } catch (err) {
    throw new DomainError('INVALID', `bootstrap file ${path}: ${errorText(err)}`, { cause: err })
  }
  try {
    checkFields(checkFile, file, 'the file')
  } catch (err) {
    if (!(err instanceof DomainError)) throw err
    const place = err.field === undefined ? '' : `${bracketed(err.field)}: `
    throw new DomainError('INVALID', `${path}: ${place}${err.message}`, { cause: err })
  }
  return file as Static<typeof BootstrapFile>
}

async function putAccount(accounts: AccountService, { id, name }: BootstrapAccount): Promise<boolean> {
  if ((await accounts.list()).some((known) => known.id === id)) return false
  await accounts.create({ id, name })
  return true
}

async function putKey(
  accounts: AccountService,
  accountId: string,
  { key, name, rights }: BootstrapKey,
): Promise<boolean> {
  const prefix = prefixOfKey(key)
  const known = (await accounts.listKeys({ accountId })).find((k) => k.prefix === prefix)
  // A key that was revoked stays so, whatever the file says.
  if (known) return false
  await accounts.createKey({ accountId }, { text: key, name, rights })
  return true
}

/** `accounts.0.name` as `accounts[0].name`. */
const bracketed = (field: string): string => field.replace(/\.(\d+)(?=\.|$)/g, '[$1]')
