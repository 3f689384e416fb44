import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { StreamFramer } from '../../../src/sip/message/framing.ts'

const fixture = (name: string): Buffer =>
  readFileSync(new URL(`../../../fixtures/sip/messages/${name}.sip`, import.meta.url))
const invite = fixture('trunk-invite')
const options = fixture('options-ping')

function framed(...chunks: Buffer[]): { messages: Buffer[]; pings: number; errors: string[]; framer: StreamFramer } {
  const out = { messages: [] as Buffer[], pings: 0, errors: [] as string[] }
  const framer = new StreamFramer({
    onMessage: (m) => out.messages.push(m),
    onPing: () => out.pings++,
    onError: (reason) => out.errors.push(reason),
  })
  for (const chunk of chunks) framer.push(chunk)
  return { ...out, framer }
}

describe('StreamFramer', () => {
  it('cuts messages out of one chunk', () => {
    const { messages, framer } = framed(Buffer.concat([invite, options, invite]))
    expect(messages.map((m) => m.length)).toEqual([invite.length, options.length, invite.length])
    expect(messages[2].equals(invite)).toBe(true)
    expect(framer.partial).toBe(false)
  })

  it('puts messages together from single bytes', () => {
    const stream = Buffer.concat([invite, options])
    const { messages } = framed(...Array.from(stream, (_, i) => stream.subarray(i, i + 1)))
    expect(messages.map((m) => m.toString())).toEqual([invite.toString(), options.toString()])
  })

  it('does the same wherever the stream is cut in two', () => {
    const stream = Buffer.concat([options, invite])
    for (let cut = 1; cut < stream.length; cut++) {
      const { messages } = framed(stream.subarray(0, cut), stream.subarray(cut))
      expect(messages.map((m) => m.length)).toEqual([options.length, invite.length])
    }
  })

  it('hands on bytes that later chunks do not touch', () => {
    const { messages, framer } = framed(invite)
    framer.push(Buffer.alloc(600, 0x41))
    expect(messages[0].equals(invite)).toBe(true)
  })

  it('takes CRLF CRLF between messages as a ping, and a single CRLF as nothing', () => {
    const crlf = Buffer.from('\r\n')
    expect(framed(crlf, crlf).pings).toBe(1)
    expect(framed(crlf).pings).toBe(0)
    const { pings, messages } = framed(Buffer.concat([crlf, options, crlf, crlf, options]))
    expect(pings).toBe(1)
    expect(messages).toHaveLength(2)
  })

  it('refuses a message without usable Content-Length and reads no further', () => {
    for (const length of ['', 'Content-Length: -1\r\n', 'Content-Length: x\r\n', 'Content-Length: 9999999999\r\n']) {
      const { errors, messages } = framed(Buffer.from(`OPTIONS sip:a SIP/2.0\r\n${length}\r\n`), options)
      expect(errors).toEqual(['no-content-length'])
      expect(messages).toEqual([])
    }
  })

  it('stops at 64 KiB, in the head or announced', () => {
    const endless = Array.from({ length: 70 }, () => Buffer.alloc(1000, 0x41))
    expect(framed(...endless).errors).toEqual(['too-large'])
    expect(framed(Buffer.from('OPTIONS sip:a SIP/2.0\r\nl: 65530\r\n\r\n')).errors).toEqual(['too-large'])
  })

  it('knows when a message is incomplete', () => {
    expect(framed(invite.subarray(0, 40)).framer.partial).toBe(true)
    expect(framed(Buffer.from('\r\n\r\n')).framer.partial).toBe(false)
  })
})
