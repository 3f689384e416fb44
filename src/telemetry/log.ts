import { pino, type Logger } from 'pino'

/**
 * The pino root. JSON to stdout, never a file (a log that fills a disk has taken platforms down). Secrets are redacted
 * by path; phone numbers are masked by `maskNumber` at the place that logs them, and by the serialisers below for the
 * field names that carry them.
 */
export type Log = Logger

const SECRET_PATHS = ['password', 'secret', 'token', 'authorization', 'wss_header', 'wssHeader', 'apiKey', 'ha1']

/** `+919876543210` becomes `+9198******10`; short strings (extensions) stay readable. */
export function maskNumber(number: string): string {
  if (number.length < 7) return number
  return number.slice(0, number.length - 8 > 0 ? Math.min(5, number.length - 6) : 2) + '******' + number.slice(-2)
}

const mask = (v: unknown): unknown => (typeof v === 'string' ? maskNumber(v) : v)

export function createLog(level: string): Log {
  return pino({
    level,
    base: undefined,
    redact: {
      paths: [...SECRET_PATHS, ...SECRET_PATHS.map((p) => `*.${p}`), 'req.headers.authorization'],
      censor: '***',
    },
    serializers: { from: mask, to: mask, number: mask, customerNo: mask, did: mask, err: pino.stdSerializers.err },
  })
}

export const silentLog: Log = pino({ level: 'silent' })
