/** What each protocol's spelling costs: one frame of caller audio to the bot, and one frame of the bot's to be read. */
import type { AudioFormat, AudioPlan, DialectName, SessionPlan } from '../../src/bot/dialect.ts'
import { DIALECT_KINDS } from '../../src/bot/dialects/index.ts'
import { measure, type Figure } from './measure.ts'

/** As bots mostly ask for it; a dialect without a choice makes its own of it. */
const ASKED: readonly [DialectName, AudioFormat, AudioPlan['transport']][] = [
  ['native', { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }, 'json'],
  ['native', { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }, 'binary'],
  ['twilio', { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }, 'json'],
  ['plivo', { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }, 'json'],
  ['exotel', { encoding: 'pcm16', sampleRate: 16_000, frameMs: 20 }, 'json'],
  ['telnyx', { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }, 'json'],
  ['vonage', { encoding: 'pcm16', sampleRate: 16_000, frameMs: 20 }, 'binary'],
  ['jambonz', { encoding: 'pcm16', sampleRate: 8000, frameMs: 20 }, 'binary'],
  ['openai-realtime', { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }, 'json'],
]

const URLS: Partial<Record<DialectName, string>> = { exotel: 'wss://bot.example.com/?sample-rate=16000' }
const CALL_ID = '0193f2a0-0000-7000-8000-000000000000'

/** A frame of the bot's as it comes in each protocol; `payload`: base64. Absent: binary, or only a stream of its own. */
const FROM_BOT: Partial<Record<DialectName, (payload: string) => unknown>> = {
  native: (payload) => ({ type: 'response.audio.delta', delta: payload }),
  twilio: (payload) => ({ event: 'media', streamSid: 'MZ0', media: { payload } }),
  plivo: (payload) => ({ event: 'playAudio', media: { contentType: 'audio/x-mulaw', sampleRate: 8000, payload } }),
  exotel: (payload) => ({ event: 'media', stream_sid: 'MZ0', media: { payload } }),
  telnyx: (payload) => ({ event: 'media', media: { payload } }),
}

export function bench(): Figure[] {
  return ASKED.flatMap(([name, format, transport]) => ofDialect(name, format, transport))
}

function ofDialect(name: DialectName, format: AudioFormat, transport: AudioPlan['transport']): Figure[] {
  const kind = DIALECT_KINDS[name]
  const url = URLS[name] ?? 'wss://bot.example.com/'
  const audio = kind.audio({ input: format, output: { ...format }, transport }, url)
  const { encoding, sampleRate, frameMs } = audio.input
  const width = encoding === 'pcm16' ? 2 : 1
  const bytes = Uint8Array.from({ length: ((sampleRate * frameMs) / 1000) * width }, (_, i) => (i * 7) & 255)
  const last = { bytes: 0 }
  const count = (frame: string | Uint8Array): void => {
    last.bytes = frame.length
  }
  const dialect = kind.create({
    wire: { text: count, binary: count },
    callId: CALL_ID,
    streamId: CALL_ID,
    plan: planOf(name, audio, url),
    audio,
  })
  dialect.tell(
    { kind: 'start', state: 'answered', audio, facts: { account_id: 'a', from: '+911', to: '+912' }, bufferMs: 10_000, token: 't', standIn: 0 },
    0,
  ) // prettier-ignore
  if (name === 'openai-realtime') configured(dialect, audio)
  const frame = { audio: bytes, chunk: 0, timestampMs: 0, lostMs: 0, replay: false }
  const label = `${name} ${encoding}${sampleRate === 8000 ? '' : ` ${sampleRate / 1000} kHz`} ${audio.transport}, ${frameMs} ms`
  last.bytes = 0
  dialect.media(frame, 0)
  if (last.bytes === 0) throw new Error(`${name} wrote no audio`)
  const figures = measure(`dialect: write ${label}`, (n) => {
    frame.chunk = n
    frame.timestampMs = n * frameMs
    dialect.media(frame, n * frameMs)
  })
  const message = FROM_BOT[name]?.(Buffer.from(bytes).toString('base64'))
  if (message === undefined || (name === 'native' && transport === 'binary')) return figures
  const spoken = Buffer.from(JSON.stringify(message))
  const read = dialect.decode(spoken, false)
  if (read === undefined || Array.isArray(read) || read.kind !== 'audio') throw new Error(`${name} read no audio`)
  return [...figures, ...measure(`dialect: read ${label}`, () => void dialect.decode(spoken, false))]
}

/** Until the model has taken the session as it was asked for, its audio is held back. */
function configured(dialect: ReturnType<(typeof DIALECT_KINDS)['native']['create']>, audio: AudioPlan): void {
  const format = { type: audio.input.encoding === 'pcmu' ? 'audio/pcmu' : 'audio/pcm', rate: audio.input.sampleRate }
  const session = { type: 'realtime', audio: { input: { format }, output: { format } } }
  for (const type of ['session.created', 'session.updated'])
    dialect.decode(Buffer.from(JSON.stringify({ type, event_id: 'e', session })), false)
}

const planOf = (dialect: DialectName, audio: AudioPlan, url: string): SessionPlan => ({
  urls: [url],
  headers: {},
  dialect,
  audio,
  discriminator: 'both',
  beforeAnswer: 'buffer',
  answerOnAudio: false,
  bufferMs: 10_000,
  connectTimeoutMs: 1000,
  reconnectMs: 0,
  onClose: 'hangup',
  listening: { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false },
  start: { account_id: 'a' },
})
