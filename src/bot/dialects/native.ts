/**
 * The native protocol v1 on the wire (docs/bot-protocol.md): JSON text with `type` and/or `event`, audio as base64 or
 * as raw binary frames. Spelling only: what a message does is the session's business.
 */
import { createHmac } from 'node:crypto'
import type {
  AudioFormat,
  AudioPlan,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  Handshake,
  MediaFrame,
} from '../dialect.ts'
import { JsonReader } from './json-reader.ts'
import { MediaText } from './media-text.ts'
import { readNative } from './native-control.ts'

// What the session says of itself: no fact of the call may stand in for it.
const ENVELOPE = ['type', 'event', 'call_id', 'stream_id', 'seq', 'ts', 'version']

const MEDIA_TAIL = '"}}'

export class NativeDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #reader: JsonReader
  readonly #mediaHead: string
  #seq = 0
  readonly #media: MediaText

  constructor(options: DialectOptions) {
    this.#options = options
    this.#reader = new JsonReader(['delta', 'payload', 'audioContent'], (m) => readNative(m, options))
    this.#media = new MediaText(options.wire)
    this.#mediaHead = `{${this.#names('media')},"call_id":${JSON.stringify(options.callId)},"seq":`
  }

  get lastSeq(): number {
    return this.#seq
  }

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    return isBinary ? this.#reader.audio(frame) : this.#reader.decode(frame)
  }

  #names(type: string): string {
    const d = this.#options.plan.discriminator
    return `${d === 'event' ? '' : `"type":"${type}"`}${d === 'both' ? ',' : ''}${d === 'type' ? '' : `"event":"${type}"`}`
  }

  media({ audio, chunk, timestampMs, lostMs, replay }: MediaFrame, tsMs: number): number {
    // Binary frames have no room to say that they are a repetition.
    if (this.#options.audio.transport === 'binary' && !replay) {
      this.#options.wire.binary(audio)
      return audio.length
    }
    const head = `${this.#mediaHead}${++this.#seq},"ts":${ms(tsMs)},"media":{"track":"inbound","chunk":${chunk},"timestamp":${timestampMs},"payload":"`
    const tail =
      lostMs === 0 && !replay
        ? MEDIA_TAIL
        : `"}${lostMs > 0 ? `,"lost_ms":${lostMs}` : ''}${replay ? ',"replay":true}' : '}'}`
    return this.#media.write(head, audio, tail)
  }

  tell(message: BridgeMessage, tsMs: number): void {
    const [type, fields] = this.#fields(message)
    const envelope = JSON.stringify({ call_id: this.#options.callId, seq: ++this.#seq, ts: ms(tsMs), ...fields })
    this.#options.wire.text(`{${this.#names(type)},${envelope.slice(1)}`)
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
            resume_token: m.token,
            resume: m.resume
              ? {
                  token: m.token,
                  count: m.resume.count,
                  gap_ms: ms(m.resume.gapMs),
                  last_seq: m.resume.lastSeq,
                  unplayed_marks: m.resume.unplayedMarks,
                }
              : null,
            stand_in: m.standIn,
            limits: { buffer_ms: m.bufferMs, ...(m.facts.limits as object | undefined) },
          },
        ]
      case 'progress':
        return ['call.progress', { sip_status: m.sipStatus }]
      case 'answered':
        return ['call.answered', { at_ms: ms(m.atMs) }]
      case 'dtmf':
        return ['dtmf', { dtmf: { digit: m.digit, duration_ms: ms(m.durationMs), method: m.method } }]
      case 'mark':
        return ['mark', { mark: { name: m.name, status: m.status, item_id: m.itemId, played_ms: ms(m.playedMs) } }]
      case 'cleared': {
        const items = m.items.map((i) => ({
          item_id: i.itemId,
          played_ms: ms(i.playedMs),
          discarded_ms: ms(i.discardedMs),
        }))
        return ['cleared', { played_ms: ms(m.playedMs), discarded_ms: ms(m.discardedMs), items, ref: m.ref }]
      }
      case 'playback':
        return ['playback', { state: m.state, item_id: m.itemId, queued_ms: ms(m.queuedMs) }]
      case 'flow':
        return ['flow', { state: m.state, queued_ms: ms(m.queuedMs) }]
      case 'error':
        return ['error', { error: { code: m.code, message: m.message, fatal: false }, ref: m.ref }]
      case 'transferStatus':
        return [
          'transfer.status',
          { ref: m.status.ref, state: m.status.state, sip_status: m.status.sipStatus, reason: m.status.reason },
        ]
      case 'speech':
        return [m.started ? 'speech.started' : 'speech.stopped', { at_ms: ms(m.atMs) }]
      case 'amd':
        return ['amd', { result: m.result, confidence: m.confidence, at_ms: ms(m.atMs) }]
      case 'beep':
        return ['beep', { at_ms: ms(m.atMs) }]
      case 'silence':
        return ['silence', { ms: ms(m.ms) }]
      case 'quality': {
        const q = m.quality
        return [
          'quality',
          {
            rx_loss: q.rxLoss,
            rx_jitter_ms: q.rxJitterMs,
            rtt_ms: q.rttMs,
            mos: q.mos,
            ws_rtt_ms: q.wsRttMs,
            dropped_to_bot_ms: q.droppedToBotMs,
          },
        ]
      }
      case 'recordingStatus':
        return [
          'recording.status',
          { ref: m.status.ref, state: m.status.state, recording_id: m.status.recordingId, reason: m.status.reason },
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

/** Clocks are finer than the wire. */
const ms = Math.round

function wireAudio(audio: AudioPlan): Record<string, unknown> {
  const side = (f: AudioFormat): object => ({
    encoding: f.encoding,
    sample_rate: f.sampleRate,
    frame_ms: f.frameMs,
  })
  return { input: side(audio.input), output: side(audio.output), transport: audio.transport }
}

const without = (facts: Record<string, unknown>, names: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(facts).filter(([name]) => !names.includes(name)))

/** `v1=` and the hex HMAC-SHA256 of timestamp, method, URL and call id, one per line. */
export function signature(secret: string, timestamp: string, url: string, callId: string): string {
  return `v1=${createHmac('sha256', secret).update(`${timestamp}\nGET\n${url}\n${callId}`).digest('hex')}`
}

export const native: DialectKind = {
  subprotocols: ['trunkline.v1'],
  audio: (configured) => configured,
  headers: ({ secret, url, callId, wallMs }: Handshake) => {
    const timestamp = String(Math.floor(wallMs / 1000))
    const headers: Record<string, string> = { 'X-Trunkline-Timestamp': timestamp }
    if (secret !== undefined) headers['X-Trunkline-Signature'] = signature(secret, timestamp, url, callId)
    return headers
  },
  create: (options) => new NativeDialect(options),
}
