/** The bootstrap file of a simulated installation: one account, a trunk from this machine, one number with a bot. */
import type { Dialect, Rate } from './report.ts'

/** The number that simulated callers dial. */
export const DID = '+918044440000'

export interface Installation {
  botUrl: string
  dialect: Dialect
  /** The bot's audio is pcm16 at this rate; absent: µ-law. */
  rate?: Rate
  recording: boolean
  maxCalls: number
  /** The carrier's SIP port, for calls that go out. */
  carrierPort?: number
  /** API key of the account, or several; must have the shape of accounts/key-text.ts. */
  apiKey?: string | string[]
}

export const bootstrapFile = (o: Installation): Record<string, unknown> => ({
  accounts: [
    {
      id: 'local',
      name: 'Local',
      keys: [o.apiKey ?? []].flat().map((key) => ({ key, name: 'local' })),
      trunks: [
        {
          id: 'carrier',
          name: 'Simulated carrier',
          host: '127.0.0.1',
          port: o.carrierPort ?? 5060,
          allowedCidrs: ['127.0.0.1/32'],
          codecs: ['pcmu', 'pcma'],
          maxCalls: o.maxCalls,
        },
      ],
      bots: [{ id: 'bot', name: 'Simulated bot', url: o.botUrl, ...audioOf(o), record: o.recording }],
      numbers: [{ number: DID, trunkId: 'carrier', action: 'bot', botId: 'bot', record: o.recording }],
    },
  ],
})

function audioOf({ dialect, rate }: Installation): Record<string, unknown> {
  if (dialect === 'twilio') return { dialect }
  const transport = dialect === 'native-binary' ? 'binary' : 'json'
  if (rate === undefined) return { transport }
  return { transport, input: 'pcm16', inputRate: rate, output: 'pcm16', outputRate: rate }
}
