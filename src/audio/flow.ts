/**
 * How audio moves between the parts of one call: always G.711 bytes, always borrowed buffers. A frame handed to a sink
 * belongs to the giver and is valid only during the call; whoever needs it longer copies it.
 */

/** The two G.711 laws (ITU-T G.711). */
export type Law = 'pcmu' | 'pcma'

/** Samples in a millisecond at the only rate that runs inside: 8 kHz. One G.711 sample is one byte. */
export const SAMPLES_PER_MS = 8
export const FRAME_MS = 20
export const FRAME_SAMPLES = FRAME_MS * SAMPLES_PER_MS

/** Codec silence: µ-law 0xFF, A-law 0xD5 (both decode to the smallest positive level). */
export const SILENCE: Readonly<Record<Law, number>> = { pcmu: 0xff, pcma: 0xd5 }

/** Takes what was heard from the far end: exactly one frame per 20 ms slot from media start on, gap-free. */
export interface FrameSink {
  /**
   * @param frame  FRAME_SAMPLES bytes in `law`; borrowed
   * @param lostMs how much of the frame was concealed or filled (0 or 20)
   */
  frame(frame: Uint8Array, law: Law, lostMs: number): void
}

/** Gives what the far end shall hear. */
export interface FrameSource {
  /**
   * Fills `dst` (FRAME_SAMPLES bytes) in `law`; a partial frame is padded with silence by the source.
   * @returns false when there is nothing to play: the caller sends silence
   */
  frameInto(dst: Uint8Array, law: Law): boolean
  /** So many slots have passed without the source being asked: a stall of ours, a digit going out, hold. */
  skipped?(slots: number): void
}
