/** A recording that was begun on this node and, by the calls' events, never came to an end. */
export interface UnfinishedRecording {
  id: string
  accountId: string
  callId: string
}

/** Rows come from the `recording…` events of calls; nothing here writes them. */
export interface RecordingStore {
  /** Of this node, oldest first. */
  listUnfinished(): Promise<UnfinishedRecording[]>
}

/** How raw captures become files (finish.ts), as parameters for tests. */
export interface CaptureFiles {
  /** Makes a WAV in `dir` from the capture and removes the capture. May be repeated after a crash. */
  finishCapture(dir: string, recordingId: string): Promise<{ path: string; durationMs: number; bytes: number }>
  /** Ids of captures in `dir` that were not finished. */
  unfinishedCaptures(dir: string): Promise<string[]>
}
