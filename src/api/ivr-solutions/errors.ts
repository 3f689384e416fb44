import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import type { Core } from '../core.ts'
import { failureOf, type Failure } from '../errors.ts'
import type { Envelope } from '../route.ts'

/** Failures in the type of the route's success: `{"status":400,…}` or `{"status":false,…}`; HTTP tells the code too. */
export const errorView = (
  { status, message }: Pick<Failure, 'status' | 'message'>,
  envelope: Envelope = 'numeric',
): { status: number | false; message: string } => ({ status: envelope === 'numeric' ? status : false, message })

export const errorHandler =
  (core: Core) =>
  (err: FastifyError, request: FastifyRequest, reply: FastifyReply): void => {
    const { op, envelope } = request.routeOptions.config
    const failure = failureOf(err)
    if (failure.ours) core.log.error({ err, op }, 'request failed')
    if (failure.retryAfterS !== undefined) reply.header('retry-after', failure.retryAfterS)
    if (failure.status === 401) failure.message = 'Invalid or missing token.'
    void reply.code(failure.status).send(errorView(failure, envelope))
  }

export function notFound(_request: FastifyRequest, reply: FastifyReply): void {
  void reply.code(404).send(errorView({ status: 404, message: 'There is no such endpoint.' }))
}
