import type { AccountContext } from '../accounts/ports.ts'
import type { PlaceCall, PlacedCall } from '../calls/outbound.ts'
import { dialectOfUrl } from '../bots/bot.ts'
import type { BotSettings, DialectName } from '../calls/ports.ts'
import { DomainError } from '../lib/errors.ts'
import type { ScheduledCall } from '../schedules/ports.ts'
import type { Core } from './core.ts'

/**
 * A request for an AI call as facades make it: the bot is named, not resolved, so that it can wait in a schedule as
 * plain JSON and meet the bot as it is when its time comes.
 */
export interface Dial extends Omit<PlaceCall, 'accountId' | 'bot' | 'scheduledForMs' | 'ids'> {
  bot: DialBot
}

/** A stored bot, an address of the request, or a stored bot with another address; texts of the request come first. */
export interface DialBot {
  id?: string
  url?: string
  headers?: Record<string, string>
  /** Absent: that of the stored bot, or what the address tells. */
  dialect?: DialectName
  systemMsg?: string
  language?: string
  text?: string
}

export async function dialNow(core: Core, ctx: AccountContext, dial: Dial, callId: string): Promise<PlacedCall> {
  return core.calls.place({ ...(await placeFrom(core, ctx, dial)), ids: { callId } })
}

/** Refuses now what would fail later: the bot and the caller number are looked up before the request is put away. */
export async function dialLater(
  core: Core,
  ctx: AccountContext,
  dial: Dial,
  atMs: number,
  callId: string,
): Promise<ScheduledCall> {
  await placeFrom(core, ctx, dial)
  if (dial.from !== undefined && !(await core.numbers.list(ctx)).some((n) => n.number === dial.from))
    throw new DomainError('NO_TRUNK', 'The caller number is not one of this account.')
  return core.schedules.scheduleCall(ctx, atMs, { dial }, callId)
}

/** A scheduled call is due: places it under the ids that were promised. For ScheduleService.start. */
export async function dialScheduled(core: Core, scheduled: ScheduledCall): Promise<void> {
  const { callId, logId, atMs, payload } = scheduled
  const place = await placeFrom(core, scheduled, payload.dial as Dial)
  await core.calls.place({ ...place, scheduledForMs: atMs, ids: { callId, logId } })
}

async function placeFrom(core: Core, ctx: AccountContext, dial: Dial): Promise<PlaceCall> {
  return { ...dial, accountId: ctx.accountId, bot: await botOf(core, ctx, dial.bot) }
}

async function botOf(core: Core, ctx: AccountContext, bot: DialBot): Promise<BotSettings> {
  const { id, url, headers, dialect, ...texts } = bot
  const given = Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined))
  const stored = id === undefined ? undefined : await core.bots.get(ctx, id)
  if (!stored) {
    if (url === undefined) throw new DomainError('NO_BOT')
    return { ...addressOf(core, bot, url), ...given }
  }
  const there = url === undefined ? undefined : addressOf(core, bot, url)
  const spoken = dialect ?? (url === undefined ? undefined : dialectOfUrl(url)) ?? stored.dialect
  return {
    ...stored,
    ...given,
    url: there?.url ?? stored.url,
    // A stored bot's headers may carry its secrets: they do not go to another address.
    headers: there?.headers ?? headers ?? stored.headers,
    dialect: spoken,
    // Its stand-ins speak what it speaks.
    fallbackUrls: spoken === stored.dialect ? stored.fallbackUrls : [],
  }
}

/** A bot that is only an address of the request. */
const addressOf = (core: Core, { headers, dialect }: DialBot, url: string): BotSettings =>
  core.bots.settings({ name: 'of the request', url, headers, dialect, record: true })
