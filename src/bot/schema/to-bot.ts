/** Every message that the bridge writes in the native protocol (docs/bot-protocol.md), but for binary frames of audio. */
import Type from 'typebox'
import { BOT_ERROR_CODES } from '../dialect.ts'
import { choice, LAWS_AT_8K, message, ms, optional } from './parts.ts'

const text = (description: string) => Type.String({ description })
const itemId = optional(text('As you named it.'))
const ref = optional(text('`event_id` of the message that this answers.'))
const queuedMs = ms('Still queued.')
const atMs = ms('When, in media time: as `media.timestamp`.')
const playedMs = ms('Heard: left for the phone as RTP. Within the item where you name items, else since `started`.')
const count = (description: string) => Type.Integer({ minimum: 0, description })

const format = Type.Object(
  {
    encoding: choice(['pcmu', 'pcma', 'pcm16'], 'pcm16 is little-endian.'),
    sample_rate: Type.Enum([8000, 16000, 24000]),
    frame_ms: Type.Integer({ minimum: 20, maximum: 200, multipleOf: 20 }),
  },
  LAWS_AT_8K,
)
const audioPlan = Type.Object({
  input: format,
  output: format,
  transport: choice(['json', 'binary'], 'How we send audio.'),
})
const resume = Type.Object({
  token: text('`resume_token` again.'),
  count: Type.Integer({ minimum: 1, description: 'Which reconnect this is.' }),
  gap_ms: ms('From the last sign of life of the old socket to this one.'),
  last_seq: count('`seq` of the last message that was written to the old socket.'),
  unplayed_marks: Type.Array(Type.String(), { description: 'Marks that are still to be answered.' }),
})

export const start = message(
  ['start'],
  'First, once per socket.',
  {
    version: Type.Literal('1'),
    stream_id: text('This socket.'),
    state: choice(['ringing', 'early', 'answered'], 'Of the phone call.'),
    audio: audioPlan,
    resume_token: text('The same over all sockets of this call and bot; `resume` repeats it.'),
    resume: Type.Union([resume, Type.Null()], { description: 'null: a new session.' }),
    stand_in: count('Which of the bot’s addresses was dialled; 0 is the bot itself.'),
    limits: Type.Object({ buffer_ms: ms('Of the playback queue.'), max_call_s: optional(Type.Number()) }),
    account_id: optional(Type.String()),
    voicechat_id: optional(text('Number of the bot.')),
    direction: optional(choice(['inbound', 'outbound'], 'As the phone network sees it.')),
    from: optional(Type.String()),
    to: optional(Type.String()),
    customer_no: optional(Type.String()),
    ai_agent_ext: optional(Type.String()),
    answer_mode: optional(choice(['auto', 'bot'], 'bot: send `call.answer` or `call.reject`.')),
    language: optional(Type.String()),
    system_msg: optional(Type.String()),
    text: optional(text('What to say first.')),
    timezone: optional(Type.String()),
    custom: optional(Type.Record(Type.String(), Type.Unknown(), { description: 'Free data of the call’s request.' })),
    sip: optional(Type.Record(Type.String(), Type.Unknown())),
  },
  {
    examples: [
      {
        version: '1',
        stream_id: 's1',
        state: 'ringing',
        direction: 'outbound',
        from: '+918035551234',
        to: '+919812345678',
        audio: {
          input: { encoding: 'pcmu', sample_rate: 8000, frame_ms: 20 },
          output: { encoding: 'pcm16', sample_rate: 24000, frame_ms: 20 },
          transport: 'json',
        },
        resume_token: 'r1',
        resume: null,
        stand_in: 0,
        limits: { buffer_ms: 120_000, max_call_s: 3600 },
      },
    ],
  },
)
export const progress = message(['call.progress'], 'The phone rings (180), or early media began (183).', {
  sip_status: Type.Integer({ minimum: 100, maximum: 199 }),
})
export const answered = message(['call.answered'], 'The call is answered, if it was not at `start`.', {
  at_ms: ms('When, as `ts`.'),
})
export const media = message(
  ['media'],
  'A frame of caller audio; with transport binary only the repeated ones.',
  {
    media: Type.Object({
      track: Type.Literal('inbound'),
      chunk: count('Counts frames from media start; dropped ones leave a gap.'),
      timestamp: ms('Media time of its first sample.'),
      payload: Type.String({ contentEncoding: 'base64' }),
    }),
    lost_ms: optional(Type.Integer({ minimum: 1, description: 'Lost or dropped just before.' })),
    replay: optional(Type.Literal(true, { description: 'Sent again, after `session.replay`.' })),
  },
  { examples: [{ media: { track: 'inbound', chunk: 7, timestamp: 140, payload: '/////w==' } }] },
)
export const dtmf = message(['dtmf'], 'A key press, once.', {
  dtmf: Type.Object({
    digit: Type.String({ minLength: 1 }),
    duration_ms: ms('As known when the press begins.'),
    method: choice(['rfc4733', 'info', 'inband'], 'How it came.'),
  }),
})
export const mark = message(['mark'], 'Each of your marks, exactly once.', {
  mark: Type.Object({
    name: Type.String(),
    status: choice(['played', 'cleared'], 'cleared: the audio before it was thrown away.'),
    item_id: itemId,
    played_ms: playedMs,
  }),
})
export const cleared = message(['cleared'], 'The queue was cut: by you, by a barge-in, or by a transfer.', {
  played_ms: playedMs,
  discarded_ms: ms('Never heard.'),
  items: Type.Array(Type.Object({ item_id: Type.String(), played_ms: ms('Heard.'), discarded_ms: ms('Not heard.') })),
  ref,
})
export const playback = message(['playback'], 'What becomes of what you queue.', {
  state: choice(['started', 'drained', 'underrun', 'paused', 'resumed'], 'See the document.'),
  item_id: itemId,
  queued_ms: queuedMs,
})
export const flow = message(['flow'], 'xoff: the queue is 90 % full. xon: it is down to 75 %.', {
  state: choice(['xoff', 'xon'], 'Stop sending, or go on.'),
  queued_ms: queuedMs,
})
export const speechStarted = message(['speech.started'], 'The caller speaks.', { at_ms: atMs })
export const speechStopped = message(['speech.stopped'], 'The caller is silent.', { at_ms: atMs })
export const amd = message(['amd'], 'Who or what has answered; outbound, when asked for.', {
  result: choice(['human', 'machine', 'fax', 'unknown'], 'The verdict.'),
  confidence: Type.Number({ minimum: 0, maximum: 1 }),
  at_ms: atMs,
})
export const beep = message(['beep'], 'The machine’s beep: leave your message now.', { at_ms: atMs })
export const silence = message(['silence'], 'Neither side has spoken for so long.', { ms: ms('How long.') })
export const quality = message(['quality'], 'Each 5 s, when asked for.', {
  rx_loss: Type.Number({
    minimum: 0,
    maximum: 1,
    description: 'Share of packets from the phone that were lost since the last report.',
  }),
  rx_jitter_ms: Type.Number({ minimum: 0 }),
  rtt_ms: optional(Type.Number({ minimum: 0, description: 'To the phone side, where it tells (RTCP).' })),
  mos: Type.Number({ minimum: 1, maximum: 5, description: 'Estimate by ITU-T G.107, simplified.' }),
  ws_rtt_ms: optional(Type.Number({ minimum: 0, description: 'To you.' })),
  dropped_to_bot_ms: Type.Number({ minimum: 0, description: 'So far, because you read too slowly.' }),
})
export const error = message(['error'], 'Something that you sent was not done; the call goes on.', {
  error: Type.Object({
    code: choice([...BOT_ERROR_CODES], 'What kind.'),
    message: text('What to do about it.'),
    fatal: Type.Literal(false),
  }),
  ref,
})
const sipStatus = optional(Type.Integer())
const reason = optional(Type.String())
export const transferStatus = message(['transfer.status'], 'How your transfer goes.', {
  ref,
  state: choice(['trying', 'ringing', 'answered', 'completed', 'failed', 'cancelled'], 'The last three are final.'),
  sip_status: sipStatus,
  reason,
})
export const recordingStatus = message(['recording.status'], 'What has become of the recording.', {
  ref,
  state: choice(['started', 'stopped', 'paused', 'resumed', 'failed'], 'failed: `reason` says why.'),
  recording_id: optional(Type.String()),
  reason,
})
export const hold = message(['hold'], 'The phone side put the call on hold.', {})
export const resumed = message(['resume'], 'The phone side took it back.', {})
export const ack = message(['ack'], 'To a message with `ack: true`.', { ref: Type.String() })
export const pong = message(['pong'], 'To `ping`.', { ref })
export const stop = message(['stop'], 'Last; then we close with 1000.', {
  reason: text('One of those that the document lists.'),
  sip_status: Type.Integer({ minimum: 0, maximum: 699, description: '0: no SIP answer was involved.' }),
  q850: Type.Integer({ minimum: 0, maximum: 127 }),
  stats: Type.Record(Type.String(), Type.Number()),
})

/** In the order of the published schema. */
export const TO_BOT = {
  start, progress, answered, media, dtmf, mark, cleared, playback, flow, speechStarted, speechStopped, amd, beep,
  silence, quality, error, transferStatus, recordingStatus, hold, resumed, ack, pong, stop,
} // prettier-ignore
