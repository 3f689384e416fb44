/**
 * The OpenAI Realtime API, the bridge being the model's client: `wss_url` is the model's endpoint, `wss_header` carries
 * the Authorization, and there is no bot in between (platform.openai.com/docs/api-reference/realtime). GA and beta
 * names, and the compatible servers that speak either. Not here: how the session is agreed on (openai-session.ts), who
 * may speak when (openai-turns.ts), what the functions mean (openai-tools.ts).
 *
 *   socket open ── session.update ──▶
 *                  ◀── session.updated     formats settled: audio held so far is appended, the greeting is asked for
 *   caller      ── input_audio_buffer.append ──▶
 *                  ◀── response.output_audio.delta …          played at the pace of the phone line
 *                  ◀── input_audio_buffer.speech_started      clear; what was cut is truncated to what was heard
 */
import type {
  AudioFormat,
  BotMessage,
  BridgeMessage,
  Dialect,
  DialectKind,
  DialectOptions,
  MediaFrame,
} from '../dialect.ts'
import type { TransferStatus } from '../../calls/ports.ts'
import { inner, JsonReader, type Json, type Reading } from './json-reader.ts'
import { HeldAudio } from './openai-held-audio.ts'
import { Negotiation, sameFormat, startingPlan, wishOf, type Agreed, type WireFormat } from './openai-session.ts'
import { readToolCall } from './openai-tools.ts'
import { Turns } from './openai-turns.ts'

type Told<K extends BridgeMessage['kind']> = Extract<BridgeMessage, { kind: K }>

const AUDIO_DELTAS = new Set<unknown>(['response.output_audio.delta', 'response.audio.delta'])
const APPEND_HEAD = '{"type":"input_audio_buffer.append","audio":"'
const APPEND_TAIL = '"}'
// 100 ms and more a message for what was held; one frame a message after that.
const HELD_CHUNK_BYTES = 4800
const MAX_ID_CHARS = 256
const MAX_REMEMBERED = 64

const id = (v: unknown): string | undefined =>
  typeof v === 'string' && v !== '' && v.length <= MAX_ID_CHARS ? v : undefined

/** Puts `value` under `key`; the oldest is forgotten. A server that never ends what it began costs no memory. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key)
  map.set(key, value)
  if (map.size <= MAX_REMEMBERED) return
  const [oldest] = map.keys()
  map.delete(oldest)
}

export class OpenAiRealtimeDialect implements Dialect {
  readonly #options: DialectOptions
  readonly #reader = new JsonReader(['delta'], (m) => this.#read(m))
  readonly #negotiation: Negotiation
  readonly #turns: Turns
  readonly #held: HeldAudio
  /** The message that #read left to #handle; the last one, since the reader may read one twice. */
  #event: Json | undefined
  #seq = 0
  #text = Buffer.allocUnsafeSlow(4096)
  #settled = false
  #answered = false
  #greeting = ''
  /** The last item that we added, until the server has confirmed it. */
  #newestItem: string | undefined
  /** Items whose audio came by this socket, and which of their parts it is. */
  readonly #parts = new Map<string, number>()
  /** Function calls by id: the name, and whether they have been taken up. */
  readonly #calls = new Map<string, { name?: string; taken: boolean }>()
  /** Function calls whose result is still to come. */
  readonly #pending = new Map<string, 'transfer' | 'digits'>()

  constructor(options: DialectOptions) {
    this.#options = options
    this.#held = new HeldAudio(options.audio.input)
    this.#negotiation = new Negotiation((session) => this.#send('session.update', { session }))
    this.#turns = new Turns((what) => {
      if (what === 'turn') return this.#send('response.create', {})
      const instructions = `Say exactly these words to the caller, and nothing else:\n\n${this.#greeting}`
      return this.#send('response.create', { response: { instructions } })
    })
    this.#text.write(APPEND_HEAD, 'latin1')
  }

  get lastSeq(): number {
    return this.#seq
  }

  // ── To the model ───────────────────────────────────────────────────────────────────────────────────────────────

  media({ audio }: MediaFrame): number {
    if (this.#settled) return this.#append(audio)
    this.#held.push(audio)
    return wireBytes(audio.length)
  }

  #append(audio: Uint8Array): number {
    const bytes = wireBytes(audio.length)
    if (bytes > this.#text.length) {
      this.#text = Buffer.allocUnsafeSlow(bytes * 2)
      this.#text.write(APPEND_HEAD, 'latin1')
    }
    const base64 = Buffer.from(audio.buffer, audio.byteOffset, audio.byteLength).toString('base64')
    const end = APPEND_HEAD.length + this.#text.write(base64, APPEND_HEAD.length, 'latin1')
    this.#text.write(APPEND_TAIL, end, 'latin1')
    this.#seq++
    this.#options.wire.text(this.#text.subarray(0, bytes))
    return bytes
  }

  tell(message: BridgeMessage): void {
    switch (message.kind) {
      case 'start':
        return this.#start(message)
      case 'answered':
        this.#answered = true
        return this.#greet()
      case 'dtmf':
        this.#addItem({
          type: 'message',
          role: 'user',
          content: [{ type: 'input_text', text: `The caller pressed ${message.digit}.` }],
        })
        return this.#turns.ask('turn')
      case 'cleared':
        return this.#cleared(message)
      case 'transferStatus':
        return this.#transferred(message.status)
      case 'error':
        // An order of the model could not be carried out; all other mistakes are the server's own, and it has no ear.
        if (message.ref !== undefined && this.#pending.delete(message.ref))
          this.#result(message.ref, { ok: false, error: message.message })
        return
      case 'ack':
        if (this.#pending.get(message.ref) !== 'digits') return
        this.#pending.delete(message.ref)
        return this.#result(message.ref, { ok: true })
      default:
      // The API has no words for the rest.
    }
  }

  #send(type: string, fields: Json): string {
    const eventId = `tl_${++this.#seq}`
    this.#options.wire.text(JSON.stringify({ event_id: eventId, type, ...fields }))
    return eventId
  }

  #addItem(item: Json): void {
    this.#newestItem = `tl_item_${this.#seq + 1}`
    this.#send('conversation.item.create', { item: { id: this.#newestItem, ...item } })
  }

  #start({ facts, state, resume }: Told<'start'>): void {
    this.#answered = state === 'answered'
    // A model that comes back to a call in progress has forgotten all of it, but does not open it again.
    if (typeof facts.text === 'string' && !(resume && this.#answered)) this.#greeting = facts.text.trim()
    this.#negotiation.begin(this.#options.audio, wishOf(facts))
  }

  #greet(): void {
    if (this.#settled && this.#answered && this.#greeting !== '') this.#turns.ask('greeting')
  }

  /** What came of a function call; the model then says what follows from it. */
  #result(callId: string, output: Json, thenSpeak = true): void {
    this.#addItem({ type: 'function_call_output', call_id: callId, output: JSON.stringify(output) })
    if (thenSpeak) this.#turns.ask('turn')
  }

  /** The model must know of its answer what the caller has heard, and no more. */
  #cleared({ items }: Told<'cleared'>): void {
    // After a reconnect the model knows nothing of what came before.
    const cut = items.filter(({ itemId, discardedMs }) => discardedMs > 0 && this.#parts.has(itemId))
    for (const { itemId, playedMs } of cut) {
      // Rounded down: more than the item has is an error.
      const heardMs = Math.max(0, Math.floor(playedMs))
      const part = this.#parts.get(itemId)
      this.#send('conversation.item.truncate', { item_id: itemId, content_index: part, audio_end_ms: heardMs })
    }
    if (cut.length > 0 && this.#turns.cut()) this.#send('response.cancel', {})
  }

  #transferred({ ref, state, sipStatus, reason }: TransferStatus): void {
    if (ref === undefined || this.#pending.get(ref) !== 'transfer') return
    if (state !== 'completed' && state !== 'failed' && state !== 'cancelled') return
    this.#pending.delete(ref)
    if (state === 'completed') return this.#result(ref, { ok: true }, false)
    const why = reason ?? (state === 'cancelled' ? 'it was cancelled' : 'the other side could not be reached')
    this.#result(ref, { ok: false, error: `The transfer failed: ${why}.`, sip_status: sipStatus })
  }

  // ── From the model ─────────────────────────────────────────────────────────────────────────────────────────────

  decode(frame: Buffer, isBinary: boolean): BotMessage | BotMessage[] | undefined {
    if (isBinary)
      return { kind: 'mistake', code: 'bad_audio', message: 'The Realtime API has no binary frames.', bad: true }
    this.#event = undefined
    const message = this.#reader.decode(frame)
    return message ?? (this.#event && this.#handle(this.#event))
  }

  // To be called twice for one message does no harm: the reader may.
  #read(m: Json): Reading {
    if (!AUDIO_DELTAS.has(m.type)) {
      this.#event = m
      return undefined
    }
    const itemId = id(m.item_id)
    const part = typeof m.content_index === 'number' && Number.isSafeInteger(m.content_index) ? m.content_index : 0
    if (itemId !== undefined && this.#parts.get(itemId) !== part) remember(this.#parts, itemId, Math.max(0, part))
    return this.#turns.isMuted(m.response_id) ? undefined : { kind: 'audio', payload: m.delta, itemId }
  }

  #handle(m: Json): BotMessage | undefined {
    switch (m.type) {
      case 'response.output_audio.done':
      case 'response.audio.done':
        return { kind: 'audioDone', itemId: id(m.item_id) }
      case 'input_audio_buffer.speech_started':
        this.#turns.speechStarted()
        return { kind: 'clear' }
      case 'input_audio_buffer.speech_stopped':
        return void this.#turns.speechStopped()
      case 'response.created':
        return void this.#turns.created(id(inner(m, 'response').id), this.#newestItem === undefined)
      case 'response.done':
        return void this.#turns.done()
      case 'conversation.item.added':
      case 'conversation.item.created':
        if (inner(m, 'item').id === this.#newestItem) this.#newestItem = undefined
        return undefined
      case 'response.output_item.added':
        return void this.#named(inner(m, 'item'))
      case 'response.function_call_arguments.done':
        return this.#called(m)
      case 'response.output_item.done': {
        // For servers that end a function call with this alone.
        const item = inner(m, 'item')
        return item.type === 'function_call' && item.status !== 'incomplete' ? this.#called(item) : undefined
      }
      case 'session.created':
        return void this.#negotiation.created(inner(m, 'session'))
      case 'session.updated':
        return this.#settle(this.#negotiation.updated(inner(m, 'session')))
      case 'error':
        // Never fatal to us; where it is to the server (a bad key, an expired session), it closes the socket itself.
        this.#turns.refused(inner(m, 'error'))
        return this.#settle(this.#negotiation.refused(inner(m, 'error')))
      default:
        // Transcripts, rate limits, items and whatever the API learns to say: none of it concerns the call.
        return undefined
    }
  }

  #settle(agreed: Agreed | undefined): BotMessage | undefined {
    if (!agreed) return undefined
    const { input, output } = agreed
    const now = this.#options.audio
    this.#settled = true
    const held = this.#held.take(input)
    for (let at = 0; at < held.length; at += HELD_CHUNK_BYTES) this.#append(held.subarray(at, at + HELD_CHUNK_BYTES))
    this.#greet()
    this.#turns.open()
    if (sameFormat(now.input, input) && sameFormat(now.output, output)) return undefined
    return { kind: 'update', input: picked(input), output: picked(output) }
  }

  #named(item: Json): void {
    const callId = id(item.call_id)
    if (item.type !== 'function_call' || callId === undefined || this.#calls.has(callId)) return
    remember(this.#calls, callId, { name: id(item.name), taken: false })
  }

  #called(m: Json): BotMessage | undefined {
    const callId = id(m.call_id)
    if (callId === undefined) return undefined
    const known = this.#calls.get(callId)
    // The beta event has no name; the item that came before it has.
    const name = id(m.name) ?? known?.name
    if (known?.taken || name === undefined) return undefined
    remember(this.#calls, callId, { name, taken: true })
    const order = readToolCall({ callId, name, args: m.arguments })
    if (typeof order === 'string') {
      this.#result(callId, { ok: false, error: order })
      return undefined
    }
    if (order.kind === 'hangup') this.#result(callId, { ok: true }, false)
    else remember(this.#pending, callId, order.kind === 'transfer' ? 'transfer' : 'digits')
    return order
  }
}

const picked = ({ encoding, sampleRate }: WireFormat): Partial<AudioFormat> => ({ encoding, sampleRate })

const wireBytes = (audioBytes: number): number =>
  APPEND_HEAD.length + Math.ceil(audioBytes / 3) * 4 + APPEND_TAIL.length

export const openaiRealtime: DialectKind = {
  subprotocols: [],
  audio: (configured) => startingPlan(configured),
  headers: () => ({}),
  create: (options) => new OpenAiRealtimeDialect(options),
}
