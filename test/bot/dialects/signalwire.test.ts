import { describe, expect, it } from 'vitest'
import type { AudioFormat } from '../../../src/bot/dialect.ts'
import { signalwire } from '../../../src/bot/dialects/twilio.ts'
import { CALL_ID, open, playDialogues, read, surviveHostility, UNTOLD } from './dialogue.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

playDialogues('signalwire', signalwire)

describe('the codec', () => {
  it.each([
    ['PCMU@8000h', 'pcmu', 8000, 'pcmu', 8000],
    ['PCMU@8000h for what it has not', 'pcma', 8000, 'pcmu', 8000],
    ['PCMU@8000h for L16 at 8 kHz', 'pcm16', 8000, 'pcmu', 8000],
    ['L16@16000h', 'pcm16', 16000, 'pcm16', 16000],
    ['L16@24000h', 'pcm16', 24000, 'pcm16', 24000],
  ] as const)('is %s, both ways', (_name, encoding, sampleRate, wantedEncoding, wantedRate) => {
    const input: AudioFormat = { encoding, sampleRate, frameMs: 60 }
    const output: AudioFormat = { encoding: 'pcma', sampleRate: 8000, frameMs: 60 }
    const wanted = { encoding: wantedEncoding, sampleRate: wantedRate, frameMs: 20 }
    const plan = signalwire.audio({ input, output, transport: 'binary' }, 'wss://x')
    expect(plan).toEqual({ input: wanted, output: wanted, transport: 'json' })
    // The session changes one direction without the other.
    expect(plan.input).not.toBe(plan.output)
  })

  it('is named in `start`', () => {
    const { dialect, wrote, start } = open(signalwire, {
      configured: { encoding: 'pcm16', sampleRate: 24000, frameMs: 20 },
    })
    dialect.tell(start, 0)
    expect(JSON.parse(wrote[1])).toMatchObject({
      start: { mediaFormat: { encoding: 'audio/x-L16', sampleRate: 24000, channels: 1 } },
    })
  })
})

describe('what is otherwise than at Twilio', () => {
  it('is the version, and ids that are UUIDs', () => {
    const { dialect, wrote, start } = open(signalwire)
    dialect.tell(start, 0)
    expect(JSON.parse(wrote[0])).toEqual({ event: 'connected', protocol: 'Call', version: '0.2.0' })
    const { start: fields } = JSON.parse(wrote[1]) as { start: Record<string, string> }
    expect(fields.callSid).toBe(CALL_ID)
    for (const name of ['accountSid', 'streamSid']) expect(fields[name]).toMatch(UUID)
  })

  it('is that parameters are left out when there are none', () => {
    const { dialect, wrote, start } = open(signalwire, { facts: { account_id: 'a', custom: {} } })
    dialect.tell(start, 0)
    expect(wrote[1]).not.toContain('customParameters')
  })

  it('is a digit with its duration as a number, and a `stop` of two fields', () => {
    const { dialect, wrote } = open(signalwire)
    dialect.tell({ kind: 'dtmf', digit: 'D', durationMs: 80, method: 'rfc4733' }, 0)
    dialect.tell({ kind: 'stop', stop: { reason: 'error', sipStatus: 500, q850: 41 }, stats: {} }, 0)
    expect(wrote.map((text) => JSON.parse(text) as { dtmf?: object })).toMatchObject([
      { dtmf: { digit: 'D', duration: 80 } },
      { event: 'stop', sequenceNumber: '2' },
    ])
    expect(wrote[1]).toBe('{"event":"stop","sequenceNumber":"2"}')
  })

  it('is that the bot presses keys on the socket', () => {
    for (const digit of ['5', '*', '#', 'A'])
      expect(read(open(signalwire).dialect, { event: 'dtmf', streamSid: 's', dtmf: { digit } })).toMatchObject({
        kind: 'digits',
        digits: digit,
      })
  })

  it('is no signature: its bearer token is a header of the bot’s own', () => {
    expect(signalwire.headers({ url: 'wss://x', secret: 's', callId: CALL_ID, wallMs: 0, facts: {} })).toEqual({})
  })
})

describe('what is as at Twilio', () => {
  it('is what is not said', () => {
    const { dialect, wrote } = open(signalwire)
    for (const message of UNTOLD) dialect.tell(message, 0)
    expect(wrote).toEqual([])
  })

  surviveHostility(signalwire)
})
