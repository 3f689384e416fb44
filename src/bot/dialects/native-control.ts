/**
 * The native protocol's messages from the bot, all but the bytes of audio: names and aliases to BotMessage. Their
 * definitions (schema/from-bot.ts) check and bound every field; here stands what the fields mean.
 */
import type { Encoding, SampleRate } from '../dialect.ts'
import { boundedData, checker, Wrong } from '../schema/check.ts'
import * as is from '../schema/from-bot.ts'
import { ENCODING_NAMES, MAX_NAME, type Definition, type Fields } from '../schema/parts.ts'
import { inner, isObject, type Json, type Reading } from './json-reader.ts'

type Single = Exclude<Reading, readonly unknown[]>
/** Returns the message without its common fields, or nothing for "ignore". @throws Wrong */
type Read = (m: Json) => Single

/** Below this an announced silence would be a pause for breath. */
const LEAST_SILENCE_MS = 500

// ── Audio: by hand, since it may come with a new envelope each time ────────────────────────────────────────────────

/** A short text; numbers are taken too. */
function optionalWord(value: unknown, what: string): string | undefined {
  if (value == null) return undefined
  const text = typeof value === 'number' ? String(value) : value
  if (typeof text !== 'string' || text === '' || text.length > MAX_NAME)
    throw new Wrong('bad_json', `\`${what}\` must be a string of 1 to ${MAX_NAME} characters.`)
  return text
}

export function encodingOf(value: unknown): Encoding {
  const name = typeof value === 'string' ? ENCODING_NAMES.get(value.toLowerCase()) : undefined
  if (name === undefined) {
    const given = typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : typeof value
    throw new Wrong('format_mismatch', `Encoding ${given} is not known: use pcmu, pcma or pcm16.`)
  }
  return name
}

/** @returns the rate, undefined when none was given */
function rateOf(value: unknown, encoding: Encoding): SampleRate | undefined {
  if (value == null) return undefined
  const rate = typeof value === 'string' || typeof value === 'number' ? Number(value) : NaN
  if (encoding !== 'pcm16' && rate !== 8000)
    throw new Wrong('format_mismatch', `${encoding} has 8000 samples a second only.`)
  if (rate !== 8000 && rate !== 16000 && rate !== 24000)
    throw new Wrong('format_mismatch', `Sample rate ${rate} is not supported: use 8000, 16000 or 24000.`)
  return rate
}

const audio: Read = (m) => {
  const format = isObject(m.format) ? m.format : undefined
  const media = inner(m, 'media')
  const data = inner(m, 'data')
  let encoding: Encoding | undefined
  let sampleRate: SampleRate | undefined
  if (format) {
    encoding = encodingOf(format.encoding ?? format.type)
    sampleRate = rateOf(format.sample_rate ?? format.rate, encoding)
  } else if (typeof media.contentType === 'string') {
    encoding = encodingOf(media.contentType.split(';', 1)[0])
    sampleRate = rateOf(media.sampleRate, encoding)
  }
  const payload = m.delta ?? media.payload ?? data.audioContent ?? data.payload ?? m.payload
  return { kind: 'audio', payload, itemId: optionalWord(m.item_id, 'item_id'), encoding, sampleRate }
}

// ── Everything else ─────────────────────────────────────────────────────────────────────────────────────────────

/** A message's reader: `shape` brings other spellings into the form of the definition first. */
function reader<D extends Definition>(
  definition: D,
  read: (fields: Fields<D>) => Single,
  shape?: (m: Json) => Json,
): Read {
  // At start, not at the first message: that one comes in the middle of other calls.
  const check = checker(definition)
  return (m) => read(check(shape ? shape(m) : m))
}

/** One line for the record and for SIP's Reason header. */
const line = (text: string | undefined, fallback: string): string =>
  text
    ?.replace(/[\x00-\x1f\x7f]+/g, ' ')
    .toWellFormed()
    .trim() || fallback
const shortReason = (m: Json): Json =>
  typeof m.reason === 'string' ? { ...m, reason: m.reason.slice(0, MAX_NAME) } : m

const digits = reader(
  is.dtmfSend,
  (f) => ({
    kind: 'digits',
    digits: f.digits.toUpperCase().replaceAll('W', 'w'),
    durationMs: Math.round(f.duration_ms ?? 160),
    gapMs: Math.round(f.gap_ms ?? 80),
    method: f.method ?? 'auto',
  }),
  (m) => ({
    ...m,
    digits: m.digits ?? m.digit ?? (isObject(m.dtmf) ? (m.dtmf.digits ?? m.dtmf.digit) : m.dtmf),
  }),
)

const transfer = reader(is.transfer, (f) => ({
  kind: 'transfer',
  target: f.target,
  mode: f.mode ?? 'bridge',
  callerId: f.caller_id,
  timeoutMs: Math.round((f.timeout_s ?? 30) * 1000),
  onFail: f.on_fail ?? 'resume',
  headers: f.headers ?? {},
  ...(f.context === undefined ? {} : { context: boundedData(f.context, 'transfer_failed', 'context') }),
  afterPlayback: f.after_playback ?? false,
}))

const update = reader(is.update, (f) => {
  const side = (given: NonNullable<typeof f.audio>['input']) =>
    given && present({ encoding: given.encoding, sampleRate: given.sample_rate, frameMs: given.frame_ms })
  const listening = present({
    vad: f.vad,
    bargeIn: f.barge_in_policy,
    amd: f.amd,
    silenceMs: f.silence_ms === undefined ? undefined : silenceMs(f.silence_ms),
    quality: f.quality,
  })
  return {
    kind: 'update',
    input: side(f.audio?.input),
    output: side(f.audio?.output),
    transport: f.transport ?? f.audio?.transport,
    ...(Object.keys(listening).length > 0 ? { listening } : {}),
  }
})
/** Without what is undefined: it must not take the place of what is set. */
const present = <T extends object>(fields: T): Partial<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>
const silenceMs = (ms: number): number => (ms <= 0 ? 0 : Math.max(LEAST_SILENCE_MS, Math.round(ms)))

const audioDone = reader(is.audioDone, (f) => ({ kind: 'audioDone', itemId: f.item_id }))
const mark = reader(
  is.mark,
  (f) => ({ kind: 'mark', name: f.mark.name }),
  (m) => ({ mark: { name: inner(m, 'mark').name ?? m.name } }),
)
const hangup = reader(
  is.hangup,
  (f) => ({
    kind: 'hangup',
    reason: line(f.reason, 'bot_hangup'),
    sipStatus: f.sip_status,
    q850: f.q850,
    afterPlayback: f.after_playback ?? false,
  }),
  shortReason,
)
const reject = reader(
  is.reject,
  (f) => ({ kind: 'reject', sipStatus: f.sip_status ?? 486, reason: line(f.reason, 'bot_rejected') }),
  shortReason,
)
const note = reader(is.note, (f) => ({ kind: 'note', data: boundedData(f.data, 'bad_json', 'data') }))
const ignored: Read = () => undefined

const READERS = new Map<string, Read>()
const ROWS: [Definition, Read][] = [
  [is.audioDelta, audio],
  [is.media, audio],
  [is.playAudio, audio],
  [is.audioDone, audioDone],
  [is.mark, mark],
  [is.clear, reader(is.clear, (f) => ({ kind: 'clear', itemId: f.item_id }))],
  [is.clearAll, () => ({ kind: 'clear' })],
  [is.bargeIn, () => ({ kind: 'bargeIn' })],
  [is.pause, () => ({ kind: 'pause', paused: true })],
  [is.unpause, () => ({ kind: 'pause', paused: false })],
  [is.dtmfSend, digits],
  [is.dtmf, digits],
  [is.sendDtmf, digits],
  [is.answer, () => ({ kind: 'answer' })],
  [is.reject, reject],
  [is.hangup, hangup],
  [is.transfer, transfer],
  [is.hold, () => ({ kind: 'hold', held: true })],
  [is.unhold, () => ({ kind: 'hold', held: false })],
  [is.recordingStart, () => ({ kind: 'recording', action: 'start' })],
  [is.recordingStop, () => ({ kind: 'recording', action: 'stop' })],
  [is.recordingPause, () => ({ kind: 'recording', action: 'pause' })],
  [is.recordingResume, () => ({ kind: 'recording', action: 'resume' })],
  [is.note, note],
  [is.update, update],
  [is.replay, reader(is.replay, (f) => ({ kind: 'replay', ms: Math.round(f.ms ?? 10_000) }))],
  [is.ping, () => ({ kind: 'ping' })],
  [is.pong, ignored],
]
for (const [definition, read] of ROWS) for (const name of definition.names) READERS.set(name, read)

/** Either discriminator; `type` wins. */
export const typeOf = (m: Json): unknown => (typeof m.type === 'string' ? m.type : m.event)

/** `undefined`: known and to be ignored. Never throws. */
export function readNative(m: Json, ids: { callId: string; streamId: string }): Single {
  const ref = refOf(m.event_id)
  const type = typeOf(m)
  if (typeof type !== 'string') return mistake('unknown_type', 'The message has neither `type` nor `event`.', ref)
  const read = READERS.get(type)
  if (!read) {
    if (type.length <= MAX_NAME && is.PASSED_THROUGH.test(type)) return undefined
    return mistake(
      'unknown_type',
      `Message type ${JSON.stringify(type.slice(0, 64))} is not known; it was ignored.`,
      ref,
    )
  }
  // Not required of a bot; given and wrong, it is meant for another call.
  const wrongCall = typeof m.call_id === 'string' && m.call_id !== ids.callId
  const wrongStream = typeof m.stream_id === 'string' && m.stream_id !== ids.streamId
  if (wrongCall || wrongStream) {
    const which = wrongCall ? 'call_id' : 'stream_id'
    return mistake('not_allowed', `\`${which}\` is not that of this call; the message was ignored.`, ref)
  }
  try {
    const message = read(m)
    if (!message) return undefined
    if (ref !== undefined) message.ref = ref
    if (m.ack === true) message.ack = true
    return message
  } catch (err) {
    if (!(err instanceof Wrong)) throw err
    return mistake(err.code, err.message, ref)
  }
}

function refOf(eventId: unknown): string | undefined {
  if (typeof eventId === 'number') return String(eventId)
  return typeof eventId === 'string' ? eventId.slice(0, MAX_NAME) : undefined
}

const mistake = (code: Wrong['code'], message: string, ref: string | undefined): Single => ({
  kind: 'mistake',
  code,
  message,
  ref,
  bad: true,
})
