import { describe, expect, it } from 'vitest'
import { botView } from '../../src/bots/bot.ts'
import { configuration } from '../accounts/rig.ts'

const A = { accountId: 'a' }
const INPUT = { name: 'Greeter', url: 'wss://bot.example/call' }

describe('bots', () => {
  it('get every default and a public number; header values and secrets never come out', async () => {
    const { bots } = configuration()
    const bot = await bots.create(A, { ...INPUT, headers: { 'x-key': 'hidden-1' }, secret: 'hidden-2-hidden-2' })
    expect(bot).toMatchObject({
      publicNo: 1,
      dialect: 'native',
      answerMode: 'auto',
      input: 'pcmu',
      frameMs: 20,
      onLost: 'hangup',
    })
    expect(JSON.stringify(botView(bot))).not.toContain('hidden')
    expect(botView(bot)).toMatchObject({ headerNames: ['x-key'], signed: true })
    expect((await bots.findByPublicNo(A, 1))?.id).toBe(bot.id)
    expect(await bots.findByPublicNo({ accountId: 'b' }, 1)).toBeUndefined()
  })

  it('change field by field and keep their public number', async () => {
    const { bots } = configuration()
    const { id } = await bots.create(A, { ...INPUT, text: 'hello' })
    expect(await bots.update(A, id, { name: 'New', text: null })).toMatchObject({
      name: 'New',
      publicNo: 1,
      url: INPUT.url,
    })
    expect((await bots.get(A, id)).text).toBeUndefined()
  })

  it.each([
    ['url', { url: 'http://x' }],
    ['headers', { headers: { host: 'x' } }],
    ['frameMs', { frameMs: 30 }],
    ['fallbackTarget', { onLost: 'transfer' }],
    ['input', { input: 'opus' }],
    ['secret', { secret: 'short' }],
    ['publicNo', { publicNo: 7 }],
  ])('name %s when it is at fault, also as a bot of one request', async (field, fault) => {
    const { bots } = configuration()
    await expect(bots.create(A, { ...INPUT, ...fault } as never)).rejects.toMatchObject({ code: 'INVALID', field })
    expect(() => bots.settings({ ...INPUT, ...fault } as never)).toThrow()
  })
})
