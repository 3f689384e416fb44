/**
 * The raw capture of a call: an append-only file of blocks, so that whatever a crash leaves behind is readable up to
 * its last whole byte. Written by media/recorder.ts, turned into a WAV by recordings/finish.ts. Layout only, no files.
 *
 *   0 'TLCAP1\0\0' │ 8 wall clock of the start, float64 LE, ms │ 16 blocks …
 *
 *   block │ 0 'T' │ 1 flags │ 2 length u16 LE │ 4 position u32 LE │ 8 bytes of G.711 …
 *                    bit 0: 0 = rx (caller), 1 = tx (bot)   position in samples since the start
 *                    bit 1: 0 = µ-law, 1 = A-law
 */
import type { Law } from './flow.ts'

export const CAPTURE_HEADER_BYTES = 16
export const BLOCK_HEADER_BYTES = 8
const MAGIC = 'TLCAP1\0\0'
const BLOCK_MAGIC = 0x54

export type CaptureDirection = 'rx' | 'tx'

export function writeCaptureHeader(dst: Buffer, wallMs: number): void {
  dst.write(MAGIC, 0, 'latin1')
  dst.writeDoubleLE(wallMs, 8)
}

/** @returns the wall clock of the start, ms; undefined when this is no capture */
export function readCaptureHeader(src: Buffer): number | undefined {
  if (src.length < CAPTURE_HEADER_BYTES || src.toString('latin1', 0, 8) !== MAGIC) return undefined
  return src.readDoubleLE(8)
}

export function writeBlockHeader(
  dst: Buffer,
  at: number,
  direction: CaptureDirection,
  law: Law,
  bytes: number,
  position: number,
): void {
  dst[at] = BLOCK_MAGIC
  dst[at + 1] = (direction === 'tx' ? 1 : 0) | (law === 'pcma' ? 2 : 0)
  dst.writeUInt16LE(bytes, at + 2)
  dst.writeUInt32LE(position >>> 0, at + 4)
}

export interface CaptureBlock {
  direction: CaptureDirection
  law: Law
  bytes: number
  position: number
}

/** @returns undefined when there is no block header (a torn or overwritten file) */
export function readBlockHeader(src: Buffer, at: number): CaptureBlock | undefined {
  if (at + BLOCK_HEADER_BYTES > src.length || src[at] !== BLOCK_MAGIC || src[at + 1] > 3) return undefined
  return {
    direction: src[at + 1] & 1 ? 'tx' : 'rx',
    law: src[at + 1] & 2 ? 'pcma' : 'pcmu',
    bytes: src.readUInt16LE(at + 2),
    position: src.readUInt32LE(at + 4),
  }
}

export const capturePath = (dir: string, recordingId: string): string => `${dir}/${recordingId}.raw`
