import { describe, expect, it } from 'vitest'
import { BotInput, botSettingsFrom, botView, dialectOfUrl } from '../../src/bots/bot.ts'
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
      inputRate: 8000,
      frameMs: 20,
      bargeIn: 'none',
      amd: false,
      onClose: 'hangup',
      reconnectMs: 15_000,
      fallbackUrls: [],
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
    ['fallbackPrompt', { onLost: 'prompt' }],
    ['fallbackPrompt', { onLost: 'prompt', fallbackPrompt: '../../etc/passwd.wav' }],
    ['fallbackPrompt', { fallbackPrompt: 'sorry.mp3' }],
    ['fallbackUrls', { fallbackUrls: Array(6).fill('wss://b.example/') }],
    ['fallbackUrls.1', { fallbackUrls: ['wss://b.example/', 'http://b.example/'] }],
    ['inputRate', { inputRate: 16_000 }],
    ['inputRate', { input: 'pcm16', inputRate: 44_100 }],
    ['outputRate', { input: 'pcm16', inputRate: 16_000, output: 'pcma', outputRate: 24_000 }],
    ['dialect', { dialect: 'morse' }],
    ['bargeIn', { bargeIn: 'loud' }],
    ['reconnectMs', { reconnectMs: 60_001 }],
    ['silenceMs', { silenceMs: -1 }],
    ['onClose', { onClose: 'wait' }],
    ['input', { input: 'opus' }],
    ['secret', { secret: 'short' }],
    ['publicNo', { publicNo: 7 }],
  ])('name %s when it is at fault, also as a bot of one request', async (field, fault) => {
    const { bots } = configuration()
    await expect(bots.create(A, { ...INPUT, ...fault } as never)).rejects.toMatchObject({ code: 'INVALID', field })
    expect(() => bots.settings({ ...INPUT, ...fault } as never)).toThrow()
  })

  it('take every field of the protocol', async () => {
    const { bots } = configuration()
    const input = {
      ...INPUT,
      dialect: 'exotel',
      answerMode: 'bot',
      answerOnAudio: true,
      input: 'pcm16',
      inputRate: 16_000,
      output: 'pcm16',
      outputRate: 24_000,
      vad: true,
      bargeIn: 'auto_clear',
      amd: true,
      silenceMs: 5000,
      quality: true,
      onClose: 'fallback',
      reconnectMs: 0,
      fallbackUrls: ['wss://b.example/', 'wss://c.example/'],
      onLost: 'prompt',
      fallbackPrompt: 'sorry.wav',
    } as const
    const bot = await bots.create(A, { ...input, fallbackUrls: [...input.fallbackUrls] })
    expect(bot).toMatchObject(input)
    expect(await bots.update(A, bot.id, { onLost: 'hangup', fallbackPrompt: null, fallbackUrls: [] })).toMatchObject({
      onLost: 'hangup',
      fallbackUrls: [],
    })
    await expect(bots.update(A, bot.id, { input: 'pcmu' })).rejects.toMatchObject({ field: 'inputRate' })
  })

  it('are as the examples of the documentation show them', () => {
    const { bots } = configuration()
    const { examples } = BotInput as unknown as { examples: BotInput[] }
    expect(examples.map((example) => bots.settings(example).dialect)).toEqual(['native', 'twilio', 'openai-realtime'])
  })

  it('speak openai-realtime at its address unless told otherwise', () => {
    const url = 'wss://api.openai.com/v1/realtime?model=gpt-realtime'
    expect(botSettingsFrom({ name: 'M', url }).dialect).toBe('openai-realtime')
    expect(botSettingsFrom({ name: 'M', url, dialect: 'native' }).dialect).toBe('native')
    expect(dialectOfUrl('wss://api.openai.com.evil.example/v1/realtime')).toBeUndefined()
    expect(dialectOfUrl('wss://api.openai.com/v1/other')).toBeUndefined()
    expect(dialectOfUrl('no url')).toBeUndefined()
  })
})
