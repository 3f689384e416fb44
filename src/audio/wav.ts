/**
 * WAV (RIFF/WAVE) in and out. Writes PCM16; reads PCM16 and G.711 with a tolerant scanner that believes no size in the
 * file: everything is bounded by the bytes that are there, and nothing is allocated from a declared length.
 *
 *   0 'RIFF' size │ 12 'fmt ' 16 │ format channels rate bytes/s align bits │ 36 'data' size │ 44 samples …
 */
import { decodeInto } from './g711.ts'

export const WAV_HEADER_BYTES = 44
const MAX_DATA_BYTES = 0xffff_ffff - WAV_HEADER_BYTES

/** The header of a PCM16 file. A writer that streams writes it first with 0 and again over it with the true size. */
export function wavHeader(dataBytes: number, channels: 1 | 2, rateHz = 8000): Buffer {
  const size = Math.min(dataBytes, MAX_DATA_BYTES)
  const h = Buffer.alloc(WAV_HEADER_BYTES)
  h.write('RIFF', 0, 'latin1')
  h.writeUInt32LE(size + WAV_HEADER_BYTES - 8, 4)
  h.write('WAVEfmt ', 8, 'latin1')
  h.writeUInt32LE(16, 16)
  h.writeUInt16LE(1, 20)
  h.writeUInt16LE(channels, 22)
  h.writeUInt32LE(rateHz, 24)
  h.writeUInt32LE(rateHz * channels * 2, 28)
  h.writeUInt16LE(channels * 2, 32)
  h.writeUInt16LE(16, 34)
  h.write('data', 36, 'latin1')
  h.writeUInt32LE(size, 40)
  return h
}

/** A whole file from one channel or two of equal meaning (the shorter is padded with silence). */
export function wavFile(left: Int16Array, right?: Int16Array, rateHz = 8000): Buffer {
  const channels = right ? 2 : 1
  const frames = Math.max(left.length, right?.length ?? 0)
  const file = Buffer.alloc(WAV_HEADER_BYTES + frames * channels * 2)
  wavHeader(frames * channels * 2, channels, rateHz).copy(file)
  for (let i = 0; i < frames; i++) {
    const at = WAV_HEADER_BYTES + i * channels * 2
    file.writeInt16LE(left[i] ?? 0, at)
    if (right) file.writeInt16LE(right[i] ?? 0, at + 2)
  }
  return file
}

export interface WavFormat {
  encoding: 'pcm16' | 'pcmu' | 'pcma'
  channels: number
  rateHz: number
  /** Where the samples are in the file, whole frames only. */
  dataOffset: number
  dataBytes: number
}

export class WavError extends Error {
  override readonly name = 'WavError'
}

const FORMATS: Readonly<Record<number, { encoding: WavFormat['encoding']; bits: number }>> = {
  1: { encoding: 'pcm16', bits: 16 },
  6: { encoding: 'pcma', bits: 8 },
  7: { encoding: 'pcmu', bits: 8 },
}
// WAVE_FORMAT_EXTENSIBLE: the true format is the start of the sub-format GUID.
const EXTENSIBLE = 0xfffe
const MAX_CHUNKS = 1000

/**
 * Finds format and samples. `fileBytes`: the file's size when `head` is only its beginning. A data size of 0 or beyond
 * the end (a writer that died) means "to the end of the file". Throws WavError for anything that cannot be played.
 */
export function readWavFormat(head: Buffer, fileBytes = head.length): WavFormat {
  if (head.length < 12 || head.toString('latin1', 0, 4) !== 'RIFF' || head.toString('latin1', 8, 12) !== 'WAVE')
    throw new WavError('not a WAV file')
  let format: Omit<WavFormat, 'dataOffset' | 'dataBytes'> | undefined
  let at = 12
  for (let n = 0; n < MAX_CHUNKS && at + 8 <= head.length; n++) {
    const id = head.toString('latin1', at, at + 4)
    const size = head.readUInt32LE(at + 4)
    const body = at + 8
    if (id === 'fmt ') {
      if (size < 16 || body + 16 > head.length) throw new WavError('format chunk is cut off')
      format = readFormat(head, body, size)
    } else if (id === 'data') {
      if (!format) throw new WavError('samples come before their format')
      const there = Math.max(0, fileBytes - body)
      const align = format.channels * (format.encoding === 'pcm16' ? 2 : 1)
      const bytes = size === 0 || size > there ? there : size
      return { ...format, dataOffset: body, dataBytes: bytes - (bytes % align) }
    }
    // Chunks are padded to even lengths.
    at = body + size + (size & 1)
  }
  throw new WavError(format ? 'no samples found' : 'no format found')
}

function readFormat(head: Buffer, body: number, size: number): Omit<WavFormat, 'dataOffset' | 'dataBytes'> {
  let tag = head.readUInt16LE(body)
  if (tag === EXTENSIBLE && size >= 40 && body + 26 <= head.length) tag = head.readUInt16LE(body + 24)
  const channels = head.readUInt16LE(body + 2)
  const rateHz = head.readUInt32LE(body + 4)
  const bits = head.readUInt16LE(body + 14)
  const known = FORMATS[tag]
  if (!known || known.bits !== bits) throw new WavError(`format ${tag} with ${bits} bits is not supported`)
  if (channels < 1 || channels > 2) throw new WavError(`${channels} channels are not supported`)
  if (rateHz < 4000 || rateHz > 192_000) throw new WavError(`a rate of ${rateHz} Hz is not supported`)
  return { encoding: known.encoding, channels, rateHz }
}

/** One channel of a whole file in memory as PCM16, at the file's rate. */
export function readWav(file: Buffer, channel = 0): { pcm: Int16Array; format: WavFormat } {
  const format = readWavFormat(file)
  const { encoding, channels, dataOffset, dataBytes } = format
  const width = encoding === 'pcm16' ? 2 : 1
  const pcm = new Int16Array(dataBytes / (width * channels))
  const pick = Math.min(channel, channels - 1)
  if (encoding === 'pcm16') {
    for (let i = 0; i < pcm.length; i++) pcm[i] = file.readInt16LE(dataOffset + (i * channels + pick) * 2)
  } else {
    const codes = new Uint8Array(pcm.length)
    for (let i = 0; i < pcm.length; i++) codes[i] = file[dataOffset + i * channels + pick]
    decodeInto(pcm, codes, encoding)
  }
  return { pcm, format }
}
