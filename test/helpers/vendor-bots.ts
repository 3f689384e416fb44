/**
 * Bots written for other carriers, as their own pages describe them: each reads and writes its vendor's messages and
 * knows nothing of ours. One description for each dialect that speaks by text or binary frames over a plain WebSocket.
 */
import type { RateHz } from '../../src/audio/resampler.ts'
import type { DialectName } from '../../src/calls/ports.ts'
import { pcmOf } from '../../src/load/clips.ts'
import type { Conversation, Json } from '../fakes/bot.ts'
import { atRate, bytesOf, samplesOf } from './heard.ts'

export interface VendorBot {
  dialect: DialectName
  /** Of the bot's configuration, beside url and dialect. */
  settings?: Json
  /** Of the bot's address. */
  query?: string
  format: { encoding: 'pcmu' | 'pcm16'; rateHz: RateHz; bigEndian?: boolean }
  /** Bytes of audio in each message to the bot. */
  frameBytes: number
  /** Whether all that opens a call has come, and is right. */
  started(talk: Conversation, from: string, to: string): boolean
  payloads(talk: Conversation): Buffer[]
  /** How many of them there are, without a look into them. */
  frames(talk: Conversation): number
  send(talk: Conversation, audio: Buffer): void
  digits(talk: Conversation): unknown[]
  mark(talk: Conversation, name: string): void
  /** Marks that came back, in order. */
  marks(talk: Conversation): unknown[]
  clear(talk: Conversation): void
  /** What the vendor answers to a clear with one mark open behind what is playing. */
  wasCleared(talk: Conversation, openMark: string): boolean
  hangup(talk: Conversation): void
  /** The last message before the socket closes, where the vendor has one. */
  stopped?(talk: Conversation): boolean
}

const of = (talk: Conversation, event: string): Json[] => talk.messages.filter((m) => m.event === event)
const field = (value: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((v, key) => (typeof v === 'object' && v !== null ? (v as Json)[key] : undefined), value)
const base64Payloads = (talk: Conversation): Buffer[] =>
  of(talk, 'media').map((m) => Buffer.from(String(field(m, 'media', 'payload')), 'base64'))

/** What the bot has heard from this frame on, at 8 kHz. */
export const heardByBot = ({ format, payloads }: VendorBot, talk: Conversation, fromFrame: number): Int16Array =>
  at8k(format, Buffer.concat(payloads(talk).slice(fromFrame)))

export function at8k(format: VendorBot['format'], bytes: Buffer): Int16Array {
  if (format.encoding === 'pcmu') return pcmOf(bytes)
  return atRate(samplesOf(format.bigEndian ? Buffer.from(bytes).swap16() : bytes), format.rateHz, 8000)
}

/** µ-law in that format. */
export function spokenIn(format: VendorBot['format'], ulaw: Buffer): Buffer {
  if (format.encoding === 'pcmu') return ulaw
  const bytes = bytesOf(atRate(pcmOf(ulaw), 8000, format.rateHz))
  return format.bigEndian ? bytes.swap16() : bytes
}

const HEX_SID = /^(CA|MZ|AC)[0-9a-f]{32}$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

// ── Twilio's family ────────────────────────────────────────────────────────────────────────────────────────────────

type Text = Omit<VendorBot, 'dialect' | 'format' | 'frameBytes' | 'started' | 'hangup'>

/** `sid`: how the bot finds its stream's id in the start, and under which name it sends it back. */
function twilioLike(sid: (start: Json) => Json): Text {
  const ids = (talk: Conversation): Json => sid(of(talk, 'start')[0])
  return {
    payloads: base64Payloads,
    frames: (talk) => of(talk, 'media').length,
    send: (talk, audio) => talk.send({ event: 'media', ...ids(talk), media: { payload: audio.toString('base64') } }),
    digits: (talk) => of(talk, 'dtmf').map((m) => field(m, 'dtmf', 'digit')),
    mark: (talk, name) => talk.send({ event: 'mark', ...ids(talk), mark: { name } }),
    marks: (talk) => of(talk, 'mark').map((m) => field(m, 'mark', 'name')),
    clear: (talk) => talk.send({ event: 'clear', ...ids(talk) }),
    // These vendors echo a mark when it is cleared, too, and have no other answer.
    wasCleared: (talk, openMark) => of(talk, 'mark').some((m) => field(m, 'mark', 'name') === openMark),
    stopped: (talk) => talk.messages.at(-1)?.event === 'stop',
  }
}

export const twilio: VendorBot = {
  ...twilioLike((start) => ({ streamSid: start.streamSid })),
  dialect: 'twilio',
  format: { encoding: 'pcmu', rateHz: 8000 },
  frameBytes: 160,
  started: ({ messages: [first, second] }, from, to) =>
    first?.event === 'connected' &&
    second?.event === 'start' &&
    second.sequenceNumber === '1' &&
    ['streamSid', 'callSid', 'accountSid'].every((name) => HEX_SID.test(String(field(second, 'start', name)))) &&
    field(second, 'start', 'customParameters', 'from') === from &&
    field(second, 'start', 'customParameters', 'to') === to,
  // Its own way is REST (shim.test.ts); this is the escape hatch.
  hangup: (talk) => talk.send({ event: 'session.hangup' }),
}

export const signalwire: VendorBot = {
  ...twilioLike((start) => ({ streamSid: start.streamSid })),
  dialect: 'signalwire',
  settings: { input: 'pcm16', inputRate: 24_000, output: 'pcm16', outputRate: 24_000 },
  format: { encoding: 'pcm16', rateHz: 24_000 },
  frameBytes: 960,
  started: ({ messages: [first, second] }) =>
    first?.event === 'connected' &&
    UUID.test(String(field(second, 'start', 'callSid'))) &&
    field(second, 'start', 'mediaFormat', 'encoding') === 'audio/x-L16' &&
    field(second, 'start', 'mediaFormat', 'sampleRate') === 24_000,
  hangup: (talk) => talk.socket.close(1000),
  stopped: undefined,
}

const exotelBase: Omit<VendorBot, 'format' | 'frameBytes'> = {
  ...twilioLike((start) => ({ stream_sid: start.stream_sid })),
  dialect: 'exotel',
  started: ({ messages: [first, second] }, from, to) =>
    first?.event === 'connected' &&
    HEX_SID.test(String(second?.stream_sid)) &&
    field(second, 'start', 'from') === from &&
    field(second, 'start', 'to') === to &&
    typeof field(second, 'start', 'media_format', 'sample_rate') === 'string',
  // The end of the socket is the end of the Voicebot applet.
  hangup: (talk) => talk.socket.close(1000),
  stopped: undefined,
}
export const exotel: VendorBot = { ...exotelBase, format: { encoding: 'pcm16', rateHz: 8000 }, frameBytes: 1600 }
export const exotel16: VendorBot = {
  ...exotelBase,
  query: '?sample-rate=16000',
  format: { encoding: 'pcm16', rateHz: 16_000 },
  frameBytes: 3200,
}

export const telnyx: VendorBot = {
  // Nothing that this bot sends names the stream.
  ...twilioLike(() => ({})),
  dialect: 'telnyx',
  settings: { input: 'pcm16', output: 'pcm16' },
  format: { encoding: 'pcm16', rateHz: 16_000, bigEndian: true },
  frameBytes: 640,
  started: ({ messages: [first, second] }, from, to) =>
    first?.event === 'connected' &&
    UUID.test(String(second?.stream_id)) &&
    String(field(second, 'start', 'call_control_id')).startsWith('v') &&
    field(second, 'start', 'from') === from &&
    field(second, 'start', 'to') === to &&
    field(second, 'start', 'media_format', 'encoding') === 'L16',
  hangup: (talk) => talk.send({ event: 'session.hangup' }),
}

// ── Plivo and Vobiz ────────────────────────────────────────────────────────────────────────────────────────────────

const streamIdOf = (talk: Conversation): unknown => field(of(talk, 'start')[0], 'start', 'streamId')

const plivoBase: Omit<VendorBot, 'dialect' | 'format' | 'frameBytes' | 'send' | 'hangup'> = {
  started: ({ messages: [first] }) =>
    first?.event === 'start' &&
    first.sequenceNumber === 0 &&
    typeof first.extra_headers === 'string' &&
    UUID.test(String(field(first, 'start', 'callId'))),
  payloads: base64Payloads,
  frames: (talk) => of(talk, 'media').length,
  digits: (talk) => of(talk, 'dtmf').map((m) => field(m, 'dtmf', 'digit')),
  mark: (talk, name) => talk.send({ event: 'checkpoint', streamId: streamIdOf(talk), name }),
  marks: (talk) => of(talk, 'playedStream').map((m) => m.name),
  clear: (talk) => talk.send({ event: 'clearAudio', streamId: streamIdOf(talk) }),
  // A checkpoint that was not heard is never answered.
  wasCleared: (talk, openMark) =>
    of(talk, 'clearedAudio').length > 0 && !of(talk, 'playedStream').some((m) => m.name === openMark),
}
const playAudio =
  (contentType: string, sampleRate: number) =>
  (talk: Conversation, audio: Buffer): void =>
    talk.send({ event: 'playAudio', media: { contentType, sampleRate, payload: audio.toString('base64') } })

export const plivo: VendorBot = {
  ...plivoBase,
  dialect: 'plivo',
  format: { encoding: 'pcmu', rateHz: 8000 },
  frameBytes: 160,
  send: playAudio('audio/x-mulaw', 8000),
  hangup: (talk) => talk.send({ event: 'session.hangup' }),
}
export const vobiz: VendorBot = {
  ...plivoBase,
  dialect: 'vobiz',
  settings: { input: 'pcm16', inputRate: 24_000, output: 'pcm16', outputRate: 24_000 },
  format: { encoding: 'pcm16', rateHz: 24_000 },
  frameBytes: 960,
  send: playAudio('audio/x-l16', 24_000),
  hangup: (talk) => talk.send({ event: 'stop', streamId: streamIdOf(talk) }),
}

// ── Binary frames ──────────────────────────────────────────────────────────────────────────────────────────────────

export const vonage: VendorBot = {
  dialect: 'vonage',
  format: { encoding: 'pcm16', rateHz: 16_000 },
  frameBytes: 640,
  started: ({ messages: [first] }, from) =>
    first?.event === 'websocket:connected' && first['content-type'] === 'audio/l16;rate=16000' && first.from === from,
  payloads: (talk) => talk.frames,
  frames: (talk) => talk.frames.length,
  send: (talk, audio) => talk.socket.send(audio),
  digits: (talk) => of(talk, 'websocket:dtmf').map((m) => m.digit),
  mark: (talk, name) => talk.send({ action: 'notify', payload: { name } }),
  marks: (talk) => of(talk, 'websocket:notify').map((m) => field(m, 'payload', 'name')),
  clear: (talk) => talk.send({ action: 'clear' }),
  wasCleared: (talk, openMark) =>
    of(talk, 'websocket:cleared').length > 0 &&
    !of(talk, 'websocket:notify').some((m) => field(m, 'payload', 'name') === openMark),
  hangup: (talk) => talk.socket.close(1000),
}

const ofType = (talk: Conversation, type: string): Json[] => talk.messages.filter((m) => m.type === type)

export const jambonz: VendorBot = {
  dialect: 'jambonz',
  format: { encoding: 'pcm16', rateHz: 8000 },
  frameBytes: 320,
  started: ({ messages: [first] }, from, to) =>
    typeof first?.callSid === 'string' && first.from === from && first.to === to && first.sampleRate === 8000,
  payloads: (talk) => talk.frames,
  frames: (talk) => talk.frames.length,
  send: (talk, audio) => talk.socket.send(audio),
  digits: (talk) => of(talk, 'dtmf').map((m) => m.dtmf),
  mark: (talk, name) => talk.send({ type: 'mark', data: { name } }),
  marks: (talk) => ofType(talk, 'mark').map((m) => field(m, 'data', 'name')),
  clear: (talk) => talk.send({ type: 'killAudio' }),
  wasCleared: (talk, openMark) =>
    ofType(talk, 'mark').some((m) => field(m, 'data', 'name') === openMark && field(m, 'data', 'event') === 'cleared'),
  hangup: (talk) => talk.send({ type: 'disconnect' }),
}

/** Audio of each message to the bot, ms. */
export const frameMsOf = ({ frameBytes, format }: VendorBot): number =>
  frameBytes / ((format.rateHz / 1000) * (format.encoding === 'pcm16' ? 2 : 1))

export const VENDOR_BOTS = { twilio, signalwire, exotel, exotel16, plivo, vobiz, telnyx, vonage, jambonz }
