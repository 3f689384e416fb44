/**
 * Data frames of a WebSocket client (RFC 6455 §5.2), written straight into the socket: header, mask and payload in one
 * slab and one write, no object per frame. For the media frames alone; handshake, control frames and everything that
 * comes from the other side are `ws`'. Both write to the same socket, whole frames at a time, so they never mix.
 *
 *   slab  │ h │ mask │ payload ^ mask │ h │ mask │ …          back to its start whenever the kernel has taken all
 */
import { randomFillSync } from 'node:crypto'

const SLAB_BYTES = 8192
const MOST_HEADER_BYTES = 14
const MASKED = 0x80
/** Four bytes for each frame; filled anew when all are used, for masks must not be guessed (RFC 6455 §10.3). */
const POOL_BYTES = 8192

const pool = new Uint8Array(POOL_BYTES)
let poolAt = POOL_BYTES

export const TEXT = 1
export const BINARY = 2

/** What it needs of a net.Socket. */
export interface FrameSocket {
  write(data: Uint8Array): boolean
  /** Bytes that the kernel has not taken. */
  readonly writableLength: number
}

export class FrameWriter {
  readonly #socket: FrameSocket
  readonly #slab = Buffer.allocUnsafeSlow(SLAB_BYTES)
  #at = 0
  /** The view of the last frame that stood at the slab's start: the next one most often has its length. */
  #view = this.#slab.subarray(0, 0)

  constructor(socket: FrameSocket) {
    this.#socket = socket
  }

  /** One whole message. `payload` is copied: it may be used again at once. */
  write(opcode: typeof TEXT | typeof BINARY, payload: Uint8Array): void {
    const most = MOST_HEADER_BYTES + payload.length
    // The kernel has taken everything: nobody looks at the slab any more.
    if (this.#socket.writableLength === 0) this.#at = 0
    if (this.#at + most > SLAB_BYTES) {
      const own = Buffer.allocUnsafeSlow(most)
      this.#socket.write(own.subarray(0, fill(own, 0, opcode, payload)))
      return
    }
    const start = this.#at
    const end = fill(this.#slab, start, opcode, payload)
    this.#at = end
    if (start > 0) this.#socket.write(this.#slab.subarray(start, end))
    else {
      if (this.#view.length !== end) this.#view = this.#slab.subarray(0, end)
      this.#socket.write(this.#view)
    }
  }
}

/** @returns where the frame ends */
function fill(dst: Buffer, start: number, opcode: number, payload: Uint8Array): number {
  const n = payload.length
  let at = start
  dst[at++] = 0x80 | opcode
  if (n < 126) dst[at++] = MASKED | n
  else if (n < 65_536) {
    dst[at++] = MASKED | 126
    dst[at++] = n >> 8
    dst[at++] = n & 255
  } else {
    dst[at++] = MASKED | 127
    at = dst.writeUInt32BE(Math.floor(n / 2 ** 32), at)
    at = dst.writeUInt32BE(n >>> 0, at)
  }
  if (poolAt === POOL_BYTES) {
    randomFillSync(pool)
    poolAt = 0
  }
  const a = (dst[at++] = pool[poolAt++])
  const b = (dst[at++] = pool[poolAt++])
  const c = (dst[at++] = pool[poolAt++])
  const d = (dst[at++] = pool[poolAt++])
  let i = 0
  for (; i + 3 < n; i += 4) {
    dst[at] = payload[i] ^ a
    dst[at + 1] = payload[i + 1] ^ b
    dst[at + 2] = payload[i + 2] ^ c
    dst[at + 3] = payload[i + 3] ^ d
    at += 4
  }
  if (i < n) dst[at++] = payload[i] ^ a
  if (i + 1 < n) dst[at++] = payload[i + 1] ^ b
  if (i + 2 < n) dst[at++] = payload[i + 2] ^ c
  return at
}
