/** What the dialects of Twilio's family share: JSON text only, three messages from the bot, free data as strings. */
import type { BotMessage } from '../dialect.ts'
import { readEscape, readMark } from './escape-hatch.ts'
import { inner, isObject, type Json, type JsonReader, type Reading } from './json-reader.ts'

const BRACE = 0x7b

/** Some bots write their JSON into binary frames (`ws.send(Buffer)`); anything else in one has no meaning. */
export function decodeText(
  reader: JsonReader,
  frame: Buffer,
  isBinary: boolean,
): BotMessage | BotMessage[] | undefined {
  if (!isBinary || frame[0] === BRACE) return reader.decode(frame)
  if (frame.length === 0) return undefined
  const message = 'This protocol has text frames only: send audio as base64 in a `media` message.'
  return { kind: 'mistake', code: 'bad_audio', message, bad: true }
}

/**
 * media, mark, clear, and what comes through the escape hatch. Ids of streams are not looked at: one socket has one, and
 * bots send old ones, their own, or none. Twilio ends a stream for a word that it does not know (31924); here a bot that
 * speaks to others, too, goes on.
 */
export function readText(m: Json, ids: { callId: string; streamId: string }): Reading {
  switch (m.event) {
    case 'media':
      return { kind: 'audio', payload: inner(m, 'media').payload }
    case 'mark':
      return readMark(inner(m, 'mark').name)
    case 'clear':
      return { kind: 'clear' }
    default:
      return readEscape(m, ids) ?? undefined
  }
}

// What a <Parameter> would have carried: no place of their own in these protocols.
const TOLD = ['from', 'to', 'direction', 'language', 'system_msg', 'text']

/** The call's free data as the vendors have it, all strings; under it, facts for which there is no other place. */
export function parameters(facts: Json, told = TOLD): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of told) put(found, name, facts[name])
  if (isObject(facts.custom)) for (const [name, value] of Object.entries(facts.custom)) put(found, name, value)
  return found
}

function put(found: Record<string, string>, name: string, value: unknown): void {
  if (value == null) return
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  // Defined, not assigned: a customer may name his parameter __proto__.
  Object.defineProperty(found, name, { value: text, enumerable: true, configurable: true, writable: true })
}

export const textOf = (fact: unknown): string => (typeof fact === 'string' ? fact : '')
