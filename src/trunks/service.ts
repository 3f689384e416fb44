import { isDeepStrictEqual } from 'node:util'
import { Compile } from 'typebox/compile'
import Format from 'typebox/format'
import type { AccountContext } from '../accounts/ports.ts'
import { checkFields } from '../lib/checked.ts'
import type { Clock } from '../lib/clock.ts'
import { DomainError } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import type { TrunkSettings } from '../sip/trunk/settings.ts'
import type { TrunkStore } from './ports.ts'
import { TrunkInput, TrunkPatch, trunkFrom } from './trunk.ts'

export interface TrunkWorld {
  store: TrunkStore
  /** After each change: the gateway and the directory reload. */
  changed(): Promise<void>
  clock: Clock
}

const checkInput = Compile(TrunkInput)
const checkPatch = Compile(TrunkPatch)

/** The trunks of an account. Takes untrusted input: everything is validated here. */
export class TrunkService {
  readonly #world: TrunkWorld

  constructor(world: TrunkWorld) {
    this.#world = world
  }

  async create(ctx: AccountContext, input: TrunkInput & { id?: string }): Promise<TrunkSettings> {
    const { id, ...fields } = input
    checkFields(checkInput, fields, 'trunk')
    const trunk = trunkFrom(id ?? uuidv7(this.#world.clock.wallMs()), ctx.accountId, fields)
    checkRules(trunk)
    await this.#world.store.insert(ctx, trunk)
    await this.#world.changed()
    return trunk
  }

  async update(ctx: AccountContext, id: string, patch: TrunkPatch): Promise<TrunkSettings> {
    checkFields(checkPatch, patch, 'trunk')
    const trunk: Record<string, unknown> = { ...(await this.get(ctx, id)) }
    for (const [field, value] of Object.entries(patch))
      if (value === null) delete trunk[field]
      else if (value !== undefined) trunk[field] = value
    const updated = trunk as unknown as TrunkSettings
    checkRules(updated)
    if (!(await this.#world.store.update(ctx, updated))) throw notFound()
    await this.#world.changed()
    return updated
  }

  /** Makes the trunk be exactly this; false when it was already. */
  async put(ctx: AccountContext, id: string, input: TrunkInput): Promise<boolean> {
    const old = await this.#world.store.get(ctx, id)
    if (!old) {
      await this.create(ctx, { ...input, id })
      return true
    }
    checkFields(checkInput, input, 'trunk')
    const trunk = trunkFrom(id, ctx.accountId, input)
    checkRules(trunk)
    if (isDeepStrictEqual(plain(trunk), plain(old))) return false
    await this.#world.store.update(ctx, trunk)
    await this.#world.changed()
    return true
  }

  async get(ctx: AccountContext, id: string): Promise<TrunkSettings> {
    const trunk = await this.#world.store.get(ctx, id)
    if (!trunk) throw notFound()
    return trunk
  }

  list(ctx: AccountContext): Promise<TrunkSettings[]> {
    return this.#world.store.list(ctx)
  }

  /** Every account's: for the gateway. */
  listAll(): Promise<TrunkSettings[]> {
    return this.#world.store.listAll()
  }

  /** Rejects with CONFLICT while numbers still live on it. */
  async remove(ctx: AccountContext, id: string): Promise<void> {
    if (!(await this.#world.store.remove(ctx, id))) throw notFound()
    await this.#world.changed()
  }
}

/** What a schema can't say. */
function checkRules(trunk: TrunkSettings): void {
  for (const [i, cidr] of trunk.allowedCidrs.entries())
    if (!isAddressRange(cidr))
      throw new DomainError('INVALID', `'${cidr}' is not an address range`, { field: `allowedCidrs.${i}` })
  if (trunk.minSeS > trunk.sessionExpiresS)
    throw new DomainError('INVALID', 'minSeS is above sessionExpiresS', { field: 'minSeS' })
  if (trunk.t2Ms < trunk.t1Ms) throw new DomainError('INVALID', 't2Ms is below t1Ms', { field: 't2Ms' })
}

/** `203.0.113.0/24`, `2001:db8::/32`, or one address. */
function isAddressRange(text: string): boolean {
  const [address, bits, more] = text.split('/')
  const width = Format.IsIPv4(address) ? 32 : Format.IsIPv6(address) ? 128 : -1
  return width > 0 && more === undefined && (bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= width))
}

const notFound = (): DomainError => new DomainError('NOT_FOUND', 'There is no such trunk.')

/** As stored: without undefined fields. */
const plain = (trunk: TrunkSettings): unknown => JSON.parse(JSON.stringify(trunk))
