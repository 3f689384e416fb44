import multipart from '@fastify/multipart'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { DomainError } from '../../lib/errors.ts'
import { addFormParser, NUL_IN_BODY } from '../body.ts'

// Plain fields only: no route takes a file. (RELIABILITY B6)
const LIMITS = { files: 0, fields: 40, parts: 40, fieldSize: 64 * 1024, fieldNameSize: 100, headerPairs: 20 }

/** Urlencoded and multipart bodies as flat objects, beside the JSON that every facade takes. */
export async function addFormBodies(app: FastifyInstance): Promise<void> {
  await addFormParser(app, LIMITS.fields)
  await app.register(multipart, { limits: LIMITS })
  app.addHook('preValidation', async (request) => {
    if (request.isMultipart()) request.body = await fieldsOf(request)
  })
}

async function fieldsOf(request: FastifyRequest): Promise<Record<string, unknown>> {
  const fields = new Map<string, unknown>()
  try {
    for await (const part of request.parts()) {
      if (part.type === 'file') throw new DomainError('INVALID', 'No file is taken here.')
      if (part.valueTruncated)
        throw new DomainError('INVALID', `${part.fieldname} is too long`, { field: part.fieldname })
      if (typeof part.value === 'string' && part.value.includes('\0')) throw new DomainError('INVALID', NUL_IN_BODY)
      fields.set(part.fieldname, part.value)
    }
  } catch (err) {
    // Limits come with a status; what the parser makes of torn bodies does not.
    if (err instanceof DomainError || (err instanceof Error && 'statusCode' in err)) throw err
    throw new DomainError('INVALID', 'The multipart body is broken.', { cause: err })
  }
  return Object.fromEntries(fields)
}
