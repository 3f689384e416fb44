import { DomainError, type ErrorCode } from '../lib/errors.ts'

export interface Issue {
  /** The field in the caller's spelling; '' for the input as a whole. */
  field: string
  message: string
}

/** Input that does not fit its schema: every issue at once, the first one as the message. */
export class InputError extends DomainError {
  readonly issues: Issue[]

  constructor(issues: Issue[]) {
    const first = issues[0] ?? { field: '', message: 'is not valid' }
    super('INVALID', `${first.field || 'The request'} ${first.message}`, { field: first.field || undefined })
    this.issues = issues
  }
}

/** What a code means in HTTP; a facade may differ in single codes. */
export const HTTP_STATUS: Readonly<Record<ErrorCode, number>> = {
  INVALID: 400,
  UNAUTHENTICATED: 401,
  FORBIDDEN: 403,
  NOT_FOUND: 404,
  CONFLICT: 409,
  RATE_LIMITED: 429,
  CAPACITY: 429,
  NO_TRUNK: 422,
  NO_BOT: 422,
  DRAINING: 503,
  UNAVAILABLE: 503,
}

export interface Failure {
  status: number
  code: ErrorCode | 'BAD_REQUEST' | 'INTERNAL'
  message: string
  issues: Issue[]
  /** Whole seconds for Retry-After. */
  retryAfterS?: number
  /** Our fault: to be logged with its stack. */
  ours: boolean
}

/** Any thrown thing as a facade needs it. Texts of unexpected errors never leave the server. */
export function failureOf(err: unknown): Failure {
  if (err instanceof DomainError) {
    const status = err instanceof IdempotencyMismatch ? 422 : HTTP_STATUS[err.code]
    const issues =
      err instanceof InputError ? err.issues : err.field ? [{ field: err.field, message: err.message }] : []
    return { status, code: err.code, message: err.message, issues, retryAfterS: retryAfterS(err), ours: false }
  }
  const status = statusCodeOf(err)
  if (status >= 400 && status < 500)
    return { status, code: 'BAD_REQUEST', message: HTTP_TEXT[status] ?? textOf(err), issues: [], ours: false }
  return { status: 500, code: 'INTERNAL', message: 'Something went wrong on our side.', issues: [], ours: true }
}

/** An Idempotency-Key that was used with another body. */
export class IdempotencyMismatch extends DomainError {
  constructor() {
    super('CONFLICT', 'This Idempotency-Key was used with another request.', { field: 'Idempotency-Key' })
  }
}

function retryAfterS(err: DomainError): number | undefined {
  if (err.retryAfterMs !== undefined) return Math.max(1, Math.ceil(err.retryAfterMs / 1000))
  return err.code === 'RATE_LIMITED' || err.code === 'CAPACITY' || err.code === 'DRAINING' ? 5 : undefined
}

// Fastify's own texts name its error codes and limits; these say the same to a caller.
const HTTP_TEXT: Readonly<Record<number, string>> = {
  408: 'The request took too long.',
  413: 'The request body is too large.',
  414: 'The URL is too long.',
  415: 'This content type is not supported.',
}

function statusCodeOf(err: unknown): number {
  if (typeof err !== 'object' || err === null || !('statusCode' in err)) return 500
  return typeof err.statusCode === 'number' ? err.statusCode : 500
}

const textOf = (err: unknown): string => (err instanceof Error ? err.message : 'The request is not valid.')

/** NOT_FOUND as undefined, for what may be somewhere else. */
export async function orUndefined<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found
  } catch (err) {
    if (err instanceof DomainError && err.code === 'NOT_FOUND') return undefined
    throw err
  }
}
