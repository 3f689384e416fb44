import fc from 'fast-check'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import { BINARY, FrameWriter, TEXT, type FrameSocket } from '../../src/bot/frame-writer.ts'

/** A frame as it went out, unmasked by the letter of RFC 6455 §5.3. */
function read(frame: Buffer): { opcode: number; payload: Buffer; mask: string } {
  let at = 2
  let n = frame[1] & 0x7f
  if (n === 126) n = frame.readUInt16BE((at += 2) - 2)
  else if (n === 127) n = Number(frame.readBigUInt64BE((at += 8) - 8))
  const mask = frame.subarray(at, at + 4)
  const payload = Buffer.from(frame.subarray(at + 4))
  expect(payload.length).toBe(n)
  for (let i = 0; i < n; i++) payload[i] ^= mask[i & 3]
  return { opcode: frame[0], payload, mask: mask.toString('hex') }
}

describe('FrameWriter', () => {
  it.each([0, 1, 2, 3, 4, 5, 125, 126, 160, 640, 65_535, 65_536, 100_001])(
    'writes %i bytes as one masked frame',
    (n) => {
      const out: Buffer[] = []
      const socket: FrameSocket = { writableLength: 0, write: (data) => out.push(Buffer.from(data)) > 0 }
      const payload = Uint8Array.from({ length: n }, (_, i) => (i * 7) & 255)
      new FrameWriter(socket).write(BINARY, payload)
      expect(out.length).toBe(1)
      expect(out[0][1] & 0x80).toBe(0x80)
      expect(read(out[0])).toMatchObject({ opcode: 0x82, payload: Buffer.from(payload) })
    },
  )

  it('masks no two frames of a pool alike', () => {
    const out: Buffer[] = []
    const writer = new FrameWriter({ writableLength: 0, write: (data) => out.push(Buffer.from(data)) > 0 })
    for (let i = 0; i < 5000; i++) writer.write(TEXT, Buffer.from('{}'))
    expect(new Set(out.map((f) => read(f).mask)).size).toBeGreaterThan(4990)
  })

  it('leaves alone what the kernel has not taken yet', () => {
    const held: Uint8Array[] = []
    const socket = { writableLength: 0, write: (data: Uint8Array) => (held.push(data), (socket.writableLength += data.length), false) } // prettier-ignore
    const writer = new FrameWriter(socket)
    const said = Array.from({ length: 200 }, (_, i) => Buffer.alloc(160, i))
    for (const payload of said) writer.write(BINARY, payload)
    expect(held.map((f) => read(Buffer.from(f)).payload)).toEqual(said)
    socket.writableLength = 0
    held.length = 0
    writer.write(BINARY, said[3])
    expect(read(Buffer.from(held[0])).payload).toEqual(said[3])
  })

  it('is understood by a server that we did not write, beside the frames that ws sends', async () => {
    const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    onTestFinished(() => client.terminate())
    let writer!: FrameWriter
    client.on('upgrade', (response) => (writer = new FrameWriter(response.socket)))
    const [[peer]] = (await Promise.all([once(server, 'connection'), once(client, 'open')])) as [[WebSocket], unknown]
    const heard: [boolean, Buffer][] = []
    peer.on('message', (data: Buffer, isBinary) => heard.push([isBinary, data]))
    const frame = fc.tuple(fc.constantFrom('text', 'binary', 'ws', 'ping'), fc.nat(70_000))
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), async (frames) => {
        heard.length = 0
        const want: [boolean, Buffer][] = []
        for (const [how, n] of frames) {
          const payload = Buffer.alloc(n, 0x61 + (n % 26))
          if (how === 'ping') client.ping()
          else want.push([how === 'binary', payload])
          if (how === 'text') writer.write(TEXT, payload)
          if (how === 'binary') writer.write(BINARY, payload)
          if (how === 'ws') client.send(payload, { binary: false })
        }
        const ponged = once(client, 'pong')
        client.ping()
        await ponged
        while (heard.length < want.length) await once(peer, 'message')
        expect(heard).toEqual(want)
      }),
      { numRuns: 40 },
    )
  })
})
