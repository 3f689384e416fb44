import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Core } from '../core.ts'
import { failureOf, InputError, type Failure } from '../errors.ts'

/** `{"error":"text"}`, or 422 `{"errors":{field:["text"]}}` for input (docs.phone.inc/errors). */
export function errorView(failure: Failure, input: boolean): { error: string } | { errors: Record<string, string[]> } {
  if (!input) return { error: failure.message }
  const errors: Record<string, string[]> = {}
  for (const { field, message } of failure.issues) (errors[field || 'base'] ??= []).push(message)
  return { errors }
}

export const errorHandler =
  (core: Core) =>
  (err: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const failure = failureOf(err)
    if (failure.ours) core.log.error({ err, op: request.routeOptions.config.op }, 'request failed')
    if (failure.retryAfterS !== undefined) reply.header('retry-after', failure.retryAfterS)
    const input = (err as unknown) instanceof InputError
    void reply.code(input ? 422 : failure.status).send(errorView(failure, input))
  }

export function notFound(_request: FastifyRequest, reply: FastifyReply): void {
  void reply.code(404).send({ error: 'Not found' })
}
