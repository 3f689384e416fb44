import type { DatagramHandler, RtpTransport } from '../../src/rtp/socket.ts'

export interface SentDatagram {
  kind: 'rtp' | 'rtcp'
  data: Buffer
  host: string
  port: number
}

/** An RTP socket in memory: keeps (copies of) what is sent, and lets a test deliver datagrams. */
export class FakeRtpSocket implements RtpTransport {
  readonly port: number
  errors = 0
  sent: SentDatagram[] = []
  closed = false
  settled = 0
  /** Off for benches: nothing is kept. */
  keep = true
  onSent: ((datagram: SentDatagram) => void) | undefined
  #onRtp: DatagramHandler = () => undefined
  #onRtcp: DatagramHandler = () => undefined
  #host = ''
  #rtpPort = 0
  #rtcpPort = 0

  constructor(port = 40_000) {
    this.port = port
  }

  listen(onRtp: DatagramHandler, onRtcp: DatagramHandler): void {
    this.#onRtp = onRtp
    this.#onRtcp = onRtcp
  }

  target(host: string, rtpPort: number, rtcpPort: number): void {
    this.#host = host
    this.#rtpPort = rtpPort
    this.#rtcpPort = rtcpPort
  }

  settle(): void {
    this.settled++
  }

  sendRtp(data: Buffer, length: number): void {
    if (this.keep)
      this.#push({ kind: 'rtp', data: Buffer.from(data.subarray(0, length)), host: this.#host, port: this.#rtpPort })
  }

  sendRtcp(data: Buffer, length: number): void {
    if (this.keep)
      this.#push({ kind: 'rtcp', data: Buffer.from(data.subarray(0, length)), host: this.#host, port: this.#rtcpPort })
  }

  #push(datagram: SentDatagram): void {
    this.sent.push(datagram)
    this.onSent?.(datagram)
  }

  async close(): Promise<void> {
    this.closed = true
  }

  receive(data: Buffer, host: string, port: number): void {
    this.#onRtp(data, host, port)
  }

  receiveRtcp(data: Buffer, host: string, port: number): void {
    this.#onRtcp(data, host, port)
  }

  /** What was sent since the last call. */
  take(kind: 'rtp' | 'rtcp' = 'rtp'): Buffer[] {
    const taken = this.sent.filter((d) => d.kind === kind).map((d) => d.data)
    this.sent = this.sent.filter((d) => d.kind !== kind)
    return taken
  }
}
