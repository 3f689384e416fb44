/** The bot under test, and how it is to be spoken to: what a customer would configure for it. */
import type { DialectKind } from '../bot/dialect.ts'
import { DIALECT_KINDS } from '../bot/dialects/index.ts'
import type { AudioFormat, BotPlan, DialectName } from '../calls/ports.ts'

export interface Target {
  url: string
  dialect: DialectName
  /** Key of the handshake signature. */
  secret?: string
  /** Handshake headers. */
  headers: Record<string, string>
  /** Both ways. */
  format: AudioFormat
  transport: 'json' | 'binary'
  /** Plain `ws:` and private addresses. */
  insecure: boolean
}

export const DEFAULT_FORMAT: AudioFormat = { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }

const CONNECT_TIMEOUT_MS = 5000
const RECONNECT_MS = 5000

export const kindOf = (target: Target): DialectKind => DIALECT_KINDS[target.dialect]

/** An inbound call as the server would plan it, with one fact that no bot knows. */
export function planOf(target: Target, callId: string): BotPlan {
  return {
    urls: [target.url],
    headers: target.headers,
    secret: target.secret,
    dialect: target.dialect,
    audio: { input: { ...target.format }, output: { ...target.format }, transport: target.transport },
    discriminator: 'both',
    beforeAnswer: 'buffer',
    answerOnAudio: false,
    bufferMs: 120_000,
    connectTimeoutMs: CONNECT_TIMEOUT_MS,
    reconnectMs: RECONNECT_MS,
    onClose: 'hangup',
    listening: { vad: true, bargeIn: 'notify', amd: false, silenceMs: 0, quality: false },
    start: {
      call_id: callId,
      account_id: 'bot-test',
      direction: 'inbound',
      from: '+15550100',
      to: '+15550199',
      language: 'en-US',
      answer_mode: 'auto',
      limits: { buffer_ms: 120_000, max_call_s: 3600 },
      // Version 1 only grows: a bot has to live with fields from tomorrow.
      x_from_tomorrow: { list: [1, null, 'two'] },
    },
  }
}
