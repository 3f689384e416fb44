import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect } from 'node:net'
import { expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { buildResponse } from '../../src/sip/message/build.ts'
import { TransactionLayer } from '../../src/sip/transaction/layer.ts'
import { openTransports } from '../../src/sip/transport/transports.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { corpus, mutate, seeded } from '../helpers/sip-mutator.ts'
import { makeRequest } from '../sip/transaction/rig.ts'

// Answers go back to the source address at whatever port a mutated Via names: nobody else is on this one.
const ATTACKER = '127.0.0.77'

it('answers a normal request after the torture corpus and thousands of mutations over UDP and TCP', async () => {
  const host = '127.0.0.1'
  const transports = await openTransports({ host, port: 0, clock: systemClock, log: silentLog, admit: () => 'trusted' })
  const layer = new TransactionLayer({ clock: systemClock, transports, log: silentLog })
  layer.onRequest((request, tx) => tx?.respond(buildResponse(request, 486, undefined, { toTag: 't' })))
  const normal = await openTransports({ host, port: 0, clock: systemClock, log: silentLog })
  const client = new TransactionLayer({ clock: systemClock, transports: normal, log: silentLog })
  const ask = (protocol: 'udp' | 'tcp'): Promise<number> =>
    new Promise((resolve, reject) => {
      const flow = normal.flowTo(protocol, host, transports.localPort)
      client.request(makeRequest('OPTIONS', { callId: protocol }), flow, {
        response: (response) => resolve(response.status),
        timeout: () => reject(new Error('timeout')),
        transportError: reject,
      })
    })

  const random = seeded(5060)
  const socket = createSocket('udp4')
  socket.bind(0, ATTACKER)
  await once(socket, 'listening')
  const send = (bytes: Buffer): Promise<void> =>
    new Promise((resolve) => socket.send(bytes.subarray(0, 60_000), transports.localPort, host, () => resolve()))
  for (const bytes of corpus) await send(bytes)
  for (let i = 0; i < 5000; i++) await send(mutate(corpus[random(corpus.length)], random))
  expect(await ask('udp')).toBe(486)

  for (let i = 0; i < 100; i++) {
    const stream = connect({ port: transports.localPort, host, localAddress: ATTACKER })
    stream.on('error', () => undefined)
    stream.resume()
    const closed = once(stream, 'close')
    for (let n = 0; n < 5; n++) stream.write(mutate(corpus[random(corpus.length)], random))
    stream.end()
    await closed
  }
  expect(await ask('tcp')).toBe(486)

  layer.close()
  client.close()
  socket.close()
  await Promise.all([transports.close(), normal.close()])
})
