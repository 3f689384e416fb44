/** Bytes that the kernel holds between two loopback TCP ports (Linux /proc/net/tcp, proc(5)). Elsewhere: undefined. */
import { readFileSync } from 'node:fs'

/** Written at `from` and not yet read at `to`: sent and unread, or not sent yet. */
export function bytesUnderWay(from: number, to: number): number | undefined {
  try {
    return bytesIn(readFileSync('/proc/net/tcp', 'utf8'), from, to)
  } catch {
    return undefined // not Linux
  }
}

/**
 *   sl  local_address rem_address   st tx_queue rx_queue …
 *    0: 0100007F:1F90 0100007F:D2A4 01 00000000:0000A000 …
 */
export function bytesIn(text: string, from: number, to: number): number {
  let bytes = 0
  for (const line of text.split('\n').slice(1)) {
    const [, local, remote, , queues] = line.trim().split(/\s+/)
    if (queues === undefined) continue
    const [tx, rx] = queues.split(':').map((hex) => parseInt(hex, 16))
    if (portOf(local) === from && portOf(remote) === to) bytes += tx
    if (portOf(local) === to && portOf(remote) === from) bytes += rx
  }
  return bytes
}

const portOf = (address: string): number => parseInt(address.slice(address.indexOf(':') + 1), 16)
