import { describe, expect, it } from 'vitest'
import { botSettingsFrom } from '../../src/bots/bot.ts'
import { botPlan, publicUrl } from '../../src/calls/bot-plan.ts'
import { Call } from '../../src/calls/call.ts'
import { FakeClock } from '../fakes/clock.ts'

const call = (direction: 'inbound' | 'outbound'): Call =>
  new Call(
    new FakeClock(),
    { append: () => Promise.resolve() },
    {
      type: 'created',
      callId: 'call-1',
      accountId: 'a',
      seq: 1,
      atMs: 0,
      logId: 1,
      nodeId: 'n',
      direction,
      from: '+911',
      to: '+912',
      trunkId: 't',
      custom: {},
    },
    undefined,
  )

const settings = botSettingsFrom({
  name: 'B',
  url: 'wss://bot.example/',
  fallbackUrls: ['wss://b.example/', 'wss://c.example/'],
  dialect: 'exotel',
  input: 'pcm16',
  inputRate: 16_000,
  output: 'pcm16',
  outputRate: 24_000,
  answerMode: 'bot',
  answerOnAudio: true,
  amd: true,
  vad: true,
  bargeIn: 'pause',
  silenceMs: 5000,
  quality: true,
  onClose: 'fallback',
  reconnectMs: 2000,
})

describe('the plan of a bot', () => {
  it('has the address and its stand-ins in order, and each side’s own format', () => {
    expect(botPlan(call('outbound'), settings)).toMatchObject({
      urls: ['wss://bot.example/', 'wss://b.example/', 'wss://c.example/'],
      dialect: 'exotel',
      audio: {
        input: { encoding: 'pcm16', sampleRate: 16_000, frameMs: 20 },
        output: { encoding: 'pcm16', sampleRate: 24_000, frameMs: 20 },
        transport: 'json',
      },
      listening: { vad: true, bargeIn: 'pause', amd: true, silenceMs: 5000, quality: true },
      onClose: 'fallback',
      reconnectMs: 2000,
    })
  })

  it('looks for machines on outbound calls only, and lets audio answer inbound ones only', () => {
    expect(botPlan(call('outbound'), settings).answerOnAudio).toBe(false)
    const inbound = botPlan(call('inbound'), settings)
    expect(inbound.answerOnAudio).toBe(true)
    expect(inbound.listening.amd).toBe(false)
    expect(botPlan(call('inbound'), { ...settings, answerMode: 'auto' }).answerOnAudio).toBe(false)
  })
})

describe('publicUrl', () => {
  it.each([
    ['wss://bot.example/a?token=1', 'wss://bot.example/a'],
    ['wss://user:pass@bot.example/a', 'wss://bot.example/a'],
    ['https://u%40x:p@ss@bot.example:8443', 'https://bot.example:8443'],
    ['wss://bot.example/a@b', 'wss://bot.example/a@b'],
  ])('of %s carries no secret', (url, shown) => {
    expect(publicUrl(url)).toBe(shown)
  })
})
