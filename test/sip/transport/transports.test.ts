import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../../src/lib/clock.ts'
import { parseVia } from '../../../src/sip/message/headers.ts'
import type { SipMessage, SipRequest } from '../../../src/sip/message/message.ts'
import { parseMessage } from '../../../src/sip/message/parse.ts'
import { openTransports, type TransportOptions } from '../../../src/sip/transport/transports.ts'
import type { Flow, Transports } from '../../../src/sip/transport/transport.ts'
import { metrics } from '../../../src/telemetry/metrics.ts'
import { silentLog } from '../../../src/telemetry/log.ts'
import { FakeClock } from '../../fakes/clock.ts'
import { until } from '../../helpers/until.ts'

const HOST = '127.0.0.1'
const file = (name: string): Buffer => readFileSync(new URL(`../../../fixtures/sip/${name}.sip`, import.meta.url))
const invite = file('messages/trunk-invite')
const options = file('messages/options-ping')

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** What has arrived, and a way to wait for the next. */
class Inbox<T> {
  readonly all: T[] = []
  #waiting: (() => void)[] = []

  put(item: T): void {
    this.all.push(item)
    for (const wake of this.#waiting.splice(0)) wake()
  }

  async nth(n: number): Promise<T> {
    while (this.all.length < n) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    return this.all[n - 1]
  }
}

async function open(
  more: Partial<TransportOptions> = {},
): Promise<{ transports: Transports; inbox: Inbox<{ message: SipMessage; flow: Flow }> }> {
  const transports = await openTransports({ host: HOST, port: 0, clock: systemClock, log: silentLog, ...more })
  closers.push(() => transports.close())
  const inbox = new Inbox<{ message: SipMessage; flow: Flow }>()
  transports.onMessage((message, flow) => inbox.put({ message, flow }))
  return { transports, inbox }
}

async function udpPeer(host = HOST): Promise<{ socket: UdpSocket; port: number; inbox: Inbox<Buffer> }> {
  const socket = createSocket('udp4')
  const inbox = new Inbox<Buffer>()
  socket.on('message', (bytes) => inbox.put(bytes))
  socket.bind(0, host)
  await once(socket, 'listening')
  closers.push(() => socket.close())
  return { socket, port: socket.address().port, inbox }
}

async function tcpPeer(
  transports: Transports,
): Promise<{ socket: Socket; text: () => string; closed: Promise<unknown> }> {
  const socket = connect(transports.localPort, HOST)
  let text = ''
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()))
  socket.on('error', () => undefined)
  const closed = once(socket, 'close')
  closers.push(() => socket.destroy())
  await once(socket, 'connect')
  return { socket, text: () => text, closed }
}

const dropped = async (reason: string): Promise<number> =>
  (await metrics.sipDropped.get()).values.find((v) => v.labels.reason === reason)?.value ?? 0

describe('UDP', () => {
  it('binds one free port for both protocols and says so', async () => {
    const { transports } = await open({ advertisedHost: '198.51.100.7' })
    expect(transports.localPort).toBeGreaterThan(1023)
    expect(transports.sentBy).toEqual({ host: '198.51.100.7', port: transports.localPort })
    await tcpPeer(transports)
  })

  it('hands up a request with received and rport filled in, and a flow that answers', async () => {
    const { transports, inbox } = await open()
    const peer = await udpPeer()
    peer.socket.send(invite, transports.localPort, HOST)
    const { message, flow } = await inbox.nth(1)
    const via = parseVia(message.headers.get('Via') ?? '')
    expect(via?.params.get('received')).toBe(HOST)
    expect(message.headers.all('Via')).toHaveLength(2)
    expect(flow).toMatchObject({
      protocol: 'udp',
      reliable: false,
      remoteHost: HOST,
      remotePort: peer.port,
      closed: false,
    })
    flow.send(Buffer.from('answer'))
    expect((await peer.inbox.nth(1)).toString()).toBe('answer')
  })

  it('drops an unknown source without a word, and counts it', async () => {
    const { transports, inbox } = await open({ admit: () => false })
    const peer = await udpPeer()
    const before = await dropped('unknown_source')
    peer.socket.send(invite, transports.localPort, HOST)
    peer.socket.send(file('torture/invalid/clerr'), transports.localPort, HOST)
    await until(async () => (await dropped('unknown_source')) === before + 2)
    // What comes after it is the first thing that anybody hears of.
    transports.setAdmission(() => true)
    peer.socket.send(options, transports.localPort, HOST)
    await inbox.nth(1)
    expect(inbox.all).toHaveLength(1)
    expect(peer.inbox.all).toEqual([])
  })

  it('answers a malformed request of an admitted source with 400, and drops what cannot be answered', async () => {
    const { transports, inbox } = await open()
    const peer = await udpPeer()
    const malformed = Buffer.from(
      file('torture/invalid/own-repeated-cseq').toString().replace('192.0.2.5:5062', `${HOST}:${peer.port}`),
    )
    for (const bytes of [
      Buffer.alloc(300, 0xff),
      Buffer.alloc(0),
      file('torture/invalid/scalarlg'),
      malformed,
      options,
    ])
      peer.socket.send(bytes, transports.localPort, HOST)
    await inbox.nth(1)
    const answer = parseMessage(await peer.inbox.nth(1))
    expect(answer.ok && answer.message).toMatchObject({ status: 400, reason: 'Repeated CSeq' })
    expect(peer.inbox.all).toHaveLength(1)
    expect(inbox.all).toHaveLength(1)
  })

  it('takes no notice of keep-alives', async () => {
    const { transports, inbox } = await open()
    const peer = await udpPeer()
    const before = await dropped('malformed')
    for (const bytes of [Buffer.from('\r\n\r\n'), Buffer.from('\0'), options])
      peer.socket.send(bytes, transports.localPort, HOST)
    await inbox.nth(1)
    expect(await dropped('malformed')).toBe(before)
  })

  it('stops reading a source that sent 20 bad requests, and reads it again 5 min later', async () => {
    const clock = new FakeClock()
    const { transports, inbox } = await open({ clock })
    const peer = await udpPeer()
    for (let i = 0; i < 20; i++) transports.penalise(HOST)
    peer.socket.send(options, transports.localPort, HOST)
    // Another source is read; by then the datagram before it has been dealt with.
    const other = await udpPeer('127.0.0.2')
    other.socket.send(invite, transports.localPort, HOST)
    expect((await inbox.nth(1)).flow.remoteHost).toBe('127.0.0.2')
    clock.advance(300_001)
    peer.socket.send(options, transports.localPort, HOST)
    expect((await inbox.nth(2)).flow.remoteHost).toBe(HOST)
  })

  it('never bans a trusted source, in whose name anyone can send', async () => {
    const { transports, inbox } = await open({ admit: () => 'trusted' })
    const peer = await udpPeer()
    for (let i = 0; i < 30; i++) peer.socket.send(file('torture/invalid/own-no-via'), transports.localPort, HOST)
    peer.socket.send(options, transports.localPort, HOST)
    await inbox.nth(1)
  })

  it('survives a handler that throws', async () => {
    const { transports } = await open()
    const peer = await udpPeer()
    const seen = new Inbox<string>()
    transports.onMessage((message) => {
      seen.put((message as SipRequest).method)
      if (seen.all.length === 1) throw new Error('bug')
    })
    peer.socket.send(options, transports.localPort, HOST)
    await seen.nth(1)
    peer.socket.send(invite, transports.localPort, HOST)
    await seen.nth(2)
  })

  it('says which datagram did not leave', async () => {
    const { transports } = await open()
    const failed = await new Promise<Error>((resolve) =>
      transports.flowTo('udp', HOST, 5060).send(Buffer.alloc(70_000), resolve),
    )
    expect(failed.message).toContain('EMSGSIZE')
    const badPort = await new Promise<Error>((resolve) => transports.flowTo('udp', HOST, 0).send(options, resolve))
    expect(badPort).toBeInstanceOf(Error)
  })

  it('closes its flows with the socket', async () => {
    const { transports } = await open()
    const flow = transports.flowTo('udp', HOST, 5060)
    const closed = new Promise((resolve) => flow.onClose(resolve))
    await transports.close()
    await closed
    expect(flow.closed).toBe(true)
    await new Promise((resolve) => flow.send(options, resolve))
  })
})

describe('TCP', () => {
  it('reads messages in pieces and answers on the same connection', async () => {
    const { transports, inbox } = await open()
    const peer = await tcpPeer(transports)
    peer.socket.write(invite.subarray(0, 100))
    peer.socket.write(Buffer.concat([invite.subarray(100), options]))
    const { flow } = await inbox.nth(2)
    expect(inbox.all.map(({ message }) => (message as SipRequest).method)).toEqual(['INVITE', 'OPTIONS'])
    expect(flow).toMatchObject({ protocol: 'tcp', reliable: true, remotePort: peer.socket.localPort })
    expect(transports.flowTo('tcp', HOST, peer.socket.localPort ?? 0)).toBe(flow)
    flow.send(Buffer.from('answer'))
    await once(peer.socket, 'data')
    expect(peer.text()).toBe('answer')
  })

  it('answers a ping', async () => {
    const { transports } = await open()
    const peer = await tcpPeer(transports)
    peer.socket.write('\r\n\r\n')
    await once(peer.socket, 'data')
    expect(peer.text()).toBe('\r\n')
  })

  it('opens a connection, queues until it stands, and uses it again', async () => {
    const { transports, inbox } = await open()
    const other = await open()
    const flow = transports.flowTo('tcp', HOST, other.transports.localPort)
    flow.send(options)
    expect(transports.flowTo('tcp', HOST, other.transports.localPort)).toBe(flow)
    const { flow: back } = await other.inbox.nth(1)
    back.send(invite)
    await inbox.nth(1)
    const closed = new Promise<Error>((resolve) => flow.onClose(resolve))
    await other.transports.close()
    await closed
    expect(flow.closed).toBe(true)
    expect(transports.flowTo('tcp', HOST, other.transports.localPort)).not.toBe(flow)
  })

  it('reports a refused connection to those who send on it', async () => {
    const { transports } = await open()
    const other = await open()
    const { localPort } = other.transports
    await other.transports.close()
    const flow = transports.flowTo('tcp', HOST, localPort)
    const err = await new Promise<Error>((resolve) => flow.onClose(resolve))
    expect(err.message).toContain('ECONNREFUSED')
  })

  it('answers a message without Content-Length with 400 and hangs up', async () => {
    const { transports, inbox } = await open()
    const peer = await tcpPeer(transports)
    peer.socket.write(file('torture/invalid/ncl'))
    await peer.closed
    expect(peer.text()).toMatch(/^SIP\/2\.0 400 /)
    expect(inbox.all).toEqual([])
  })

  it('hangs up on headers without end', async () => {
    const { transports } = await open()
    const peer = await tcpPeer(transports)
    peer.socket.write(Buffer.alloc(70_000, 0x41))
    await peer.closed
  })

  it('gives a message 10 s to arrive, and a new connection 10 s to begin', async () => {
    const clock = new FakeClock()
    const { transports, inbox } = await open({ clock })
    const silent = await tcpPeer(transports)
    const slow = await tcpPeer(transports)
    slow.socket.write(options)
    const { flow } = await inbox.nth(1)
    clock.advance(9000)
    slow.socket.write(Buffer.concat([options, invite.subarray(0, 50)]))
    await inbox.nth(2)
    clock.advance(1001)
    await silent.closed
    clock.advance(8900)
    expect(flow.closed).toBe(false)
    clock.advance(200)
    await slow.closed
    expect(flow.closed).toBe(true)
  })

  it('keeps an idle connection that has spoken once', async () => {
    const clock = new FakeClock()
    const { transports, inbox } = await open({ clock })
    const peer = await tcpPeer(transports)
    peer.socket.write(options)
    const { flow } = await inbox.nth(1)
    clock.advance(3_600_000)
    expect(flow.closed).toBe(false)
  })

  it('takes 50 connections of one source, and another when one has gone', async () => {
    const { transports, inbox } = await open()
    const peers = []
    for (let i = 0; i < 50; i++) peers.push(await tcpPeer(transports))
    for (const peer of peers) peer.socket.write(options)
    await inbox.nth(50)
    const refused = await tcpPeer(transports)
    await refused.closed
    const gone = new Promise((resolve) => inbox.all[0].flow.onClose(resolve))
    peers.find((p) => p.socket.localPort === inbox.all[0].flow.remotePort)?.socket.destroy()
    await gone
    const next = await tcpPeer(transports)
    next.socket.write(options)
    await inbox.nth(51)
  })

  it('lets no unknown source connect', async () => {
    const { transports } = await open({ admit: (_, protocol) => protocol === 'udp' })
    const peer = await tcpPeer(transports)
    await peer.closed
    expect(peer.text()).toBe('')
  })

  it('drops a peer that does not read', async () => {
    const { transports } = await open()
    const server: Server = createServer((socket) => socket.pause().on('error', () => undefined))
    server.listen(0, HOST)
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    closers.push(() => server.close())
    const flow = transports.flowTo('tcp', HOST, port)
    const closed = new Promise<Error>((resolve) => flow.onClose(resolve))
    for (let i = 0; i < 1000 && !flow.closed; i++) flow.send(Buffer.alloc(60_000))
    expect((await closed).message).toBe('the peer does not read')
  })
})
