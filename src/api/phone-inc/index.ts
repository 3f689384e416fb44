import type { FastifyPluginAsync } from 'fastify'
import { authenticate, bearerOf, headerOf, queryKeyOf } from '../keys.ts'
import { addRows } from '../route.ts'
import type { FacadeWorld } from '../facade.ts'
import { validatorCompiler } from '../validation.ts'
import { calls } from './calls.ts'
import { errorHandler, notFound } from './errors.ts'

export const phoneIncRows = calls

/**
 * Phone.inc (docs.phone.inc): key as X-Api-Key, Bearer or `api_key`. Its documents write `/v1`, its servers answer
 * `/api/v1`. It shares `/v1` with IVR Solutions, whose 404 stands there, so it is mounted at `/v1/calls` with its own.
 */
export const phoneInc =
  ({ core, limits, failures }: FacadeWorld): FastifyPluginAsync =>
  async (app) => {
    app.setErrorHandler(errorHandler(core))
    app.setNotFoundHandler(notFound)
    app.setValidatorCompiler(validatorCompiler('lenient'))
    const documented = app.prefix === '/v1/calls'
    addRows(app, phoneIncRows, {
      core,
      limits,
      tag: 'Phone.inc',
      mount: (url) => ({ url: url.slice(documented ? '/v1/calls'.length : '/v1'.length), hidden: !documented }),
      authenticate: (request) =>
        authenticate(
          core,
          failures,
          request,
          headerOf(request, 'x-api-key') ?? bearerOf(request) ?? queryKeyOf(request, 'api_key'),
        ),
    })
  }
