import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { RIGHTS, type Principal } from '../../accounts/ports.ts'
import { bearerOf } from '../keys.ts'
import { addRows, type Row } from '../route.ts'
import type { FacadeWorld } from '../facade.ts'
import { validatorCompiler } from '../validation.ts'
import { accounts } from './accounts.ts'
import { bots } from './bots.ts'
import { calls } from './calls.ts'
import { problemHandler, problemNotFound } from './errors.ts'
import { numbers } from './numbers.ts'
import { trunks } from './trunks.ts'

export const adminRows: readonly Row[] = [...accounts, ...trunks, ...numbers, ...bots, ...calls]

const OPERATOR: Principal = { accountId: '', keyId: 'admin', rights: RIGHTS, scope: { kind: 'account' } }

/** Our own native API, for the operator: the admin key as Bearer, RFC 9457 errors, strict JSON. */
export const admin =
  ({ core, limits, failures }: FacadeWorld): FastifyPluginAsync =>
  async (app) => {
    app.setErrorHandler(problemHandler(core))
    app.setNotFoundHandler(problemNotFound)
    app.setValidatorCompiler(validatorCompiler('strict'))
    addRows(app, adminRows, {
      core,
      limits,
      tag: 'Admin',
      mount: (url) => ({ url: url.slice('/admin'.length), hidden: false }),
      authenticate: async (request: FastifyRequest) => {
        failures.check(request.ip)
        const key = bearerOf(request)
        if (key === undefined || !core.accounts.isAdmin(key)) throw failures.fail(request.ip)
        return OPERATOR
      },
    })
  }
