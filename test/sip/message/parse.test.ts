import { readFileSync, readdirSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parseMessage } from '../../../src/sip/message/parse.ts'
import type { SipMessage, SipRequest, SipResponse } from '../../../src/sip/message/message.ts'
import { serialize } from '../../../src/sip/message/serialize.ts'
import { buildResponse } from '../../../src/sip/message/build.ts'

const FIXTURES = new URL('../../../fixtures/sip/', import.meta.url)
const read = (path: string): Buffer => readFileSync(new URL(`${path}.sip`, FIXTURES))
const names = (folder: string): string[] =>
  readdirSync(new URL(`${folder}/`, FIXTURES))
    .filter((f) => f.endsWith('.sip'))
    .map((f) => f.slice(0, -4))

const parsed = (path: string): SipMessage => {
  const result = parseMessage(read(path))
  if (!result.ok) throw new Error(`${path}: ${result.reason}`)
  return result.message
}
const request = (path: string): SipRequest => parsed(path) as SipRequest

describe('the torture messages', () => {
  it.each(names('torture/valid'))('accepts %s and reads its own rendering of it alike', (name) => {
    const message = parsed(`torture/valid/${name}`)
    const again = parseMessage(serialize(message))
    expect(again.ok).toBe(true)
    const withoutLength = (m: SipMessage): [string, string][] =>
      [...m.headers.entries()].filter(([n]) => n !== 'Content-Length')
    if (again.ok) {
      expect(withoutLength(again.message)).toEqual(withoutLength(message))
      expect(again.message.body.equals(message.body)).toBe(true)
    }
  })

  const expected = JSON.parse(readFileSync(new URL('torture/expected.json', FIXTURES), 'utf8')) as Record<
    string,
    number | 'ok' | null
  >

  it('has a row for every invalid file', () => {
    expect(Object.keys(expected).sort()).toEqual(names('torture/invalid').sort())
  })

  it.each(Object.entries(expected))('treats %s as %s', (name, outcome) => {
    const result = parseMessage(read(`torture/invalid/${name}`))
    expect(result.ok ? 'ok' : result.partial ? result.status : null).toBe(outcome)
  })

  it.each(Object.entries(expected).filter(([, outcome]) => typeof outcome === 'number'))(
    'can answer %s with %s',
    (name, status) => {
      const result = parseMessage(read(`torture/invalid/${name}`))
      if (result.ok || !result.partial) throw new Error('expected a refusal')
      const answer = parseMessage(serialize(buildResponse(result.partial, status as number)))
      // Where From, To or CSeq itself is at fault the answer is as bad as the question; it always finds its way by Via.
      if (answer.ok) expect((answer.message as SipResponse).status).toBe(status)
      expect(serialize(buildResponse(result.partial, status as number)).toString()).toContain('\r\nVia: ')
    },
  )
})

describe('parseMessage', () => {
  it.each(names('messages'))('reads %s', (name) => {
    expect(parsed(`messages/${name}`).headers.get('Call-ID')).toBeTruthy()
  })

  it('reads a trunk INVITE in every part', () => {
    const invite = request('messages/trunk-invite')
    expect(invite).toMatchObject({
      kind: 'request',
      method: 'INVITE',
      uri: 'sip:+912268001234@198.51.100.7:5060;user=phone',
    })
    expect(invite.headers.all('v')).toHaveLength(2)
    expect(invite.headers.all('Supported')).toEqual(['100rel', 'timer', 'replaces', 'histinfo'])
    expect(invite.headers.all('P-Asserted-Identity')).toEqual([
      '"Asha Rao" <sip:+919876543210@ims.example.net;user=phone>',
      '<tel:+919876543210>',
    ])
    expect(invite.headers.get('session-expires')).toBe('1800')
    expect(invite.body.toString()).toMatch(/^v=0\r\n.*a=sendrecv\r\n$/s)
  })

  it('splits lists at commas that are neither quoted nor in angle brackets', () => {
    const invite = request('torture/valid/own-compact-and-folded')
    expect(invite.headers.all('Contact')).toEqual(['"One, Two" <sip:a@192.0.2.5>', '<sip:b,c@192.0.2.5>;q=0.1'])
    expect(invite.headers.all('Reason')).toEqual([])
    const bye = request('messages/bye-with-reason')
    expect(bye.headers.all('Reason')).toEqual(['Q.850;cause=16;text="Normal call clearing"', 'SIP;cause=200'])
  })

  it('joins folded lines with one space', () => {
    expect(request('torture/valid/wsinv').headers.get('NewFangledHeader')).toBe(
      'newfangled value continued newfangled value',
    )
  })

  it('cuts a datagram at Content-Length and reads to the end without one', () => {
    expect(request('torture/valid/dblreq').body).toHaveLength(0)
    expect(request('torture/valid/own-no-content-length').body.toString()).toBe('body to the end')
  })

  it('keeps a binary body as it is', () => {
    const body = request('torture/valid/mpart01').body
    expect(body.indexOf(Buffer.from(Array.from({ length: 256 }, (_, i) => i)))).toBeGreaterThan(0)
  })

  it('reads names in UTF-8 and, where they are not that, in Latin-1', () => {
    expect((parsed('torture/valid/unreason') as SipResponse).reason).toMatch(/девяносто/)
    expect(request('torture/valid/own-latin1-name').headers.get('From')).toContain('José')
  })

  it('leaves an unknown status reason empty when there is none', () => {
    expect(parsed('torture/valid/noreason')).toMatchObject({ status: 100, reason: '' })
  })

  it('keeps of a refused request only what an answer needs', () => {
    const result = parseMessage(read('torture/invalid/multi01'))
    if (result.ok || !result.partial) throw new Error('expected a refusal')
    expect([...result.partial.headers.entries()].map(([n]) => n).sort()).toEqual([
      'CSeq',
      'Call-ID',
      'From',
      'To',
      'Via',
    ])
    expect(result.partial.headers.get('CSeq')).toBe('5 INVITE')
  })

  it('never offers to answer an ACK', () => {
    const bytes = Buffer.from(read('torture/invalid/multi01').toString().replaceAll('INVITE', 'ACK'))
    expect(parseMessage(bytes)).toMatchObject({ ok: false, partial: undefined })
  })

  it('refuses what is over 64 KiB, empty or nothing but line ends', () => {
    expect(parseMessage(Buffer.alloc(65_536, 0x41)).ok).toBe(false)
    expect(parseMessage(Buffer.alloc(0)).ok).toBe(false)
    expect(parseMessage(Buffer.from('\r\n\r\n')).ok).toBe(false)
  })

  it('takes 256 header values and no more', () => {
    const withHeaders = (n: number): Buffer =>
      Buffer.from(
        read('messages/options-ping')
          .toString()
          .replace('Route:', 'X-A: 1\r\n'.repeat(n) + 'Route:'),
      )
    expect(parseMessage(withHeaders(248)).ok).toBe(true)
    expect(parseMessage(withHeaders(249))).toMatchObject({ ok: false, reason: 'Too Many Headers' })
  })
})
