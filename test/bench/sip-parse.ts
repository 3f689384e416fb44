/** Parse time of a trunk INVITE and of the worst 64 KB datagrams that we could think of (PERFORMANCE.md). */
import { readFileSync } from 'node:fs'
import { parseMessage } from '../../src/sip/message/parse.ts'
import { serialize } from '../../src/sip/message/serialize.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { hostileDatagrams } from '../helpers/sip-hostile.ts'

const invite = readFileSync(new URL('../../fixtures/sip/messages/trunk-invite.sip', import.meta.url))

const usPer = (times: number, fn: () => void): number => {
  const startMs = systemClock.now()
  for (let i = 0; i < times; i++) fn()
  return ((systemClock.now() - startMs) * 1000) / times
}

export async function bench(): Promise<{ name: string; value: number; unit: string }[]> {
  usPer(5000, () => parseMessage(invite))
  const parsed = parseMessage(invite)
  if (!parsed.ok) throw new Error('the trunk INVITE does not parse')
  usPer(5000, () => serialize(parsed.message))
  const rows = [
    { name: 'sip: parse a trunk INVITE', value: usPer(20_000, () => parseMessage(invite)), unit: 'µs' },
    { name: 'sip: serialize a trunk INVITE', value: usPer(20_000, () => serialize(parsed.message)), unit: 'µs' },
  ]
  let worst = { name: '', ms: 0 }
  for (const [name, datagram] of hostileDatagrams()) {
    const ms = usPer(20, () => parseMessage(datagram)) / 1000
    if (ms > worst.ms) worst = { name, ms }
  }
  rows.push({ name: `sip: parse a hostile 64 KB datagram (worst: ${worst.name})`, value: worst.ms, unit: 'ms' })
  return rows
}
