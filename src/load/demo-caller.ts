/**
 * The demo's caller, as decisions only: a polite one, who takes turns by listening. Its clock is what it hears, since the
 * bridge sends audio all the time.
 *
 *   hearing-greeting ──bot stopped──▶ speaking ──said──▶ hearing-answer ──bot stopped──▶ pressing ──▶ staying
 */
import { EnergyVad } from '../audio/energy.ts'
import { FRAME_MS } from '../audio/flow.ts'

// A bot pauses between sentences; the fixtures for up to 0.34 s.
const HANGOVER_MS = 600
/** Who hears nothing speaks all the same: then the recording shows that the bot was not there. */
const PATIENCE_MS = 10_000

export type CallerAction = { do: 'speak' } | { do: 'press'; key: string }
export type CallerPhase = 'hearing-greeting' | 'speaking' | 'hearing-answer' | 'staying'

export class DemoCaller {
  readonly #act: (action: CallerAction) => void
  readonly #key: string
  readonly #voice = new EnergyVad({ endMs: HANGOVER_MS })
  #phase: CallerPhase = 'hearing-greeting'
  #phaseMs = 0

  constructor(key: string, act: (action: CallerAction) => void) {
    this.#key = key
    this.#act = act
  }

  get phase(): CallerPhase {
    return this.#phase
  }

  /** @param levelDb level of the next 20 ms from the bot */
  heard(levelDb: number): void {
    this.#phaseMs += FRAME_MS
    const stopped = this.#voice.push(levelDb) === 'stopped'
    const impatient = this.#phaseMs >= PATIENCE_MS && !this.#voice.speaking
    if (!stopped && !impatient) return
    if (this.#phase === 'hearing-greeting') {
      this.#enter('speaking')
      this.#act({ do: 'speak' })
    } else if (this.#phase === 'hearing-answer') {
      this.#enter('staying')
      this.#act({ do: 'press', key: this.#key })
    }
  }

  /** The last word has been sent. */
  said(): void {
    if (this.#phase === 'speaking') this.#enter('hearing-answer')
  }

  #enter(phase: CallerPhase): void {
    this.#phase = phase
    this.#phaseMs = 0
  }
}
