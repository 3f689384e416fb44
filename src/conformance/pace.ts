/** How long each thing is waited for. */
export interface Pace {
  /** What kills a bot kills it soon. */
  settleMs: number
  greetingMs: number
  /** The caller's words, µ-law bytes. */
  wordsBytes: number
  /** From the last word to the first sound of an answer. */
  answerMs: number
  slowAnswerMs: number
  /** From speech.started to silence. */
  bargeInMs: number
  silenceMs: number
  reconnectMs: number
  /** For the closing handshake; after 2 s the bridge tears the socket down. */
  closeMs: number
}

export const SLOW_CONNECT_MS = 1000

/** About 20 s with a bot that is quick itself. */
export const FULL: Pace = {
  settleMs: 500,
  greetingMs: 2000,
  wordsBytes: 16_000,
  answerMs: 5000,
  slowAnswerMs: 2000,
  bargeInMs: 1000,
  silenceMs: 10_000,
  reconnectMs: 5000,
  closeMs: 1900,
}

/** About 8 s. */
export const QUICK: Pace = { ...FULL, settleMs: 300, greetingMs: 1000, wordsBytes: 9600, answerMs: 3000, silenceMs: 2500 } // prettier-ignore
