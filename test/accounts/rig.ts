import { createHash } from 'node:crypto'
import { AccountService } from '../../src/accounts/service.ts'
import { BotService } from '../../src/bots/service.ts'
import { NumberService } from '../../src/numbers/service.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { TrunkService } from '../../src/trunks/service.ts'
import { FakeClock } from '../fakes/clock.ts'
import { MemoryAccounts, MemoryBots, MemoryKeys, MemoryNumbers, MemoryTrunks } from '../fakes/stores.ts'

/** The configuration services over memory; `changes` counts how often they said that something changed. */
export function configuration() {
  const clock = new FakeClock()
  const stores = {
    accounts: new MemoryAccounts(),
    keys: new MemoryKeys(),
    trunks: new MemoryTrunks(),
    numbers: new MemoryNumbers(),
    bots: new MemoryBots(),
  }
  const values = new Map<string, string>()
  const instance = {
    get: async (name: string) => values.get(name),
    put: async (name: string, value: string) => void values.set(name, value),
  }
  const hasher = { digest: (text: string) => createHash('sha256').update(text).digest('hex') }
  const counted = { changes: 0 }
  const changed = async (): Promise<void> => void counted.changes++
  const newAccounts = (): AccountService => new AccountService({ ...stores, instance, hasher, clock, log: silentLog })
  const services = {
    accounts: newAccounts(),
    trunks: new TrunkService({ store: stores.trunks, changed, clock }),
    bots: new BotService({
      store: stores.bots,
      checkUrl: (url) => {
        if (!url.startsWith('wss://')) throw new Error('the address must begin with wss://')
      },
      checkHeaders: (headers) => {
        if ('host' in headers) throw new Error('host is not allowed')
      },
      changed,
      clock,
    }),
    numbers: new NumberService({
      store: stores.numbers,
      trunkExists: async (ctx, id) => (await stores.trunks.get(ctx, id)) !== undefined,
      botExists: async (ctx, id) => (await stores.bots.get(ctx, id)) !== undefined,
      changed,
      clock,
      region: 'IN',
    }),
  }
  return { clock, stores, services, counted, newAccounts, ...services }
}
