/** What a leg counts: what the control side reads of it (calls/ports.ts), and more for operators. */
import type { LegMediaStats } from '../calls/ports.ts'

export interface LegStats extends LegMediaStats {
  /** Frames of 20 ms that were concealed or filled although the far end should have been sending. */
  concealedFrames: number
  duplicates: number
  /** Packets from an address that is not the far end's. */
  strangers: number
  /** Wrong version, truncated, lying lengths, payload types that we never offered. */
  malformed: number
  /** Delay that the jitter buffer adds at the moment, ms. */
  bufferMs: number
  /** By RTCP; undefined until a report came back. */
  rttMs?: number
  /** What the far end's last report says of our stream, 0 to 1. */
  remoteLossRatio?: number
  socketErrors: number
}
