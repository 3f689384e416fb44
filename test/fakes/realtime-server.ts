/**
 * A scripted OpenAI Realtime server: one conversation, in memory (`send`, `receive`) or behind a WebSocket. Every event
 * of the client is held against the published schema (fixtures/bot/openai-realtime/published-*.schema.json, made from
 * the types of OpenAI's own client) and against the rules that the reference states in words; what it breaks is in
 * `complaints`. What this server itself sends is held against the same schema, so that no test rests on invented events.
 */
import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Ajv, type ValidateFunction } from 'ajv'
import { WebSocketServer } from 'ws'

export type Json = Record<string, unknown>
type Spelling = 'ga' | 'beta'
type Format = 'audio/pcmu' | 'audio/pcma' | 'audio/pcm'

interface Schema {
  definitions: Record<string, { anyOf?: readonly { $ref: string }[]; properties?: { type?: { const?: string } } }>
}

/** The event's own definition, found by its type: the union of all of them would explain nothing. */
class Published {
  readonly #ajv = new Ajv({ strict: false, allErrors: true })
  readonly #byType = new Map<string, string>()

  constructor(spelling: Spelling) {
    const path = new URL(`../../fixtures/bot/openai-realtime/published-${spelling}.schema.json`, import.meta.url)
    const schema = JSON.parse(readFileSync(path, 'utf8')) as Schema
    this.#ajv.addSchema(schema, spelling)
    for (const side of ['RealtimeClientEvent', 'RealtimeServerEvent'])
      for (const { $ref } of schema.definitions[side].anyOf ?? []) {
        const name = decodeURIComponent($ref.replace('#/definitions/', ''))
        const type = schema.definitions[name].properties?.type?.const
        if (type !== undefined) this.#byType.set(`${side}:${type}`, `${spelling}${$ref}`)
      }
  }

  /** Nothing, or what is wrong. */
  check(side: 'client' | 'server', event: Json): string | undefined {
    const name = side === 'client' ? 'RealtimeClientEvent' : 'RealtimeServerEvent'
    const ref = this.#byType.get(`${name}:${String(event.type)}`)
    if (ref === undefined) return `${String(event.type)} is not in the published schema`
    const validate = this.#ajv.getSchema(ref) as ValidateFunction
    const right: boolean = validate(event)
    if (right) return undefined
    return `${String(event.type)}: ${this.#ajv.errorsText(validate.errors).slice(0, 600)}`
  }
}

export const PUBLISHED: Readonly<Record<Spelling, Published>> = {
  ga: new Published('ga'),
  beta: new Published('beta'),
}

export interface Script {
  spelling?: Spelling
  /** What becomes of G.711 in a session.update: taken (default), refused by an error, or replaced by 24 kHz PCM. */
  laws?: 'taken' | 'refused' | 'replaced'
  /** Parameters that this server refuses, such as `session.audio.input.transcription.model`. */
  refuses?: string[]
  /** Errors name the client event that they are about (default). Some servers do not. */
  namesEvents?: boolean
  /** Reads what it knows of a GA update, which is nothing, and confirms in beta spelling. */
  lenient?: boolean
  onEvent?(event: Json, conversation: RealtimeConversation): void
}

interface Item {
  type: string
  audioMs: number
  callId?: string
}

const BETA_FORMATS: Record<string, Format> = { g711_ulaw: 'audio/pcmu', g711_alaw: 'audio/pcma', pcm16: 'audio/pcm' }
const BETA_NAMES: Record<Format, string> = { 'audio/pcmu': 'g711_ulaw', 'audio/pcma': 'g711_alaw', 'audio/pcm': 'pcm16' } // prettier-ignore
const BYTES_PER_MS: Record<Format, number> = { 'audio/pcmu': 8, 'audio/pcma': 8, 'audio/pcm': 48 }

const at = (value: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((v, key) => (typeof v === 'object' && v !== null ? (v as Json)[key] : undefined), value)

export class RealtimeConversation {
  readonly events: Json[] = []
  readonly complaints: string[] = []
  /** Every event that this server has sent. */
  readonly sent: Json[] = []
  readonly #send: (text: string) => void
  readonly #script: Script
  readonly items = new Map<string, Item>()
  input: Format = 'audio/pcm'
  output: Format = 'audio/pcm'
  session: Json | undefined
  heard: Buffer = Buffer.alloc(0)
  active: string | undefined
  #next = 0

  constructor(send: (text: string) => void, script: Script = {}) {
    this.#send = send
    this.#script = script
  }

  get #spelling(): Spelling {
    return this.#script.spelling ?? 'ga'
  }

  of(type: string): Json[] {
    return this.events.filter((e) => e.type === type)
  }

  name(what: string): string {
    return `${what}_${++this.#next}`
  }

  send(event: Json): void {
    const full = { event_id: this.name('event'), ...event }
    const wrong = PUBLISHED[this.#spelling].check('server', full)
    if (wrong !== undefined) throw new Error(`the fake server would send what no server sends: ${wrong}`)
    this.sent.push(full)
    this.#send(JSON.stringify(full))
  }

  open(): void {
    this.send({ type: 'session.created', session: this.#sessionObject() })
  }

  #sessionObject(): Json {
    if (this.#spelling === 'beta')
      return {
        id: 'sess_1',
        modalities: ['audio', 'text'],
        instructions: 'default',
        voice: 'alloy',
        input_audio_format: BETA_NAMES[this.input],
        output_audio_format: BETA_NAMES[this.output],
        turn_detection: { type: 'server_vad', create_response: true, interrupt_response: true },
      }
    const format = (type: Format): Json => (type === 'audio/pcm' ? { type, rate: 24_000 } : { type })
    return {
      type: 'realtime',
      output_modalities: ['audio'],
      instructions: 'default',
      audio: {
        input: { format: format(this.input), turn_detection: { type: 'server_vad' } },
        output: { format: format(this.output), voice: 'marin' },
      },
    }
  }

  error(code: string, message: string, about?: Json, param: string | null = null): void {
    const eventId = this.#script.namesEvents === false ? null : (about?.event_id ?? null)
    this.send({ type: 'error', error: { type: 'invalid_request_error', code, message, param, event_id: eventId } })
  }

  // ── What the client sends ──────────────────────────────────────────────────────────────────────────────────────

  receive(text: string): void {
    const event = JSON.parse(text) as Json
    this.events.push(event)
    // A session.update may be meant for the other kind of server: then it is refused, and is no mistake.
    const kinds: Spelling[] = event.type === 'session.update' ? ['ga', 'beta'] : [this.#spelling]
    const wrong = kinds.map((kind) => PUBLISHED[kind].check('client', event))
    if (wrong.every((w) => w !== undefined)) return this.#wrong(event, wrong.join(' / '))
    this.#obey(event)
    this.#script.onEvent?.(event, this)
  }

  #obey(event: Json): void {
    switch (event.type) {
      case 'session.update':
        return this.#update(event)
      case 'input_audio_buffer.append':
        return this.#append(event)
      case 'response.create':
        if (this.active === undefined) return
        return this.error('conversation_already_has_active_response', 'Conversation already has an active response', event) // prettier-ignore
      case 'response.cancel':
        if (this.active === undefined)
          return this.error('response_cancel_not_active', 'Cancellation failed: no active response found', event)
        return this.finish('cancelled')
      case 'conversation.item.create':
        return this.#create(event)
      case 'conversation.item.truncate':
        return this.#truncate(event)
    }
  }

  #update(event: Json): void {
    const session = event.session as Json
    const isGa = session.type === 'realtime'
    if (this.#spelling === 'ga' && !isGa)
      return this.error('missing_required_parameter', "Missing required parameter: 'session.type'.", event, 'session.type') // prettier-ignore
    if (this.#spelling === 'beta' && isGa) {
      if (!this.#script.lenient)
        return this.error('unknown_parameter', "Unknown parameter: 'session.type'.", event, 'session.type')
      return this.send({ type: 'session.updated', session: this.#sessionObject() })
    }
    for (const param of this.#script.refuses ?? [])
      if (at(event, ...param.split('.')) !== undefined)
        return this.error('invalid_value', `Invalid value: '${param}'.`, event, param)
    const input = this.#asked(event, 'input')
    const output = this.#asked(event, 'output')
    const law = [input, output].some((f) => f !== 'audio/pcm')
    if (law && this.#script.laws === 'refused')
      return this.error('invalid_value', 'Invalid audio format.', event, 'session.audio.input.format')
    this.input = law && this.#script.laws === 'replaced' ? 'audio/pcm' : input
    this.output = law && this.#script.laws === 'replaced' ? 'audio/pcm' : output
    this.session = session
    this.send({ type: 'session.updated', session: this.#sessionObject() })
  }

  #asked(event: Json, side: 'input' | 'output'): Format {
    if (this.#spelling === 'beta') return BETA_FORMATS[String(at(event, 'session', `${side}_audio_format`))]
    return at(event, 'session', 'audio', side, 'format', 'type') as Format
  }

  #append(event: Json): void {
    const audio = Buffer.from(String(event.audio), 'base64')
    if (audio.length === 0 || audio.toString('base64') !== event.audio) this.complaints.push('append: not base64')
    if (this.session === undefined) this.complaints.push('append: before the session was updated')
    if (this.input === 'audio/pcm' && audio.length % 2 !== 0) this.complaints.push('append: half a sample')
    this.heard = Buffer.concat([this.heard, audio])
  }

  #create(event: Json): void {
    const item = event.item as Json
    if (item.type === 'function_call_output') {
      const call = [...this.items.values()].find((i) => i.callId === item.call_id)
      if (!call) this.complaints.push(`a result for ${String(item.call_id)}, which nobody called`)
      const twice = this.of('conversation.item.create').filter((e) => at(e, 'item', 'call_id') === item.call_id)
      if (twice.length > 1) this.complaints.push(`two results for ${String(item.call_id)}`)
    }
    const added = { ...item, id: typeof item.id === 'string' ? item.id : this.name('item') }
    this.items.set(added.id, { type: String(item.type), audioMs: 0 })
    if (this.#spelling === 'ga') this.send({ type: 'conversation.item.added', item: added, previous_item_id: null })
    else this.send({ type: 'conversation.item.created', item: added, previous_item_id: 'item_0' })
  }

  #truncate(event: Json): void {
    const item = this.items.get(String(event.item_id))
    const endMs = Number(event.audio_end_ms)
    if (!item || item.type !== 'message') return this.#wrong(event, 'truncate: no such item of the assistant')
    if (!Number.isInteger(endMs) || endMs < 0) return this.#wrong(event, 'truncate: not a whole number of ms')
    if (endMs > item.audioMs) return this.#wrong(event, `truncate: ${endMs} ms of ${item.audioMs}`)
    item.audioMs = endMs
    const { item_id, content_index, audio_end_ms } = event
    this.send({ type: 'conversation.item.truncated', item_id, content_index, audio_end_ms })
  }

  #wrong(event: Json, complaint: string): void {
    this.complaints.push(complaint)
    this.error('invalid_value', complaint, event)
  }

  // ── What the model does ────────────────────────────────────────────────────────────────────────────────────────

  /** Begins a response; `finish` ends it. */
  respond(): string {
    this.active = this.name('resp')
    this.send({ type: 'response.created', response: this.#response('in_progress') })
    return this.active
  }

  #response(status: string): Json {
    return { id: this.active, object: 'realtime.response', status, output: [] }
  }

  finish(status: 'completed' | 'cancelled' = 'completed'): void {
    this.send({ type: 'response.done', response: this.#response(status) })
    this.active = undefined
  }

  /** A message item with so much audio, in deltas of at most `deltaMs`. */
  speak(audio: Uint8Array, options: { deltaMs?: number; contentIndex?: number; done?: boolean } = {}): string {
    const itemId = this.name('item')
    const part = this.#spelling === 'ga' ? 'output_audio' : 'audio'
    const where = { response_id: this.active, item_id: itemId, output_index: 0 }
    const content = { ...where, content_index: options.contentIndex ?? 0 }
    const perMs = BYTES_PER_MS[this.output]
    const step = (options.deltaMs ?? 200) * perMs
    const item = { id: itemId, type: 'message', role: 'assistant', status: 'in_progress', content: [] }
    this.items.set(itemId, { type: 'message', audioMs: Math.floor(audio.length / perMs) })
    this.send({ type: 'response.output_item.added', response_id: this.active, output_index: 0, item })
    for (let i = 0; i < audio.length; i += step)
      this.send({ type: `response.${part}.delta`, ...content, delta: Buffer.from(audio.subarray(i, i + step)).toString('base64') }) // prettier-ignore
    this.send({ type: `response.${part}_transcript.delta`, ...content, delta: 'Hello' })
    if (options.done !== false) this.send({ type: `response.${part}.done`, ...content })
    return itemId
  }

  /** A function call, as the spelling has it: the beta event does not say the name. */
  call(name: string, args: unknown, callId = this.name('call')): string {
    const itemId = this.name('item')
    const text = typeof args === 'string' ? args : JSON.stringify(args)
    const where = { response_id: this.active, output_index: 1 }
    const item = { id: itemId, type: 'function_call', call_id: callId, name, arguments: '' }
    this.items.set(itemId, { type: 'function_call', audioMs: 0, callId })
    this.send({ type: 'response.output_item.added', ...where, item: { ...item, status: 'in_progress' } })
    this.send({ type: 'response.function_call_arguments.delta', ...where, item_id: itemId, call_id: callId, delta: text }) // prettier-ignore
    const done = { type: 'response.function_call_arguments.done', ...where, item_id: itemId, call_id: callId }
    this.send({ ...done, arguments: text, ...(this.#spelling === 'ga' ? { name } : {}) })
    const full = { ...item, arguments: text, status: 'completed' }
    this.send({ type: 'response.output_item.done', ...where, item: full })
    return callId
  }

  speechStarted(audioStartMs = 0): void {
    this.send({ type: 'input_audio_buffer.speech_started', audio_start_ms: audioStartMs, item_id: this.name('item') })
    if (this.active !== undefined) this.finish('cancelled')
  }

  speechStopped(audioEndMs = 0): void {
    const itemId = this.name('item')
    this.send({ type: 'input_audio_buffer.speech_stopped', audio_end_ms: audioEndMs, item_id: itemId })
    this.send({ type: 'input_audio_buffer.committed', item_id: itemId, previous_item_id: 'item_0' })
  }
}

/** The same behind `ws://127.0.0.1:port/v1/realtime`; one conversation for each socket. */
export class RealtimeServer {
  readonly #server: WebSocketServer
  readonly #script: Script
  readonly conversations: RealtimeConversation[] = []
  readonly requests: IncomingMessage[] = []

  private constructor(server: WebSocketServer, script: Script) {
    this.#server = server
    this.#script = script
    server.on('connection', (socket, request) => {
      const conversation = new RealtimeConversation((text) => socket.send(text), this.#script)
      this.requests.push(request)
      this.conversations.push(conversation)
      socket.on('message', (data: Buffer, isBinary) => {
        if (isBinary) conversation.complaints.push('a binary frame')
        else conversation.receive(data.toString('utf8'))
      })
      socket.on('error', () => undefined)
      conversation.open()
    })
  }

  static async listen(script: Script = {}): Promise<RealtimeServer> {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    return new RealtimeServer(server, script)
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/realtime?model=gpt-realtime`
  }

  async close(): Promise<void> {
    for (const client of this.#server.clients) client.terminate()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}
