import type { Call } from './call.ts'
import type { BotPlan, BotSettings } from './ports.ts'

const CONNECT_TIMEOUT_MS = 10_000

/** The worker's orders for one bot session, with the facts of `start` (BOT-PROTOCOL, section 3). */
export function botPlan(call: Call, bot: BotSettings): BotPlan {
  const { record } = call
  return {
    urls: [bot.url, ...bot.fallbackUrls],
    headers: bot.headers,
    secret: bot.secret,
    dialect: bot.dialect,
    audio: {
      input: { encoding: bot.input, sampleRate: bot.inputRate, frameMs: bot.frameMs },
      output: { encoding: bot.output, sampleRate: bot.outputRate, frameMs: bot.frameMs },
      transport: bot.transport,
    },
    discriminator: bot.discriminator,
    beforeAnswer: bot.beforeAnswer,
    answerOnAudio: bot.answerOnAudio && bot.answerMode === 'bot' && record.direction === 'inbound',
    bufferMs: bot.bufferMs,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    reconnectMs: bot.reconnectMs,
    onClose: bot.onClose,
    listening: {
      vad: bot.vad,
      bargeIn: bot.bargeIn,
      // Whoever calls us is a caller, not somebody's answering machine.
      amd: bot.amd && record.direction === 'outbound',
      silenceMs: bot.silenceMs,
      quality: bot.quality,
    },
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
      custom: { ...bot.custom, ...(call.startFacts.custom as object | undefined) },
    },
  }
}

/** Without user, password and query, which may be secrets: for records and logs. */
export const publicUrl = (url: string): string => url.replace(/[?#].*$/, '').replace(/^([a-z]+:\/\/)[^/]*@/i, '$1')
