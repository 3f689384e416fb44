import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Principal } from '../../accounts/ports.ts'
import { addFormParser } from '../body.ts'
import type { Core } from '../core.ts'
import type { FacadeWorld } from '../facade.ts'
import { basicOf, type AuthFailures } from '../keys.ts'
import { addRows } from '../route.ts'
import { validatorCompiler } from '../validation.ts'
import { calls, isAccount } from './calls.ts'
import { errorHandler, notFound } from './errors.ts'

export const twilioRows = calls

/**
 * The two REST calls that bots written for Twilio make beside their media stream, so that a base URL is all that they
 * change: `https://<this server>` in place of `https://api.twilio.com`, the account's sid, an API key as auth token.
 */
export const twilioShim =
  ({ core, limits, failures }: FacadeWorld): FastifyPluginAsync =>
  async (app) => {
    app.setErrorHandler(errorHandler(core))
    app.setNotFoundHandler(notFound)
    app.setValidatorCompiler(validatorCompiler('lenient'))
    await addFormParser(app, 40)
    // No body is a form without fields, and is told what is missing.
    app.addHook('preValidation', async (request) => {
      request.body ??= {}
    })
    addRows(app, twilioRows, {
      core,
      limits,
      tag: 'Twilio shim',
      security: [{ basic: [] }],
      mount: (url) => ({ url: url.slice(app.prefix.length), hidden: false }),
      authenticate: (request) => authenticate(core, failures, request),
    })
  }

/** The password alone tells the account; the user name must not name another one. */
async function authenticate(core: Core, failures: AuthFailures, request: FastifyRequest): Promise<Principal> {
  const given = basicOf(request)
  const principal = given && (await core.accounts.authenticate(given.password))
  if (!principal || (given.user !== '' && !isAccount(given.user, principal.accountId))) throw failures.fail(request.ip)
  return principal
}
