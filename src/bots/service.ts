import { isDeepStrictEqual } from 'node:util'
import { Compile } from 'typebox/compile'
import type { AccountContext } from '../accounts/ports.ts'
import type { BotSettings } from '../calls/ports.ts'
import { checkFields } from '../lib/checked.ts'
import type { Clock } from '../lib/clock.ts'
import { DomainError, errorText } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import { BotInput, BotPatch, botSettingsFrom } from './bot.ts'
import type { Bot, BotStore } from './ports.ts'

export interface BotWorld {
  store: BotStore
  /** Throws an Error whose message says why we will not dial this address. */
  checkUrl(url: string): void
  /** Throws an Error whose message says which handshake header is refused. */
  checkHeaders(headers: Record<string, string>): void
  /** After each change: the directory reloads. */
  changed(): Promise<void>
  clock: Clock
}

const checkInput = Compile(BotInput)
const checkPatch = Compile(BotPatch)

/** The bots of an account. Takes untrusted input: everything is validated here. */
export class BotService {
  readonly #world: BotWorld

  constructor(world: BotWorld) {
    this.#world = world
  }

  async create(ctx: AccountContext, input: BotInput & { id?: string }): Promise<Bot> {
    const { clock, store } = this.#world
    const { id, ...fields } = input
    const bot = await store.insert(ctx, {
      ...this.settings(fields),
      id: id ?? uuidv7(clock.wallMs()),
      accountId: ctx.accountId,
      createdAtMs: clock.wallMs(),
    })
    await this.#world.changed()
    return bot
  }

  async update(ctx: AccountContext, id: string, patch: BotPatch): Promise<Bot> {
    checkFields(checkPatch, patch, 'bot')
    const bot: Record<string, unknown> = { ...(await this.get(ctx, id)) }
    for (const [field, value] of Object.entries(patch))
      if (value === null) delete bot[field]
      else if (value !== undefined) bot[field] = value
    const updated = bot as unknown as Bot
    this.#checkRules(updated)
    if (!(await this.#world.store.update(ctx, updated))) throw notFound()
    await this.#world.changed()
    return updated
  }

  /** Makes the bot be exactly this; false when it was already. */
  async put(ctx: AccountContext, id: string, input: BotInput): Promise<boolean> {
    const old = await this.#world.store.get(ctx, id)
    if (!old) {
      await this.create(ctx, { ...input, id })
      return true
    }
    const { publicNo, accountId, createdAtMs } = old
    const bot: Bot = { ...this.settings(input), id, publicNo, accountId, createdAtMs }
    if (isDeepStrictEqual(plain(bot), plain(old))) return false
    await this.#world.store.update(ctx, bot)
    await this.#world.changed()
    return true
  }

  async get(ctx: AccountContext, id: string): Promise<Bot> {
    const bot = await this.#world.store.get(ctx, id)
    if (!bot) throw notFound()
    return bot
  }

  findByPublicNo(ctx: AccountContext, publicNo: number): Promise<Bot | undefined> {
    return this.#world.store.findByPublicNo(ctx, publicNo)
  }

  list(ctx: AccountContext): Promise<Bot[]> {
    return this.#world.store.list(ctx)
  }

  async remove(ctx: AccountContext, id: string): Promise<void> {
    if (!(await this.#world.store.remove(ctx, id))) throw notFound()
    await this.#world.changed()
  }

  /** Validated settings of a bot that is not stored: what a request's `wss_url` and friends are turned into. */
  settings(input: BotInput): BotSettings {
    checkFields(checkInput, input, 'bot')
    const settings = botSettingsFrom(input)
    this.#checkRules(settings)
    return settings
  }

  #checkRules(bot: BotSettings): void {
    const wrong = (field: string, message: string, cause?: unknown): DomainError =>
      new DomainError('INVALID', message, { field, cause })
    if (bot.onLost === 'transfer' && bot.fallbackTarget === undefined)
      throw wrong('fallbackTarget', "onLost 'transfer' needs a fallbackTarget")
    if (bot.onLost === 'prompt' && bot.fallbackPrompt === undefined)
      throw wrong('fallbackPrompt', "onLost 'prompt' needs a fallbackPrompt")
    for (const side of ['input', 'output'] as const)
      if (bot[side] !== 'pcm16' && bot[`${side}Rate`] !== 8000)
        throw wrong(`${side}Rate`, `${side}Rate must be 8000 with ${side} '${bot[side]}'; only pcm16 has more`)
    const checks: [field: string, check: () => void][] = [
      ['url', () => this.#world.checkUrl(bot.url)],
      ['headers', () => this.#world.checkHeaders(bot.headers)],
      ...bot.fallbackUrls.map((url, i): (typeof checks)[number] => [
        `fallbackUrls.${i}`,
        () => this.#world.checkUrl(url),
      ]),
    ]
    for (const [field, check] of checks)
      try {
        check()
      } catch (err) {
        throw wrong(field, errorText(err), err)
      }
  }
}

const notFound = (): DomainError => new DomainError('NOT_FOUND', 'There is no such bot.')

/** As stored: without undefined fields. */
const plain = (bot: Bot): unknown => JSON.parse(JSON.stringify(bot))
