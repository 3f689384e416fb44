/**
 * The bots of the latency budget, in the native protocol. The one speaks and clears, again and again; the other speaks
 * its opening as soon as it is connected.
 *
 *   say 3 s ──500 ms──▶ clear ──▶ (the phone falls silent) ──300 ms──▶ look, and again
 */
import type { WebSocket } from 'ws'
import { FRAME_MS } from '../audio/flow.ts'
import type { Clock, Timer } from '../lib/clock.ts'
import type { BotConnection } from './bot-server.ts'
import type { SoundWatch } from './sound-watch.ts'
import { LatencyHistogram } from './stats.ts'

const SPEAK_MS = 500
/** Longer than any packet is under way. */
const LOOK_MS = 300
/** What still sounds so shortly before the look has not been silenced. */
const QUIET_MS = 100

/** All bots' together. */
export class ClearFigures {
  /** From `clear` to the arrival of the last packet with sound at the phone; 0: it was there before. */
  readonly lastPacket = new LatencyHistogram()
  /** The same to the end of that packet's sound. */
  readonly silence = new LatencyHistogram()
  /** From `clear` to `cleared`. */
  readonly reply = new LatencyHistogram()
  /** The most packets with sound that came to a phone after a `clear` was sent. */
  mostPackets = 0
  /** The phone had heard nothing when it was cleared, or went on hearing. */
  failed = 0
}

export interface Told {
  type: string
  from?: string
  to?: string
  state?: string
}

/** @param watchOf the ear of the phone that has this number */
export function clearingBot(
  socket: Pick<WebSocket, 'send'>,
  clock: Clock,
  speech: Buffer,
  figures: ClearFigures,
  watchOf: (from: string) => SoundWatch | undefined,
): BotConnection {
  const said = deltaOf(speech)
  let timer: Timer | undefined
  let watch: SoundWatch | undefined
  let clearedAtMs = -1
  // Elsewhere in the 20 ms each time.
  let turn = 0
  const speak = (): void => {
    watch?.mark()
    socket.send(said)
    timer = clock.after(SPEAK_MS + ((turn++ * 7) % 20), clear)
  }
  const clear = (): void => {
    if (!watch) return
    if (watch.packets === 0) figures.failed++
    watch.mark()
    clearedAtMs = clock.now()
    socket.send('{"type":"clear"}')
    timer = clock.after(LOOK_MS, look)
  }
  const look = (): void => {
    if (!watch) return
    if (clock.now() - watch.lastSoundMs < QUIET_MS) figures.failed++
    const lastMs = watch.lastSoundMs - clearedAtMs
    figures.lastPacket.record(Math.max(0, lastMs))
    figures.silence.record(Math.max(0, lastMs + FRAME_MS))
    figures.mostPackets = Math.max(figures.mostPackets, watch.packets)
    speak()
  }
  return {
    binary() {
      // The first frame: the call is answered, what is said is heard.
      if (watch && !timer) speak()
    },
    text(message) {
      if (message.includes('"type":"media"')) {
        if (watch && !timer) speak()
        return
      }
      const told = JSON.parse(message) as Told
      if (told.type === 'start') watch = watchOf(told.from ?? '')
      else if (told.type === 'cleared') figures.reply.record(clock.now() - clearedAtMs)
      else if (told.type === 'stop') timer?.cancel()
    },
    closed() {
      timer?.cancel()
      watch = undefined
    },
  }
}

/** @param connected told the state of the call when the bot got its `start` */
export function openingBot(
  socket: Pick<WebSocket, 'send'>,
  speech: Buffer,
  connected: (told: Told) => void,
): BotConnection {
  return {
    binary() {},
    text(message) {
      if (!message.includes('"type":"start"')) return
      socket.send(deltaOf(speech))
      connected(JSON.parse(message) as Told)
    },
    closed() {},
  }
}

const deltaOf = (speech: Buffer): string =>
  JSON.stringify({ type: 'response.audio.delta', delta: speech.toString('base64') })
