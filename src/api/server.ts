import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { DomainError } from '../lib/errors.ts'
import { metrics } from '../telemetry/metrics.ts'
import { redactUrl } from './access-log.ts'
import { admin } from './admin/index.ts'
import { problemHandler, problemNotFound } from './admin/errors.ts'
import { addJsonParser, CAPS } from './body.ts'
import type { Core } from './core.ts'
import { addHealth } from './health.ts'
import { ivrSolutions } from './ivr-solutions/index.ts'
import type { FacadeWorld } from './facade.ts'
import { AuthFailures } from './keys.ts'
import { phoneInc } from './phone-inc/index.ts'
import { addRecordings } from './recordings.ts'
import { LIMITS, type Limits } from './route.ts'
import { twilioShim } from './twilio-shim/index.ts'

/** For those that hold it without knowing the framework. */
export type ApiServer = FastifyInstance

/** The whole REST surface. The caller listens and closes. */
export async function buildServer(core: Core, limits: Partial<Limits> = {}): Promise<ApiServer> {
  const loggerInstance: FastifyBaseLogger = core.log.child({ part: 'api' })
  const app = fastify({
    loggerInstance,
    // One line per request of our own (below): Fastify's two would hold whole URLs, tokens included.
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: CAPS.bodyBytes,
    requestTimeout: CAPS.requestTimeoutMs,
    keepAliveTimeout: 65_000,
    http: { headersTimeout: CAPS.headersTimeoutMs, maxHeaderSize: CAPS.headerBytes },
    routerOptions: { maxParamLength: 128 },
    return503OnClosing: true,
  })
  const facade: FacadeWorld = {
    core,
    limits: { ...LIMITS, ...limits },
    failures: new AuthFailures(core.clock, limits.authFailuresPerMinute ?? LIMITS.authFailuresPerMinute),
  }

  app.decorateRequest('principal', undefined)
  addJsonParser(app)
  app.setErrorHandler(problemHandler(core))
  app.setNotFoundHandler(problemNotFound)
  addRequestHooks(app, core)

  await app.register(rateLimit, {
    // After the key is known: the limit is per key, and per address where there is none.
    hook: 'preHandler',
    max: facade.limits.perMinute,
    timeWindow: 60_000,
    keyGenerator: (request) => request.principal?.keyId ?? request.ip,
    enableDraftSpec: true,
    errorResponseBuilder: (_request, { ttl }) => new DomainError('RATE_LIMITED', undefined, { retryAfterMs: ttl }),
  })
  await app.register(swagger, { openapi: OPENAPI })
  await app.register(swaggerUi, { routePrefix: '/docs' })

  addHealth(app, core)
  await app.register(async (scope) => addRecordings(scope, core))
  await app.register(admin(facade), { prefix: '/admin' })
  await app.register(phoneInc(facade), { prefix: '/v1/calls' })
  await app.register(phoneInc(facade), { prefix: '/api/v1' })
  for (const prefix of ['/api', '/ivrappv2', '/v1']) await app.register(ivrSolutions(facade), { prefix })
  await app.register(twilioShim(facade), { prefix: '/2010-04-01' })
  return app
}

const OPENAPI = {
  openapi: '3.1.0',
  info: {
    title: 'Trunkline',
    version: '1',
    description: 'Phone calls to voice bots: the native API and the APIs of the vendors that Trunkline stands in for.',
  },
  components: {
    securitySchemes: {
      basic: { type: 'http' as const, scheme: 'basic' },
      bearer: { type: 'http' as const, scheme: 'bearer' },
      apiKey: { type: 'apiKey' as const, in: 'header' as const, name: 'X-Api-Key' },
      token: { type: 'apiKey' as const, in: 'query' as const, name: 'token' },
    },
  },
  security: [{ bearer: [] }],
}

function addRequestHooks(app: FastifyInstance, core: Core): void {
  app.addHook('onRequest', async (request) => {
    if (request.url.length > CAPS.urlChars) throw Object.assign(new Error('URL too long'), { statusCode: 414 })
    if (request.url.includes('%00')) throw new DomainError('INVALID', 'The URL holds a NUL character.')
  })
  app.addHook('onSend', async (_request, reply) => {
    reply.header('x-content-type-options', 'nosniff')
  })
  app.addHook('onResponse', async (request, reply) => {
    const op = request.routeOptions.config.op ?? (request.is404 ? 'not_found' : 'other')
    const status = reply.statusCode
    metrics.httpRequests.observe({ op, status: `${Math.floor(status / 100)}xx` }, reply.elapsedTime / 1000)
    const line = {
      op,
      method: request.method,
      url: redactUrl(request.url),
      status,
      ms: Math.round(reply.elapsedTime),
      account: request.principal?.accountId,
      ip: request.ip,
      req: request.id,
    }
    if (op.startsWith('health.')) core.log.debug(line, 'request')
    else core.log.info(line, 'request')
  })
}
