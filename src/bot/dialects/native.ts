/**
 * The native protocol v1 on the wire (docs/bot-protocol.md): JSON text with `type` and/or `event`, audio as base64 or
 * as raw binary frames. Spelling only: what a message does is the session's business.
 */
import type { Dialect, AudioMessage, BotMessage, BridgeMessage, Discriminator, SessionPlan } from '../dialect.ts'
import { readControl, typeOf } from './native-control.ts'

export interface NativeOptions {
  callId: string
  streamId: string
  discriminator: Discriminator
}

const DELTA = '"delta":'
const PAYLOAD = '"payload":'
const QUOTE = 0x22
const SPACE = 0x20
// Stands in for the payload while the rest of the message is parsed; no bot sends this one character as audio.
const HOLE = '~'
const SCRATCH_BYTES = 16_384
const MAX_MEMO_CHARS = 512

// What the session says of itself: no fact of the call may stand in for it.
const ENVELOPE = ['type', 'event', 'call_id', 'stream_id', 'seq', 'ts', 'version']

const AUDIO_TYPES = new Set(['response.audio.delta', 'response.output_audio.delta', 'media', 'playAudio'])

export class NativeDialect implements Dialect {
  readonly subprotocol = 'trunkline.v1'
  readonly #options: NativeOptions
  readonly #mediaHead: string
  #seq = 0
  /** Decoded audio; grows for one large message and is given back after it. */
  #scratch: Buffer = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
  #text = Buffer.allocUnsafeSlow(4096)
  // The envelope of the last audio message: the next one is most often the same around its payload.
  #memoHead = ''
  #memoTail = ''
  readonly #audio: AudioMessage = { kind: 'audio', bytes: this.#scratch }

  constructor(options: NativeOptions) {
    this.#options = options
    this.#mediaHead = `{${this.#names('media')},"call_id":${JSON.stringify(options.callId)},"seq":`
  }

  #names(type: string): string {
    const d = this.#options.discriminator
    return `${d === 'event' ? '' : `"type":"${type}"`}${d === 'both' ? ',' : ''}${d === 'type' ? '' : `"event":"${type}"`}`
  }

  // ── From the bot ───────────────────────────────────────────────────────────────────────────────────────────────

  decode(frame: Buffer, isBinary: boolean): BotMessage | undefined {
    if (isBinary) {
      if (frame.length === 0) return undefined
      this.#forgetEnvelope()
      this.#audio.bytes = frame
      return containerMistake(frame) ?? this.#audio
    }
    return this.#scan(frame) ?? this.#parse(frame)
  }

  /**
   * Finds the payload by scanning, decodes it into the scratch buffer, and parses only what stands around it, if that
   * differs from last time. Anything out of the ordinary is left to JSON.parse by returning nothing.
   */
  #scan(frame: Buffer): BotMessage | undefined {
    if (frame.length < 48) return undefined
    let key = frame.indexOf(DELTA, 0, 'latin1')
    if (key >= 0) key += DELTA.length
    else {
      key = frame.indexOf(PAYLOAD, 0, 'latin1')
      if (key < 0) return undefined
      key += PAYLOAD.length
    }
    while (frame[key] === SPACE) key++
    if (frame[key] !== QUOTE) return undefined
    const start = key + 1
    const end = frame.indexOf(QUOTE, start)
    if (end < 0) return undefined
    const head = frame.toString('latin1', 0, start)
    const tail = frame.toString('latin1', end)
    if (head !== this.#memoHead || tail !== this.#memoTail) {
      if (!this.#readEnvelope(frame.toString('utf8', 0, start) + HOLE + frame.toString('utf8', end))) return undefined
      const keep = head.length + tail.length <= MAX_MEMO_CHARS && this.#audio.ref === undefined && !this.#audio.ack
      this.#memoHead = keep ? head : ''
      this.#memoTail = keep ? tail : ''
    }
    // A backslash (JSON escape) or any other stranger makes the count come out wrong: then the slow way explains it.
    const bytes = this.#base64(frame.toString('latin1', start, end))
    if (!bytes) {
      this.#forgetEnvelope()
      return undefined
    }
    this.#audio.bytes = bytes
    return bytes.length === 0 ? undefined : (containerMistake(bytes) ?? this.#audio)
  }

  /** True when the text is one audio message whose payload is the hole; fills in everything but the bytes. */
  #readEnvelope(text: string): boolean {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch {
      return false
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return false
    const message = value as Record<string, unknown>
    if (payloadOf(message) !== HOLE) return false
    const read = readControl(message, this.#options)
    if (read?.kind !== 'audio') return false
    this.#audio.itemId = read.itemId
    this.#audio.encoding = read.encoding
    this.#audio.ref = read.ref
    this.#audio.ack = read.ack
    return true
  }

  #forgetEnvelope(): void {
    this.#memoHead = this.#memoTail = ''
    const a = this.#audio
    a.itemId = a.encoding = a.ref = a.ack = undefined
  }

  #parse(frame: Buffer): BotMessage | undefined {
    let value: unknown
    try {
      value = JSON.parse(frame.toString('utf8', 0, frame.length))
    } catch {
      return { kind: 'mistake', code: 'bad_json', message: 'The text frame is not JSON.', bad: true }
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return { kind: 'mistake', code: 'bad_json', message: 'A message must be a JSON object.', bad: true }
    const message = value as Record<string, unknown>
    const read = readControl(message, this.#options)
    if (read?.kind !== 'audio') return read
    this.#forgetEnvelope()
    const { ref } = read
    const payload = payloadOf(message)
    if (typeof payload !== 'string')
      return {
        kind: 'mistake',
        code: 'bad_audio',
        message: 'The message has no base64 string in `delta` (or `media.payload`).',
        ref,
        bad: true,
      }
    const bytes = this.#base64(payload.replace(/\s+/g, ''))
    if (!bytes) return { kind: 'mistake', code: 'bad_audio', message: 'The audio is not valid base64.', ref, bad: true }
    if (bytes.length === 0) return undefined
    Object.assign(this.#audio, read, { bytes })
    return containerMistake(bytes, ref) ?? this.#audio
  }

  /** Decodes into the scratch buffer; nothing when `text` is not base64 (padding optional, URL alphabet allowed). */
  #base64(text: string): Buffer | undefined {
    let chars = text.length
    while (chars > 0 && text.charCodeAt(chars - 1) === 0x3d) chars--
    if (text.length - chars > 2 || (chars & 3) === 1) return undefined
    const bytes = (chars * 3) >> 2
    if (bytes > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(bytes)
    else if (this.#scratch.length > SCRATCH_BYTES && bytes <= SCRATCH_BYTES)
      this.#scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES)
    return this.#scratch.write(text, 0, bytes, 'base64') === bytes ? this.#scratch.subarray(0, bytes) : undefined
  }

  // ── To the bot ─────────────────────────────────────────────────────────────────────────────────────────────────

  encodeMedia(audio: Uint8Array, chunk: number, timestampMs: number, lostMs: number, tsMs: number): Buffer {
    const payload = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength).toString('base64')
    const text = `${this.#mediaHead}${++this.#seq},"ts":${tsMs},"media":{"track":"inbound","chunk":${chunk},"timestamp":${timestampMs},"payload":"${payload}"}${lostMs > 0 ? `,"lost_ms":${lostMs}}` : '}'}`
    if (text.length > this.#text.length) this.#text = Buffer.allocUnsafeSlow(text.length * 2)
    return this.#text.subarray(0, this.#text.write(text, 0, 'latin1'))
  }

  encode(message: BridgeMessage, tsMs: number): string {
    const [type, fields] = this.#fields(message)
    const envelope = JSON.stringify({ call_id: this.#options.callId, seq: ++this.#seq, ts: tsMs, ...fields })
    return `{${this.#names(type)},${envelope.slice(1)}`
  }

  #fields(m: BridgeMessage): [type: string, fields: Record<string, unknown>] {
    switch (m.kind) {
      case 'start':
        return [
          'start',
          {
            version: '1',
            stream_id: this.#options.streamId,
            ...without(m.facts, ENVELOPE),
            state: m.state,
            audio: wireAudio(m.audio),
            resume: null,
            limits: { buffer_ms: m.bufferMs, ...(m.facts.limits as object | undefined) },
          },
        ]
      case 'progress':
        return ['call.progress', { sip_status: m.sipStatus }]
      case 'answered':
        return ['call.answered', { at_ms: m.atMs }]
      case 'dtmf':
        return ['dtmf', { dtmf: { digit: m.digit, duration_ms: m.durationMs, method: m.method } }]
      case 'mark':
        return ['mark', { mark: { name: m.name, status: m.status, item_id: m.itemId, played_ms: m.playedMs } }]
      case 'cleared': {
        const items = m.items.map((i) => ({ item_id: i.itemId, played_ms: i.playedMs, discarded_ms: i.discardedMs }))
        return ['cleared', { played_ms: m.playedMs, discarded_ms: m.discardedMs, items, ref: m.ref }]
      }
      case 'playback':
        return ['playback', { state: m.state, item_id: m.itemId, queued_ms: m.queuedMs }]
      case 'flow':
        return ['flow', { state: m.state, queued_ms: m.queuedMs }]
      case 'error':
        return ['error', { error: { code: m.code, message: m.message, fatal: false }, ref: m.ref }]
      case 'transferStatus':
        return [
          'transfer.status',
          { ref: m.status.ref, state: m.status.state, sip_status: m.status.sipStatus, reason: m.status.reason },
        ]
      case 'held':
        return [m.held ? 'hold' : 'resume', {}]
      case 'ack':
        return ['ack', { ref: m.ref }]
      case 'pong':
        return ['pong', { ref: m.ref }]
      case 'stop':
        return ['stop', { reason: m.stop.reason, sip_status: m.stop.sipStatus, q850: m.stop.q850, stats: m.stats }]
    }
  }
}

function wireAudio(audio: SessionPlan['audio']): Record<string, unknown> {
  const side = (f: SessionPlan['audio']['input']): object => ({
    encoding: f.encoding,
    sample_rate: f.sampleRate,
    frame_ms: f.frameMs,
  })
  return { input: side(audio.input), output: side(audio.output), transport: audio.transport }
}

const without = (facts: Record<string, unknown>, names: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(facts).filter(([name]) => !names.includes(name)))

/** Where the base64 stands: `delta`, `media.payload`, or what Plivo- and jambonz-style `playAudio` use. */
function payloadOf(message: Record<string, unknown>): unknown {
  if (!AUDIO_TYPES.has(typeOf(message) as string)) return undefined
  if (message.delta !== undefined) return message.delta
  const inner = (message.media ?? message.data) as Record<string, unknown> | null | undefined
  if (typeof inner === 'object' && inner !== null) return inner.payload ?? inner.audioContent
  return message.payload
}

/** Bots send whole WAV or MP3 files as audio: heard as a burst of noise, so they are told instead. */
function containerMistake(bytes: Uint8Array, ref?: string): BotMessage | undefined {
  const [a, b, c, d] = bytes
  // "RIFF" or "ID3" with a tag version that exists; four bytes of real audio look so about once in 2^32.
  const riff = a === 0x52 && b === 0x49 && c === 0x46 && d === 0x46
  const id3 = a === 0x49 && b === 0x44 && c === 0x33 && d >= 2 && d <= 4
  if (!riff && !id3) return undefined
  const what = riff ? 'a WAV file: send the samples behind its header' : 'an MP3 file: decode it'
  return {
    kind: 'mistake',
    code: 'bad_audio',
    message: `The audio is ${what}; only raw pcmu, pcma or pcm16 at 8 kHz is played.`,
    ref,
    bad: true,
  }
}
