/** The bootstrap file of a simulated installation: one account, a trunk from this machine, one number with a bot. */
import type { Dialect } from './report.ts'

/** The number that simulated callers dial. */
export const DID = '+918044440000'

export interface Installation {
  botUrl: string
  dialect: Dialect
  recording: boolean
  maxCalls: number
  /** The carrier's SIP port, for calls that go out. */
  carrierPort?: number
  /** API key of the account; must have the shape of accounts/key-text.ts. */
  apiKey?: string
}

export const bootstrapFile = (o: Installation): Record<string, unknown> => ({
  accounts: [
    {
      id: 'local',
      name: 'Local',
      keys: o.apiKey ? [{ key: o.apiKey, name: 'local' }] : [],
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
      bots: [
        {
          id: 'bot',
          name: 'Simulated bot',
          url: o.botUrl,
          transport: o.dialect === 'native-binary' ? 'binary' : 'json',
          record: o.recording,
        },
      ],
      numbers: [{ number: DID, trunkId: 'carrier', action: 'bot', botId: 'bot', record: o.recording }],
    },
  ],
})
