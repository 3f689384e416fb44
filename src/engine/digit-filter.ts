/**
 * One key press, told once. Some peers send a digit both as telephone-event (RFC 4733) and by INFO, in either order and
 * up to the length of the press apart. A report is dropped when it pairs with one of the same digit by the other method;
 * each report pairs once, so that two quick presses of one key stay two.
 *
 *   rfc4733   5────────  5───            4733 tells at the start of the event
 *   info            5       5            INFO comes at the start or at the end of it
 *   told      5          5
 */
export type DigitMethod = 'rfc4733' | 'info' | 'inband'

const SLACK_MS = 500
const MAX_OPEN = 16

interface Report {
  digit: string
  method: DigitMethod
  atMs: number
  durationMs: number
}

export class DigitFilter {
  #open: Report[] = []

  /** True: a new press. False: the other method has told it already. */
  take(digit: string, method: DigitMethod, atMs: number, durationMs: number): boolean {
    this.#open = this.#open.filter((r) => atMs - r.atMs <= SLACK_MS + Math.max(r.durationMs, durationMs))
    const twin = this.#open.findIndex((r) => r.digit === digit && r.method !== method)
    if (twin >= 0) {
      this.#open.splice(twin, 1)
      return false
    }
    if (this.#open.length === MAX_OPEN) this.#open.shift()
    this.#open.push({ digit, method, atMs, durationMs })
    return true
  }
}
