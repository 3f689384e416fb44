import { describe, expect, it } from 'vitest'
import { MemoryDirectory } from '../../src/accounts/directory.ts'
import { configuration } from './rig.ts'

const A = { accountId: 'a' }

async function directory() {
  const rig = configuration()
  await rig.trunks.create(A, { id: 't1', name: 'T', host: '192.0.2.1' })
  const bot = await rig.bots.create(A, { id: 'b1', name: 'B', url: 'wss://b' })
  await rig.numbers.create(A, {
    id: 'n1',
    number: '022 4000 1234',
    trunkId: 't1',
    action: 'bot',
    botId: 'b1',
    record: true,
  })
  await rig.numbers.create(A, { id: 'n2', number: '022 4000 1235', trunkId: 't1', action: 'reject' })
  return { ...rig, bot, directory: new MemoryDirectory(rig.stores) }
}

describe('the directory', () => {
  it('answers from its snapshot', async () => {
    const { directory: d, bot } = await directory()
    expect(d.inboundRoute('t1', '+912240001234')).toBeUndefined()
    await d.reload()
    expect(d.inboundRoute('t1', '+912240001234')).toEqual({
      accountId: 'a',
      numberId: 'n1',
      number: '+912240001234',
      action: 'bot',
      botId: 'b1',
      record: true,
    })
    expect(d.inboundRoute('t2', '+912240001234')).toBeUndefined()
    expect(d.outboundTrunk('a')).toEqual({ trunkId: 't1', from: '+912240001234', numberId: 'n1' })
    expect(d.outboundTrunk('a', '+912240001235')?.numberId).toBe('n2')
    expect(d.outboundTrunk('a', '+14155550100')).toBeUndefined()
    expect(d.outboundTrunk('b')).toBeUndefined()
    expect(d.bot('a', 'b1')).toEqual(bot)
    expect(d.bot('b', 'b1')).toBeUndefined()
    expect(d.trunks).toHaveLength(1)
  })

  it('keeps the last snapshot while the database is away', async () => {
    const { directory: d, stores } = await directory()
    await d.reload()
    stores.trunks.down = true
    await expect(d.reload()).rejects.toThrow('away')
    expect(d.outboundTrunk('a')).toBeDefined()
    stores.trunks.down = false
    await d.reload()
  })

  it('shows a change that came while a reload was under way', async () => {
    const { directory: d, numbers } = await directory()
    const first = d.reload()
    await numbers.create(A, { number: '022 4000 1236', trunkId: 't1', action: 'reject' })
    await Promise.all([d.reload(), d.reload(), first])
    expect(d.inboundRoute('t1', '+912240001236')).toBeDefined()
  })
})
