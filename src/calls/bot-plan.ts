import type { Call } from './call.ts'
import type { BotPlan, BotSettings } from './ports.ts'

const CONNECT_TIMEOUT_MS = 10_000

/** What an ad-hoc `wss_url` runs with where the request does not say otherwise; also the defaults of a new bot. */
export const BOT_DEFAULTS = {
  headers: {},
  dialect: 'native',
  answerMode: 'auto',
  input: 'pcmu',
  output: 'pcmu',
  transport: 'json',
  frameMs: 20,
  discriminator: 'both',
  beforeAnswer: 'buffer',
  bufferMs: 120_000,
  onLost: 'hangup',
  record: true,
  maxCallMs: 4 * 3_600_000,
} as const satisfies Partial<BotSettings>

/** The worker's orders for one bot session, with the facts of `start` (BOT-PROTOCOL, section 3). */
export function botPlan(call: Call, bot: BotSettings): BotPlan {
  const { record } = call
  return {
    url: bot.url.replaceAll('{call_id}', encodeURIComponent(record.id)),
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
      stream_id: call.first.id,
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
