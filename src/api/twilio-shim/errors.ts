/** Errors in Twilio's shape and under Twilio's numbers: https://www.twilio.com/docs/api/errors. */
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { DomainError } from '../../lib/errors.ts'
import type { Core } from '../core.ts'
import { failureOf, type Failure } from '../errors.ts'

export const TWILIO_CODES = {
  badParameter: 20001,
  unauthenticated: 20003,
  notFound: 20404,
  tooMany: 20429,
  internal: 20500,
  unavailable: 20503,
  /** Calls resource: nothing to do was given. */
  noInstructions: 21200,
  invalidUrl: 21205,
  invalidCallState: 21220,
  documentParse: 12100,
  documentSchema: 12200,
  dialCallerId: 13214,
  dialNumber: 13223,
} as const
export type TwilioCode = (typeof TWILIO_CODES)[keyof typeof TWILIO_CODES]

/** A mistake of the caller that has a number of its own. */
export class TwilioProblem extends DomainError {
  readonly twilioCode: TwilioCode

  constructor(name: keyof typeof TWILIO_CODES, message: string) {
    super('INVALID', message)
    this.twilioCode = TWILIO_CODES[name]
  }
}

export interface TwilioError {
  code: TwilioCode
  message: string
  more_info: string
  status: number
}

export function errorView(code: TwilioCode, message: string, status: number): TwilioError {
  return { code, message, more_info: `https://www.twilio.com/docs/errors/${code}`, status }
}

function codeOf(err: unknown, { code, status }: Failure): TwilioCode {
  if (err instanceof TwilioProblem) return err.twilioCode
  switch (code) {
    case 'UNAUTHENTICATED':
    case 'FORBIDDEN':
      return TWILIO_CODES.unauthenticated
    case 'NOT_FOUND':
      return TWILIO_CODES.notFound
    case 'CONFLICT':
      return TWILIO_CODES.invalidCallState
    case 'NO_TRUNK':
      return TWILIO_CODES.dialCallerId
    case 'RATE_LIMITED':
    case 'CAPACITY':
      return TWILIO_CODES.tooMany
    case 'DRAINING':
    case 'UNAVAILABLE':
      return TWILIO_CODES.unavailable
    default:
      return status >= 500 ? TWILIO_CODES.internal : TWILIO_CODES.badParameter
  }
}

const missing = (request: FastifyRequest): string =>
  `The requested resource ${request.url.replace(/\?.*$/, '').slice(0, 256)} was not found`

export const errorHandler =
  (core: Core) =>
  (err: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const failure = failureOf(err)
    if (failure.ours) core.log.error({ err, op: request.routeOptions.config.op }, 'request failed')
    if (failure.retryAfterS !== undefined) reply.header('retry-after', failure.retryAfterS)
    const code = codeOf(err, failure)
    if (failure.status === 401) reply.header('www-authenticate', 'Basic realm="Trunkline"')
    // Twilio knows no 409 and no 422 here: what the call's state or trunks do not allow is a 400.
    const status = failure.status === 409 || failure.status === 422 ? 400 : failure.status
    const message =
      failure.status === 401
        ? 'Authentication Error - invalid username'
        : code === TWILIO_CODES.notFound
          ? missing(request)
          : failure.message
    void reply.code(status).send(errorView(code, message, status))
  }

export function notFound(request: FastifyRequest, reply: FastifyReply): void {
  void reply.code(404).send(errorView(TWILIO_CODES.notFound, missing(request), 404))
}
