/**
 * Where and how the far end wants its media, and what a leg counts. The same shapes as in calls/ports.ts, written here
 * again because media knows nothing of calls; the engine hands one over as the other (structural typing).
 */
import type { Law } from '../audio/flow.ts'

export interface RemoteMedia {
  host: string
  port: number
  rtcpPort: number
  codec: Law
  /** Payload type of `codec` in the far end's SDP. */
  payloadType: number
  /** The far end's telephone-event payload type (8 kHz); absent when it offers none. */
  dtmfPayloadType?: number
  /** Packet time that the far end asks for, ms: a multiple of 10, 10 to 60. */
  ptimeMs: number
  /** As seen from us. */
  direction: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive'
  /** 'strict': only packets from the SDP address count. 'latch': symmetric RTP, locks on the first valid source. */
  source: 'strict' | 'latch'
  /** RTP silence that ends the leg, ms: before and after the first packet. 0: never. */
  timeoutBeforeMs: number
  timeoutAfterMs: number
}

export interface LegMediaStats {
  rxPackets: number
  txPackets: number
  /** Never arrived by their playout time. */
  rxLost: number
  rxLate: number
  rxDropped: number
  jitterMs: number
  /** Connect to the first frame of the first source on the wire, ms. */
  firstBotAudioMs?: number
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
