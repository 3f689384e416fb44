/**
 * Plays the bridge and a caller against somebody's bot, rule by rule. A bot may hang up when it likes: then the next
 * rule gets a call of its own.
 *
 *   connects · start · answers · barge-in · unknown · silence · resumes · dtmf · stop · signature ─▶ what was seen
 */
import type { Clock } from '../lib/clock.ts'
import { errorText } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import { TestCall } from './call.ts'
import { JUDGEMENTS } from './judgements.ts'
import { Observations } from './observations.ts'
import type { Pace } from './pace.ts'
import { RULES, type Finding, type Report, type Result, type Rule } from './rules.ts'
import { STEPS } from './steps.ts'
import { wrongSignature } from './stranger.ts'
import { kindOf, type Target } from './target.ts'

/** A bot that hangs up at each turn is not called for ever. */
const MOST_CALLS = 6
/** Longer than the bridge's own limits for a name, an address asked for, and the handshake. */
const DIAL_MS = 15_000

export interface RunOptions {
  target: Target
  pace: Pace
  clock: Clock
  /** The caller's voice, µ-law in whole frames. */
  voice: Uint8Array
  /** Each one as soon as it is known. */
  onResult?(result: Result): void
}

export async function testBot(options: RunOptions): Promise<Report> {
  return new Run(options).run()
}

class Run {
  readonly #o: RunOptions
  readonly #seen: Observations
  readonly #results: Result[] = []
  #call: TestCall | undefined
  #calls = 0

  constructor(options: RunOptions) {
    this.#o = options
    const { target } = options
    const { format, transport, url } = target
    this.#seen = new Observations(kindOf(target).audio({ input: format, output: format, transport }, url).output)
  }

  async run(): Promise<Report> {
    const { clock, target } = this.#o
    const startMs = clock.now()
    try {
      if (await this.#reached()) await this.#allRules()
    } finally {
      this.#call?.close()
    }
    return {
      url: target.url,
      dialect: target.dialect,
      passed: this.#results.every((r) => r.verdict !== 'fail'),
      tookMs: clock.now() - startMs,
      results: this.#results,
    }
  }

  /** The first call tells whether there is a bot at all. */
  async #reached(): Promise<boolean> {
    const why = await this.#dial()
    if (why === undefined) return true
    this.#found('connects', ['fail', why])
    for (const rule of Object.keys(RULES) as Rule[])
      if (rule !== 'connects') this.#results.push({ rule, verdict: 'info', detail: 'not tested: no connection' })
    return false
  }

  async #allRules(): Promise<void> {
    const { clock, pace, target, voice } = this.#o
    for (const [rule, step] of STEPS) {
      const why = await this.#open()
      if (why !== undefined) {
        this.#found(rule, why)
        continue
      }
      this.#found(
        rule,
        await step({
          call: this.#call!,
          dialect: target.dialect,
          seen: this.#seen,
          pace,
          voice,
          now: () => clock.now(),
        }),
      )
      mine(this.#call!)
    }
    this.#call!.close()
    this.#found('signature', await wrongSignature(target, uuidv7(clock.wallMs()), clock))
    for (const [rule, judge] of JUDGEMENTS) this.#found(rule, judge(this.#seen))
  }

  /** Sees to it that there is a call with a socket; else why the next rule cannot be tested. */
  async #open(): Promise<Finding | undefined> {
    const { pace } = this.#o
    const call = this.#call!
    await call.until(() => call.isConnected || !call.isOpen, pace.reconnectMs)
    if (call.isConnected) return undefined
    if (this.#calls >= MOST_CALLS) return ['info', `not tested: it ended ${MOST_CALLS} calls before`]
    const why = await this.#dial()
    return why === undefined ? undefined : ['fail', `it took no other call: ${why}`]
  }

  /** @returns why there is no connection */
  async #dial(): Promise<string | undefined> {
    const { clock, target } = this.#o
    this.#call?.close()
    this.#calls++
    const call = new TestCall({ target, callId: uuidv7(clock.wallMs()), clock, seen: this.#seen })
    this.#call = call
    await call.until(() => call.opened.length > 0 || call.over !== undefined, DIAL_MS)
    mine(call)
    return call.opened.length > 0 ? undefined : (call.over?.reason ?? 'no connection in time')
  }

  #found(rule: Rule, [verdict, detail]: Finding): void {
    const result: Result = { rule, verdict, detail }
    this.#results.push(result)
    this.#o.onResult?.(result)
  }
}

/** What throws in the bridge's own code is no fault of the bot. */
function mine({ fault }: TestCall): void {
  if (fault !== undefined) throw new Error(`a bug of the bridge, not of the bot: ${errorText(fault)}`, { cause: fault })
}
