/**
 * Messages to bytes (RFC 3261 §7). The one place where text becomes a header line: whatever the value holds, it comes
 * out as exactly one line. Content-Length is computed here and nowhere else.
 */
import type { SipMessage } from './message.ts'

// Other control characters may stand in a peer's quoted strings (RFC 4475 §3.1.1.2) and are given back as they came.
const UNSAFE = /[\0\r\n]/
const EVERY_UNSAFE = /[\0\r\n]/g

const oneLine = (value: string): string => (UNSAFE.test(value) ? value.replace(EVERY_UNSAFE, ' ') : value)

const NOT_TOKEN = /[^A-Za-z0-9\-.!%*_+`'~]/
const EVERY_NOT_TOKEN = /[^A-Za-z0-9\-.!%*_+`'~]/g

/** A name or method that is no token stays visible but harmless. */
const asToken = (text: string): string => (NOT_TOKEN.test(text) ? text.replace(EVERY_NOT_TOKEN, '-') : text) || '-'

const oneWord = (text: string): string => oneLine(text).replace(/\s/g, '')

export function serialize(message: SipMessage): Buffer {
  let head =
    message.kind === 'request'
      ? `${asToken(message.method)} ${oneWord(message.uri)} SIP/2.0\r\n`
      : `SIP/2.0 ${Math.trunc(message.status)} ${oneLine(message.reason)}\r\n`
  for (const [name, value] of message.headers.entries()) {
    if (name === 'Content-Length') continue
    head += `${asToken(name)}: ${oneLine(value)}\r\n`
  }
  head += `Content-Length: ${message.body.length}\r\n\r\n`
  if (!message.body.length) return Buffer.from(head)
  const headBytes = Buffer.byteLength(head)
  const out = Buffer.allocUnsafe(headBytes + message.body.length)
  out.write(head, 0)
  message.body.copy(out, headBytes)
  return out
}
