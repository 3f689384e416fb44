import type { BotPlan } from '../../src/calls/ports.ts'

/** A plan for the native dialect, pcmu both ways, that gives up at the first loss: what a test does not set is off. */
export const planOf = (url: string, more: Partial<BotPlan> = {}): BotPlan => ({
  urls: [url],
  headers: {},
  dialect: 'native',
  audio: {
    input: { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
    output: { encoding: 'pcmu', sampleRate: 8000, frameMs: 20 },
    transport: 'json',
  },
  discriminator: 'both',
  beforeAnswer: 'buffer',
  answerOnAudio: false,
  bufferMs: 120_000,
  connectTimeoutMs: 5000,
  reconnectMs: 0,
  onClose: 'hangup',
  listening: { vad: false, bargeIn: 'none', amd: false, silenceMs: 0, quality: false },
  start: { direction: 'inbound', from: '+911' },
  ...more,
})
