import { onTestFinished } from 'vitest'
import type { BotRequest, BotPlan } from '../../src/calls/ports.ts'
import type { CallState } from '../../src/bot/dialect.ts'
import { BotSession } from '../../src/bot/session.ts'
import { checkEgress } from '../../src/egress/egress.ts'
import { systemClock, type Clock } from '../../src/lib/clock.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeBot, type Conversation, type FakeBotOptions } from './bot.ts'
import { planOf } from './plan.ts'

/** A frame of bytes that are no silence. */
export const FRAME = Uint8Array.from({ length: 160 }, (_, i) => (i * 3) & 255)
export const STOP = { reason: 'caller_hangup', sipStatus: 200, q850: 16 }

export type Told = { what: string } & Record<string, unknown>

export function sessionTo(plan: BotPlan, options: { state?: CallState; clock?: Clock; digits?: boolean } = {}) {
  const told: Told[] = []
  const waiting: (() => void)[] = []
  const tell = (what: string, more: Record<string, unknown> = {}): void => {
    told.push({ what, ...more })
    for (const w of waiting.splice(0)) w()
  }
  const session = new BotSession({
    plan,
    callId: 'c1',
    streamId: 'c1.1.1',
    state: options.state ?? 'answered',
    law: 'pcmu',
    clock: options.clock ?? systemClock,
    log: silentLog,
    resolve: (url) => checkEgress(url, 'bot', { allowInsecure: true }),
    owner: {
      opened: () => tell('opened'),
      away: (reason) => tell('away', { reason }),
      quality: () => ({ rxLoss: 0.01, rxJitterMs: 3, mos: 4.2 }),
      lost: (clean, wasOpen, reason) => tell('lost', { clean, wasOpen, reason }),
      request: (request: BotRequest) => tell('request', { request }),
      sendDigits: (digits, durationMs, gapMs, method) => {
        tell('digits', { digits, durationMs, gapMs, method })
        return options.digits ?? true
      },
      wake: () => tell('wake'),
      untilTakenMs: () => 20,
      sooner: () => 0,
      fault: (err) => tell('fault', { err }),
      ended: () => tell('ended'),
    },
  })
  onTestFinished(() => session.stop(STOP))
  const until = async (what: string): Promise<Told> => {
    for (;;) {
      const found = told.find((t) => t.what === what)
      if (found) return found
      await new Promise<void>((resolve) => waiting.push(resolve))
    }
  }
  const play = (slots: number): Buffer => {
    const out: Buffer[] = []
    const frame = new Uint8Array(160)
    for (let i = 0; i < slots; i++) if (session.source.frameInto(frame, 'pcmu')) out.push(Buffer.from(frame))
    return Buffer.concat(out)
  }
  return { session, told, until, play, hear: (n: number) => { for (let i = 0; i < n; i++) session.sink.frame(FRAME, 'pcmu', 0) } } // prettier-ignore
}

export async function connected(
  botOptions: FakeBotOptions = {},
  more: Partial<BotPlan> = {},
  options: { state?: CallState; clock?: Clock; digits?: boolean; standIns?: string[]; anyStart?: boolean } = {},
) {
  const bot = await FakeBot.listen(botOptions)
  onTestFinished(() => bot.close())
  const rig = sessionTo(planOf(bot.url, { urls: [bot.url, ...(options.standIns ?? [])], ...more }), options)
  const talk = await bot.conversation()
  await rig.until('opened')
  // Foreign dialects begin with what they call it.
  await (options.anyStart ? talk.until(() => talk.messages.length > 0) : talk.next('start'))
  return { ...rig, bot, talk }
}

/** Round trip: whatever the bot sent before has been handled. */
export async function synced(talk: Conversation): Promise<void> {
  const n = talk.of('pong').length
  talk.send({ type: 'ping' })
  await talk.next('pong', n + 1)
}
