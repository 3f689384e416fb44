/**
 * Rows to Fastify routes. A row is everything that one endpoint is: its name, place, right, schemas and the one call of
 * the core that it makes. `op` is the metric label, the log field, the OpenAPI operationId and the folder of its
 * fixtures.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Static, TSchema, TUnknown } from 'typebox'
import type { Principal, Right } from '../accounts/ports.ts'
import { DomainError } from '../lib/errors.ts'
import type { Core } from './core.ts'

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | undefined
  }
  interface FastifyContextConfig {
    op?: string
    /** How this route of IVR Solutions spells success and failure. */
    envelope?: Envelope
  }
}

/** `{"status":200,…}` or `{"status":true,…}`: the vendor has both. */
export type Envelope = 'numeric' | 'boolean'
export type Method = 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
type Replies = Record<number, TSchema>

/** A status and a body that fits the status's schema. */
export type Answer<R extends Replies> = { [K in keyof R & number]: readonly [K, Static<R[K]>] }[keyof R & number]

/** What a handler gets: the checked input and who asks. */
export interface Given<B = unknown, Q = unknown, P = unknown, I = unknown> {
  body: B
  query: Q
  params: P
  /** Of rows with `input`: query and body as one. */
  input: I
  principal: Principal
  /** Base of links to ourselves, without a slash at the end. */
  baseUrl: string
  header: (name: string) => string | undefined
}

interface RowSpec<B extends TSchema, Q extends TSchema, P extends TSchema, I extends TSchema, R extends Replies> {
  /** facade.resource.verb */
  op: string
  method: Method | readonly Method[]
  url: string
  summary: string
  description?: string
  /** What the key must be allowed to do; 'open' needs no key. */
  right: Right | 'open'
  /** Dialling has a tighter rate limit. */
  bucket?: 'dial'
  envelope?: Envelope
  body?: B
  query?: Q
  params?: P
  /** Instead of body and query, for routes that take their fields from either. */
  input?: I
  reply: R
  handle: (given: Given<Static<B>, Static<Q>, Static<P>, Static<I>>, core: Core) => Promise<Answer<NoInfer<R>>>
}

/** A row whose types have done their work. */
export interface Row extends Omit<RowSpec<TSchema, TSchema, TSchema, TSchema, Replies>, 'handle'> {
  handle: (given: Given, core: Core) => Promise<readonly [number, unknown]>
}

export function row<
  R extends Replies,
  B extends TSchema = TUnknown,
  Q extends TSchema = TUnknown,
  P extends TSchema = TUnknown,
  I extends TSchema = TUnknown,
>(spec: RowSpec<B, Q, P, I, R>): Row {
  // The schemas that give `handle` its types also check what it is called with.
  return spec as unknown as Row
}

export interface RouteOptions {
  core: Core
  /** The facade's heading in the OpenAPI document. */
  tag: string
  /** Where a row lies under the plugin's prefix; undefined: not here. Hidden: an alias, served but not documented. */
  mount(url: string): { url: string; hidden: boolean } | undefined
  /** Throws UNAUTHENTICATED. `body` is there once it has been read, for facades that take keys in it. */
  authenticate?(request: FastifyRequest, body: unknown): Promise<Principal>
  /** Schemes of the OpenAPI document; absent: the usual Bearer. */
  security?: Record<string, string[]>[]
  /** The key may be in the body, so a request without one waits until that is read. */
  keyInBody?: boolean
  /** Requests a minute by bucket. */
  limits: Limits
}

export interface Limits {
  perMinute: number
  dialPerMinute: number
  authFailuresPerMinute: number
}

export const LIMITS: Limits = { perMinute: 1200, dialPerMinute: 600, authFailuresPerMinute: 10 }

export function addRows(app: FastifyInstance, rows: readonly Row[], options: RouteOptions): void {
  for (const row of rows) {
    const place = options.mount(row.url)
    const methods: readonly Method[] = typeof row.method === 'string' ? [row.method] : row.method
    if (place) for (const [nth, method] of methods.entries()) addRoute(app, row, method, nth, place, options)
  }
}

function addRoute(
  app: FastifyInstance,
  row: Row,
  method: Method,
  nth: number,
  place: { url: string; hidden: boolean },
  options: RouteOptions,
): void {
  const { core } = options
  const hasBody = method !== 'GET' && method !== 'DELETE'
  app.route({
    method,
    url: place.url,
    schema: given({
      // An operationId is unique in the document: the second method of a row gets its name added.
      operationId: nth === 0 ? row.op : `${row.op}.${method.toLowerCase()}`,
      summary: row.summary,
      description: row.description,
      tags: [options.tag],
      hide: place.hidden,
      security: row.right === 'open' ? [] : options.security,
      params: row.params,
      querystring: row.input && !hasBody ? row.input : row.query,
      body: hasBody ? (row.input ?? row.body) : undefined,
      response: row.reply,
    }),
    config: {
      op: row.op,
      envelope: row.envelope,
      rateLimit: {
        max: row.bucket === 'dial' ? options.limits.dialPerMinute : options.limits.perMinute,
        groupId: row.bucket ?? 'all',
      },
    },
    onRequest: async (request) => {
      if (row.right === 'open') return
      if (options.keyInBody && hasBody && !hasKeyOutsideBody(request)) return
      await admit(request, row.right, undefined, options)
    },
    preValidation: async (request) => {
      if (row.right !== 'open' && !request.principal) await admit(request, row.right, request.body, options)
      if (row.input && hasBody) request.body = merged(request.query, request.body)
    },
    handler: async (request, reply) => {
      const [status, body] = await row.handle(givenOf(request, hasBody, core), core)
      return reply.code(status).send(body)
    },
  })
}

/** Fastify warns of schemas that are there and undefined. */
const given = <T extends object>(fields: T): Partial<T> =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Partial<T>

const hasKeyOutsideBody = (request: FastifyRequest): boolean =>
  request.headers.authorization !== undefined || Object.hasOwn(request.query as object, 'token')

async function admit(request: FastifyRequest, right: Right, body: unknown, options: RouteOptions): Promise<void> {
  if (!options.authenticate) throw new Error('a row with a right in a facade without keys')
  const principal = await options.authenticate(request, body)
  if (!principal.rights.includes(right)) throw new DomainError('FORBIDDEN', `This key lacks the right to ${right}.`)
  request.principal = principal
}

/** Body fields stand before query fields of the same name. */
function merged(query: unknown, body: unknown): unknown {
  if (body === undefined || body === null) return query
  if (typeof body !== 'object' || Array.isArray(body)) return body
  return { ...(query as object), ...body }
}

const NOBODY: Principal = { accountId: '', keyId: '', rights: [], scope: { kind: 'account' } }

function givenOf(request: FastifyRequest, hasBody: boolean, core: Core): Given {
  return {
    body: request.body,
    query: request.query,
    params: request.params,
    input: hasBody ? request.body : request.query,
    principal: request.principal ?? NOBODY,
    baseUrl: core.settings.publicUrl ?? `${request.protocol}://${request.host}`,
    header: (name) => {
      const value = request.headers[name]
      return Array.isArray(value) ? value[0] : value
    },
  }
}
