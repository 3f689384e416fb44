import type { BotStore } from '../bots/ports.ts'
import type { BotSettings, Directory, InboundRoute, OutboundRoute } from '../calls/ports.ts'
import type { NumberStore } from '../numbers/ports.ts'
import type { TrunkStore } from '../trunks/ports.ts'
import type { TrunkSettings } from '../sip/trunk/settings.ts'

export interface DirectoryWorld {
  trunks: Pick<TrunkStore, 'listAll'>
  numbers: Pick<NumberStore, 'listAll'>
  bots: Pick<BotStore, 'listAll'>
}

interface Snapshot {
  inbound: Map<string, InboundRoute>
  outbound: Map<string, OutboundRoute[]>
  bots: Map<string, BotSettings>
  trunks: TrunkSettings[]
}

const EMPTY: Snapshot = { inbound: new Map(), outbound: new Map(), bots: new Map(), trunks: [] }

/**
 * What calls need of the configuration, held in memory as one snapshot that is replaced whole: calls go on, and new
 * ones are taken, while the database is away.
 */
export class MemoryDirectory implements Directory {
  readonly #world: DirectoryWorld
  #snapshot = EMPTY
  #reloading: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(world: DirectoryWorld) {
    this.#world = world
  }

  /** Resolves when a snapshot read after this call is in force. Callers in between share one reload. */
  reload(): Promise<void> {
    if (!this.#reloading) {
      this.#reloading = this.#load().finally(() => (this.#reloading = undefined))
      return this.#reloading
    }
    // The reload under way may have read before our change: one more follows it.
    this.#next ??= this.#reloading
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.reload()
      })
    return this.#next
  }

  inboundRoute(trunkId: string, number: string): InboundRoute | undefined {
    return this.#snapshot.inbound.get(`${trunkId} ${number}`)
  }

  outboundTrunk(accountId: string, from?: string): OutboundRoute | undefined {
    const routes = this.#snapshot.outbound.get(accountId)
    return from === undefined ? routes?.[0] : routes?.find((r) => r.from === from)
  }

  bot(accountId: string, botId: string): BotSettings | undefined {
    return this.#snapshot.bots.get(`${accountId} ${botId}`)
  }

  get trunks(): readonly TrunkSettings[] {
    return this.#snapshot.trunks
  }

  async #load(): Promise<void> {
    const { trunks, numbers, bots } = this.#world
    const [allTrunks, allNumbers, allBots] = await Promise.all([trunks.listAll(), numbers.listAll(), bots.listAll()])
    const snapshot: Snapshot = { inbound: new Map(), outbound: new Map(), bots: new Map(), trunks: allTrunks }
    const known = new Set(allTrunks.map((t) => `${t.accountId} ${t.id}`))
    for (const bot of allBots) snapshot.bots.set(`${bot.accountId} ${bot.id}`, bot)
    for (const n of allNumbers) {
      // The three lists are three queries: a trunk may have gone between them.
      if (!known.has(`${n.accountId} ${n.trunkId}`)) continue
      snapshot.inbound.set(`${n.trunkId} ${n.number}`, {
        accountId: n.accountId,
        numberId: n.id,
        number: n.number,
        action: n.action,
        botId: n.botId,
        record: n.record,
      })
      const routes = snapshot.outbound.get(n.accountId) ?? []
      routes.push({ trunkId: n.trunkId, from: n.number, numberId: n.id })
      snapshot.outbound.set(n.accountId, routes)
    }
    this.#snapshot = snapshot
  }
}
