// Joins the caller to a speech-to-speech model (OpenAI's Realtime API, or one that speaks it). µ-law goes through as it is.
// The bridge can dial such a model itself (dialect `openai-realtime`); this is for those who want to be in between.
// Run: npm install ws, then OPENAI_API_KEY=… node realtime.ts (Node 24).
import { WebSocket, WebSocketServer } from 'ws'

const MODEL_URL = process.env.OPENAI_REALTIME_URL ?? 'wss://api.openai.com/v1/realtime?model=gpt-realtime'
const INSTRUCTIONS = process.env.INSTRUCTIONS ?? 'You answer the phone of a small shop. Be brief and friendly.'

/** What is read of the messages of both sides. */
interface Message {
  type: string
  delta?: string
  item_id?: string
  name?: string
  call_id?: string
  items?: { item_id: string; played_ms: number }[]
  media?: { payload: string }
  error?: unknown
}

const format = { type: 'audio/pcmu' }
const END_CALL = {
  type: 'function',
  name: 'end_call',
  description: 'Hangs up. Say goodbye first.',
  parameters: { type: 'object', properties: {} },
}

const server = new WebSocketServer({ port: Number(process.env.PORT ?? 9000) })
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${(server.address() as { port: number }).port}`))

server.on('connection', (bridge) => {
  const model = new WebSocket(MODEL_URL, { headers: { Authorization: `Bearer ${process.env.OPENAI_API_KEY ?? ''}` } })
  const toModel = (type: string, fields = {}): void => {
    if (model.readyState === WebSocket.OPEN) model.send(JSON.stringify({ type, ...fields }))
  }
  const toBridge = (type: string, fields = {}): void => {
    if (bridge.readyState === WebSocket.OPEN) bridge.send(JSON.stringify({ type, ...fields }))
  }
  let ready = false

  bridge.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message
    // Before the model knows the format it would take µ-law for something else.
    if (message.type === 'media' && ready) toModel('input_audio_buffer.append', { audio: message.media?.payload })
    // What the caller did not hear the model shall not believe to have said.
    if (message.type === 'cleared')
      for (const { item_id, played_ms } of message.items ?? [])
        toModel('conversation.item.truncate', { item_id, content_index: 0, audio_end_ms: played_ms })
    if (message.type === 'error') console.error('bridge:', message.error)
  })

  model.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString()) as Message
    switch (message.type) {
      case 'session.created': {
        const input = { format, turn_detection: { type: 'server_vad' } }
        const audio = { input, output: { format, voice: 'marin' } }
        return toModel('session.update', {
          session: { type: 'realtime', instructions: INSTRUCTIONS, audio, tools: [END_CALL] },
        })
      }
      case 'session.updated':
        ready = true
        return toModel('response.create') // the model speaks first
      case 'response.output_audio.delta':
        return toBridge('response.audio.delta', { delta: message.delta, item_id: message.item_id })
      case 'input_audio_buffer.speech_started':
        return toBridge('clear') // `cleared` says how much was heard
      case 'response.function_call_arguments.done':
        if (message.name === 'end_call') toBridge('session.hangup', { reason: 'end_call', after_playback: true })
        return
      case 'error':
        console.error('model:', message.error)
    }
  })

  // Each side ends with the other; a model that is lost is a bot that is lost, and the bridge has means for that.
  bridge.on('close', () => model.close())
  model.on('close', () => bridge.close(1011, 'the model is gone'))
  bridge.on('error', (err) => console.error('bridge:', err.message))
  model.on('error', (err) => console.error('model:', err.message))
})
