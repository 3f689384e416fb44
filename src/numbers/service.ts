import { Compile } from 'typebox/compile'
import type { AccountContext } from '../accounts/ports.ts'
import { checkFields } from '../lib/checked.ts'
import type { Clock } from '../lib/clock.ts'
import { DomainError } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import { NumberInput } from './number.ts'
import { normaliseNumber } from './normalise.ts'
import type { NumberStore, PhoneNumber } from './ports.ts'

export interface NumberWorld {
  store: NumberStore
  trunkExists(ctx: AccountContext, trunkId: string): Promise<boolean>
  botExists(ctx: AccountContext, botId: string): Promise<boolean>
  /** After each change: the directory reloads. */
  changed(): Promise<void>
  clock: Clock
  /** ISO 3166 region of numbers without country code. */
  region: string
}

const checkInput = Compile(NumberInput)

/** The inventory of numbers, and what an incoming call to each does. */
export class NumberService {
  readonly #world: NumberWorld

  constructor(world: NumberWorld) {
    this.#world = world
  }

  async create(ctx: AccountContext, input: NumberInput & { id?: string }): Promise<PhoneNumber> {
    const { id, ...fields } = input
    checkFields(checkInput, fields, 'number')
    const e164 = normaliseNumber(input.number, this.#world.region)
    if (!e164) throw new DomainError('INVALID', `'${input.number}' is not a phone number`, { field: 'number' })
    const number: PhoneNumber = {
      id: id ?? uuidv7(this.#world.clock.wallMs()),
      accountId: ctx.accountId,
      number: e164,
      trunkId: input.trunkId,
      action: input.action,
      botId: input.botId,
      record: input.record ?? false,
      createdAtMs: this.#world.clock.wallMs(),
    }
    await this.#check(ctx, number)
    await this.#world.store.insert(ctx, number)
    await this.#world.changed()
    return number
  }

  /** Fields that are absent stay; `botId: null` takes the bot off. */
  async update(
    ctx: AccountContext,
    id: string,
    patch: Partial<Omit<NumberInput, 'number' | 'botId'>> & { botId?: string | null },
  ): Promise<PhoneNumber> {
    const old = await this.get(ctx, id)
    const number: PhoneNumber = {
      ...old,
      trunkId: patch.trunkId ?? old.trunkId,
      action: patch.action ?? old.action,
      botId: patch.botId === null ? undefined : (patch.botId ?? old.botId),
      record: patch.record ?? old.record,
    }
    await this.#check(ctx, number)
    if (!(await this.#world.store.update(ctx, number))) throw notFound()
    await this.#world.changed()
    return number
  }

  /** Makes the account's number be exactly this; false when it was already. */
  async put(ctx: AccountContext, input: NumberInput): Promise<boolean> {
    checkFields(checkInput, input, 'number')
    const old = await this.findByNumber(ctx, input.number)
    if (!old) {
      await this.create(ctx, input)
      return true
    }
    const { trunkId, action, botId, record = false } = input
    if (trunkId === old.trunkId && action === old.action && botId === old.botId && record === old.record) return false
    await this.update(ctx, old.id, { trunkId, action, botId: botId ?? null, record })
    return true
  }

  async get(ctx: AccountContext, id: string): Promise<PhoneNumber> {
    const number = await this.#world.store.get(ctx, id)
    if (!number) throw notFound()
    return number
  }

  /** In any spelling that `normaliseNumber` reads. */
  async findByNumber(ctx: AccountContext, raw: string): Promise<PhoneNumber | undefined> {
    const e164 = normaliseNumber(raw, this.#world.region)
    return e164 === undefined ? undefined : this.#world.store.findByNumber(ctx, e164)
  }

  list(ctx: AccountContext): Promise<PhoneNumber[]> {
    return this.#world.store.list(ctx)
  }

  async remove(ctx: AccountContext, id: string): Promise<void> {
    if (!(await this.#world.store.remove(ctx, id))) throw notFound()
    await this.#world.changed()
  }

  normalise(raw: string): string | undefined {
    return normaliseNumber(raw, this.#world.region)
  }

  async #check(ctx: AccountContext, number: PhoneNumber): Promise<void> {
    if (number.action === 'bot' && number.botId === undefined)
      throw new DomainError('INVALID', "a number with the action 'bot' needs a bot", { field: 'botId' })
    if (!(await this.#world.trunkExists(ctx, number.trunkId)))
      throw new DomainError('INVALID', `there is no trunk '${number.trunkId}' in this account`, { field: 'trunkId' })
    if (number.botId !== undefined && !(await this.#world.botExists(ctx, number.botId)))
      throw new DomainError('INVALID', `there is no bot '${number.botId}' in this account`, { field: 'botId' })
  }
}

const notFound = (): DomainError => new DomainError('NOT_FOUND', 'There is no such number.')
