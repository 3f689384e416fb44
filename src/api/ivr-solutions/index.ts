import type { FastifyPluginAsync } from 'fastify'
import { authenticate, bearerOf, bodyKeyOf, queryKeyOf } from '../keys.ts'
import { addRows, type Row } from '../route.ts'
import type { FacadeWorld } from '../facade.ts'
import { validatorCompiler } from '../validation.ts'
import { addFormBodies } from './bodies.ts'
import { callStatus } from './call-status.ts'
import { errorHandler, notFound } from './errors.ts'
import { voicebots } from './voicebots.ts'

export const ivrSolutionsRows: readonly Row[] = [...voicebots, ...callStatus]

/**
 * IVR Solutions (https://api.ivrsolutions.in/docs/openapi). Clients send JSON, urlencoded and multipart bodies, the
 * token as Bearer, `?token=` or body field, and use three prefixes for one surface: every row is served under each.
 */
export const ivrSolutions =
  ({ core, limits, failures }: FacadeWorld): FastifyPluginAsync =>
  async (app) => {
    app.setErrorHandler(errorHandler(core))
    app.setNotFoundHandler(notFound)
    app.setValidatorCompiler(validatorCompiler('lenient'))
    await addFormBodies(app)
    addRows(app, ivrSolutionsRows, {
      core,
      limits,
      tag: 'IVR Solutions',
      mount: (url) => ({ url: url.slice(url.indexOf('/', 1)), hidden: !url.startsWith(`${app.prefix}/`) }),
      keyInBody: true,
      authenticate: (request, body) =>
        authenticate(
          core,
          failures,
          request,
          bearerOf(request) ?? queryKeyOf(request, 'token') ?? bodyKeyOf(body, 'token'),
        ),
    })
  }
