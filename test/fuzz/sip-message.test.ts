import { readFileSync, readdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { parseAuthList } from '../../src/sip/auth/digest-hash.ts'
import { buildResponse } from '../../src/sip/message/build.ts'
import { StreamFramer } from '../../src/sip/message/framing.ts'
import {
  formatNameAddr,
  formatVia,
  parseNameAddr,
  parseParams,
  parseReason,
  parseVia,
} from '../../src/sip/message/headers.ts'
import { Headers, type SipRequest } from '../../src/sip/message/message.ts'
import { parseMessage } from '../../src/sip/message/parse.ts'
import { serialize } from '../../src/sip/message/serialize.ts'
import { formatUri, parseUri } from '../../src/sip/message/uri.ts'
import { hostileDatagrams } from '../helpers/sip-hostile.ts'

const FIXTURES = new URL('../../fixtures/sip/', import.meta.url)
const corpus = ['messages/', 'torture/valid/', 'torture/invalid/'].flatMap((folder) =>
  readdirSync(new URL(folder, FIXTURES))
    .filter((f) => f.endsWith('.sip'))
    .map((f) => readFileSync(new URL(folder + f, FIXTURES))),
)

function seeded(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * below)
  }
}

// What the PROTOS suite throws at each field: overflow, format strings, bad UTF-8, NUL, quotes, signs and sizes.
const POISON = [
  '\0', '\r', '\n', '\r\n', '\r\n\r\n', '\r\n ', '"', '\\', '<', '>', '<<>>', ';', ';;;;', ',', ',,', ':', '@', '%', '%00', '%n%s%x',
  '-1', '0', '4294967296', '99999999999999999999', '1e9', '\t', ' ', '[', ']', '[::', '*', 'SIP/2.0', 'z9hG4bK', 'Content-Length: 5\r\n',
  'l: 99999\r\n', 'v: SIP/2.0/UDP x\r\n', ';tag=', '"\\"', 'sip:', 'tel:', '?a=b',
].map((s) => Buffer.from(s)) // prettier-ignore
POISON.push(
  Buffer.from([0xff, 0xfe]),
  Buffer.from([0xc0, 0x80]),
  Buffer.from([0xed, 0xa0, 0x80]),
  Buffer.alloc(300, 0x41),
  Buffer.alloc(5000, 0x22),
  Buffer.alloc(30_000, 0x2c),
)

/** One to four changes: a byte flipped, poison put in or over, a piece cut, doubled or moved. */
function mutate(bytes: Buffer, random: (below: number) => number): Buffer {
  let out = bytes
  for (let n = 1 + random(4); n > 0; n--) {
    const at = random(out.length + 1)
    const length = random(Math.min(80, out.length - at + 1))
    const before = out.subarray(0, at)
    const piece = out.subarray(at, at + length)
    const after = out.subarray(at + length)
    const poison = POISON[random(POISON.length)]
    const other = corpus[random(corpus.length)]
    const parts = [
      [before, Buffer.from([random(256)]), after],
      [before, poison, piece, after],
      [before, poison, after],
      [before, after],
      [before, piece, piece, piece, after],
      [before, other.subarray(0, random(other.length)), after],
    ][random(6)]
    out = Buffer.concat(parts).subarray(0, 65_535)
  }
  return out
}

describe('mutated SIP messages', () => {
  it('never throw, are refused or read within 10 ms, and what is read can be written and answered', () => {
    const random = seeded(4475)
    const deadlineMs = systemClock.now() + 2000
    let worstMs = 0
    let count = 0
    while (count < 6000 && systemClock.now() < deadlineMs) {
      count++
      const bytes = mutate(corpus[random(corpus.length)], random)
      const startMs = systemClock.now()
      const result = parseMessage(bytes)
      const tookMs = systemClock.now() - startMs
      if (tookMs > 10) {
        // A busy machine may take us off the CPU: only what is slow twice is slow.
        const againMs = systemClock.now()
        parseMessage(bytes)
        worstMs = Math.max(worstMs, systemClock.now() - againMs)
      }
      const request = result.ok ? (result.message.kind === 'request' ? result.message : undefined) : result.partial
      if (result.ok) expect(parseMessage(serialize(result.message)).ok).toBe(true)
      if (request) serialize(buildResponse(request, 400, undefined, { toTag: 't' }))
    }
    expect(count).toBeGreaterThan(1000)
    expect(worstMs).toBeLessThan(10)
  })

  it('cannot hurt the stream framer, however they are cut', () => {
    const random = seeded(3261)
    const deadlineMs = systemClock.now() + 1000
    for (let i = 0; i < 1500 && systemClock.now() < deadlineMs; i++) {
      let failed = false
      const framer = new StreamFramer({
        onMessage: (message) => {
          expect(failed).toBe(false)
          expect(message.length).toBeLessThanOrEqual(65_535)
          parseMessage(message)
        },
        onPing: () => expect(failed).toBe(false),
        onError: () => {
          expect(failed).toBe(false)
          failed = true
        },
      })
      const stream = Buffer.concat([mutate(corpus[random(corpus.length)], random), corpus[random(corpus.length)]])
      for (let at = 0; at < stream.length;) {
        const to = at + 1 + random(700)
        framer.push(stream.subarray(at, to))
        at = to
      }
    }
  })

  it.each(hostileDatagrams())('takes under 10 ms for 64 KB of %s', (_, bytes) => {
    let bestMs = Infinity
    for (let i = 0; i < 5; i++) {
      const startMs = systemClock.now()
      parseMessage(bytes)
      bestMs = Math.min(bestMs, systemClock.now() - startMs)
    }
    expect(bestMs).toBeLessThan(10)
  })
})

const BOUNDED = { interruptAfterTimeLimit: 1500, markInterruptAsFailure: false, numRuns: 3000, seed: 3261 }
/** Text that likes to be SIP. */
const sipText = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...POISON.slice(0, 42).map(String), 'a', 'sip:a@b', ';tag=1', 'SIP/2.0/UDP h')), { maxLength: 12 }).map((parts) => parts.join('')) // prettier-ignore

describe('parsers of header values', () => {
  it('never throw', () => {
    fc.assert(
      fc.property(sipText, (text) => {
        parseNameAddr(text)
        parseVia(text)
        parseParams(text)
        parseReason(text)
        parseUri(text)
        parseAuthList(text)
      }),
      BOUNDED,
    )
  })

  it('read what they wrote', () => {
    fc.assert(
      fc.property(sipText, (raw) => {
        // Control characters never get past parseMessage or quote.
        const text = raw.replace(/[\0-\x1f\x7f]/g, '')
        const uri = parseUri(text)
        if (uri) expect(parseUri(formatUri(uri))).toEqual(uri)
        const via = parseVia(text)
        if (via) expect(parseVia(formatVia(via))).toEqual(via)
      }),
      BOUNDED,
    )
  })
})

describe('the builder', () => {
  it('gives no input a header line of its own (RELIABILITY S6)', () => {
    fc.assert(
      fc.property(sipText, sipText, sipText, sipText, (name, value, user, display) => {
        const uri = formatUri({ scheme: 'sip', user, host: value, params: new Map([[name, value]]) })
        const request: SipRequest = {
          kind: 'request',
          method: 'INVITE',
          uri,
          headers: new Headers()
            .add('From', formatNameAddr({ display, uri, params: new Map([['tag', value]]) }))
            .add('X-Note', value)
            .add(name, value),
          body: Buffer.alloc(0),
        }
        const text = serialize(request).toString()
        const lines = text.split('\r\n')
        expect(lines).toHaveLength(canonicalIsLength(name) ? 6 : 7)
        expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n\0]/)
        expect(lines[0].split(' ')).toHaveLength(3)
      }),
      BOUNDED,
    )
  })
})

const canonicalIsLength = (name: string): boolean => /^(l|content-length)$/i.test(name.trim())
