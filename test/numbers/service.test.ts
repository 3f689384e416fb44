import { describe, expect, it } from 'vitest'
import { configuration } from '../accounts/rig.ts'

const A = { accountId: 'a' }
const B = { accountId: 'b' }

async function rig() {
  const world = configuration()
  await world.trunks.create(A, { id: 't1', name: 'T', host: '192.0.2.1' })
  await world.bots.create(A, { id: 'b1', name: 'B', url: 'wss://b' })
  return world
}

describe('the number inventory', () => {
  it('stores E.164, finds any spelling, and says so when it changes', async () => {
    const { numbers, counted } = await rig()
    const before = counted.changes
    const number = await numbers.create(A, { number: '02240001234', trunkId: 't1', action: 'bot', botId: 'b1' })
    expect(number).toMatchObject({ number: '+912240001234', record: false })
    expect((await numbers.findByNumber(A, '+91 22 4000 1234'))?.id).toBe(number.id)
    expect(await numbers.update(A, number.id, { action: 'reject', botId: null })).toMatchObject({
      action: 'reject',
      botId: undefined,
    })
    await numbers.remove(A, number.id)
    expect(counted.changes).toBe(before + 3)
  })

  it('is closed to other accounts', async () => {
    const { numbers } = await rig()
    const { id } = await numbers.create(A, { number: '02240001234', trunkId: 't1', action: 'reject' })
    await expect(numbers.get(B, id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(numbers.update(B, id, {})).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(numbers.remove(B, id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await numbers.list(B)).toEqual([])
    await expect(numbers.create(B, { number: '02240001235', trunkId: 't1', action: 'reject' })).rejects.toMatchObject({
      field: 'trunkId',
    })
  })

  it.each([
    ['number', { number: 'x', trunkId: 't1', action: 'reject' }],
    ['botId', { number: '02240001234', trunkId: 't1', action: 'bot' }],
    ['botId', { number: '02240001234', trunkId: 't1', action: 'bot', botId: 'b9' }],
    ['trunkId', { number: '02240001234', trunkId: 't9', action: 'reject' }],
    ['action', { number: '02240001234', trunkId: 't1', action: 'sing' }],
  ])('names %s when it is at fault', async (field, input) => {
    const { numbers } = await rig()
    await expect(numbers.create(A, input as never)).rejects.toMatchObject({ code: 'INVALID', field })
  })
})
