import type { FastifySchemaCompiler } from 'fastify'
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { InputError, type Issue } from './errors.ts'

/**
 * How a facade reads its input. 'strict': JSON types must be right. 'lenient': vendor clients send "0"/"1", true and
 * integers for one another, null and '' for "not given"; unknown fields are dropped. Path and query values are texts
 * by nature and always read leniently.
 */
export type Reading = 'strict' | 'lenient'

export function validatorCompiler(reading: Reading): FastifySchemaCompiler<TSchema> {
  return ({ schema, httpPart }) => {
    const compiled = Compile(schema)
    const lenient = reading === 'lenient' || httpPart !== 'body'
    return (given: unknown) => {
      const value = lenient ? coerce(schema, given) : given
      if (compiled.Check(value)) return { value }
      return { error: new InputError(issuesOf(compiled.Errors(value))) }
    }
  }
}

interface SchemaNode {
  type?: unknown
  properties?: Record<string, SchemaNode>
}

/** Reads each known field of an object in its schema's type; what cannot be read so stays, for the check to refuse. */
export function coerce(schema: unknown, value: unknown): unknown {
  const properties = (schema as SchemaNode).properties
  if (!properties || typeof value !== 'object' || value === null || Array.isArray(value)) return value
  // Only fields of the schema are copied: `__proto__` and its kin end here.
  const read: Record<string, unknown> = {}
  for (const [name, node] of Object.entries(properties)) {
    if (!Object.hasOwn(value, name)) continue
    const given = (value as Record<string, unknown>)[name]
    if (given === null || (typeof given === 'string' && given.trim() === '')) continue
    read[name] = coerceScalar(node.type, given)
  }
  return read
}

function coerceScalar(type: unknown, value: unknown): unknown {
  switch (type) {
    case 'string':
      if (typeof value === 'string') return value.trim()
      return typeof value === 'number' && Number.isSafeInteger(value) ? String(value) : value
    case 'integer':
      return typeof value === 'string' && /^\s*-?\d{1,15}\s*$/.test(value) ? Number(value) : value
    case 'boolean':
      if (typeof value === 'string') return BOOLEANS[value.trim().toLowerCase()] ?? value
      return value === 1 ? true : value === 0 ? false : value
    default:
      return value
  }
}

const BOOLEANS: Readonly<Record<string, boolean | undefined>> = {
  '1': true,
  '0': false,
  true: true,
  false: false,
  yes: true,
  no: false,
}

interface SchemaError {
  keyword: string
  instancePath: string
  message: string
  params: unknown
}

function issuesOf(errors: SchemaError[]): Issue[] {
  const issues: Issue[] = []
  for (const { keyword, instancePath, message, params } of errors.slice(0, 20)) {
    const path = instancePath.slice(1).replaceAll('/', '.')
    const under = (name: string): string => (path ? `${path}.${name}` : name)
    const { requiredProperties = [], additionalProperties = [] } = params as {
      requiredProperties?: string[]
      additionalProperties?: string[]
    }
    switch (keyword) {
      case 'required':
        for (const name of requiredProperties) issues.push({ field: under(name), message: 'is required' })
        break
      case 'additionalProperties':
        for (const name of additionalProperties) issues.push({ field: under(name), message: 'is not a field' })
        break
      // Told once more by 'additionalProperties' and 'anyOf'.
      case 'boolean':
      case 'const':
        break
      case 'enum':
        issues.push({ field: path, message: oneOf((params as { allowedValues: unknown[] }).allowedValues.map(String)) })
        break
      case 'anyOf':
        issues.push({ field: path, message: choicesAt(instancePath, errors) ?? 'has none of the allowed forms' })
        break
      default:
        issues.push({ field: path, message })
    }
  }
  return issues
}

/** `must be a, b or c` where a union of words was refused. */
function choicesAt(instancePath: string, errors: SchemaError[]): string | undefined {
  const words = errors
    .filter((err) => err.keyword === 'const' && err.instancePath === instancePath)
    .map((err) => String((err.params as { allowedValue: unknown }).allowedValue))
  if (words.length === 0) return undefined
  return oneOf(words)
}

const oneOf = (words: string[]): string =>
  `must be ${[words.slice(0, -1).join(', '), words.at(-1)].filter(Boolean).join(' or ')}`
