/** DemoScript on a WebSocket: the native protocol around its decisions, clips from fixtures/audio. */
import type { WebSocket } from 'ws'
import { levelDb } from '../audio/energy.ts'
import { FRAME_SAMPLES } from '../audio/flow.ts'
import type { BotConnection } from './bot-server.ts'
import { DemoScript, type BotAction, type BotNote, type Clip } from './demo-script.ts'
import { payloadOf } from './echo-bot.ts'

/** 100 ms: bots send in bigger pieces than a frame, and faster than real time. */
const CHUNK_BYTES = 5 * FRAME_SAMPLES

export interface DemoBotEvents {
  started(callId: string, from: string): void
  /** The caller's next 20 ms, as it reached the bot. */
  heard(frame: Buffer): void
  said(clip: Clip): void
  played(mark: string, playedMs: number | undefined): void
  note(note: BotNote): void
  digit(digit: string): void
  hangingUp(): void
  stopped(reason: string): void
  error(text: string): void
}

/** @param clips µ-law, each a whole number of frames */
export function demoBot(socket: WebSocket, clips: Record<Clip, Buffer>, events: DemoBotEvents): BotConnection {
  const send = (message: Record<string, unknown>): void => socket.send(JSON.stringify(message))
  const act = (action: BotAction): void => {
    switch (action.do) {
      case 'say':
        events.said(action.clip)
        sayInChunks(clips[action.clip], (delta) => send({ type: 'response.audio.delta', delta, item_id: action.clip }))
        send({ type: 'response.audio.done', item_id: action.clip })
        break
      case 'mark':
        send({ type: 'mark', mark: { name: action.name } })
        break
      case 'clear':
        send({ type: 'clear' })
        break
      case 'hangup':
        events.hangingUp()
        send({ type: 'session.hangup', reason: action.reason, after_playback: true })
        break
    }
  }
  const script = new DemoScript(act, (note) => events.note(note))
  return {
    binary(frame) {
      events.heard(frame)
      script.heard(levelDb(frame, 'pcmu'))
    },
    text(text) {
      const payload = payloadOf(text)
      if (payload !== undefined) {
        const frame = Buffer.from(payload, 'base64')
        events.heard(frame)
        script.heard(levelDb(frame, 'pcmu'))
        return
      }
      const message = JSON.parse(text) as BridgeMessage
      switch (message.type) {
        case 'start':
          events.started(message.call_id ?? '', message.from ?? '')
          script.start()
          break
        case 'mark':
          events.played(message.mark?.name ?? '', message.mark?.played_ms)
          script.markReached(message.mark?.name ?? '')
          break
        case 'dtmf':
          events.digit(message.dtmf?.digit ?? '')
          script.key(message.dtmf?.digit ?? '')
          break
        case 'error':
          events.error(`${message.error?.code ?? ''}: ${message.error?.message ?? ''}`)
          break
        case 'stop':
          events.stopped(message.reason ?? '')
          break
      }
    },
    closed() {},
  }
}

/** The few fields of the bridge's messages that this bot reads. */
interface BridgeMessage {
  type: string
  call_id?: string
  from?: string
  reason?: string
  mark?: { name?: string; played_ms?: number }
  dtmf?: { digit?: string }
  error?: { code?: string; message?: string }
}

function sayInChunks(clip: Buffer, send: (base64: string) => void): void {
  for (let at = 0; at < clip.length; at += CHUNK_BYTES) send(clip.subarray(at, at + CHUNK_BYTES).toString('base64'))
}
