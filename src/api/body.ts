import { parse } from 'node:querystring'
import formbody from '@fastify/formbody'
import type { FastifyInstance } from 'fastify'
import { DomainError } from '../lib/errors.ts'

const MAX_DEPTH = 32

/** Caps of every request (RELIABILITY S28). */
export const CAPS = {
  bodyBytes: 1024 * 1024,
  headerBytes: 16 * 1024,
  urlChars: 8 * 1024,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
} as const

/**
 * Fastify's JSON parser behind two looks at the text: nesting is capped before anything recurses over it, and NUL is
 * refused because PostgreSQL cannot store it in a text.
 */
export function addJsonParser(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeContentTypeParser('application/json')
  app.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, text, done) => {
    const wrong = textProblem(text)
    if (wrong) return done(new DomainError('INVALID', wrong))
    // A POST without a body is as good as one without a content type.
    if (text === '') return done(null, undefined)
    void parse(request, text, (err, value) => {
      if (err) done(new DomainError('INVALID', 'The body is not valid JSON.', { cause: err }))
      else done(null, value)
    })
  })
}

export const NUL_IN_BODY = 'The body holds a NUL character.'

/** Urlencoded bodies as flat objects. */
export async function addFormParser(app: FastifyInstance, maxFields: number): Promise<void> {
  await app.register(formbody, {
    parser: (text) => {
      if (text.includes('%00')) throw new DomainError('INVALID', NUL_IN_BODY)
      return parse(text, undefined, undefined, { maxKeys: maxFields })
    },
  })
}

function textProblem(text: string): string | undefined {
  if (/\\u0000|\0/.test(text)) return NUL_IN_BODY
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (inString) {
      if (c === 0x5c) i++
      else if (c === 0x22) inString = false
    } else if (c === 0x22) inString = true
    else if (c === 0x7b || c === 0x5b) {
      if (++depth > MAX_DEPTH) return `The body is nested more than ${MAX_DEPTH} levels deep.`
    } else if (c === 0x7d || c === 0x5d) depth--
  }
  return undefined
}
