/** What the bot was seen to do, over all calls of one run. Bounded, whatever it sends. */
import { FRAME_MS } from '../audio/flow.ts'
import type { AudioFormat, BotErrorCode, BotMessage, BridgeMessage } from '../bot/dialect.ts'

const MOST_KEPT = 20

export interface Complaint {
  code: BotErrorCode
  message: string
  /** It could not be understood at all. */
  bad: boolean
}

export class Observations {
  readonly #output: AudioFormat
  audioMessages = 0
  audioMs = 0
  longestAudioMs = 0
  lastAudioAtMs = -Infinity
  lastClearAtMs = -Infinity
  /** The caller, as the bridge hears him. */
  callerSpeaks = false
  speechToldAtMs = -Infinity
  marks = 0
  /** Marks that were sent while one of the same name was waiting. */
  doubleMarks = 0
  marksPlayed = 0
  marksCleared = 0
  acks = 0
  /** What it said that was wrong, first ones; how often in all. */
  readonly complaints: Complaint[] = []
  complained = 0
  /** Pings that were answered: the last one and the slowest. */
  rttMs: number | undefined
  worstRttMs = 0
  mostBufferedBytes = 0
  /** Caller audio that it did not read in time. */
  droppedMs = 0
  /** With a socket. */
  openMs = 0
  readonly #waiting = new Set<string>()

  constructor(output: AudioFormat) {
    this.#output = { ...output }
  }

  said(message: BotMessage, nowMs: number): void {
    switch (message.kind) {
      case 'audio': {
        const encoding = message.encoding ?? this.#output.encoding
        const rate = message.sampleRate ?? (encoding === this.#output.encoding ? this.#output.sampleRate : 8000)
        const ms = encoding === 'pcm16' ? (message.bytes.length / 2 / rate) * 1000 : message.bytes.length / 8
        this.audioMessages++
        this.audioMs += ms
        this.longestAudioMs = Math.max(this.longestAudioMs, ms)
        this.lastAudioAtMs = nowMs
        return
      }
      case 'mark':
        this.marks++
        if (this.#waiting.has(message.name)) this.doubleMarks++
        else if (this.#waiting.size < 2000) this.#waiting.add(message.name)
        return
      case 'clear':
        this.lastClearAtMs = nowMs
        return
      case 'update':
        Object.assign(this.#output, message.output)
        return
      case 'mistake':
        this.complain({ code: message.code, message: message.message, bad: message.bad })
    }
  }

  told(message: BridgeMessage, nowMs: number): void {
    switch (message.kind) {
      case 'speech':
        this.callerSpeaks = message.started
        if (message.started) this.speechToldAtMs = nowMs
        return
      case 'mark':
        this.#waiting.delete(message.name)
        if (message.status === 'played') this.marksPlayed++
        else this.marksCleared++
        return
      case 'error':
        // Of a mistake it is known already; what is new was found in the audio, or is not allowed.
        if (this.complaints.every((c) => c.message !== message.message))
          this.complain({ code: message.code, message: message.message, bad: false })
    }
  }

  complain(complaint: Complaint): void {
    this.complained++
    if (this.complaints.length < MOST_KEPT && !this.complaints.some((c) => c.message === complaint.message))
      this.complaints.push(complaint)
  }

  /** How the socket is in a slot. */
  looked({ bufferedBytes, rttMs }: { bufferedBytes: number; rttMs?: number }): void {
    this.openMs += FRAME_MS
    this.mostBufferedBytes = Math.max(this.mostBufferedBytes, bufferedBytes)
    if (rttMs === undefined) return
    this.rttMs = rttMs
    this.worstRttMs = Math.max(this.worstRttMs, rttMs)
  }
}
