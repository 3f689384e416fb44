/**
 * Everything that crosses between the control thread and a media worker, on one screen: the methods and events of
 * MediaPlane (calls/ports.ts) as data. No audio, ever. Commands of one leg keep their order.
 */
import type {
  BotPlan,
  MediaAddress,
  MediaEvent,
  RecordPlan,
  RecordingStatus,
  RemoteMedia,
  Stop,
  TransferStatus,
} from '../calls/ports.ts'
import type { LegId } from '../calls/ids.ts'
import type { ErrorCode } from '../lib/errors.ts'

export type Command =
  | { do: 'open'; request: number; legId: LegId }
  | { do: 'connect'; legId: LegId; remote: RemoteMedia }
  | { do: 'attachBot'; legId: LegId; plan: BotPlan }
  | { do: 'callProgress'; legId: LegId; sipStatus: number }
  | { do: 'callAnswered'; legId: LegId }
  | { do: 'digit'; legId: LegId; digit: string; durationMs: number }
  | { do: 'held'; legId: LegId; held: boolean }
  | { do: 'transferStatus'; legId: LegId; status: TransferStatus }
  | { do: 'recordingStatus'; legId: LegId; status: RecordingStatus }
  | { do: 'play'; legId: LegId; prompt: string }
  | { do: 'bridge'; legId: LegId; other: LegId }
  | { do: 'unbridge'; legId: LegId }
  | { do: 'detachBot'; legId: LegId; stop: Stop }
  | { do: 'record'; legId: LegId; plan: RecordPlan }
  | { do: 'pauseRecording'; legId: LegId; paused: boolean }
  | { do: 'stopRecording'; legId: LegId }
  | { do: 'close'; legId: LegId; stop: Stop }
  | { do: 'stats'; request: number }
  /** Closes every leg and ends the worker; answered when nothing is open any more. */
  | { do: 'shutdown'; request: number }
  /** For tests of what happens when a worker dies. */
  | { do: 'crash' }

/** One bot session as it ended, for the metrics of the control thread. */
export interface BotSummary {
  end: 'stopped' | 'clean' | 'lost' | 'never_open'
  connectMs?: number
  firstAudioMs?: number
  droppedToBotMs: number
  /** Bot audio given up to catch up with time, ms. */
  caughtUpMs: number
  reconnects: number
  errors: Record<string, number>
}

export type Event = MediaEvent | { on: 'botSummary'; summary: BotSummary }

/** What a worker holds at the moment. */
export interface WorkerStats {
  legs: number
  /** Bot sockets, from dialling to closed. */
  botSockets: number
  recordings: number
  ports: { free: number; used: number; resting: number }
  /** Worst lateness of the playout loop since the last look, ms. */
  playoutLatenessMs: number
  /** Delay of the event loop since the last look, ms. */
  loopDelayMs: { mean: number; p99: number; max: number }
  heapBytes: number
}

export type Reply =
  | { reply: number; ok: true; value: MediaAddress | WorkerStats | undefined }
  | { reply: number; ok: false; code: ErrorCode; message: string }

export type FromWorker = Event | Reply

/** Plain data: also the `workerData` of the thread. */
export interface WorkerOptions {
  index: number
  rtp: { host: string; advertisedHost: string; first: number; last: number; quarantineMs: number }
  recordingsDir: string
  promptsDir: string
  egress: { allowInsecure: boolean; ownAddresses?: string[] }
  logLevel: string
}
