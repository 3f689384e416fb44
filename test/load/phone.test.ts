import { afterEach, describe, expect, it } from 'vitest'
import { correlate } from '../../src/audio/correlate.ts'
import { systemClock } from '../../src/lib/clock.ts'
import { loadClip, pcmOf } from '../../src/load/clips.ts'
import { Pacer } from '../../src/load/pacer.ts'
import { Phone, type PhoneCall, type Reaction } from '../../src/load/phone.ts'
import { silentLog } from '../../src/telemetry/log.ts'

const open: Phone[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((p) => p.close()))
})

async function twoPhones(reaction: Reaction): Promise<{ caller: Phone; target: string; incoming: Promise<PhoneCall> }> {
  const pacer = new Pacer(systemClock)
  const options = { clock: systemClock, log: silentLog, pacer }
  const caller = await Phone.start(options)
  const callee = await Phone.start(options)
  open.push(caller, callee)
  const incoming = new Promise<PhoneCall>((resolve) => callee.onCall(() => reaction, resolve))
  return { caller, target: `sip:100@127.0.0.1:${callee.port}`, incoming }
}

describe('Phone', () => {
  it('calls another phone; speech arrives on both sides, keys too, and the hang-up', async () => {
    // In order of arrival, not placed by time: what a stalled machine sends late is still what was said.
    const [heardThere, heardBack]: Buffer[][] = [[], []]
    const { caller, target, incoming } = await twoPhones({
      do: 'answer',
      ringMs: 50,
      arrived: (payload) => heardThere.push(Buffer.from(payload)),
    })
    const call = await caller.call({
      target,
      from: '+919800000001',
      arrived: (payload) => heardBack.push(Buffer.from(payload)),
    })
    const other = await incoming
    await Promise.all([call.answered, other.answered])
    expect(call.times.ringingMs).toBeGreaterThanOrEqual(0)
    expect(call.times.answeredMs).toBeGreaterThanOrEqual(50)
    const [there, back] = [loadClip('bot-greeting'), loadClip('bot-answer')]
    await Promise.all([call.media.play(there), other.media.play(back)])
    await call.media.press('5', 60, 60)
    call.hangup()
    const [end, otherEnd] = await Promise.all([call.ended, other.ended])
    expect([end.by, otherEnd.by]).toEqual(['us', 'peer'])
    expect(correlate(pcmOf(Buffer.concat(heardThere)), pcmOf(there)).correlation).toBeGreaterThan(0.95)
    expect(correlate(pcmOf(Buffer.concat(heardBack)), pcmOf(back)).correlation).toBeGreaterThan(0.95)
    expect(other.digits).toEqual(['5'])
    expect([call.media.stats.lost, other.media.stats.lost]).toEqual([0, 0])
  })

  it('is told when the other is busy', async () => {
    const { caller, target } = await twoPhones({ do: 'refuse', status: 486, ringMs: 20 })
    const call = await caller.call({ target, from: '+919800000001' })
    await expect(call.answered).rejects.toThrow('486')
    expect((await call.ended).sipStatus).toBe(486)
  })

  it('gives up on a phone that nobody answers', async () => {
    const { caller, target } = await twoPhones({ do: 'no-answer' })
    const call = await caller.call({ target, from: '+919800000001', ringTimeoutMs: 200 })
    await expect(call.answered).rejects.toThrow()
    expect((await call.ended).by).toBe('timeout')
  })

  it('ends its calls when it is closed', async () => {
    const { caller, target, incoming } = await twoPhones({ do: 'answer' })
    const call = await caller.call({ target, from: '+919800000001' })
    const other = await incoming
    await Promise.all([call.answered, other.answered])
    await caller.close()
    expect((await other.ended).by).toBe('peer')
  })
})
