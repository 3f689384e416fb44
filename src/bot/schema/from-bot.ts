/** Every message that a bot may send in the native protocol (docs/bot-protocol.md), but for binary frames of audio. */
import Type from 'typebox'
import {
  amount,
  choice,
  data,
  encoding,
  flag,
  frameMs,
  LAWS_AT_8K,
  MAX_DIGITS,
  MAX_HEADERS,
  message,
  name,
  optional,
  sampleRate,
  status,
  transport,
} from './parts.ts'

const itemId = optional(name('Your name for the utterance; heard ms are counted within it.'))
const payload = (description: string) => Type.String({ contentEncoding: 'base64', description })
const base64 = payload('Audio, base64, any length.')

// ── Audio and playback ──────────────────────────────────────────────────────────────────────────────────────────

export const audioDelta = message(
  ['response.audio.delta', 'response.output_audio.delta'],
  'Queues audio. Any length, faster than real time too.',
  {
    delta: base64,
    item_id: itemId,
    format: optional(
      Type.Object(
        { encoding, sample_rate: optional(sampleRate) },
        { ...LAWS_AT_8K, description: 'Of this delta only; else what `start` and `session.update` say.' },
      ),
    ),
  },
  { code: 'bad_audio', examples: [{ delta: '/////w==', item_id: 'item_1' }] },
)
export const media = message(
  ['media'],
  'The same, in the form of Twilio and its kin.',
  { media: Type.Object({ payload: base64 }), item_id: itemId },
  { code: 'bad_audio', examples: [{ media: { payload: '/////w==' } }] },
)
export const playAudio = message(
  ['playAudio'],
  'The same, in the forms of Plivo (`media`) and jambonz (`data`).',
  {
    media: optional(Type.Object({ payload: base64, contentType: optional(Type.String()), sampleRate: optional(Type.Unknown()) })), // prettier-ignore
    data: optional(Type.Object({ audioContent: base64 })),
    item_id: itemId,
  },
  { code: 'bad_audio', examples: [{ data: { audioContent: '/////w==' } }], options: { anyOf: [{ required: ['media'] }, { required: ['data'] }] } }, // prettier-ignore
)
export const audioDone = message(
  ['response.audio.done', 'response.output_audio.done'],
  'This utterance is complete: `playback` with `drained` follows when it was played.',
  { item_id: itemId },
)
export const mark = message(
  ['mark'],
  'Comes back once, when everything before it was played or cleared.',
  { mark: Type.Object({ name: name('Yours; need not be unique.') }) },
  { examples: [{ mark: { name: 'greeting-end' } }] },
)
export const clear = message(
  ['clear', 'clearAudio', 'killAudio'],
  'Throws away what is queued; `cleared` follows.',
  { item_id: optional(name('Only this item is cut out.')) },
  { examples: [{}, { item_id: 'item_1' }] },
)
export const clearAll = message(
  ['response.cancel', 'output_audio_buffer.clear'],
  'The names of OpenAI for `clear` without an item.',
  {},
)
export const bargeIn = message(
  ['input_audio_buffer.speech_started'],
  'Your own ear has heard the caller speak: the barge-in policy is applied to the playback.',
  {},
)
export const pause = message(['playback.pause'], 'The playback stops where it is; the queue is kept.', {})
export const unpause = message(['playback.resume'], 'The playback goes on.', {})

// ── The call ────────────────────────────────────────────────────────────────────────────────────────────────────

const DIGITS_SAY = `\`digits\` must be 1 to ${MAX_DIGITS} of 0-9 * # A-D, and w for a pause of 500 ms.`
const DIGITS = `^[0-9A-Da-d*#wW]{1,${MAX_DIGITS}}$`
const digitString = (description: string) =>
  Type.String({ pattern: DIGITS, description, reading: { says: DIGITS_SAY } })
const pressing = {
  duration_ms: optional(amount(40, 2000, 'Of each key, ms.', 160)),
  gap_ms: optional(amount(40, 2000, 'Between keys, ms.', 80)),
  method: optional(choice(['auto', 'rfc4733', 'info'], 'How the digits travel; auto: as the trunk is set.')),
}
export const dtmfSend = message(
  ['dtmf.send'],
  'Presses keys towards the phone, after what is queued already or beside it.',
  { digits: digitString('0-9 * # A-D, w = a pause of 500 ms.'), ...pressing },
  { code: 'dtmf_failed', examples: [{ digits: '12#w3', duration_ms: 160, gap_ms: 80, method: 'auto' }] },
)
export const dtmf = message(
  ['dtmf'],
  'The same for one key, as SignalWire has it.',
  { dtmf: Type.Object({ digit: digitString('One key or several.') }), ...pressing },
  { code: 'dtmf_failed', examples: [{ dtmf: { digit: '5' } }] },
)
export const sendDtmf = message(
  ['sendDTMF'],
  'The same, as Plivo has it.',
  { dtmf: digitString('The keys.'), ...pressing },
  { code: 'dtmf_failed', examples: [{ dtmf: '123' }] },
)
export const answer = message(['call.answer'], 'Answers an inbound call whose bot has `answer_mode` bot.', {}, { forgiving: true }) // prettier-ignore

const reason = optional(Type.String({ maxLength: 256, description: 'For the record of the call.' }))
export const reject = message(
  ['call.reject'],
  'Refuses that call.',
  { sip_status: optional(status(400, 699, 'SIP status of the refusal; 486 when absent.')), reason },
  { forgiving: true, examples: [{ sip_status: 486, reason: 'busy' }] },
)
export const hangup = message(
  ['session.hangup'],
  'Ends the call, at once or when the queue has been heard.',
  {
    reason,
    sip_status: optional(status(300, 699, 'For a call that is not answered yet.')),
    q850: optional(status(1, 127, 'Cause for the phone network (ITU-T Q.850).')),
    after_playback: optional(flag('First play what is queued.', { default: false })),
  },
  { forgiving: true, examples: [{ reason: 'done', after_playback: true }] },
)
export const transfer = message(
  ['session.transfer'],
  'Joins the caller to someone else. When it fails you go on, unless `on_fail` is hangup.',
  {
    target: Type.String({
      minLength: 1,
      maxLength: 256,
      pattern: '^[^\\u0000-\\u0020<>"]+$',
      description: 'A number ("+91…"), a sip: URI or "ext:…".',
      reading: { says: '`target` must be a number ("+91…"), a sip: URI or "ext:…".' },
    }),
    mode: optional(
      choice(
        ['bridge', 'blind', 'attended'],
        'bridge (default): we dial and join the audio. blind: REFER. attended: we dial, then REFER with Replaces.',
      ),
    ),
    timeout_s: optional(amount(5, 120, 'Ringing time, s.', 30)),
    on_fail: optional(choice(['resume', 'hangup'], 'resume is the default.')),
    after_playback: optional(flag('First play what is queued.', { default: false })),
    caller_id: optional(name('Number to show to the target.')),
    headers: optional(
      Type.Record(Type.String(), Type.String({ maxLength: 256, pattern: '^[ -~]*$' }), {
        propertyNames: { pattern: '^[Xx]-[A-Za-z0-9-]{1,60}$' },
        maxProperties: MAX_HEADERS,
        description: 'SIP headers for the target: X-…, plain ASCII.',
        reading: {
          // Nothing that could start another line may get into a SIP message (RELIABILITY S6).
          says: `\`headers\`: {value} is not allowed; at most ${MAX_HEADERS}, names start with X-, values are plain ASCII of at most 256 characters.`,
        },
      }),
    ),
    context: optional(data('Kept with the record of the call.')),
  },
  {
    code: 'transfer_failed',
    examples: [{ target: '+919812345678', mode: 'bridge', timeout_s: 30, context: { topic: 'billing' } }],
  },
)
export const hold = message(['hold'], 'The caller hears comfort audio, you get no frames; your own audio waits.', {})
export const unhold = message(['resume'], 'Takes the caller back.', {})
const recording = (action: 'start' | 'stop' | 'pause' | 'resume', about: string) =>
  message([`recording.${action}`], `${about} \`recording.status\` follows.`, {})
export const recordingStart = recording('start', 'Records the call.')
export const recordingStop = recording('stop', 'Ends the recording.')
export const recordingPause = recording('pause', 'Both sides are silent in the recording from here on.')
export const recordingResume = recording('resume', 'The recording goes on.')
export const note = message(
  ['session.note'],
  'Data of yours for the record of the call.',
  { data: data('Free.') },
  { examples: [{ data: { intent: 'billing', score: 0.9 } }] },
)

// ── The session ─────────────────────────────────────────────────────────────────────────────────────────────────

const side = (description: string) =>
  optional(
    Type.Object(
      { encoding: optional(encoding), sample_rate: optional(sampleRate), frame_ms: optional(frameMs) },
      {
        ...LAWS_AT_8K,
        description,
        reading: { says: '`{path}` must be an object; pcmu and pcma have 8000 samples a second only.' },
      },
    ),
  )
export const update = message(
  ['session.update'],
  'Changes formats and what we listen for; what is absent stays.',
  {
    audio: optional(
      Type.Object(
        {
          input: side('What we send you.'),
          output: side('What you send; frame_ms has no meaning here.'),
          transport: optional(transport),
        },
        { reading: { says: '`{path}` must be an object.' } },
      ),
    ),
    transport: optional(transport),
    barge_in_policy: optional(
      choice(['none', 'notify', 'auto_clear', 'pause'], 'What the caller’s speech does to your playback.'),
    ),
    vad: optional(flag('Tell `speech.started` and `speech.stopped`.')),
    amd: optional(flag('Tell `amd` and `beep`; outbound calls only.')),
    silence_ms: optional(
      amount(0, 600_000, 'Tell `silence` after so many ms without speech of either side; 0: never.'),
    ),
    quality: optional(flag('Tell `quality` each 5 s.')),
  },
  {
    code: 'format_mismatch',
    examples: [
      { audio: { input: { encoding: 'pcm16', sample_rate: 16000 } }, transport: 'binary' },
      { barge_in_policy: 'auto_clear', quality: true },
    ],
  },
)
export const replay = message(
  ['session.replay'],
  'After a reconnect: the last caller audio again, as `media` with `replay`.',
  { ms: optional(amount(20, 10_000, 'How much, ms.', 10_000)) },
  { examples: [{ ms: 2000 }] },
)
export const ping = message(['ping'], '`pong` follows. For hosts that hide WebSocket pings.', {})
export const pong = message(['pong', 'ack'], 'Taken and ignored.', {})

/** In the order of the published schema. */
export const FROM_BOT = {
  audioDelta, media, playAudio, audioDone, mark, clear, clearAll, bargeIn, pause, unpause,
  dtmfSend, dtmf, sendDtmf, answer, reject, hangup, transfer, hold, unhold,
  recordingStart, recordingStop, recordingPause, recordingResume, note, update, replay, ping, pong,
} // prettier-ignore

/** What a relay of an OpenAI realtime socket lets through besides the audio: ignored in silence. */
export const PASSED_THROUGH =
  /^(response|conversation|input_audio_buffer|output_audio_buffer|transcription_session|mcp_list_tools)\.|^(session\.created|session\.updated|rate_limits\.updated|error)$/
