import { beforeEach, describe, expect, it } from 'vitest'
import { dialLater, dialNow, dialScheduled, type Dial } from '../../src/api/dial.ts'
import { ACME, fakeCore, NOW_MS, OTHER, type FakeCore } from '../fakes/core.ts'

const ctx = { accountId: ACME }
const dial = (bot: Dial['bot'], more: Partial<Dial> = {}): Dial => ({
  to: '+919876543210',
  bot,
  custom: {},
  connectAfterAnswer: false,
  ringTimeoutMs: 60_000,
  ...more,
})

let core: FakeCore
beforeEach(async () => {
  core = await fakeCore()
})

describe('dialNow', () => {
  it('uses a stored bot as it is, with the texts of the request', async () => {
    await dialNow(core, ctx, dial({ id: 'bot-1', text: 'Hello' }), 'call-1')
    expect(core.placed[0]).toMatchObject({
      accountId: ACME,
      ids: { callId: 'call-1' },
      bot: {
        url: 'wss://bot.example.com/voice',
        headers: { Authorization: 'Bearer of-the-bot' },
        systemMsg: 'You are a receptionist.',
        text: 'Hello',
      },
    })
  })

  it('never sends a stored bot’s headers to another address', async () => {
    await dialNow(core, ctx, dial({ id: 'bot-1', url: 'wss://other.example.com/' }), 'call-1')
    expect(core.placed[0].bot).toMatchObject({
      url: 'wss://other.example.com/',
      headers: {},
      systemMsg: 'You are a receptionist.',
    })
  })

  it('records calls of a bot that is only an address', async () => {
    await dialNow(core, ctx, dial({ url: 'wss://other.example.com/', language: 'hi-IN' }), 'call-1')
    expect(core.placed[0].bot).toMatchObject({ record: true, language: 'hi-IN', answerMode: 'auto' })
  })

  it('chooses the protocol: as asked, as the address tells, as the stored bot has it', async () => {
    const dialectOf = async (bot: Dial['bot']): Promise<string> => {
      await dialNow(core, ctx, dial(bot), 'call-1')
      return core.placed.at(-1)!.bot.dialect
    }
    const [any, model] = ['wss://other.example.com/', 'wss://api.openai.com/v1/realtime?model=m']
    expect(await dialectOf({ url: any })).toBe('native')
    expect(await dialectOf({ url: any, dialect: 'twilio' })).toBe('twilio')
    expect(await dialectOf({ url: model })).toBe('openai-realtime')
    expect(await dialectOf({ url: model, dialect: 'native' })).toBe('native')
    expect(await dialectOf({ id: 'bot-1', dialect: 'exotel' })).toBe('exotel')
    await core.bots.update(ctx, 'bot-1', { dialect: 'plivo' })
    expect(await dialectOf({ id: 'bot-1' })).toBe('plivo')
    expect(await dialectOf({ id: 'bot-1', url: any })).toBe('plivo')
    expect(await dialectOf({ id: 'bot-1', url: model })).toBe('openai-realtime')
  })

  it('leaves out stand-ins that would not speak the protocol', async () => {
    await core.bots.update(ctx, 'bot-1', { fallbackUrls: ['wss://standby.example.com/'] })
    await dialNow(core, ctx, dial({ id: 'bot-1', url: 'wss://other.example.com/' }), 'call-1')
    await dialNow(core, ctx, dial({ id: 'bot-1', dialect: 'twilio' }), 'call-2')
    expect(core.placed.map((p) => p.bot.fallbackUrls)).toEqual([['wss://standby.example.com/'], []])
  })

  it('finds no bot of another account, and none where none is named', async () => {
    await expect(dialNow(core, { accountId: OTHER }, dial({ id: 'bot-1' }), 'c')).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
    await expect(dialNow(core, ctx, dial({}), 'c')).rejects.toMatchObject({ code: 'NO_BOT' })
  })
})

describe('dialLater', () => {
  it('puts the request away by name, and places it as the bot is when its time comes', async () => {
    const scheduled = await dialLater(core, ctx, dial({ id: 'bot-1' }), NOW_MS + 60_000, 'call-1')
    expect(scheduled.callId).toBe('call-1')
    expect(JSON.stringify(scheduled.payload)).not.toContain('of-the-bot')
    await core.bots.update(ctx, 'bot-1', { url: 'wss://moved.example.com/' })
    await dialScheduled(core, JSON.parse(JSON.stringify(scheduled)) as typeof scheduled)
    expect(core.placed[0]).toMatchObject({
      to: '+919876543210',
      scheduledForMs: NOW_MS + 60_000,
      ids: { callId: scheduled.callId, logId: scheduled.logId },
      bot: { url: 'wss://moved.example.com/' },
    })
  })

  it('refuses at once what would fail later', async () => {
    const at = NOW_MS + 60_000
    await expect(dialLater(core, ctx, dial({ id: 'none' }), at, 'c')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(dialLater(core, ctx, dial({ url: 'ws://x' }), at, 'c')).rejects.toMatchObject({ code: 'INVALID' })
    await expect(dialLater(core, ctx, dial({ id: 'bot-1' }, { from: '+911143104999' }), at, 'c')).rejects.toMatchObject(
      {
        code: 'NO_TRUNK',
      },
    )
    expect(core.scheduled).toEqual([])
  })
})
