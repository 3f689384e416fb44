import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { ERROR_CODES } from '../../lib/errors.ts'
import type { Core } from '../core.ts'
import { failureOf, type Failure } from '../errors.ts'

/** RFC 9457 problem details: the shape of our own API and of everything outside the vendors' paths. */
interface Problem {
  type: 'about:blank'
  title: string
  status: number
  detail: string
  code: Failure['code']
  /** One entry per wrong field. */
  errors?: { field: string; message: string }[]
}

export function problemView(failure: Failure): Problem {
  const { status, code, message, issues } = failure
  const title = code === 'BAD_REQUEST' || code === 'INTERNAL' ? message : ERROR_CODES[code]
  const problem: Problem = { type: 'about:blank', title, status, detail: message, code }
  if (issues.length > 0) problem.errors = issues
  return problem
}

export const problemHandler =
  (core: Core) =>
  (err: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const failure = failureOf(err)
    if (failure.ours) core.log.error({ err, op: request.routeOptions.config.op }, 'request failed')
    if (failure.retryAfterS !== undefined) reply.header('retry-after', failure.retryAfterS)
    send(reply, problemView(failure))
  }

export function problemNotFound(_request: FastifyRequest, reply: FastifyReply): void {
  const text = 'There is nothing at this URL.'
  send(reply, { type: 'about:blank', title: text, status: 404, detail: text, code: 'NOT_FOUND' })
}

const send = (reply: FastifyReply, problem: Problem): void => {
  void reply.code(problem.status).type('application/problem+json').send(problem)
}
