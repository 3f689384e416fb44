/** Digits by INFO: application/dtmf-relay (Cisco) and application/dtmf, both older than RFC 6086 and in wide use. */

const DIGIT = /^[0-9*#A-D]$/
const DEFAULT_MS = 160
const LONGEST_MS = 10_000

export interface InfoDigit {
  digit: string
  durationMs: number
}

/** Undefined: not a DTMF body; null: one, but without a digit that we know (flash, for one). */
export function parseInfoDigit(contentType: string, body: string): InfoDigit | null | undefined {
  const type = contentType.split(';')[0].trim().toLowerCase()
  if (type === 'application/dtmf-relay') {
    const digit = digitOf(/^\s*Signal\s*=\s*(\S+)/im.exec(body)?.[1])
    const durationMs = Number(/^\s*Duration\s*=\s*(\d{1,6})/im.exec(body)?.[1] ?? DEFAULT_MS)
    return digit ? { digit, durationMs: Math.min(durationMs, LONGEST_MS) } : null
  }
  if (type === 'application/dtmf') {
    // The bare digit; some send "Signal=5" or "d=5" here as well.
    const digit = digitOf(/^\s*(?:(?:Signal|d)\s*=\s*)?(\S+)/i.exec(body)?.[1])
    return digit ? { digit, durationMs: DEFAULT_MS } : null
  }
  return undefined
}

function digitOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  // Event numbers of RFC 4733 come too: 10 is the star, 11 the hash.
  const plain = text === '10' ? '*' : text === '11' ? '#' : text.toUpperCase()
  return DIGIT.test(plain) ? plain : undefined
}

export const dtmfRelayBody = (digit: string, durationMs: number): Buffer =>
  Buffer.from(`Signal=${digit}\r\nDuration=${Math.round(durationMs)}\r\n`, 'latin1')
