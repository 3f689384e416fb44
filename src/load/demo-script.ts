/**
 * What the demo's bot says and when: decisions only, no socket and no timer. Its clock is the audio itself, which the
 * bridge sends gap-free, one frame per 20 ms.
 *
 *   greeting ──mark played──▶ listening ──caller stopped──▶ answering ──mark played──▶ awaiting-key
 *                                                              │  key                     │ key or 8 s
 *                                                              └──────────────────────────┴──▶ leaving
 */
import { EnergyVad } from '../audio/energy.ts'
import { FRAME_MS } from '../audio/flow.ts'

export type Clip = 'greeting' | 'answer' | 'key' | 'goodbye'

export type BotAction =
  { do: 'say'; clip: Clip } | { do: 'mark'; name: string } | { do: 'clear' } | { do: 'hangup'; reason: string }

export type BotPhase = 'greeting' | 'listening' | 'answering' | 'awaiting-key' | 'leaving'

export type BotNote = 'caller speaks' | 'caller stopped' | 'no speech' | 'no key'

// Longer than a pause for breath: the bot answers once, when the caller has really ended.
const HANGOVER_MS = 700
const NO_SPEECH_MS = 15_000
const NO_KEY_MS = 8_000

export class DemoScript {
  readonly #act: (action: BotAction) => void
  readonly #note: (note: BotNote) => void
  readonly #voice = new EnergyVad({ endMs: HANGOVER_MS })
  #phase: BotPhase = 'greeting'
  #phaseMs = 0
  readonly digits: string[] = []

  constructor(act: (action: BotAction) => void, note: (note: BotNote) => void = () => {}) {
    this.#act = act
    this.#note = note
  }

  get phase(): BotPhase {
    return this.#phase
  }

  start(): void {
    this.#say('greeting')
  }

  /** @param levelDb level of the caller's next 20 ms */
  heard(levelDb: number): void {
    this.#phaseMs += FRAME_MS
    const change = this.#voice.push(levelDb)
    if (change === 'started') this.#note('caller speaks')
    if (change === 'stopped') this.#note('caller stopped')
    if (this.#phase === 'listening' && change === 'stopped') this.#answer()
    else if (this.#phase === 'listening' && this.#phaseMs >= NO_SPEECH_MS && !this.#voice.speaking) {
      this.#note('no speech')
      this.#leave([])
    } else if (this.#phase === 'awaiting-key' && this.#phaseMs >= NO_KEY_MS) {
      this.#note('no key')
      this.#leave([])
    }
  }

  /** Everything up to the mark was heard by the caller (or thrown away by our `clear`). */
  markReached(name: string): void {
    if (name === 'greeting' && this.#phase === 'greeting') {
      this.#enter('listening')
    } else if (name === 'answer' && this.#phase === 'answering') {
      this.#enter('awaiting-key')
    }
  }

  /** A key counts once the answer is under way; one that comes while the bot speaks cuts it off. */
  key(digit: string): void {
    this.digits.push(digit)
    if (this.#phase !== 'answering' && this.#phase !== 'awaiting-key') return
    if (this.#phase === 'answering') this.#act({ do: 'clear' })
    this.#leave(['key'])
  }

  #answer(): void {
    this.#enter('answering')
    this.#say('answer')
  }

  #leave(clips: Clip[]): void {
    this.#enter('leaving')
    for (const clip of clips) this.#act({ do: 'say', clip })
    this.#act({ do: 'say', clip: 'goodbye' })
    this.#act({ do: 'hangup', reason: 'goodbye' })
  }

  #say(clip: Clip): void {
    this.#act({ do: 'say', clip })
    this.#act({ do: 'mark', name: clip })
  }

  #enter(phase: BotPhase): void {
    this.#phase = phase
    this.#phaseMs = 0
  }
}
