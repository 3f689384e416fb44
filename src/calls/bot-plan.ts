import type { Call } from './call.ts'
import type { BotPlan, BotSettings } from './ports.ts'

const CONNECT_TIMEOUT_MS = 10_000

/** The worker's orders for one bot session, with the facts of `start` (BOT-PROTOCOL, section 3). */
export function botPlan(call: Call, bot: BotSettings): BotPlan {
  const { record } = call
  return {
    url: bot.url,
    headers: bot.headers,
    secret: bot.secret,
    dialect: bot.dialect,
    audio: {
      input: { encoding: bot.input, sampleRate: 8000, frameMs: bot.frameMs },
      output: { encoding: bot.output, sampleRate: 8000, frameMs: bot.frameMs },
      transport: bot.transport,
    },
    discriminator: bot.discriminator,
    beforeAnswer: bot.beforeAnswer,
    bufferMs: bot.bufferMs,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    start: {
      call_id: record.id,
      account_id: record.accountId,
      voicechat_id: bot.publicNo === undefined ? undefined : String(bot.publicNo),
      direction: record.direction,
      state: record.answeredAtMs === undefined ? 'ringing' : 'answered',
      from: record.from,
      to: record.to,
      language: bot.language,
      system_msg: bot.systemMsg,
      text: bot.text,
      answer_mode: bot.answerMode,
      limits: { buffer_ms: bot.bufferMs, max_call_s: Math.round(bot.maxCallMs / 1000) },
      ...call.startFacts,
    },
  }
}

/** Without the query, which may carry secrets: for records and logs. */
export const publicUrl = (url: string): string => url.replace(/[?#].*$/, '')
