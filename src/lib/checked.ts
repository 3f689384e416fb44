import { DomainError } from './errors.ts'

/** What a compiled TypeBox schema offers: lib/ knows no TypeBox. */
interface Checker {
  Check(value: unknown): boolean
  Errors(value: unknown): { instancePath: string; message: string; params?: object }[]
}

/** Throws INVALID, naming the field, when the value does not fit the schema. */
export function checkFields(checker: Checker, value: unknown, what: string): void {
  if (checker.Check(value)) return
  const [first] = checker.Errors(value)
  const path = first ? first.instancePath.slice(1).split('/') : []
  // "required" and "additional property" point at the object; the name is among the parameters.
  const { requiredProperties, additionalProperties } = (first?.params ?? {}) as Record<string, string[] | undefined>
  const inner = requiredProperties?.[0] ?? additionalProperties?.[0]
  const field = [...path, inner].filter((part) => part !== undefined && part !== '').join('.') || undefined
  const message = requiredProperties
    ? 'is missing'
    : additionalProperties
      ? 'is not a known field'
      : (first?.message ?? 'is not valid')
  throw new DomainError('INVALID', `${field ?? what} ${message}`, { field })
}
