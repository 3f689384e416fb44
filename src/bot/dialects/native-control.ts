/**
 * The native protocol's messages from the bot, all but the bytes of audio: names and aliases to BotMessage, with every
 * field checked and bounded. Unknown fields are ignored; a wrong one makes a `mistake` that says what to write instead.
 */
import { ENCODINGS, type AudioFormat, type BotMessage, type Encoding } from '../dialect.ts'

type Json = Record<string, unknown>
/** A reader returns the message without its common fields, or nothing for "ignore", or throws a Wrong. */
type Read = (m: Json) => BotMessage | undefined

class Wrong extends Error {
  readonly code: 'bad_json' | 'bad_audio' | 'format_mismatch' | 'dtmf_failed' | 'transfer_failed'
  constructor(code: Wrong['code'], message: string) {
    super(message)
    this.code = code
  }
}

const MAX_NAME = 256
const MAX_DIGITS = 64

const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v)
const inner = (m: Json, name: string): Json => (isObject(m[name]) ? m[name] : {})

/** A short text; numbers are taken too, since bots number their marks. */
function word(value: unknown, what: string): string {
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string' || text === '' || text.length > MAX_NAME)
    throw new Wrong('bad_json', `\`${what}\` must be a string of 1 to ${MAX_NAME} characters.`)
  return text
}
const optionalWord = (value: unknown, what: string): string | undefined =>
  value == null ? undefined : word(value, what)

/** A number in bounds: out of them it is moved to the nearest, absent it is `fallback`. */
function clamped(value: unknown, min: number, max: number, fallback: number): number {
  const n = typeof value === 'string' ? Number(value) : value
  return typeof n === 'number' && Number.isFinite(n) ? Math.round(Math.min(max, Math.max(min, n))) : fallback
}

function sipStatus(value: unknown): number | undefined {
  const n = clamped(value, 0, 999, 0)
  return n >= 300 && n <= 699 ? n : undefined
}

function encodingOf(value: unknown, rate: unknown): Encoding {
  const name = ENCODING_NAMES.get(String(value).toLowerCase())
  if (name === undefined)
    throw new Wrong('format_mismatch', `Encoding ${JSON.stringify(value)} is not known: use pcmu, pcma or pcm16.`)
  if (rate != null && Number(rate) !== 8000)
    throw new Wrong('format_mismatch', `Sample rate ${JSON.stringify(rate)} is not supported: use 8000.`)
  return name
}

// What bots call the same three things elsewhere.
const ENCODING_NAMES = new Map<string, Encoding>([
  ...ENCODINGS.map((e): [string, Encoding] => [e, e]),
  ['g711_ulaw', 'pcmu'],
  ['g711_alaw', 'pcma'],
  ['ulaw', 'pcmu'],
  ['mulaw', 'pcmu'],
  ['alaw', 'pcma'],
  ['audio/pcmu', 'pcmu'],
  ['audio/pcma', 'pcma'],
  ['audio/x-mulaw', 'pcmu'],
  ['audio/x-alaw', 'pcma'],
  ['audio/x-l16', 'pcm16'],
])

const audio: Read = (m) => {
  const format = isObject(m.format) ? m.format : undefined
  const media = inner(m, 'media')
  let encoding: Encoding | undefined
  if (format) encoding = encodingOf(format.encoding ?? format.type, format.sample_rate ?? format.rate)
  else if (typeof media.contentType === 'string')
    encoding = encodingOf(media.contentType.split(';')[0], media.sampleRate)
  return { kind: 'audio', bytes: EMPTY, itemId: optionalWord(m.item_id, 'item_id'), encoding }
}
const EMPTY = new Uint8Array(0)

const audioDone: Read = (m) => ({ kind: 'audioDone', itemId: optionalWord(m.item_id, 'item_id') })
const clear: Read = (m) => ({ kind: 'clear', itemId: optionalWord(m.item_id, 'item_id') })
// `response.cancel` names a response, `output_audio_buffer.clear` nothing: both mean all that is queued.
const clearAll: Read = () => ({ kind: 'clear' })

const digits: Read = (m) => {
  const given = m.digits ?? m.digit ?? (isObject(m.dtmf) ? (m.dtmf.digits ?? m.dtmf.digit) : m.dtmf)
  const text = typeof given === 'number' ? String(given) : given
  if (typeof text !== 'string' || text.length > MAX_DIGITS || !/^[0-9A-Da-d*#w]+$/i.test(text))
    throw new Wrong('dtmf_failed', `\`digits\` must be 1 to ${MAX_DIGITS} of 0-9 * # A-D, and w for a pause of 500 ms.`)
  const method = m.method ?? 'auto'
  if (method !== 'auto' && method !== 'rfc4733' && method !== 'info')
    throw new Wrong('dtmf_failed', '`method` must be auto, rfc4733 or info.')
  const durationMs = clamped(m.duration_ms, 40, 2000, 160)
  return {
    kind: 'digits',
    digits: text.toUpperCase().replaceAll('W', 'w'),
    durationMs,
    gapMs: clamped(m.gap_ms, 40, 2000, 80),
    method,
  }
}

const transfer: Read = (m) => {
  const target = m.target
  if (typeof target !== 'string' || target === '' || target.length > MAX_NAME || /[\x00-\x20<>"]/.test(target.trim()))
    throw new Wrong('transfer_failed', '`target` must be a number ("+91…"), a sip: URI or "ext:…".')
  const headers: Record<string, string> = {}
  for (const [name, value] of Object.entries(inner(m, 'headers')).slice(0, 8)) {
    // SIP extension headers only, and nothing that could start another line (RELIABILITY S6).
    if (!/^X-[A-Za-z0-9-]{1,60}$/i.test(name) || typeof value !== 'string' || !/^[\x20-\x7e]{0,256}$/.test(value))
      throw new Wrong(
        'transfer_failed',
        `Header ${JSON.stringify(name.slice(0, 64))} is not allowed: names start with X-, values are plain ASCII.`,
      )
    headers[name] = value
  }
  return {
    kind: 'transfer',
    target: target.trim(),
    callerId: optionalWord(m.caller_id, 'caller_id'),
    timeoutMs: clamped(m.timeout_s, 5, 120, 30) * 1000,
    onFail: m.on_fail === 'hangup' ? 'hangup' : 'resume',
    headers,
    afterPlayback: m.after_playback === true,
  }
}

const hangup: Read = (m) => ({
  kind: 'hangup',
  reason: typeof m.reason === 'string' ? m.reason.slice(0, MAX_NAME) : 'bot_hangup',
  sipStatus: sipStatus(m.sip_status),
  q850: m.q850 == null ? undefined : clamped(m.q850, 1, 127, 16),
  afterPlayback: m.after_playback === true,
})

const reject: Read = (m) => ({
  kind: 'reject',
  sipStatus: Math.max(400, sipStatus(m.sip_status) ?? 486),
  reason: typeof m.reason === 'string' ? m.reason.slice(0, MAX_NAME) : 'bot_rejected',
})

function formatOf(side: unknown): Partial<AudioFormat> | undefined {
  if (!isObject(side)) return undefined
  const format: Partial<AudioFormat> = {}
  if (side.encoding !== undefined) format.encoding = encodingOf(side.encoding, side.sample_rate)
  else if (side.sample_rate !== undefined) encodingOf('pcmu', side.sample_rate)
  if (side.frame_ms !== undefined) {
    const ms = Number(side.frame_ms)
    if (!Number.isInteger(ms) || ms < 20 || ms > 200 || ms % 20 !== 0)
      throw new Wrong('format_mismatch', '`frame_ms` must be 20 to 200 in steps of 20.')
    format.frameMs = ms
  }
  return format
}

const update: Read = (m) => {
  const audioPart = inner(m, 'audio')
  const transport = m.transport ?? audioPart.transport
  if (transport !== undefined && transport !== 'json' && transport !== 'binary')
    throw new Wrong('format_mismatch', '`transport` must be json or binary.')
  return { kind: 'update', input: formatOf(audioPart.input), output: formatOf(audioPart.output), transport }
}

const READERS = new Map<string, Read>([
  ['response.audio.delta', audio],
  ['response.output_audio.delta', audio],
  ['media', audio],
  ['playAudio', audio],
  ['response.audio.done', audioDone],
  ['response.output_audio.done', audioDone],
  ['mark', (m) => ({ kind: 'mark', name: word(inner(m, 'mark').name ?? m.name, 'mark.name') })],
  ['clear', clear],
  ['response.cancel', clearAll],
  ['output_audio_buffer.clear', clearAll],
  ['clearAudio', clearAll],
  ['killAudio', clearAll],
  ['dtmf.send', digits],
  ['dtmf', digits],
  ['sendDTMF', digits],
  ['session.transfer', transfer],
  ['session.hangup', hangup],
  ['call.answer', () => ({ kind: 'answer' })],
  ['call.reject', reject],
  ['session.update', update],
  ['ping', () => ({ kind: 'ping' })],
  ['pong', () => undefined],
  ['ack', () => undefined],
  // What a relay of an OpenAI realtime socket lets through besides the audio.
  ['session.created', () => undefined],
  ['session.updated', () => undefined],
  ['rate_limits.updated', () => undefined],
  ['error', () => undefined],
])
const PASSED_THROUGH =
  /^(response|conversation|input_audio_buffer|output_audio_buffer|transcription_session|mcp_list_tools)\./

/** Either discriminator; `type` wins. */
export const typeOf = (m: Json): unknown => (typeof m.type === 'string' ? m.type : m.event)

/** `undefined`: known and to be ignored. For audio, `bytes` is still empty. Never throws. */
export function readControl(m: Json, ids: { callId: string; streamId: string }): BotMessage | undefined {
  const ref = typeof m.event_id === 'string' ? m.event_id.slice(0, MAX_NAME) : undefined
  const type = typeOf(m)
  if (typeof type !== 'string')
    return {
      kind: 'mistake',
      code: 'unknown_type',
      message: 'The message has neither `type` nor `event`.',
      ref,
      bad: true,
    }
  const read = READERS.get(type)
  if (!read) {
    if (PASSED_THROUGH.test(type)) return undefined
    return {
      kind: 'mistake',
      code: 'unknown_type',
      message: `Message type ${JSON.stringify(type.slice(0, 64))} is not known; it was ignored.`,
      ref,
      bad: true,
    }
  }
  // Not required of a bot; given and wrong, it is meant for another call.
  const wrongCall = typeof m.call_id === 'string' && m.call_id !== ids.callId
  const wrongStream = typeof m.stream_id === 'string' && m.stream_id !== ids.streamId
  if (wrongCall || wrongStream)
    return {
      kind: 'mistake',
      code: 'not_allowed',
      message: `\`${wrongCall ? 'call_id' : 'stream_id'}\` is not that of this call; the message was ignored.`,
      ref,
      bad: true,
    }
  try {
    const message = read(m)
    if (!message) return undefined
    if (ref !== undefined) message.ref = ref
    if (m.ack === true) message.ack = true
    return message
  } catch (err) {
    if (!(err instanceof Wrong)) throw err
    return { kind: 'mistake', code: err.code, message: err.message, ref, bad: true }
  }
}
