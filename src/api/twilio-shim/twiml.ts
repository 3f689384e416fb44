/**
 * The part of TwiML (https://www.twilio.com/docs/voice/twiml) that says where a running call goes next: one Dial, Refer,
 * Hangup or Reject. Not an interpreter: nothing is spoken, played, gathered or fetched.
 */
import { XMLParser, XMLValidator } from 'fast-xml-parser'
import { TwilioProblem } from './errors.ts'

export type Instruction =
  | {
      do: 'transfer'
      mode: 'bridge' | 'blind'
      /** As written: a number, or a SIP URI without its headers. */
      target: string
      callerId?: string
      timeoutMs: number
      headers: Record<string, string>
    }
  | { do: 'hangup' }
  | { do: 'reject'; reason: 'busy' | 'rejected' }

export const MAX_TWIML = 4096

interface Element {
  name: string
  attributes: Readonly<Record<string, string>>
  text: string
  children: Element[]
}

export function parseTwiml(xml: string): Instruction {
  const [first, ...rest] = verbsOf(xml)
  // Twilio hangs up where a document ends, so an empty one does it at once.
  if (!first) return { do: 'hangup' }
  const more = rest.find((verb) => verb.name !== 'Hangup')
  if (more) throw schema(`<${more.name}> after <${first.name}> is not supported: only <Hangup> may follow`)
  switch (first.name) {
    case 'Hangup':
      return { do: 'hangup' }
    case 'Reject':
      return { do: 'reject', reason: first.attributes.reason === 'busy' ? 'busy' : 'rejected' }
    case 'Dial':
      return dialOf(first)
    case 'Refer':
      return referOf(first)
    default:
      throw schema(`<${first.name}> is not supported: use <Dial>, <Refer>, <Hangup> or <Reject>`)
  }
}

function dialOf(dial: Element): Instruction {
  if (dial.children.length > 1) throw schema('<Dial> of several nouns at once is not supported: name one')
  const noun = dial.children[0]
  const { callerId, timeout = '30' } = dial.attributes
  const seconds = Number(timeout)
  if (!Number.isFinite(seconds)) throw schema(`<Dial> timeout ${quoted(timeout)} is not a number of seconds`)
  const common = {
    do: 'transfer' as const,
    mode: 'bridge' as const,
    callerId: callerId || undefined,
    timeoutMs: Math.round(Math.min(120, Math.max(5, seconds))) * 1000,
  }
  switch (noun?.name) {
    case undefined:
      return { ...common, target: numberOf(dial.text), headers: {} }
    case 'Number':
      // Not to be left out in silence: without them the call would stop at a switchboard.
      if (noun.attributes.sendDigits) throw schema('<Number> sendDigits is not supported')
      return { ...common, target: numberOf(noun.text), headers: {} }
    case 'Sip':
      return { ...common, ...sipOf(noun.text) }
    default:
      throw schema(`<${noun.name}> in <Dial> is not supported: use a number, <Number> or <Sip>`)
  }
}

function referOf(refer: Element): Instruction {
  const [noun, ...others] = refer.children
  if (noun?.name !== 'Sip' || others.length > 0) throw schema('<Refer> needs one <Sip>')
  return { do: 'transfer', mode: 'blind', timeoutMs: 30_000, ...sipOf(noun.text) }
}

function numberOf(text: string): string {
  const number = text.replace(/[\s().-]/g, '')
  if (!/^\+?[0-9*#]{2,20}$/.test(number))
    throw new TwilioProblem('dialNumber', `Dial: ${quoted(text)} is not a phone number`)
  return number
}

/** `sip:user@host?X-Name=value&…`: the X- headers go along, others are left out as Twilio leaves them out. */
function sipOf(text: string): { target: string; headers: Record<string, string> } {
  const [uri, query = ''] = text.split('?', 2)
  if (!/^(sips?:[^\s<>"]{3,200}|tel:\+?[0-9.-]{2,20})$/i.test(uri))
    throw new TwilioProblem('dialNumber', `Sip: ${quoted(text)} is not a SIP URI`)
  const headers: Record<string, string> = {}
  for (const [name, value] of new URLSearchParams(query)) {
    if (!/^X-[A-Za-z0-9-]{1,60}$/i.test(name)) continue
    // Nothing that could start another line.
    if (!/^[\x20-\x7e]{0,256}$/.test(value))
      throw schema(`<Sip> header ${quoted(name)} has characters that SIP cannot carry`)
    if (Object.keys(headers).length < 8) headers[name] = value
  }
  return { target: uri, headers }
}

// ── XML ──────────────────────────────────────────────────────────────────────────────────────────────────────────

const parser = new XMLParser({
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  ignoreDeclaration: true,
  ignorePiTags: true,
  parseTagValue: false,
  parseAttributeValue: false,
})

/** What the parser makes with `preserveOrder`: `{ Dial: [ …children ], ':@': { callerId: '…' } }`, text under `#text`. */
type Node = Record<string, unknown>

function verbsOf(xml: string): Element[] {
  if (xml.length > MAX_TWIML) throw schema(`Twiml has more than ${MAX_TWIML} characters`)
  // Entities of one's own can name files and grow without end; a call needs none (and no document of ours has a type).
  if (/<!(DOCTYPE|ENTITY)/i.test(xml)) throw unreadable('a document type is not allowed')
  const valid = XMLValidator.validate(xml)
  if (valid !== true) throw unreadable(`${valid.err.msg} (line ${valid.err.line})`)
  let roots: Element[]
  try {
    roots = elementsOf(parser.parse(xml))
  } catch (err) {
    throw unreadable(err instanceof Error ? err.message : String(err))
  }
  if (roots.length !== 1 || roots[0].name !== 'Response') throw schema('the root of Twiml must be one <Response>')
  return roots[0].children
}

function elementsOf(nodes: unknown): Element[] {
  if (!Array.isArray(nodes)) return []
  const elements: Element[] = []
  for (const node of nodes as Node[]) {
    const name = Object.keys(node).find((key) => key !== ':@' && key !== '#text')
    if (name === undefined) continue
    const inner = node[name]
    elements.push({
      name,
      attributes: (node[':@'] ?? {}) as Record<string, string>,
      text: textOf(inner),
      children: elementsOf(inner),
    })
  }
  return elements
}

const textOf = (nodes: unknown): string =>
  Array.isArray(nodes)
    ? (nodes as Node[])
        .map((node) => (typeof node['#text'] === 'string' ? node['#text'] : ''))
        .join('')
        .trim()
    : ''

const quoted = (text: string): string => JSON.stringify(text.slice(0, 100))
const schema = (message: string): TwilioProblem => new TwilioProblem('documentSchema', message)
const unreadable = (why: string): TwilioProblem => new TwilioProblem('documentParse', `Twiml cannot be read: ${why}`)
