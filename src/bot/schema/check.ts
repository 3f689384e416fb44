/**
 * Reads one message from a bot by its definition: settle first (null is absent, "160" is 160, 5000 is the most that is
 * allowed, unknown fields stay behind), then the strict check, then a sentence for whoever got it wrong.
 */
import type { TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import type { BotErrorCode } from '../dialect.ts'
import { MAX_DATA_BYTES, type Definition, type FieldReading, type Fields } from './parts.ts'

/** Thrown to the reader of messages, which makes a `mistake` of it. */
export class Wrong extends Error {
  readonly code: BotErrorCode
  constructor(code: BotErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

/** What this file looks at in a schema. */
interface Node {
  type?: string
  enum?: unknown[]
  properties?: Record<string, Node>
  maxProperties?: number
  pattern?: string
  minimum?: number
  maximum?: number
  reading?: FieldReading
}
type Json = Record<string, unknown>

const NUMERIC = /^[+-]?\d{1,15}(\.\d{1,15})?$/
const MAX_SHOWN = 64
const MAX_DEPTH = 8
/** Of a free object; more do not fit MAX_DATA_BYTES. */
const MOST_ENTRIES = 1000

/** Checks messages of one definition. @throws Wrong */
export function checker<D extends Definition>(definition: D): (message: Json) => Fields<D> {
  const schema = definition.fields as TSchema & Node
  const validator = Compile(schema)
  const settled = (message: Json): Json => {
    const fields = settle(schema, message) as Json
    if (definition.forgiving)
      for (let n = Object.keys(fields).length; n > 0 && !validator.Check(fields); n--) {
        const [error] = validator.Errors(fields)
        Reflect.deleteProperty(fields, error.instancePath.split('/')[1])
      }
    return fields
  }
  return (message) => {
    const fields = settled(message)
    if (validator.Check(fields)) return fields as Fields<D>
    throw wrong(definition, schema, fields, validator.Errors(fields)[0])
  }
}

/** The value as the schema would have it, as far as that is beyond doubt; bounded by the schema, whatever comes. */
function settle(node: Node, value: unknown): unknown {
  if (node.properties) return isObject(value) ? settleFields(node.properties, value) : value
  if (node.type === 'object') return isObject(value) ? fewOf(value, (node.maxProperties ?? MOST_ENTRIES) + 1) : value
  if (node.enum) return settleWord(node, node.enum, value)
  if (node.type === 'number' || node.type === 'integer') return settleNumber(node, value)
  if (node.type === 'boolean') return value === 'true' ? true : value === 'false' ? false : value
  if (node.type === 'string') {
    const text = typeof value === 'number' ? String(value) : value
    return typeof text === 'string' && node.pattern ? text.trim() : text
  }
  return value
}

function settleFields(properties: Record<string, Node>, value: Json): Json {
  const fields: Json = {}
  for (const name of Object.keys(properties)) {
    const given = Object.hasOwn(value, name) ? value[name] : undefined
    if (given != null) fields[name] = settle(properties[name], given)
  }
  return fields
}

function settleWord(node: Node, words: unknown[], value: unknown): unknown {
  if (typeof value !== 'string' || value.length > MAX_SHOWN) return value
  if (typeof words[0] === 'number') return NUMERIC.test(value) ? Number(value) : value
  const word = value.toLowerCase()
  const known = node.reading?.also?.get(word) ?? word
  return words.includes(known) ? known : value
}

function settleNumber(node: Node, value: unknown): unknown {
  const n = typeof value === 'string' && NUMERIC.test(value.trim()) ? Number(value) : value
  if (typeof n !== 'number' || Number.isNaN(n) || node.reading?.exact) return n
  const { minimum = -Infinity, maximum = Infinity } = node
  return Math.min(maximum, Math.max(minimum, n))
}

/** The first few entries: enough to see that there are too many. */
function fewOf(value: Json, count: number): Json {
  const few: Json = {}
  for (const name in value) {
    if (count-- <= 0) break
    few[name] = value[name]
  }
  return few
}

interface Problem {
  keyword: string
  instancePath: string
  params: object
}

/** The words of the innermost field that the problem lies in. */
function wrong(definition: Definition, schema: Node, fields: Json, error: Problem): Wrong {
  let node = schema
  let value: unknown = fields
  const path: string[] = []
  const missing = (error.params as { requiredProperties?: string[] }).requiredProperties?.[0]
  const steps = error.instancePath.split('/').slice(1)
  if (missing !== undefined) steps.push(missing)
  for (const step of steps) {
    const next = node.properties?.[step]
    if (!next) {
      // Below a free object: the entry itself is what is wrong.
      value = step
      break
    }
    node = next
    path.push(step)
    value = isObject(value) ? value[step] : undefined
  }
  const named = (error.params as { propertyNames?: string[] }).propertyNames?.[0]
  const says = node.reading?.says ?? `\`{path}\` ${missing === undefined ? 'is not as it should be' : 'is missing'}.`
  const text = says.replace('{path}', () => path.join('.')).replace('{value}', () => shown(named ?? value))
  return new Wrong(node.reading?.code ?? definition.code, text)
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, MAX_SHOWN))
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return value === undefined ? 'nothing' : Array.isArray(value) ? 'a list' : 'an object'
}

/**
 * An object of the bot's own, as it may be stored and handed on: of bounded size and depth, and of such text as a
 * database takes (no NUL, no half of a surrogate pair). @throws Wrong
 */
export function boundedData(value: Json, code: BotErrorCode, path: string): Json {
  let budget = MAX_DATA_BYTES
  const walk = (v: unknown, depth: number): void => {
    // Each value costs at least a byte, so neither a wide nor a deep one is walked to its end.
    if (depth > MAX_DEPTH || --budget < 0) throw tooLarge(code, path)
    if (typeof v === 'string') budget -= plainText(v, code, path).length
    else if (Array.isArray(v)) for (const entry of v) walk(entry, depth + 1)
    else if (isObject(v))
      for (const name in v) {
        budget -= plainText(name, code, path).length
        walk(v[name], depth + 1)
      }
  }
  walk(value, 1)
  if (Buffer.byteLength(JSON.stringify(value)) > MAX_DATA_BYTES) throw tooLarge(code, path)
  return value
}

const tooLarge = (code: BotErrorCode, path: string): Wrong =>
  new Wrong(code, `\`${path}\` must be at most ${MAX_DATA_BYTES} bytes as JSON and ${MAX_DEPTH} levels deep.`)

function plainText(text: string, code: BotErrorCode, path: string): string {
  if (text.length > MAX_DATA_BYTES) throw tooLarge(code, path)
  if (!text.isWellFormed() || text.includes('\0'))
    throw new Wrong(code, `\`${path}\` has text that is not valid Unicode, or a NUL character.`)
  return text
}

const isObject = (v: unknown): v is Json => typeof v === 'object' && v !== null && !Array.isArray(v)
