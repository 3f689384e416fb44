/**
 * One error class for everything that a caller of the core can do wrong or meet, with a stable code. No HTTP status
 * and no SIP status here: each edge maps the codes once (api/<facade>/errors.ts, sip/gateway.ts).
 */
export const ERROR_CODES = {
  INVALID: 'A field is missing or wrong.',
  UNAUTHENTICATED: 'No valid key was given.',
  FORBIDDEN: 'The key lacks the right for this.',
  NOT_FOUND: 'There is no such thing in this account.',
  CONFLICT: 'The thing is not in a state that allows this.',
  RATE_LIMITED: 'Too many requests.',
  CAPACITY: 'The server or trunk carries as many calls as it may.',
  NO_TRUNK: 'No trunk can take this call.',
  NO_BOT: 'No bot is named for this call.',
  DRAINING: 'The server is shutting down and takes no new calls.',
  UNAVAILABLE: 'Something that this needs is down; try again.',
} as const

export type ErrorCode = keyof typeof ERROR_CODES

export class DomainError extends Error {
  override readonly name = 'DomainError'
  readonly code: ErrorCode
  /** The request field at fault, in the caller's spelling where the edge knows it. */
  readonly field?: string
  /** When to try again, in ms, for RATE_LIMITED, CAPACITY and UNAVAILABLE. */
  readonly retryAfterMs?: number

  constructor(
    code: ErrorCode,
    message?: string,
    more: { field?: string; retryAfterMs?: number; cause?: unknown } = {},
  ) {
    super(message ?? ERROR_CODES[code], { cause: more.cause })
    this.code = code
    this.field = more.field
    this.retryAfterMs = more.retryAfterMs
  }
}

/** The text of anything thrown. */
export const errorText = (err: unknown): string => (err instanceof Error ? err.message : String(err))
