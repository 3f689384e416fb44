import type { FastifyInstance } from 'fastify'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { Core } from './core.ts'
import { validatorCompiler } from './validation.ts'

export interface ByteRange {
  first: number
  last: number
}

/**
 * RFC 9110 §14.2: one range of bytes. Undefined: serve the whole (no header, another unit, bad syntax, several
 * ranges); 'unsatisfiable': 416.
 */
export function rangeOf(header: string | undefined, sizeBytes: number): ByteRange | 'unsatisfiable' | undefined {
  const m = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '')
  if (!m || (m[1] === '' && m[2] === '')) return undefined
  if (m[1] === '') {
    const suffix = Number(m[2])
    if (suffix === 0 || sizeBytes === 0) return 'unsatisfiable'
    return { first: Math.max(0, sizeBytes - suffix), last: sizeBytes - 1 }
  }
  const first = Number(m[1])
  const last = m[2] === '' ? sizeBytes - 1 : Math.min(Number(m[2]), sizeBytes - 1)
  if (m[2] !== '' && Number(m[2]) < first) return undefined
  return first >= sizeBytes ? 'unsatisfiable' : { first, last }
}

/** Download by signed link: whoever holds the link may read, until it ends. */
export function addRecordings(app: FastifyInstance, core: Core): void {
  app
    .withTypeProvider<TypeBoxTypeProvider>()
    .setValidatorCompiler(validatorCompiler('lenient'))
    .get(
      '/recordings/:file',
      {
        config: { op: 'recordings.download' },
        schema: {
          operationId: 'recordings.download',
          summary: 'Download a recording',
          description: 'By the signed link that call views carry; supports Range.',
          tags: ['Recordings'],
          security: [],
          params: Type.Object({ file: Type.String({ maxLength: 64 }) }),
          querystring: Type.Object({
            exp: Type.Integer({ description: 'End of the link, Unix time in s.' }),
            sig: Type.String({ maxLength: 64, description: 'Signature of the link.' }),
          }),
        },
      },
      async (request, reply) => {
        const { file } = request.params
        const recording = await core.recordings.open(file, request.query.exp, request.query.sig)
        const { sizeBytes } = recording
        // A file never changes under its name.
        const etag = `"${file.slice(0, 32)}"`
        const ifRange = request.headers['if-range']
        const wanted = ifRange !== undefined && ifRange !== etag ? undefined : request.headers.range
        const range = rangeOf(wanted, sizeBytes)
        reply
          .header('accept-ranges', 'bytes')
          .header('etag', etag)
          .header('cache-control', 'private, max-age=900')
          .header('x-content-type-options', 'nosniff')
        if (range === 'unsatisfiable') {
          await recording.close()
          return reply.code(416).header('content-range', `bytes */${sizeBytes}`).send()
        }
        reply
          .type('audio/wav')
          .header('content-disposition', `attachment; filename="recording-${file.slice(0, 8)}.wav"`)
        if (sizeBytes === 0) {
          await recording.close()
          return reply.send('')
        }
        const { first, last } = range ?? { first: 0, last: sizeBytes - 1 }
        if (range) reply.code(206).header('content-range', `bytes ${first}-${last}/${sizeBytes}`)
        return reply.header('content-length', last - first + 1).send(recording.stream(first, last))
      },
    )
}
