import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import type { CallEvent } from '../calls/events.ts'

/**
 * One journal file: a line per event, each with its checksum, so that a torn or damaged line shows.
 *
 *   3f0a9c51 {"callId":"0193…","seq":4,"type":"answered",…}\n
 *   └ CRC-32 of the JSON, 8 hex digits
 */
const CRC_CHARS = 8

export interface Position {
  segment: number
  offset: number
}

export const isBefore = (a: Position, b: Position): boolean =>
  a.segment < b.segment || (a.segment === b.segment && a.offset < b.offset)

const NAME = /^(\d{8})\.ndjson$/
export const segmentPath = (dir: string, segment: number): string =>
  join(dir, `${String(segment).padStart(8, '0')}.ndjson`)

/** Numbers of the segments in the directory, oldest first. */
export async function listSegments(dir: string): Promise<number[]> {
  const names = await readdir(dir)
  return names
    .map((name) => NAME.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b)
}

const checksum = (json: string | Uint8Array): string => crc32(json).toString(16).padStart(CRC_CHARS, '0')

export function encodeLine(event: CallEvent): string {
  const json = JSON.stringify(event)
  return `${checksum(json)} ${json}\n`
}

/** Undefined for a line that is not what was written. */
export function decodeLine(line: Uint8Array): CallEvent | undefined {
  const json = line.subarray(CRC_CHARS + 1)
  if (Buffer.from(line.buffer, line.byteOffset, Math.min(CRC_CHARS, line.length)).toString('latin1') !== checksum(json))
    return undefined
  return JSON.parse(Buffer.from(json.buffer, json.byteOffset, json.length).toString('utf8')) as CallEvent
}

export interface SegmentPart {
  events: CallEvent[]
  /** Where the last whole line that was read ends. */
  endOffset: number
  /** Lines with a wrong checksum: skipped. */
  damaged: number
}

const NEWLINE = 0x0a

/** Reads whole lines from `offset` on: about `maxBytes` of them, at least one, none past `limit`. */
export async function readSegment(path: string, offset: number, limit: number, maxBytes: number): Promise<SegmentPart> {
  const part: SegmentPart = { events: [], endOffset: offset, damaged: 0 }
  if (offset >= limit) return part
  const file = await open(path, 'r')
  try {
    let wanted = maxBytes
    while (part.endOffset < limit) {
      const bytes = Buffer.alloc(Math.min(wanted, limit - part.endOffset))
      const { bytesRead } = await file.read(bytes, 0, bytes.length, part.endOffset)
      const lastNewline = bytes.lastIndexOf(NEWLINE, bytesRead - 1)
      if (lastNewline >= 0) {
        takeLines(bytes.subarray(0, lastNewline + 1), part)
        return part
      }
      // Shorter than asked for: the file ends in a line that was never finished.
      if (bytesRead < bytes.length || part.endOffset + bytes.length >= limit) return part
      wanted *= 2
    }
    return part
  } finally {
    await file.close()
  }
}

function takeLines(bytes: Buffer, part: SegmentPart): void {
  for (let start = 0; start < bytes.length;) {
    const end = bytes.indexOf(NEWLINE, start)
    const event = decodeLine(bytes.subarray(start, end))
    if (event) part.events.push(event)
    else part.damaged++
    start = end + 1
  }
  part.endOffset += bytes.length
}
