import type { FastifyInstance } from 'fastify'
import { registry } from '../telemetry/metrics.ts'
import type { Core } from './core.ts'

/** For orchestrators and Prometheus: no key, no rate limit. */
export function addHealth(app: FastifyInstance, core: Core): void {
  const route = (op: string) => ({ config: { op, rateLimit: false as const }, schema: { hide: true } })

  app.get('/healthz', route('health.live'), async () => ({ status: 'ok' }))

  app.get('/readyz', route('health.ready'), async (_request, reply) => {
    const { ready, checks } = await core.health()
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not_ready', checks })
  })

  app.get('/metrics', route('health.metrics'), async (_request, reply) => {
    await core.readGauges()
    return reply.type(registry.contentType).send(await registry.metrics())
  })
}
