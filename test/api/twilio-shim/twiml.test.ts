import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TwilioProblem } from '../../../src/api/twilio-shim/errors.ts'
import { MAX_TWIML, parseTwiml } from '../../../src/api/twilio-shim/twiml.ts'

const response = (inner: string): string => `<Response>${inner}</Response>`
const codeOf = (xml: string): number | undefined => {
  try {
    parseTwiml(xml)
  } catch (err) {
    if (!(err instanceof TwilioProblem)) throw err
    return err.twilioCode
  }
  return undefined
}

describe('TwiML', () => {
  it.each([
    ['+919876543210', '+919876543210'],
    [' +1 (415) 555-1212 ', '+14155551212'],
    ['<Number>100</Number>', '100'],
    ['<!-- agent --><Number url="https://x/y">+919876543210</Number>', '+919876543210'],
    ['<![CDATA[+919876543210]]>', '+919876543210'],
    ['<Sip username="u" password="p">sip:a@b.example;transport=tcp</Sip>', 'sip:a@b.example;transport=tcp'],
  ])('dials %s', (inner, target) => {
    expect(parseTwiml(response(`<Dial>${inner}</Dial>`))).toMatchObject({ do: 'transfer', mode: 'bridge', target })
  })

  it.each([
    ['', 30_000],
    [' timeout="20"', 20_000],
    [' timeout="1"', 5_000],
    [' timeout="600"', 120_000],
  ])('rings for the time of <Dial%s> within what a transfer allows', (attributes, timeoutMs) => {
    expect(parseTwiml(response(`<Dial${attributes}>100</Dial>`))).toMatchObject({ timeoutMs })
  })

  it('takes what may stand around the verb: declaration, processing instruction, white space, a last Hangup', () => {
    const xml = `<?xml version="1.0"?>\n<?x y?>\n${response('\n <Refer><Sip>sips:a@b.example</Sip></Refer>\n <Hangup/>\n')}\n`
    expect(parseTwiml(xml)).toMatchObject({ mode: 'blind', target: 'sips:a@b.example' })
    expect(parseTwiml(response(''))).toEqual({ do: 'hangup' })
    expect(parseTwiml(response('<Reject/>'))).toEqual({ do: 'reject', reason: 'rejected' })
  })

  it.each([
    ['no XML', 'hello', 12100],
    ['nothing', '', 12100],
    ['a torn tag', '<Response><Dial', 12100],
    ['a document type', '<!DOCTYPE x>' + response(''), 12100],
    ['an entity', '<!doctype r [<!ENTITY a "b">]>' + response('&a;'), 12100],
    ['two roots', response('') + response(''), 12100],
    ['another root', '<Say/>', 12200],
    ['too much', response(' '.repeat(MAX_TWIML)), 12200],
    ['several nouns', response('<Dial><Number>100</Number><Number>101</Number></Dial>'), 12200],
    ['a conference', response('<Dial><Conference>c</Conference></Dial>'), 12200],
    ['digits after the answer', response('<Dial><Number sendDigits="1">100</Number></Dial>'), 12200],
    ['a time that is none', response('<Dial timeout="soon">100</Dial>'), 12200],
    ['a stream', response('<Connect><Stream url="wss://x/"/></Connect>'), 12200],
    ['a Refer without target', response('<Refer/>'), 12200],
    ['a header of two lines', response('<Dial><Sip>sip:a@b.example?X-A=1%0d%0aVia: x</Sip></Dial>'), 12200],
    ['no number', response('<Dial/>'), 13223],
    ['letters', response('<Dial>call me</Dial>'), 13223],
    ['no SIP URI', response('<Dial><Sip>http://x/</Sip></Dial>'), 13223],
    ['an entity that nobody made', response('<Dial>&nobody;</Dial>'), 13223],
  ])('refuses %s by its number', (_what, xml, code) => {
    expect(codeOf(xml)).toBe(code)
  })

  it('reads or refuses whatever comes, and never breaks', () => {
    const piece = fc.constantFrom('<Dial', '<Response>', '</Response>', '<Sip>', '</Sip>', '>', '/>', '&#0;', '&#x110000;', '<![CDATA[', ']]>', '<!--', '"', 'callerId=', '__proto__', '<__proto__/>', '<constructor>', '+9198', '<?', '?>', '&amp;') // prettier-ignore
    const soup = fc.array(fc.oneof(piece, fc.string()), { maxLength: 30 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(soup, soup.map(response)), (xml) => void codeOf(xml)),
      { numRuns: 3000, interruptAfterTimeLimit: 2000 },
    )
  })
})
