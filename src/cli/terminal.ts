/** Progress for people: one line per happening, with time and who. Plain text; colour only on a terminal. */
import type { Clock } from '../lib/clock.ts'

export interface TextOut {
  write(text: string): unknown
  isTTY?: boolean
}

const COLOUR = { dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
export type Colour = keyof typeof COLOUR

const WHO_COLOUR: Record<string, Colour> = { caller: 'cyan', bot: 'green', server: 'yellow' }

export class Terminal {
  readonly #clock: Clock
  readonly #out: TextOut
  readonly #startMs: number

  constructor(clock: Clock, out: TextOut) {
    this.#clock = clock
    this.#out = out
    this.#startMs = clock.now()
  }

  /** `   3.21 s  bot     says the greeting` */
  tell(who: string, what: string): void {
    const seconds = ((this.#clock.now() - this.#startMs) / 1000).toFixed(2).padStart(7)
    const name = this.colour(who.padEnd(7), WHO_COLOUR[who] ?? 'dim')
    this.#out.write(`${this.colour(`${seconds} s`, 'dim')}  ${name} ${what}\n`)
  }

  print(text = ''): void {
    this.#out.write(`${text}\n`)
  }

  colour(text: string, colour: Colour): string {
    return this.#out.isTTY ? `\x1b[${COLOUR[colour]}m${text}\x1b[0m` : text
  }
}
