/** The two ends of one demo call: what they do, what of it is told, and what is measured on the way. */
import { levelDb } from '../audio/energy.ts'
import type { Clock } from '../lib/clock.ts'
import { loadClip } from '../load/clips.ts'
import type { DemoBotEvents } from '../load/demo-bot.ts'
import { DemoCaller } from '../load/demo-caller.ts'
import type { BotNote, Clip } from '../load/demo-script.ts'
import type { CallMedia, PhoneCall } from '../load/phone.ts'
import { FrameTiming, PlayoutTiming } from '../load/speech-timing.ts'
import { BOT_CLIPS } from './demo-stage.ts'
import type { Terminal } from './terminal.ts'

export const CALLER_SPEECH = loadClip('hello-caller')
export const KEY = '5'

const WORDS: Record<Clip, string> = {
  greeting: '"Welcome to Trunkline. How can I help?"',
  answer: '"Yes, I can hear you well. Please press a key."',
  key: '"Thank you, I have your key."',
  goodbye: '"Goodbye."',
}

/** Both directions' latency of one call. */
export interface Timing {
  up: FrameTiming
  down: PlayoutTiming
}

export const newTiming = (): Timing => ({ up: new FrameTiming([CALLER_SPEECH]), down: new PlayoutTiming(BOT_CLIPS) })

/** The bot's end: tells what happens there and keeps what the checks need. */
export class BotEnd implements DemoBotEvents {
  readonly #clock: Clock
  readonly #terminal: Terminal
  readonly #timing: Timing | undefined
  readonly digits: string[] = []
  readonly errors: string[] = []
  callId = ''
  stopReason = ''
  #gotStop = (): void => undefined
  /** The bridge has said `stop`. */
  readonly ended: Promise<void>

  constructor(clock: Clock, terminal: Terminal, timing?: Timing) {
    this.#clock = clock
    this.#terminal = terminal
    this.#timing = timing
    this.ended = new Promise((resolve) => (this.#gotStop = resolve))
  }

  started(callId: string, from: string): void {
    this.callId = callId
    this.#terminal.tell('bot', `is connected, call ${callId} from ${from}`)
  }

  heard(frame: Buffer): void {
    this.#timing?.up.heard(frame, this.#clock.now())
  }

  said(clip: Clip): void {
    this.#timing?.down.said(clip, this.#clock.now())
    this.#terminal.tell('bot', `says ${WORDS[clip]}`)
  }

  played(mark: string, playedMs: number | undefined): void {
    this.#terminal.tell(
      'server',
      `the ${mark} was played to its end${playedMs === undefined ? '' : ` (${playedMs} ms)`}`,
    )
  }

  note(note: BotNote): void {
    this.#terminal.tell(
      'bot',
      {
        'caller speaks': 'hears the caller',
        'caller stopped': 'hears that the caller has ended',
        'no speech': 'heard nothing',
        'no key': 'got no key',
      }[note],
    )
  }

  digit(digit: string): void {
    this.digits.push(digit)
    this.#terminal.tell('bot', `got the key ${digit}`)
  }

  hangingUp(): void {
    this.#terminal.tell('bot', 'asks to hang up after the last word')
  }

  stopped(reason: string): void {
    this.stopReason = reason
    this.#terminal.tell('bot', `was told that the call has ended: ${reason}`)
    this.#gotStop()
  }

  error(text: string): void {
    this.errors.push(text)
    this.#terminal.tell('bot', `got an error: ${text}`)
  }
}

/** The phone's end. `hooks` go into the call when it is made, `take` gets it then. */
export class CallerEnd {
  readonly hooks: CallMedia
  readonly #terminal: Terminal
  readonly #caller: DemoCaller
  #call: PhoneCall | undefined

  constructor(terminal: Terminal, timing?: Timing) {
    this.#terminal = terminal
    this.#caller = new DemoCaller(KEY, (action) => {
      if (action.do === 'speak') this.#speak()
      else this.#press(action.key)
    })
    let heardSound = false
    this.hooks = {
      sending: (frame, _no, nowMs) => timing?.up.sent(frame, nowMs),
      arrived: (payload, nowMs) => {
        timing?.down.heard(payload, nowMs)
        const level = levelDb(payload, 'pcmu')
        if (!heardSound && level > -45) {
          heardSound = true
          terminal.tell('caller', 'hears the bot: first sound')
        }
        this.#caller.heard(level)
      },
    }
  }

  take(call: PhoneCall): void {
    this.#call = call
  }

  #speak(): void {
    this.#terminal.tell('caller', `says "Hello, this is a test call …" (${(CALLER_SPEECH.length / 8000).toFixed(1)} s)`)
    void this.#call?.media.play(CALLER_SPEECH).then(() => {
      this.#terminal.tell('caller', 'has said it all')
      this.#caller.said()
    })
  }

  #press(key: string): void {
    this.#terminal.tell('caller', `presses ${key} (RFC 4733)`)
    void this.#call?.media.press(key)
  }
}
