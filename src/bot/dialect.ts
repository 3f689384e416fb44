/**
 * What a bot and the bridge say to each other, free of any wire spelling. A dialect (one file each in dialects/) turns
 * frames into these and these into frames; the session speaks only in them. The bot row knows neither media nor calls,
 * but for the words of calls/ports.ts.
 *
 *   socket ──frame──▶ dialect.decode ──BotMessage──▶ session        session ──BridgeMessage──▶ dialect.tell ──▶ Wire
 */
import type {
  AudioFormat,
  AudioPlan,
  BotPlan,
  BotRequest,
  Encoding,
  Listening,
  RecordingStatus,
  SampleRate,
  Stop,
  TransferStatus,
} from '../calls/ports.ts'

export type { AudioFormat, AudioPlan, BargeIn, DialectName, Encoding, Listening, SampleRate } from '../calls/ports.ts'
export type SessionPlan = BotPlan

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
  sampleRate?: SampleRate
}

export type TransferAsked = { kind: 'transfer'; afterPlayback: boolean } & Common &
  Omit<Extract<BotRequest, { ask: 'transfer' }>, 'ask' | 'ref'>

export type BotMessage =
  | AudioMessage
  | ({ kind: 'audioDone'; itemId?: string } & Common)
  | ({ kind: 'mark'; name: string } & Common)
  | ({ kind: 'clear'; itemId?: string } & Common)
  /** The bot's own ear has heard the caller: what happens to the playback is up to the barge-in policy. */
  | ({ kind: 'bargeIn' } & Common)
  | ({ kind: 'pause'; paused: boolean } & Common)
  | ({
      kind: 'digits'
      digits: string
      durationMs: number
      gapMs: number
      method: 'auto' | 'rfc4733' | 'info'
    } & Common)
  | TransferAsked
  | ({ kind: 'hangup'; reason: string; sipStatus?: number; q850?: number; afterPlayback: boolean } & Common)
  | ({ kind: 'answer' } & Common)
  | ({ kind: 'reject'; sipStatus: number; reason: string } & Common)
  /** The caller is put on hold (comfort audio, no frames to the bot), or taken back. */
  | ({ kind: 'hold'; held: boolean } & Common)
  | ({ kind: 'recording'; action: 'start' | 'stop' | 'pause' | 'resume' } & Common)
  | ({ kind: 'note'; data: Record<string, unknown> } & Common)
  /** After a reconnect: the last `ms` of caller audio again, at most 10 s. */
  | ({ kind: 'replay'; ms: number } & Common)
  | ({
      kind: 'update'
      input?: Partial<AudioFormat>
      output?: Partial<AudioFormat>
      transport?: AudioPlan['transport']
      listening?: Partial<Listening>
    } & Common)
  | ({ kind: 'ping' } & Common)
  /** The bot's mistake, in words that tell how to mend it. `bad`: counts towards the limit of garbage. */
  | ({ kind: 'mistake'; code: BotErrorCode; message: string; bad: boolean } & Common)

export interface ClearedItem {
  itemId: string
  playedMs: number
  discardedMs: number
}

export type CallState = 'ringing' | 'early' | 'answered'

/** A socket that was lost is back. */
export interface Resume {
  /** 1 for the first time. */
  count: number
  /** From the last byte heard of the old socket to the opening of this one. */
  gapMs: number
  /** `seq` of the last message written to the old socket. */
  lastSeq: number
  /** Marks that are still to be answered. */
  unplayedMarks: string[]
}

export interface Quality {
  /** Share of packets lost since the last report, 0 to 1. */
  rxLoss: number
  rxJitterMs: number
  rttMs?: number
  /** 1 to 4.5 (ITU-T G.107, simplified). */
  mos: number
  wsRttMs?: number
  droppedToBotMs: number
}

export type BridgeMessage =
  | {
      kind: 'start'
      state: CallState
      audio: AudioPlan
      facts: Record<string, unknown>
      bufferMs: number
      /** Names the session over all its sockets. */
      token: string
      resume?: Resume
      /** Which of the plan's addresses this is; 0 is the bot itself. */
      standIn: number
    }
  | { kind: 'progress'; sipStatus: number }
  | { kind: 'answered'; atMs: number }
  | { kind: 'dtmf'; digit: string; durationMs: number; method: 'rfc4733' | 'info' | 'inband' }
  | { kind: 'mark'; name: string; status: 'played' | 'cleared'; playedMs: number; itemId?: string }
  | { kind: 'cleared'; playedMs: number; discardedMs: number; items: ClearedItem[]; ref?: string }
  | { kind: 'playback'; state: 'started' | 'drained' | 'underrun' | 'paused' | 'resumed'; itemId?: string; queuedMs: number } // prettier-ignore
  | { kind: 'flow'; state: 'xoff' | 'xon'; queuedMs: number }
  | { kind: 'speech'; started: boolean; atMs: number }
  | { kind: 'amd'; result: 'human' | 'machine' | 'fax' | 'unknown'; confidence: number; atMs: number }
  | { kind: 'beep'; atMs: number }
  | { kind: 'silence'; ms: number }
  | { kind: 'quality'; quality: Quality }
  | { kind: 'error'; code: BotErrorCode; message: string; ref?: string }
  | { kind: 'transferStatus'; status: TransferStatus }
  | { kind: 'recordingStatus'; status: RecordingStatus }
  | { kind: 'held'; held: boolean }
  | { kind: 'ack'; ref: string }
  | { kind: 'pong'; ref?: string }
  | { kind: 'stop'; stop: Stop; stats: Record<string, number> }

/** Where a dialect writes. What it is given may be used again at once. */
export interface Wire {
  text(frame: string | Uint8Array): void
  binary(frame: Uint8Array): void
}

/** One frame of caller audio. The object and its bytes are borrowed. */
export interface MediaFrame {
  /** In the session's input encoding and rate. */
  audio: Uint8Array
  /** Counts frames from media start; dropped ones leave a gap. */
  chunk: number
  /** Media time of its first sample. */
  timestampMs: number
  /** Concealed or dropped just before. */
  lostMs: number
  /** Sent for the second time, after a reconnect. */
  replay: boolean
}

/** One foreign spelling, for one socket: it owns the envelope (sequence numbers, ids) and its scratch buffers. */
export interface Dialect {
  /** Never throws; `undefined`: known and silently ignored. Several: in this order. */
  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined
  /** Writes no, one or several frames. `tsMs`: since media start. */
  tell(message: BridgeMessage, tsMs: number): void
  /** Writes a frame of caller audio; returns its bytes on the wire. No allocation beyond the frame itself. */
  media(frame: MediaFrame, tsMs: number): number
  /** `seq` of the last message written. */
  readonly lastSeq: number
}

export interface DialectOptions {
  wire: Wire
  callId: string
  /** Names this socket to the bot. */
  streamId: string
  plan: SessionPlan
  /** The session's formats as they are at the moment; only the session changes them. */
  audio: AudioPlan
}

export interface Handshake {
  url: string
  callId: string
  wallMs: number
  secret?: string
  /** The plan's `start`. */
  facts: Record<string, unknown>
}

/** What dialects/index.ts has of each. */
export interface DialectKind {
  /** Offered in the handshake; a server that chooses none is accepted all the same. */
  readonly subprotocols: readonly string[]
  /** The formats of this protocol, as far as it leaves any choice. `url`: the bot's. */
  audio(configured: AudioPlan, url: string): AudioPlan
  /** Headers of our own on the opening handshake: the vendor's signature, ids. */
  headers(handshake: Handshake): Record<string, string>
  create(options: DialectOptions): Dialect
}
