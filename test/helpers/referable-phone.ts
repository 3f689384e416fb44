/**
 * A phone that takes a REFER: one UDP socket, one call, SIP by hand. It does not call the target; it says what came of it
 * as told. Its sound is of no interest: it sends no RTP.
 */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { buildResponse } from '../../src/sip/message/build.ts'
import type { SipRequest, SipResponse } from '../../src/sip/message/message.ts'
import { parseMessage } from '../../src/sip/message/parse.ts'
import { serialize } from '../../src/sip/message/serialize.ts'

export class ReferablePhone {
  readonly #socket: Socket
  readonly #server: number
  readonly #callId = `refer-${process.pid}-${performance.now()}@127.0.0.1`
  #from = ''
  #to = ''
  #uri = ''
  #cseq = 1
  answered = false
  ended = false
  /** The REFER, once it has come. */
  refer: SipRequest | undefined

  private constructor(socket: Socket, server: number) {
    this.#socket = socket
    this.#server = server
    socket.on('message', (data: Buffer) => {
      const { message } = parseMessage(data) as { message?: SipRequest | SipResponse }
      if (message?.kind === 'response') this.#answered(message)
      else if (message) this.#asked(message)
    })
  }

  /** Calls `number` on the server at this SIP port. */
  static async call(server: number, number: string, from: string): Promise<ReferablePhone> {
    const socket = createSocket('udp4')
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const phone = new ReferablePhone(socket, server)
    phone.#uri = `sip:${number}@127.0.0.1:${server}`
    phone.#from = `<sip:${from}@127.0.0.1>;tag=phone`
    phone.#to = `<${phone.#uri}>`
    const sdp = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0', 'm=audio 9998 RTP/AVP 0', '']
    phone.#request('INVITE', ['Content-Type: application/sdp'], sdp.join('\r\n'))
    return phone
  }

  get #contact(): string {
    return `sip:phone@127.0.0.1:${this.#socket.address().port}`
  }

  /** NOTIFY with what became of the call to the target, such as `200 OK`. */
  tell(status: string, last: boolean): void {
    const state = last ? 'terminated;reason=noresource' : 'active;expires=60'
    const headers = ['Event: refer', `Subscription-State: ${state}`, 'Content-Type: message/sipfrag;version=2.0']
    this.#request('NOTIFY', headers, `SIP/2.0 ${status}\r\n`)
  }

  #request(method: string, headers: string[], body = '', cseq = this.#cseq++): void {
    const head = [
      `${method} ${this.#uri} SIP/2.0`,
      `Via: SIP/2.0/UDP ${this.#contact.slice('sip:phone@'.length)};branch=z9hG4bK-${method}-${cseq}`,
      'Max-Forwards: 70',
      `From: ${this.#from}`,
      `To: ${this.#to}`,
      `Call-ID: ${this.#callId}`,
      `CSeq: ${cseq} ${method}`,
      `Contact: <${this.#contact}>`,
      ...headers,
      `Content-Length: ${Buffer.byteLength(body)}`,
    ]
    this.#socket.send(`${head.join('\r\n')}\r\n\r\n${body}`, this.#server, '127.0.0.1')
  }

  #answered(response: SipResponse): void {
    if (response.status < 200 || !response.headers.get('CSeq')?.includes('INVITE')) return
    this.#to = response.headers.get('To') ?? this.#to
    this.#uri = /<([^>]+)>/.exec(response.headers.get('Contact') ?? '')?.[1] ?? this.#uri
    this.#request('ACK', [], '', 1)
    if (response.status < 300) this.answered = true
    else this.ended = true
  }

  #asked(request: SipRequest): void {
    if (request.method === 'ACK') return
    if (request.method === 'BYE') this.ended = true
    if (request.method === 'REFER') this.refer = request
    this.#socket.send(
      serialize(buildResponse(request, request.method === 'REFER' ? 202 : 200)),
      this.#server,
      '127.0.0.1',
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close()
    await once(this.#socket, 'close')
  }
}
