/**
 * A bot's https address that is not the bot but knows where it is: asked at each dial for the wss address (Exotel's
 * dynamic URL). The answer is `{"url": "wss://…"}` or the bare address.
 */
import { get as getHttps, type RequestOptions } from 'node:https'
import { get as getHttp } from 'node:http'
import type { EgressTarget } from '../egress/egress.ts'
import type { Clock } from '../lib/clock.ts'

const MAX_ANSWER_BYTES = 16_384

/** Rejects when there is no answer in time, or none that names a WebSocket. */
export function askAddress(target: EgressTarget, timeoutMs: number, clock: Clock): Promise<string> {
  const { url, lookup } = target
  return new Promise((resolve, reject) => {
    const options: RequestOptions = { lookup, headers: { accept: 'application/json' } }
    const request = (url.protocol === 'http:' ? getHttp : getHttps)(url, options, (response) => {
      const parts: Buffer[] = []
      let bytes = 0
      response.on('data', (part: Buffer) => {
        bytes += part.length
        if (bytes > MAX_ANSWER_BYTES) request.destroy(new Error('the answer with the address is too long'))
        else parts.push(part)
      })
      response.on('end', () => {
        const status = response.statusCode ?? 0
        if (status !== 200) return reject(new Error(`asked for the address: HTTP ${status}`))
        const found = addressIn(Buffer.concat(parts).toString('utf8'))
        if (found === undefined) return reject(new Error('asked for the address: the answer names no wss:// URL'))
        resolve(found)
      })
      response.on('error', reject)
    })
    const limit = clock.after(timeoutMs, () => request.destroy(new Error('asked for the address: no answer in time')))
    request.on('close', () => limit.cancel())
    request.on('error', reject)
  })
}

function addressIn(text: string): string | undefined {
  let found: unknown = text.trim()
  try {
    const value: unknown = JSON.parse(text)
    found = typeof value === 'object' && value !== null ? (value as { url?: unknown }).url : value
  } catch {
    // Not JSON: the bare address.
  }
  return typeof found === 'string' && /^wss?:\/\//.test(found) ? found : undefined
}
