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

/** Everything the worker needs to dial a bot and to write its `start` message. */
export interface BotPlan {
  url: string
  /** Extra handshake headers, validated. */
  headers: Record<string, string>
  /** HMAC key of the handshake signature; absent: unsigned. */
  secret?: string
  dialect: 'native'
  audio: {
    input: { encoding: 'pcmu' | 'pcma' | 'pcm16'; sampleRate: 8000; frameMs: number }
    output: { encoding: 'pcmu' | 'pcma' | 'pcm16'; sampleRate: 8000; frameMs: number }
    transport: 'json' | 'binary'
  }
  discriminator: 'both' | 'type' | 'event'
  /** Bot audio that arrives before the answer. */
  beforeAnswer: 'buffer' | 'early_media' | 'drop'
  /** Playback buffer cap, ms. */
  bufferMs: number
  /** Handshake time limit, ms. */
  connectTimeoutMs: number
  /** Facts for `start`, in wire spelling; the session adds audio, state and limits. */
  start: Record<string, unknown>
}

export interface RecordPlan {
  recordingId: string
}

/** What a bot asks of the call (the worker has done already what it can do alone: audio, marks, clear, dtmf out). */
export type BotRequest =
  | { ask: 'answer' }
  | { ask: 'reject'; sipStatus: number; reason: string }
  | { ask: 'hangup'; reason: string; sipStatus?: number; q850?: number }
  | {
      ask: 'transfer'
      ref?: string
      target: string
      callerId?: string
      timeoutMs: number
      onFail: 'resume' | 'hangup'
      headers: Record<string, string>
    }
  | { ask: 'infoDigits'; digits: string; durationMs: number; gapMs: number }

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
  | { on: 'bot'; legId: LegId; state: 'open' }
  /** The socket is gone or never opened. `clean`: the bot closed with 1000. */
  | { on: 'bot'; legId: LegId; state: 'lost'; clean: boolean; wasOpen: boolean; reason: string }
  | { on: 'botRequest'; legId: LegId; request: BotRequest }
  | { on: 'digit'; legId: LegId; digit: string; durationMs: number; method: 'rfc4733' | 'info' }
  | { on: 'firstPacket'; legId: LegId }
  /** No RTP for as long as RemoteMedia allows. */
  | { on: 'rtpTimeout'; legId: LegId; afterFirst: boolean }
  /** The capture of a recording is closed on disk; the file can be finished. */
  | { on: 'captured'; legId: LegId; recordingId: string }
  | { on: 'closed'; legId: LegId; stats: LegMediaStats }
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
  /** Joins two legs' audio directly; the first leg's bot, if any, neither hears nor speaks until `unbridge`. */
  bridge(legId: LegId, other: LegId): void
  unbridge(legId: LegId): void
  /** Ends the bot session with a `stop` message and close code 1000. */
  detachBot(legId: LegId, stop: Stop): void
  record(legId: LegId, plan: RecordPlan): void
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
  dialect: 'native'
  answerMode: 'auto' | 'bot'
  input: 'pcmu' | 'pcma' | 'pcm16'
  output: 'pcmu' | 'pcma' | 'pcm16'
  transport: 'json' | 'binary'
  frameMs: number
  discriminator: 'both' | 'type' | 'event'
  beforeAnswer: 'buffer' | 'early_media' | 'drop'
  bufferMs: number
  /** What happens to the call when the bot's socket is lost for good. */
  onLost: 'hangup' | 'transfer'
  /** Number or URI for onLost 'transfer'. */
  fallbackTarget?: string
  record: boolean
  maxCallMs: number
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
