/**
 * What a bot and the bridge say to each other, free of any wire spelling. A dialect (one file each in dialects/) turns
 * frames into these and these into frames; the session speaks only in them. The bot row knows neither media nor calls:
 * SessionPlan and BotRequest are the shapes of `BotPlan` and `BotRequest` in calls/ports.ts, checked by the compiler
 * where the engine hands one to the other.
 */
import type { Stop, TransferStatus } from '../calls/ports.ts'

/** What a bot's audio may be encoded in; all at 8 kHz. pcm16 is little-endian. */
export const ENCODINGS = ['pcmu', 'pcma', 'pcm16'] as const
export type Encoding = (typeof ENCODINGS)[number]
export type Transport = 'json' | 'binary'
export type Discriminator = 'both' | 'type' | 'event'

export interface AudioFormat {
  encoding: Encoding
  sampleRate: 8000
  frameMs: number
}

export interface SessionPlan {
  url: string
  headers: Record<string, string>
  secret?: string
  dialect: 'native'
  audio: { input: AudioFormat; output: AudioFormat; transport: Transport }
  discriminator: Discriminator
  beforeAnswer: 'buffer' | 'early_media' | 'drop'
  bufferMs: number
  connectTimeoutMs: number
  start: Record<string, unknown>
}

/** Codes of the non-fatal `error` message: a closed list, also the label of the metric. */
export const BOT_ERROR_CODES = [
  'bad_json',
  'unknown_type',
  'bad_audio',
  'format_mismatch',
  'buffer_full',
  'not_allowed',
  'transfer_failed',
  'dtmf_failed',
  'rate_limited',
  'internal',
] as const
export type BotErrorCode = (typeof BOT_ERROR_CODES)[number]

/** Fields that any message from a bot may carry. `ref`: its `event_id`. */
interface Common {
  ref?: string
  /** The bot wants an `ack`. */
  ack?: boolean
}

/** Audio from the bot. One object per session is used again and again: `bytes` is valid until the next decode. */
export interface AudioMessage extends Common {
  kind: 'audio'
  bytes: Uint8Array
  itemId?: string
  /** Given on the message itself; else what the session agreed on holds. */
  encoding?: Encoding
}

export type BotMessage =
  | AudioMessage
  | ({ kind: 'audioDone'; itemId?: string } & Common)
  | ({ kind: 'mark'; name: string } & Common)
  | ({ kind: 'clear'; itemId?: string } & Common)
  | ({
      kind: 'digits'
      digits: string
      durationMs: number
      gapMs: number
      method: 'auto' | 'rfc4733' | 'info'
    } & Common)
  | ({
      kind: 'transfer'
      target: string
      callerId?: string
      timeoutMs: number
      onFail: 'resume' | 'hangup'
      headers: Record<string, string>
      afterPlayback: boolean
    } & Common)
  | ({ kind: 'hangup'; reason: string; sipStatus?: number; q850?: number; afterPlayback: boolean } & Common)
  | ({ kind: 'answer' } & Common)
  | ({ kind: 'reject'; sipStatus: number; reason: string } & Common)
  | ({ kind: 'update'; input?: Partial<AudioFormat>; output?: Partial<AudioFormat>; transport?: Transport } & Common)
  | ({ kind: 'ping' } & Common)
  /** The bot's mistake, in words that tell how to mend it. `bad`: counts towards the limit of garbage. */
  | ({ kind: 'mistake'; code: BotErrorCode; message: string; bad: boolean } & Common)

export interface ClearedItem {
  itemId: string
  playedMs: number
  discardedMs: number
}

export type CallState = 'ringing' | 'early' | 'answered'

export type BridgeMessage =
  | { kind: 'start'; state: CallState; audio: SessionPlan['audio']; facts: Record<string, unknown>; bufferMs: number }
  | { kind: 'progress'; sipStatus: number }
  | { kind: 'answered'; atMs: number }
  | { kind: 'dtmf'; digit: string; durationMs: number; method: 'rfc4733' | 'info' }
  | { kind: 'mark'; name: string; status: 'played' | 'cleared'; playedMs: number; itemId?: string }
  | { kind: 'cleared'; playedMs: number; discardedMs: number; items: ClearedItem[]; ref?: string }
  | { kind: 'playback'; state: 'started' | 'drained' | 'underrun'; itemId?: string; queuedMs: number }
  | { kind: 'flow'; state: 'xoff' | 'xon'; queuedMs: number }
  | { kind: 'error'; code: BotErrorCode; message: string; ref?: string }
  | { kind: 'transferStatus'; status: TransferStatus }
  | { kind: 'held'; held: boolean }
  | { kind: 'ack'; ref: string }
  | { kind: 'pong'; ref?: string }
  | { kind: 'stop'; stop: Stop; stats: Record<string, number> }

/** One foreign spelling, for one session: it owns the envelope (sequence numbers, ids) and its scratch buffers. */
export interface Dialect {
  /** Offered in the handshake; a server that does not choose it is accepted all the same. */
  readonly subprotocol?: string
  /** `undefined`: known and silently ignored. Never throws. */
  decode(frame: Buffer, isBinary: boolean): BotMessage | undefined
  /** One text frame. `tsMs`: since media start. */
  encode(message: BridgeMessage, tsMs: number): string
  /**
   * One frame of caller audio as a text frame. The result is borrowed until the next call.
   * @param audio       in the session's input encoding
   * @param chunk       counts frames from media start; dropped ones leave a gap
   * @param timestampMs media time of its first sample
   */
  encodeMedia(audio: Uint8Array, chunk: number, timestampMs: number, lostMs: number, tsMs: number): Buffer
}
