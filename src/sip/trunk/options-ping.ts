/** OPTIONS to one trunk at an interval: down after 2 misses in a row, up after 2 answers. Any final answer is life. */
import { every, type Clock, type Timer } from '../../lib/clock.ts'
import type { TrunkSettings } from './settings.ts'

/** Sends one OPTIONS; resolves to true when a final answer came. */
export type Ping = (trunk: TrunkSettings) => Promise<boolean>

const TURNS = 2

export class OptionsPing {
  readonly #timer: Timer
  readonly #onChange: (up: boolean) => void
  #up = true
  #streak = 0
  #stopped = false

  constructor(clock: Clock, trunk: TrunkSettings, ping: Ping, onChange: (up: boolean) => void) {
    this.#onChange = onChange
    const ask = (): void => {
      void ping(trunk).then((alive) => this.#heard(alive))
    }
    this.#timer = every(clock, trunk.optionsIntervalS * 1000, ask)
    ask()
  }

  #heard(alive: boolean): void {
    if (this.#stopped) return
    if (alive === this.#up) {
      this.#streak = 0
      return
    }
    if (++this.#streak < TURNS) return
    this.#up = alive
    this.#streak = 0
    this.#onChange(alive)
  }

  stop(): void {
    this.#stopped = true
    this.#timer.cancel()
  }
}
