/**
 * The load run's bot: sends every frame back at once, in the dialect that it came in. It must cost little, since it
 * shares its thread with the callers: no JSON.parse per frame.
 */
import type { WebSocket } from 'ws'
import type { Clock } from '../lib/clock.ts'
import type { BotConnection } from './bot-server.ts'
import type { Probe } from './probe.ts'

export interface EchoCounts {
  starts: number
  stops: number
  framesIn: number
  framesOut: number
  /** Messages of type error from the bridge. */
  errors: number
  lastError: string
}

export const echoCounts = (): EchoCounts => ({
  starts: 0,
  stops: 0,
  framesIn: 0,
  framesOut: 0,
  errors: 0,
  lastError: '',
})

const PAYLOAD_KEY = '"payload":"'
const STREAM_SID = /"streamSid":"([^"]+)"/

/** @param probe left out: the bot only echoes */
export function echoBot(socket: WebSocket, clock: Clock, counts: EchoCounts, probe?: Probe): BotConnection {
  /** Twilio's, from its `start`; none: the native protocol. */
  let streamSid: string | undefined
  const echoed = (): void => {
    counts.framesOut++
  }
  return {
    binary(frame) {
      counts.framesIn++
      probe?.heard(frame, clock.now())
      socket.send(frame, { binary: true })
      echoed()
    },
    text(message) {
      const payload = payloadOf(message)
      if (payload === undefined) {
        control(message, counts)
        streamSid ??= STREAM_SID.exec(message)?.[1]
        return
      }
      counts.framesIn++
      probe?.heard(Buffer.from(payload, 'base64'), clock.now())
      if (streamSid === undefined) socket.send(`{"type":"response.audio.delta","delta":"${payload}"}`)
      else socket.send(`{"event":"media","streamSid":"${streamSid}","media":{"payload":"${payload}"}}`)
      echoed()
    },
    closed() {},
  }
}

/** The base64 of a media message, undefined for every other. */
export function payloadOf(message: string): string | undefined {
  const at = message.indexOf(PAYLOAD_KEY)
  if (at < 0) return undefined
  const start = at + PAYLOAD_KEY.length
  const end = message.indexOf('"', start)
  return end < 0 ? undefined : message.slice(start, end)
}

function control(message: string, counts: EchoCounts): void {
  if (is(message, 'start')) counts.starts++
  else if (is(message, 'stop')) counts.stops++
  else if (is(message, 'error')) {
    counts.errors++
    counts.lastError = message.slice(0, 300)
  }
}

/** Ours has both keys with the same word, Twilio's only `event`. */
const is = (message: string, name: string): boolean =>
  message.includes(`"type":"${name}"`) || message.includes(`"event":"${name}"`)
