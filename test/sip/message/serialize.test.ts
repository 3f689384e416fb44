import { describe, expect, it } from 'vitest'
import { EMPTY_BODY, Headers, type SipRequest } from '../../../src/sip/message/message.ts'
import { buildResponse, reasonPhrase } from '../../../src/sip/message/build.ts'
import { parseMessage } from '../../../src/sip/message/parse.ts'
import { serialize } from '../../../src/sip/message/serialize.ts'

const invite = (): SipRequest => ({
  kind: 'request',
  method: 'INVITE',
  uri: 'sip:b@h',
  headers: new Headers()
    .add('Via', 'SIP/2.0/UDP b;branch=z9hG4bK2')
    .add('Via', 'SIP/2.0/UDP a;branch=z9hG4bK1')
    .add('Record-Route', '<sip:p1;lr>')
    .add('Record-Route', '<sip:p2;lr>')
    .add('From', '<sip:a@h>;tag=1')
    .add('To', '<sip:b@h>')
    .add('Call-ID', 'c')
    .add('CSeq', '7 INVITE')
    .add('Timestamp', '54'),
  body: EMPTY_BODY,
})

describe('serialize', () => {
  it('computes Content-Length in bytes, whatever the headers say', () => {
    const message = { ...invite(), body: Buffer.from('é') }
    message.headers.add('Content-Length', '999')
    expect(serialize(message).toString()).toMatch(/CSeq: 7 INVITE\r\nTimestamp: 54\r\nContent-Length: 2\r\n\r\né$/)
  })

  it('makes one line of whatever a value holds', () => {
    const message = invite()
    message.uri = 'sip:b@h SIP/2.0\r\nX-A: 1'
    message.headers.add('X-B\r\nX-C', 'v\r\nX-D: 1\n\nbody\0')
    const parsed = parseMessage(serialize(message))
    const text = serialize(message).toString()
    expect(text.split('\r\n')[0].split(' ')).toHaveLength(3)
    expect(text).toContain('X-B--x-C: v  X-D: 1  body \r\n')
    expect(parsed.ok || parsed.reason).not.toBe('Bad Line Ending')
  })
})

describe('buildResponse', () => {
  it('copies every Via in order, and Record-Route where a dialog may come of it', () => {
    const ok = buildResponse(invite(), 200, undefined, { toTag: 't', body: Buffer.from('v=0') })
    expect([...ok.headers.entries()]).toEqual([
      ['Via', 'SIP/2.0/UDP b;branch=z9hG4bK2'],
      ['Via', 'SIP/2.0/UDP a;branch=z9hG4bK1'],
      ['Record-Route', '<sip:p1;lr>'],
      ['Record-Route', '<sip:p2;lr>'],
      ['From', '<sip:a@h>;tag=1'],
      ['To', '<sip:b@h>;tag=t'],
      ['Call-ID', 'c'],
      ['CSeq', '7 INVITE'],
      ['Content-Type', 'application/sdp'],
    ])
    expect(ok.reason).toBe('OK')
    expect(buildResponse(invite(), 486).headers.has('Record-Route')).toBe(false)
  })

  it('puts no tag on a 100 and gives its Timestamp back', () => {
    const trying = buildResponse(invite(), 100, undefined, { toTag: 't' })
    expect(trying.headers.get('To')).toBe('<sip:b@h>')
    expect(trying.headers.get('Timestamp')).toBe('54')
  })

  it('keeps the To tag that is there', () => {
    const request = invite()
    request.headers.set('To', '<sip:b@h>;tag=theirs')
    expect(buildResponse(request, 481, undefined, { toTag: 'mine' }).headers.get('To')).toBe('<sip:b@h>;tag=theirs')
  })

  it('knows a phrase for every class', () => {
    expect([100, 199, 299, 399, 499, 599, 699].map(reasonPhrase)).not.toContain('')
  })
})
