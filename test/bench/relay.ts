/**
 * The floor of the load run: the least that a Node program can do for a call. RTP payloads to a WebSocket and back, one
 * UDP socket and one plain `ws` client each; no SIP, no jitter buffer, no pacing, no recording. What the bridge costs
 * is quoted as a ratio to this, measured in the same minutes on the same machine.
 *
 *   node test/bench/relay.ts CALLS BOT_URL     prints {"ports":[…]} when all bots are connected; runs until stdin closes
 */
import { createSocket } from 'node:dgram'
import { WebSocket } from 'ws'

const HEADER_BYTES = 12
const [calls, botUrl] = [Number(process.argv[2]), process.argv[3]]

async function relay(): Promise<number> {
  const udp = createSocket('udp4')
  udp.on('error', () => {}) // ECONNREFUSED when the caller left first
  const bot = new WebSocket(botUrl, { perMessageDeflate: false })
  bot.on('error', (err) => {
    process.stderr.write(`${err.message}\n`)
    process.exit(1)
  })
  await new Promise((resolve) => bot.once('open', resolve))
  let peer: { address: string; port: number } | undefined
  let seq = 0
  udp.on('message', (packet, from) => {
    peer ??= { address: from.address, port: from.port }
    bot.send(packet.subarray(HEADER_BYTES))
  })
  bot.on('message', (payload: Buffer) => {
    if (!peer) return
    const packet = Buffer.allocUnsafe(HEADER_BYTES + payload.length)
    seq = (seq + 1) & 0xffff
    packet.writeUInt16BE(0x8000, 0)
    packet.writeUInt16BE(seq, 2)
    packet.writeUInt32BE((seq * 160) >>> 0, 4)
    packet.writeUInt32BE(1, 8)
    packet.set(payload, HEADER_BYTES)
    udp.send(packet, peer.port, peer.address)
  })
  await new Promise<void>((resolve) => udp.bind(0, '127.0.0.1', resolve))
  return udp.address().port
}

if (process.argv[1] === import.meta.filename) {
  const ports = await Promise.all(Array.from({ length: calls }, relay))
  process.stdout.write(`${JSON.stringify({ ports })}\n`)
  process.stdin.on('end', () => process.exit(0)).resume()
}
