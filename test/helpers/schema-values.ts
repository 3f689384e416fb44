/** Random values that fit a JSON Schema, as far as the bot protocol uses the language. What it lacks, the caller filters. */
import fc from 'fast-check'

export interface Schema {
  type?: string
  title?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: Schema[]
  properties?: Record<string, Schema>
  patternProperties?: Record<string, Schema>
  propertyNames?: Schema
  required?: string[]
  minimum?: number
  maximum?: number
  multipleOf?: number
  maxLength?: number
  maxProperties?: number
  pattern?: string
  contentEncoding?: string
  examples?: unknown[]
}

export function valuesOf(schema: Schema): fc.Arbitrary<unknown> {
  if ('const' in schema) return fc.constant(schema.const)
  if (schema.enum) return fc.constantFrom(...schema.enum)
  const { minimum: min = -1000, maximum: max = 1000, multipleOf = 1 } = schema
  switch (schema.type) {
    case 'object':
      return objectsOf(schema)
    case 'integer':
      return fc
        .integer({ min: Math.ceil(min / multipleOf), max: Math.floor(max / multipleOf) })
        .map((n) => n * multipleOf)
    case 'number':
      return fc.double({ min, max, noNaN: true })
    case 'boolean':
      return fc.boolean()
    case 'string':
      if (schema.contentEncoding === 'base64') return fc.base64String({ minLength: 4, maxLength: 400 })
      if (schema.pattern) return fc.stringMatching(new RegExp(schema.pattern))
      return fc.string({ maxLength: schema.maxLength ?? 100, unit: 'grapheme' })
    default:
      return fc.jsonValue({ maxDepth: 4 })
  }
}

function objectsOf(schema: Schema): fc.Arbitrary<unknown> {
  if (schema.properties && Object.keys(schema.properties).length > 0) {
    const fields = Object.fromEntries(Object.entries(schema.properties).map(([name, part]) => [name, valuesOf(part)]))
    return fc.record(fields, { requiredKeys: schema.required ?? [] })
  }
  const names = schema.propertyNames?.pattern
  const value = Object.values(schema.patternProperties ?? {})[0]
  return fc.dictionary(
    names ? fc.stringMatching(new RegExp(names)) : fc.string(),
    value ? valuesOf(value) : fc.jsonValue({ maxDepth: 4 }),
    { maxKeys: schema.maxProperties ?? 8 },
  )
}
