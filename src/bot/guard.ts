/**
 * Finds the two mistakes by which bots are heard as noise: a file sent as if it were samples (its header shows), and
 * samples in another encoding than agreed on (the first half second shows). Looks at bytes only, never at when they
 * come, and would rather miss a mistake than cry wolf: tones and noise are left alone.
 *
 *   pcm16 of speech    lo hi lo hi …      lo: anything   hi: near 00 or FF, moving slowly
 *   G.711 of speech    g  g  g  g  …      even and odd bytes alike, moving slowly by the law
 */
import { DECODE } from '../audio/g711.ts'
import type { Law } from '../audio/flow.ts'
import type { Encoding, SampleRate } from './dialect.ts'

const BLOCK_BYTES = 320
/** A look takes so many blocks in which something is heard: half a second of pcm16 at 8 kHz. */
const LOOK_BLOCKS = 25
const MOST_LOOKS = 3
/** Silence for so long, and the rest of the session is not looked at any more. */
const MOST_BLOCKS = 3000

export interface Finding {
  code: 'bad_audio' | 'format_mismatch'
  /** For the bot's author: what was found and what to do. */
  message: string
  /** Whether it is to be played all the same. */
  play: boolean
}

/** First bytes of files, as latin1, and what they are. Real audio begins so about once in 2^32. */
const HEADERS: readonly (readonly [start: string, what: string])[] = [
  ['RIFF', 'a WAV file: send only the samples behind its header (44 bytes, as a rule)'],
  ['ID3\x02', 'an MP3 file: decode it'],
  ['ID3\x03', 'an MP3 file: decode it'],
  ['ID3\x04', 'an MP3 file: decode it'],
  ['OggS', 'an Ogg file (Opus or Vorbis): decode it'],
  ['fLaC', 'a FLAC file: decode it'],
  ['\x1aE\xdf\xa3', 'a WebM file: decode it'],
]
const MP3 = 'an MP3 stream: decode it'
/** MPEG-1 layer III in kbit/s, and MPEG-2. */
const MP3_KBITS = [
  [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
  [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
]
const MP3_RATES = [44_100, 48_000, 32_000]

const AS: Readonly<Record<Encoding, number>> = { pcmu: 0, pcma: 1, pcm16: 2 }

/** What one look has counted. */
class Look {
  blocks = 0
  // Squares of steps and of values, added up: of the bytes as µ-law, as A-law, and in pairs as pcm16.
  readonly steps = new Float64Array(3)
  readonly energy = new Float64Array(3)
  /** Bytes that, as the high byte of a sample, mean a quarter of full scale at most. */
  nearEven = 0
  nearOdd = 0
  /** By the upper half of each byte. */
  readonly even = new Float64Array(16)
  readonly odd = new Float64Array(16)

  start(): void {
    this.blocks = this.nearEven = this.nearOdd = 0
    this.steps.fill(0)
    this.energy.fill(0)
    this.even.fill(0)
    this.odd.fill(0)
  }

  add(block: Uint8Array): void {
    this.blocks++
    this.#countLaw(block, 'pcmu')
    this.#countLaw(block, 'pcma')
    let steps = 0
    let energy = 0
    let last = 0
    for (let i = 0; i < block.length; i += 2) {
      const low = block[i]
      const high = (block[i + 1] << 24) >> 24
      const sample = (high << 8) | low
      if (i > 0) steps += (sample - last) ** 2
      energy += sample * sample
      last = sample
      this.even[low >> 4]++
      this.odd[block[i + 1] >> 4]++
      if (((low + 32) & 255) <= 64) this.nearEven++
      if (high >= -32 && high <= 32) this.nearOdd++
    }
    this.steps[AS.pcm16] += steps
    this.energy[AS.pcm16] += energy
  }

  #countLaw(block: Uint8Array, law: Law): void {
    const table = DECODE[law]
    let steps = 0
    let energy = 0
    let last = table[block[0]]
    for (let i = 0; i < block.length; i++) {
      const sample = table[block[i]]
      steps += (sample - last) ** 2
      energy += sample * sample
      last = sample
    }
    this.steps[AS[law]] += steps
    this.energy[AS[law]] += energy
  }

  /** 0: a slow wave; 1: each sample says nothing about the next, as in noise; 2: up and down at each. */
  roughness(as: Encoding): number {
    const energy = this.energy[AS[as]]
    return energy === 0 ? 0 : this.steps[AS[as]] / (2 * energy)
  }

  get #pairs(): number {
    return (this.blocks * BLOCK_BYTES) / 2
  }

  /** 0: even and odd bytes are alike; 1: they have nothing in common. */
  get #apart(): number {
    let apart = 0
    for (let i = 0; i < 16; i++) apart += Math.abs(this.even[i] - this.odd[i])
    return apart / 2 / this.#pairs
  }

  /** Bytes of a tone come back again and again; of speech, none of the even ones stands out. */
  get #varied(): boolean {
    let most = 0
    for (let i = 0; i < 16; i++) most = Math.max(most, this.even[i])
    return most <= 0.35 * this.#pairs
  }

  get isPcm16(): boolean {
    const pairs = this.#pairs
    return this.#varied && this.#apart >= 0.4 && this.nearOdd >= 0.75 * pairs && this.nearEven <= 0.5 * pairs
  }

  get isG711(): boolean {
    return this.#varied && this.#apart <= 0.12 && this.nearOdd <= 0.6 * this.#pairs
  }
}

export class FormatGuard {
  #encoding: Encoding | undefined
  readonly #block = new Uint8Array(BLOCK_BYTES)
  #filled = 0
  readonly #look = new Look()
  #looks = 0
  #blocks = 0
  #done = false

  /** Looks at the next audio of the bot, before it is played. Nothing found: undefined. */
  check(bytes: Uint8Array, encoding: Encoding, sampleRate: SampleRate): Finding | undefined {
    const file = fileOf(bytes)
    if (file !== undefined) {
      const raw = encoding === 'pcm16' ? `raw pcm16 (little-endian) at ${sampleRate} Hz` : `raw ${encoding} at 8000 Hz`
      return { code: 'bad_audio', message: `The audio is ${file}; ${raw} is expected.`, play: false }
    }
    if (encoding !== this.#encoding) {
      this.reset()
      this.#encoding = encoding
    }
    return this.#done ? undefined : this.#gather(bytes, encoding, sampleRate)
  }

  /** Another format has been agreed on: all is looked at anew. */
  reset(): void {
    this.#encoding = undefined
    this.#done = false
    this.#filled = this.#looks = this.#blocks = 0
    this.#look.start()
  }

  #gather(bytes: Uint8Array, encoding: Encoding, sampleRate: SampleRate): Finding | undefined {
    for (let i = 0; i < bytes.length; i++) {
      this.#block[this.#filled++] = bytes[i]
      if (this.#filled < BLOCK_BYTES) continue
      this.#filled = 0
      if (++this.#blocks >= MOST_BLOCKS) this.#done = true
      if (isHeard(this.#block)) this.#look.add(this.#block)
      if (this.#look.blocks === LOOK_BLOCKS) {
        const message = verdict(this.#look, encoding, sampleRate)
        if (message !== undefined || ++this.#looks >= MOST_LOOKS) this.#done = true
        this.#look.start()
        if (message !== undefined) return { code: 'format_mismatch', message, play: true }
      }
      if (this.#done) return undefined
    }
    return undefined
  }
}

function verdict(look: Look, encoding: Encoding, sampleRate: SampleRate): string | undefined {
  const pcm16 = look.roughness('pcm16')
  if (encoding !== 'pcm16') {
    const asAgreed = look.roughness(encoding)
    if (!look.isPcm16 || asAgreed < 0.6 || pcm16 > 0.6 * asAgreed) return undefined
    return `The audio looks like 16-bit PCM, but ${encoding} at 8000 Hz is expected: encode it, or agree on pcm16.`
  }
  const pcmu = look.roughness('pcmu')
  const pcma = look.roughness('pcma')
  const law = pcmu <= pcma ? 'pcmu' : 'pcma'
  const g711 = Math.min(pcmu, pcma)
  if (!look.isG711 || pcm16 < 0.4 || g711 > 0.6 || g711 > 0.8 * pcm16) return undefined
  return `The audio looks like G.711 (${law}), but pcm16 at ${sampleRate} Hz is expected: decode it, or agree on ${law}.`
}

/** Digital silence, and what hardly differs from it, says nothing about the encoding. */
function isHeard(block: Uint8Array): boolean {
  let changes = 0
  for (let i = 2; i < block.length; i++) if (block[i] !== block[i - 2]) changes++
  return changes >= BLOCK_BYTES / 4
}

function fileOf(bytes: Uint8Array): string | undefined {
  if (bytes.length < 4) return undefined
  if (bytes[0] === 0xff) return isMp3(bytes) ? MP3 : undefined
  for (let i = 0; i < HEADERS.length; i++) {
    const start = HEADERS[i][0]
    let n = 0
    while (n < 4 && bytes[n] === start.charCodeAt(n)) n++
    if (n === 4) return HEADERS[i][1]
  }
  return undefined
}

/** Without a tag: a frame of MPEG layer III, and another right behind it. µ-law begins with 0xFF often enough. */
function isMp3(bytes: Uint8Array): boolean {
  const length = mp3FrameBytes(bytes, 0)
  return (
    length > 0 &&
    length + 4 <= bytes.length &&
    mp3FrameBytes(bytes, length) > 0 &&
    bytes[length + 1] === bytes[1] &&
    (bytes[length + 2] & 0x0c) === (bytes[2] & 0x0c)
  )
}

// ISO 11172-3 §2.4.1.3: 11 bits of sync, version, layer; bit rate and sampling rate in the third byte.
function mp3FrameBytes(bytes: Uint8Array, at: number): number {
  const version = (bytes[at + 1] >> 3) & 3
  const bitRate = bytes[at + 2] >> 4
  const rate = (bytes[at + 2] >> 2) & 3
  const isLayer3 = bytes[at] === 0xff && bytes[at + 1] >> 5 === 7 && ((bytes[at + 1] >> 1) & 3) === 1
  if (!isLayer3 || version === 1 || bitRate === 0 || bitRate === 15 || rate === 3) return 0
  const mpeg1 = version === 3
  const hz = MP3_RATES[rate] / (mpeg1 ? 1 : version === 2 ? 2 : 4)
  const samples = mpeg1 ? 144 : 72
  return Math.floor((samples * MP3_KBITS[mpeg1 ? 0 : 1][bitRate] * 1000) / hz) + ((bytes[at + 2] >> 1) & 1)
}
