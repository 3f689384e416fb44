/**
 * What the domain needs from the world, in the domain's words. `sip/gateway.ts` implements Signaling, `engine/host.ts`
 * implements MediaPlane, `storage/` implements the Journal and the Directory. No SDP, SQL, HTTP or socket here.
 *
 *        API, schedules
 *              │
 *        calls/service ──▶ Journal (every decision, before its effect where money is at stake)
 *          │        │
 *   Signaling      MediaPlane
 *   (SIP legs)     (RTP legs and their bots, in a worker)
 */
import type { CallEvent } from './events.ts'
import type { CallId, LegId } from './ids.ts'
import type { CallState } from './machine.ts'
import type { CallRecord } from './record.ts'

// ── Signaling ────────────────────────────────────────────────────────────────────────────────────────────────────

/** Where one leg's media is received here; goes into the SDP that Signaling writes. */
export interface MediaAddress {
  host: string
  /** RTP port; RTCP is port + 1. */
  port: number
}

/** Where and how the far end wants its media; opaque to the domain, which hands it from Signaling to MediaPlane. */
export interface RemoteMedia {
  host: string
  port: number
  rtcpPort: number
  codec: 'pcmu' | 'pcma'
  /** Payload type of `codec` in the far end's SDP. */
  payloadType: number
  /** The far end's telephone-event payload type (8 kHz); absent when it offers none. */
  dtmfPayloadType?: number
  /** Packet time that the far end asks for, ms: a multiple of 10, 10 to 60. */
  ptimeMs: number
  /** As seen from us. Held: we send nothing ('recvonly' or 'inactive') or nothing comes ('sendonly'). */
  direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive'
  /** 'strict': only packets from the SDP address count. 'latch': symmetric RTP, locks on the first valid source. */
  source: 'strict' | 'latch'
  /** RTP silence that ends the leg, ms: before and after the first packet. */
  timeoutBeforeMs: number
  timeoutAfterMs: number
  /** How digits go out on this leg. */
  dtmfMode: 'rfc4733' | 'info' | 'both'
}

/** How a leg ended or shall end. `sipStatus` 0: no SIP answer was involved. */
export interface Cause {
  sipStatus: number
  /** ITU-T Q.850 cause, 16 = normal clearing. */
  q850: number
  /** A word for logs and for the SIP Reason header. */
  text: string
}

export interface DialPlan {
  trunkId: string
  /** E.164 with '+', or a full `sip:` URI. */
  to: string
  /** Caller number, E.164 with '+'. */
  from: string
  fromName?: string
  media: MediaAddress
  /** Extra SIP headers (already allowed by policy); encoded by the SIP builder. */
  headers?: Record<string, string>
  /** Ring limit, ms: CANCEL and `ended` with 408 after it. */
  ringTimeoutMs: number
  /** Max-Forwards of the leg that caused this one, less one (loop guard); 70 when absent. */
  maxForwards?: number
  /** For the far end's application, a short text (User-to-User, RFC 7433). */
  userData?: string
}

/** Asks the far end of a leg to call somebody else (REFER). */
export interface ReferPlan {
  /** E.164 with '+', or a full `sip:` URI. */
  to: string
  /** The far end of this answered leg of ours is taken over (Replaces); `to` is where it was dialled. */
  replaces?: LegId
  /** Extra SIP headers for the call that the far end makes. */
  headers?: Record<string, string>
  /** As in DialPlan. */
  userData?: string
  /** 'failed' after so many ms without a result. */
  timeoutMs: number
}

export interface IncomingLeg {
  legId: LegId
  trunkId: string
  accountId: string
  /** As dialled: E.164 with '+' where it can be read so, else the user part. */
  to: string
  from: string
  fromName?: string
  sipCallId: string
  /** Allow-listed headers, lower-case names. */
  headers: Record<string, string>
  /** The law that would be chosen; undefined when the offer has none of ours (reject with no_codec). */
  codec?: 'pcmu' | 'pcma'
  /** INVITE without SDP: we offer in the answer. */
  delayedOffer: boolean
  maxForwards: number
}

export type SignalingEvent =
  | { on: 'incoming'; leg: IncomingLeg }
  /** A provisional answer to our INVITE; `early`: it carried SDP (a 'media' event came just before). */
  | { on: 'progress'; legId: LegId; sipStatus: number; early: boolean }
  /** Offer/answer done, first time or by re-INVITE/UPDATE: hand it to MediaPlane.connect. */
  | { on: 'media'; legId: LegId; remote: RemoteMedia }
  /** Our INVITE got its 2xx (outbound), or the ACK to our 2xx came (inbound). */
  | { on: 'answered'; legId: LegId; sipCallId: string }
  | { on: 'digit'; legId: LegId; digit: string; durationMs: number }
  | { on: 'held' | 'resumed'; legId: LegId }
  /**
   * What becomes of a `refer`. 'accepted': the far end will try; 'progress': what it hears from there (100 to 199);
   * then exactly one of 'completed' and 'failed', unless the leg ends before. No other refer may be under way on it.
   */
  | {
      on: 'refer'
      legId: LegId
      state: 'accepted' | 'progress' | 'completed' | 'failed'
      sipStatus: number
      text: string
    }
  /** Exactly one per leg, whoever ended it; nothing follows. `by`: who caused the end. */
  | { on: 'ended'; legId: LegId; by: 'peer' | 'us' | 'timeout' | 'network'; cause: Cause }

export interface Signaling {
  onEvent(listener: (event: SignalingEvent) => void): void
  /** Sends an INVITE. Never throws: what fails comes as `ended`. */
  dial(legId: LegId, plan: DialPlan): void
  /** 180 Ringing on an incoming leg. */
  ring(legId: LegId): void
  /** 183 with SDP: early media flows both ways. */
  progress(legId: LegId, media: MediaAddress): void
  /** 200 OK; `media` and then `answered` follow. */
  answer(legId: LegId, media: MediaAddress): void
  /** Final refusal of an incoming leg; `reason` is the closed-list word that is logged and counted. */
  reject(legId: LegId, cause: Cause, reason: RejectReason): void
  /** Ends the leg in whatever state it is: CANCEL, BYE or a final refusal. */
  hangup(legId: LegId, cause: Cause): void
  /** Asks the far end of an answered leg to call somebody else. Never throws: `refer` events follow. */
  refer(legId: LegId, plan: ReferPlan): void
  /** Digits by INFO for legs whose dtmfMode says so. */
  sendInfoDigit(legId: LegId, digit: string, durationMs: number): void
}

/** Why an incoming call was refused: one word per rule, in the log line, the metric and the record. */
export const REJECT_REASONS = [
  'unknown_number',
  'number_rejects',
  'no_bot',
  'no_codec',
  'capacity',
  'trunk_capacity',
  'draining',
  'bot_rejected',
  'bot_unreachable',
  'ring_timeout',
  'loop',
  'bad_request',
  'bad_auth',
] as const
export type RejectReason = (typeof REJECT_REASONS)[number]

// ── Media plane ──────────────────────────────────────────────────────────────────────────────────────────────────

/** The protocols that bots speak; one file each in bot/dialects/. */
export const DIALECTS = [
  'native',
  'twilio',
  'signalwire',
  'exotel',
  'plivo',
  'vobiz',
  'telnyx',
  'vonage',
  'jambonz',
  'openai-realtime',
] as const
export type DialectName = (typeof DIALECTS)[number]

/** What a bot's audio may be encoded in. pcm16 is little-endian; the G.711 laws exist at 8 kHz only. */
export const ENCODINGS = ['pcmu', 'pcma', 'pcm16'] as const
export type Encoding = (typeof ENCODINGS)[number]
export type SampleRate = 8000 | 16000 | 24000

export interface AudioFormat {
  encoding: Encoding
  sampleRate: SampleRate
  /** Audio per message to the bot, ms: 20 to 200 in steps of 20. */
  frameMs: number
}

export interface AudioPlan {
  /** Towards the bot. */
  input: AudioFormat
  /** From the bot. */
  output: AudioFormat
  /** How input travels: base64 in text frames, or raw binary frames. */
  transport: 'json' | 'binary'
}

/** What happens to the bot's speech when the caller starts to speak. */
export const BARGE_IN_POLICIES = ['none', 'notify', 'auto_clear', 'pause'] as const
export type BargeIn = (typeof BARGE_IN_POLICIES)[number]

/** What the bridge listens for in the caller's audio and tells the bot. */
export interface Listening {
  /** `speech.started` and `speech.stopped` are told; on as well when bargeIn is not 'none'. */
  vad: boolean
  bargeIn: BargeIn
  /** Answering machine detection, outbound calls only: `amd` and `beep`. */
  amd: boolean
  /** `silence` after so many ms in which neither side spoke; 0: never. */
  silenceMs: number
  /** `quality` each 5 s. */
  quality: boolean
}

/** Everything the worker needs to dial a bot and to write its `start` message. */
export interface BotPlan {
  /** Where the bot is dialled, then its stand-ins in order. Never empty. */
  urls: string[]
  /** Extra handshake headers, validated. They go to the first address only. */
  headers: Record<string, string>
  /** Key of the handshake signature (native HMAC, or the vendor's own kind); absent: unsigned. */
  secret?: string
  dialect: DialectName
  audio: AudioPlan
  discriminator: 'both' | 'type' | 'event'
  /** Bot audio that arrives before the answer. */
  beforeAnswer: 'buffer' | 'early_media' | 'drop'
  /** answer_mode "bot": the first audio of the bot answers the call, too. */
  answerOnAudio: boolean
  /** Playback buffer cap, ms. */
  bufferMs: number
  /** Handshake time limit, ms. */
  connectTimeoutMs: number
  /** A lost socket is dialled again for so long, ms; 0: not at all. */
  reconnectMs: number
  /** What the bot's own close with 1000 means. */
  onClose: 'hangup' | 'reconnect' | 'fallback'
  listening: Listening
  /** Facts for `start`, in wire spelling; the session adds audio, state and limits. */
  start: Record<string, unknown>
}

export interface RecordPlan {
  recordingId: string
}

/** How a transfer is made. 'bridge': a second leg, audio through us. 'blind': REFER. 'attended': a second leg, then REFER with Replaces. */
export type TransferMode = 'bridge' | 'blind' | 'attended'

/** What a bot asks of the call (the worker has done already what it can do alone: audio, marks, clear, dtmf out). */
export type BotRequest =
  | { ask: 'answer' }
  | { ask: 'reject'; sipStatus: number; reason: string }
  | { ask: 'hangup'; reason: string; sipStatus?: number; q850?: number }
  | {
      ask: 'transfer'
      ref?: string
      target: string
      mode: TransferMode
      callerId?: string
      timeoutMs: number
      onFail: 'resume' | 'hangup'
      headers: Record<string, string>
      /** Kept with the call's record. */
      context?: Record<string, unknown>
    }
  | { ask: 'infoDigits'; digits: string; durationMs: number; gapMs: number }
  | { ask: 'recording'; ref?: string; action: 'start' | 'stop' | 'pause' | 'resume' }
  /** Free data for the call's record. */
  | { ask: 'note'; data: Record<string, unknown> }

/** What has become of a recording that the bot asked for (as `ref`). */
export interface RecordingStatus {
  ref?: string
  state: 'started' | 'stopped' | 'paused' | 'resumed' | 'failed'
  recordingId?: string
  reason?: string
}

/** How a bot session ends, for its `stop` message. */
export interface Stop {
  reason: string
  sipStatus: number
  q850: number
}

/** How a transfer that the bot asked for (as `ref`) goes. */
export interface TransferStatus {
  ref?: string
  state: 'trying' | 'ringing' | 'answered' | 'completed' | 'failed' | 'cancelled'
  sipStatus?: number
  reason?: string
}

export interface LegMediaStats {
  rxPackets: number
  txPackets: number
  /** Never arrived by their playout time. */
  rxLost: number
  rxLate: number
  rxDropped: number
  jitterMs: number
  /** Answer to the first bot audio on the wire, ms. */
  firstBotAudioMs?: number
}

export type MediaEvent =
  /** `resumed`: after a loss; `standIn`: not the first address of the plan. */
  | { on: 'bot'; legId: LegId; state: 'open'; resumed: boolean; standIn: number }
  /** The socket is gone; it is being dialled again, or the next address is. The caller hears comfort audio. */
  | { on: 'bot'; legId: LegId; state: 'reconnecting'; reason: string }
  /** No socket, and none to come. `clean`: the bot closed with 1000. */
  | { on: 'bot'; legId: LegId; state: 'lost'; clean: boolean; wasOpen: boolean; reason: string }
  | { on: 'botRequest'; legId: LegId; request: BotRequest }
  | { on: 'digit'; legId: LegId; digit: string; durationMs: number; method: 'rfc4733' | 'info' | 'inband' }
  | { on: 'firstPacket'; legId: LegId }
  /** No RTP for as long as RemoteMedia allows. */
  | { on: 'rtpTimeout'; legId: LegId; afterFirst: boolean }
  /** The capture of a recording is closed on disk; the file can be finished. */
  | { on: 'captured'; legId: LegId; recordingId: string }
  | { on: 'closed'; legId: LegId; stats: LegMediaStats }
  /** A prompt has been played to its end, or could not be. */
  | { on: 'played'; legId: LegId; ok: boolean; reason?: string }
  /** The worker died: every leg in it has lost its media. */
  | { on: 'crashed'; legId: LegId; reason: string }

export interface MediaPlane {
  onEvent(listener: (event: MediaEvent) => void): void
  /** Opens an RTP port pair. `near`: same worker as that leg, so that the two can be bridged. Rejects with CAPACITY. */
  open(legId: LegId, near?: LegId): Promise<MediaAddress>
  connect(legId: LegId, remote: RemoteMedia): void
  /** Dials the bot and joins it to the leg. `bot` events follow. */
  attachBot(legId: LegId, plan: BotPlan): void
  /** The phone side moved on: the bot learns `call.progress` / `call.answered`; held audio starts on 'answered'. */
  callProgress(legId: LegId, sipStatus: number): void
  callAnswered(legId: LegId): void
  /** A digit that came by signalling. */
  digit(legId: LegId, digit: string, durationMs: number): void
  /** The peer put the call on hold or took it back: the bot is told. */
  held(legId: LegId, held: boolean): void
  transferStatus(legId: LegId, status: TransferStatus): void
  recordingStatus(legId: LegId, status: RecordingStatus): void
  /** Plays a file of the prompts' directory to the leg, which has no bot any more; `played` follows. */
  play(legId: LegId, prompt: string): void
  /** Joins two legs' audio directly; the first leg's bot, if any, neither hears nor speaks until `unbridge`. */
  bridge(legId: LegId, other: LegId): void
  unbridge(legId: LegId): void
  /** Ends the bot session with a `stop` message and close code 1000. */
  detachBot(legId: LegId, stop: Stop): void
  record(legId: LegId, plan: RecordPlan): void
  /** While paused both channels of the recording are silent; its time goes on. */
  pauseRecording(legId: LegId, paused: boolean): void
  /** `captured` follows. */
  stopRecording(legId: LegId): void
  /** Ends everything of the leg: bot (with `stop`), recorder, RTP. `captured` and `closed` follow. Unknown legs are ignored. */
  close(legId: LegId, stop: Stop): void
}

// ── Records and configuration ────────────────────────────────────────────────────────────────────────────────────

export interface Journal {
  /**
   * Appends one event. Resolves when it is on disk (fsynced, with its neighbours in one group). Order is kept.
   * Live calls do not await it; what must not happen twice (a dial) does. A failure to write is logged and counted by
   * the journal itself; the promise rejects for those who wait.
   */
  append(event: CallEvent): Promise<void>
}

/** Configuration as the call path reads it: from memory, never from the database. */
export interface Directory {
  /** The number that was dialled, on the trunk it came by. */
  inboundRoute(trunkId: string, number: string): InboundRoute | undefined
  /** The trunk for an outbound call of this account; `from` picks among several by its number. */
  outboundTrunk(accountId: string, from?: string): OutboundRoute | undefined
  bot(accountId: string, botId: string): BotSettings | undefined
}

export interface InboundRoute {
  accountId: string
  numberId: string
  /** E.164. */
  number: string
  action: 'bot' | 'reject'
  botId?: string
  record: boolean
}

export interface OutboundRoute {
  trunkId: string
  /** The caller number to show, E.164, and its row, where the account has one on this trunk. */
  from: string
  numberId?: string
}

/** One bot as configured; also what an ad-hoc `wss_url` is turned into. */
export interface BotSettings {
  id?: string
  /** The number that the vendor routes use (`Voicechat_id`). */
  publicNo?: number
  name: string
  url: string
  headers: Record<string, string>
  secret?: string
  dialect: DialectName
  answerMode: 'auto' | 'bot'
  answerOnAudio: boolean
  input: Encoding
  inputRate: SampleRate
  output: Encoding
  outputRate: SampleRate
  transport: 'json' | 'binary'
  frameMs: number
  discriminator: 'both' | 'type' | 'event'
  beforeAnswer: 'buffer' | 'early_media' | 'drop'
  bufferMs: number
  vad: boolean
  bargeIn: BargeIn
  amd: boolean
  silenceMs: number
  quality: boolean
  onClose: 'hangup' | 'reconnect' | 'fallback'
  reconnectMs: number
  /** Dialled in turn when the bot is lost for good or cannot be reached. */
  fallbackUrls: string[]
  /** What happens to the call when none of them is left. 'prompt': fallbackPrompt is played, then the call ends. */
  onLost: 'hangup' | 'transfer' | 'prompt'
  /** Number or URI for onLost 'transfer'. */
  fallbackTarget?: string
  /** A WAV file's name in the prompts' directory. */
  fallbackPrompt?: string
  record: boolean
  maxCallMs: number
  /** Given to the bot as `start.custom` (a foreign dialect's parameters); what the request says comes first. */
  custom: Record<string, string>
  systemMsg?: string
  language?: string
  text?: string
}

export type { CallId, LegId }

/** Stored calls; always within one account. */
export interface CallStore {
  get(ctx: AccountContext, callId: CallId): Promise<CallRecord | undefined>
  getByLogId(ctx: AccountContext, logId: number): Promise<CallRecord | undefined>
  list(ctx: AccountContext, filter: CallFilter): Promise<CallRecord[]>
}

/** Whose data a repository call is about: no query without it. */
export interface AccountContext {
  readonly accountId: string
}

export interface CallFilter {
  /** E.164 or any tail of digits: matches the remote side (from of inbound, to of outbound calls). */
  phoneNumber?: string
  direction?: 'inbound' | 'outbound'
  states?: CallState[]
  limit: number
  /** Only calls older than this one: the last of the page before. */
  before?: { createdAtMs: number; id: CallId }
}

/** Turns a closed capture into a playable file. */
export interface RecordingFinisher {
  finish(call: CallRecord, recordingId: string): Promise<{ durationMs: number; bytes: number }>
}

/** Numbers for `logid`, from memory: a live call never waits for the database. */
export interface LogIds {
  next(): number
}
