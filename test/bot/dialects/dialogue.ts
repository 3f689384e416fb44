/**
 * Plays a recorded dialogue of fixtures/bot/<dialect>/ against a dialect, byte by byte. One JSON object a line:
 *
 *   {"call":{…}}                             ids, `start` facts and address of the call; first
 *   {"tell":{…}} · {"media":{…}}             what the session says; its frames follow
 *   {"dir":"in","frame":{…}}                 what the bot gets: exactly this text, keys in this order
 *   {"dir":"out","frame":{…},"means":{…}}    what the bot sends, and what the session understands (no `means`: nothing)
 *   {"dir":…,"base64":"…"}                   a binary frame, either way
 */
import { readFileSync, readdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AudioFormat, BotMessage, BridgeMessage, Dialect, DialectKind, SessionPlan } from '../../../src/bot/dialect.ts' // prettier-ignore

export interface Call {
  callId?: string
  streamId?: string
  url?: string
  facts?: Record<string, unknown>
  configured?: AudioFormat
}

interface Step {
  call?: Call
  tell?: BridgeMessage
  media?: { chunk: number; timestampMs: number; fill: number; bytes: number }
  dir?: 'in' | 'out'
  frame?: unknown
  binary?: boolean
  base64?: string
  means?: unknown
}

export const CALL_ID = '0192f0c8-7a1e-7c3d-9b5f-3e2a1d4c5b6a'
export const ACCOUNT_ID = '0192f0c8-0000-7000-8000-00000000000a'

/** A dialect on a wire that keeps what is written. */
export function open(kind: DialectKind, call: Call = {}): { dialect: Dialect; wrote: string[]; start: BridgeMessage } {
  const wrote: string[] = []
  const configured = call.configured ?? { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 }
  const url = call.url ?? 'wss://bot.example/stream'
  const audio = kind.audio({ input: configured, output: configured, transport: 'json' }, url)
  const facts = call.facts ?? {
    account_id: ACCOUNT_ID,
    direction: 'inbound',
    from: '+919800000001',
    to: '+918000000002',
  }
  const dialect = kind.create({
    wire: {
      text: (frame) => void wrote.push(typeof frame === 'string' ? frame : Buffer.from(frame).toString()),
      binary: (frame) => void wrote.push(`binary ${Buffer.from(frame).toString('base64')}`),
    },
    callId: call.callId ?? CALL_ID,
    streamId: call.streamId ?? 'leg-1.1',
    plan: { urls: [url], start: facts } as unknown as SessionPlan,
    audio,
  })
  const start: BridgeMessage = {
    kind: 'start',
    state: 'answered',
    audio,
    facts,
    bufferMs: 120_000,
    token: 't',
    standIn: 0,
  }
  return { dialect, wrote, start }
}

/** Decodes and copies the borrowed bytes, so that results can be compared. */
export function read(dialect: Dialect, frame: unknown, binary = false): BotMessage | BotMessage[] | undefined {
  const bytes = Buffer.isBuffer(frame) ? frame : Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame))
  const got = dialect.decode(bytes, binary)
  const kept = (m: BotMessage): BotMessage => (m.kind === 'audio' ? { ...m, bytes: Uint8Array.from(m.bytes) } : m)
  return Array.isArray(got) ? got.map(kept) : got && kept(got)
}

/** As it stands in a fixture: no undefined fields, audio in hex. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value ?? null, (_key, v: unknown) => (v instanceof Uint8Array ? Buffer.from(v).toString('hex') : v)),
  )

export function playDialogues(name: string, kind: DialectKind): void {
  const dir = new URL(`../../../fixtures/bot/${name}/`, import.meta.url)
  describe(`the dialogues in fixtures/bot/${name}`, () => {
    for (const file of readdirSync(dir))
      it(`writes and reads every byte of ${file}`, () => {
        const lines = readFileSync(new URL(file, dir), 'utf8').trim().split('\n')
        const [first, ...steps] = lines.map((line) => JSON.parse(line) as Step)
        const { dialect, wrote, start } = open(kind, first.call)
        for (const { tell, media, dir, frame, binary, base64, means } of steps) {
          if (tell) dialect.tell(tell.kind === 'start' ? { ...start, ...tell } : tell, 0)
          else if (media) {
            const audio = new Uint8Array(media.bytes).fill(media.fill)
            const bytes = dialect.media({ ...media, audio, lostMs: 0, replay: false }, media.timestampMs)
            const written = wrote.at(-1) ?? ''
            expect(bytes).toBe(written.startsWith('binary ') ? media.bytes : Buffer.byteLength(written))
          } else if (base64 !== undefined) {
            if (dir === 'in') expect(wrote.shift()).toBe(`binary ${base64}`)
            else expect(plain(read(dialect, Buffer.from(base64, 'base64'), true))).toEqual(means ?? null)
          } else if (dir === 'in') expect(wrote.shift()).toBe(JSON.stringify(frame))
          else expect(plain(read(dialect, frame, binary))).toEqual(means ?? null)
        }
        expect(wrote).toEqual([])
      })
  })
}

const NAMES = ['event', 'type', 'media', 'payload', 'mark', 'name', 'dtmf', 'digit', 'digits', 'event_id', 'call_id', 'target', '__proto__'] // prettier-ignore
const WORDS = ['media', 'mark', 'clear', 'dtmf', 'stop', 'end', 'start', 'session.transfer', 'session.hangup', 'dtmf.send', 'recording.start', 'session.note'] // prettier-ignore

/**
 * Noise, and what looks like the protocol but is not: the worst of it is a mistake, never an exception.
 * @param audio a message of three bytes that must be understood after it
 * @param names fields, and `words` events, that only this dialect has
 */
export function surviveHostility(
  kind: DialectKind,
  audio: unknown = { event: 'media', media: { payload: 'AAAA' } },
  names: string[] = [],
  words: string[] = [],
): void {
  it('never throws, whatever is sent', () => {
    const { dialect } = open(kind)
    const leaf = fc.oneof(fc.constantFrom(...WORDS, ...words), fc.string(), fc.double(), fc.boolean(), fc.constant(null), fc.constant('AAAA')) // prettier-ignore
    const deep = fc.letrec((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value'), { maxLength: 3 }), tie('object')),
      object: fc.dictionary(fc.constantFrom(...NAMES, ...names), tie('value'), { maxKeys: 6 }),
    })).object
    const text = fc.oneof(
      fc.json(),
      fc.string({ unit: 'binary' }),
      deep.map((m) => JSON.stringify(m)),
      deep.map((m) => JSON.stringify({ ...(m as object), event: 'media' })),
      deep.map((m) => JSON.stringify(m).slice(0, -2)),
    )
    const frame = fc.oneof(
      text.map((t) => Buffer.from(t)),
      fc.uint8Array({ maxLength: 400 }).map((b) => Buffer.from(b)),
    )
    fc.assert(
      fc.property(frame, fc.boolean(), (bytes, binary) => {
        const got = dialect.decode(bytes, binary)
        for (const message of got === undefined ? [] : [got].flat()) expect(message.kind).toBeTypeOf('string')
      }),
      { interruptAfterTimeLimit: 1500, numRuns: 1500 },
    )
    dialect.decode(Buffer.from('{"event":'.repeat(20_000)), false)
    dialect.decode(Buffer.from('['.repeat(100_000)), false)
    // What JSON.parse takes, String and JSON.stringify may have no stack for.
    const nested = '['.repeat(20_000) + ']'.repeat(20_000)
    for (const name of names.length > 0 ? names : NAMES)
      for (const word of words.length > 0 ? words : ['media', 'mark', 'dtmf', 'dtmf.send', 'session.transfer'])
        dialect.decode(
          Buffer.from(`{"event":"${word}","type":"${word}","action":"${word}","${name}":${nested}}`),
          false,
        )
    dialect.decode(Buffer.alloc(0), false)
    const heard = [read(dialect, audio, Buffer.isBuffer(audio))].flat().find((m) => m?.kind === 'audio')
    expect(heard).toMatchObject({ bytes: new Uint8Array(3) })
  })
}

/** Everything that the bridge may say and most dialects have no word for. */
export const UNTOLD: BridgeMessage[] = [
  { kind: 'progress', sipStatus: 180 },
  { kind: 'answered', atMs: 5 },
  { kind: 'cleared', playedMs: 1, discardedMs: 2, items: [], ref: 'r' },
  { kind: 'playback', state: 'drained', queuedMs: 0 },
  { kind: 'flow', state: 'xoff', queuedMs: 1 },
  { kind: 'speech', started: true, atMs: 1 },
  { kind: 'amd', result: 'human', confidence: 1, atMs: 1 },
  { kind: 'beep', atMs: 1 },
  { kind: 'silence', ms: 1 },
  { kind: 'quality', quality: { rxLoss: 0, rxJitterMs: 0, mos: 4, droppedToBotMs: 0 } },
  { kind: 'held', held: true },
  { kind: 'pong' },
  { kind: 'error', code: 'buffer_full', message: 'no id' },
  { kind: 'transferStatus', status: { state: 'trying' } },
  { kind: 'recordingStatus', status: { state: 'started' } },
]
