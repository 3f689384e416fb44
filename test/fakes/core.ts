import { createHmac } from 'node:crypto'
import type { AccountContext } from '../../src/accounts/ports.ts'
import { AccountService } from '../../src/accounts/service.ts'
import type { Core, IdempotencyClaim, IdempotencyStore, IdempotentRequest } from '../../src/api/core.ts'
import type { Bot } from '../../src/bots/ports.ts'
import { BotService } from '../../src/bots/service.ts'
import type { PlaceCall } from '../../src/calls/outbound.ts'
import type { CallStore } from '../../src/calls/ports.ts'
import { CallReads } from '../../src/calls/reads.ts'
import type { CallRecord } from '../../src/calls/record.ts'
import { CallRegistry } from '../../src/calls/registry.ts'
import { parseHeaders } from '../../src/egress/headers.ts'
import { parseTarget } from '../../src/egress/egress.ts'
import { DomainError, type ErrorCode } from '../../src/lib/errors.ts'
import { NumberService } from '../../src/numbers/service.ts'
import { RecordingService } from '../../src/recordings/service.ts'
import type { ScheduledCall } from '../../src/schedules/ports.ts'
import { ScheduleService } from '../../src/schedules/service.ts'
import { silentLog, type Log } from '../../src/telemetry/log.ts'
import { TrunkService } from '../../src/trunks/service.ts'
import { FakeClock } from './clock.ts'

export const ACME = '0193f4a0-0000-7000-8000-00000000000a'
export const OTHER = '0193f4a0-0000-7000-8000-00000000000b'
export const KEYS = {
  acme: `tl_aaaaaaaaaaaa_${'a'.repeat(32)}`,
  /** Of acme, may only read. */
  reader: `tl_cccccccccccc_${'c'.repeat(32)}`,
  other: `tl_bbbbbbbbbbbb_${'b'.repeat(32)}`,
  admin: 'the-admin-key-of-the-fixtures',
} as const

/** 2026-05-11 14:10:00 UTC, 19:40 in Kolkata. */
export const NOW_MS = Date.UTC(2026, 4, 11, 14, 10)

export interface FakeCore extends Core {
  clock: FakeClock
  placed: PlaceCall[]
  hungUp: string[]
  /** Causes that hang-ups asked for. */
  causes: unknown[]
  transferred: { callId: string; request: Parameters<Core['calls']['transfer']>[2] }[]
  calls: Core['calls']
  live: CallRecord[]
  stored: CallRecord[]
  scheduled: ScheduledCall[]
  recordings: RecordingService
  /** Makes the next placement fail. */
  failPlacing(code: ErrorCode | 'BUG'): void
}

/** The real services over rows in memory, with two accounts; calls go nowhere but into `placed`. */
export async function fakeCore(options: { recordingsDir?: string; log?: Log } = {}): Promise<FakeCore> {
  const clock = new FakeClock(NOW_MS)
  const log = options.log ?? silentLog
  const digest = (text: string): string => createHmac('sha256', 'pepper').update(text).digest('hex')
  const changed = async (): Promise<void> => {}

  const accountRows = new Rows<{ id: string; accountId: string; name: string; createdAtMs: number }>()
  const keyRows = new Rows<Parameters<ConstructorParameters<typeof AccountService>[0]['keys']['insert']>[1]>()
  const accounts = new AccountService({
    accounts: {
      insert: async (account) => void accountRows.put({ ...account, accountId: account.id }),
      get: async (id) => accountRows.all.find((a) => a.id === id),
      list: async () => accountRows.all,
    },
    keys: {
      insert: async (_ctx, key) => void keyRows.put(key),
      list: async (ctx) => keyRows.of(ctx),
      revoke: async (ctx, id, atMs) => keyRows.change(ctx, id, { revokedAtMs: atMs }),
      findByPrefix: async (prefix) => keyRows.all.find((k) => k.prefix === prefix),
      touch: async () => {},
    },
    instance: { get: async () => undefined, put: async () => {} },
    hasher: { digest },
    clock,
    log,
  })
  await accounts.create({ id: ACME, name: 'Acme' })
  await accounts.create({ id: OTHER, name: 'Other' })
  await accounts.createKey({ accountId: ACME }, { text: KEYS.acme, name: 'server' })
  await accounts.createKey({ accountId: ACME }, { text: KEYS.reader, rights: ['read'] })
  await accounts.createKey({ accountId: OTHER }, { text: KEYS.other })
  await accounts.prepareAdminKey(KEYS.admin)

  const trunkRows = new Rows<Awaited<ReturnType<TrunkService['get']>>>()
  const trunks = new TrunkService({
    store: { ...crud(trunkRows), insert: async (_ctx, t) => void trunkRows.put(t) },
    changed,
    clock,
  })
  await trunks.create(
    { accountId: ACME },
    { id: 'trunk-1', name: 'Carrier', host: '192.0.2.10', outboundAuth: { username: 'acme', password: 'swordfish' } },
  )

  const botRows = new Rows<Bot>()
  let publicNo = 4821
  const bots = new BotService({
    store: {
      ...crud(botRows),
      insert: async (_ctx, bot) => botRows.put({ ...bot, publicNo: publicNo++ }),
      findByPublicNo: async (ctx, no) => botRows.of(ctx).find((b) => b.publicNo === no),
    },
    checkUrl: (url) => void parseTarget(url, 'bot', { allowInsecure: false }),
    checkHeaders: (headers) => void parseHeaders(headers),
    changed,
    clock,
  })
  await bots.create(
    { accountId: ACME },
    {
      id: 'bot-1',
      name: 'Receptionist',
      url: 'wss://bot.example.com/voice',
      headers: { Authorization: 'Bearer of-the-bot' },
      systemMsg: 'You are a receptionist.',
    },
  )

  const numberRows = new Rows<Awaited<ReturnType<NumberService['get']>>>()
  const numbers = new NumberService({
    store: {
      ...crud(numberRows),
      insert: async (ctx, number) => {
        if (numberRows.of(ctx).some((n) => n.number === number.number))
          throw new DomainError('CONFLICT', 'The account has this number already.')
        numberRows.put(number)
      },
      findByNumber: async (ctx, number) => numberRows.of(ctx).find((n) => n.number === number),
    },
    trunkExists: async (ctx, id) => trunkRows.of(ctx).some((t) => t.id === id),
    botExists: async (ctx, id) => botRows.of(ctx).some((b) => b.id === id),
    changed,
    clock,
    region: 'IN',
  })
  await numbers.create(
    { accountId: ACME },
    { id: 'number-1', number: '+911143104567', trunkId: 'trunk-1', action: 'bot', botId: 'bot-1' },
  )

  let logId = 500_001
  const scheduleRows = new Rows<ScheduledCall>()
  const schedules = new ScheduleService({
    store: {
      insert: async (_ctx, call) => void scheduleRows.put(call),
      get: async (ctx, id) => scheduleRows.of(ctx).find((s) => s.id === id),
      findByCallId: async (ctx, callId) => scheduleRows.of(ctx).find((s) => s.callId === callId),
      findByLogId: async (ctx, n) => scheduleRows.of(ctx).find((s) => s.logId === n),
      list: async (ctx, limit) => scheduleRows.of(ctx).slice(0, limit),
      cancel: async (ctx, id) => scheduleRows.change(ctx, id, { status: 'cancelled' }),
      claim: async () => undefined,
      settle: async () => {},
      listInterrupted: async () => [],
      onDue: async () => {},
    },
    logIds: { next: () => logId++ },
    callExists: async () => false,
    clock,
    log,
  })

  const stored = sampleCalls()
  const live = stored.filter((call) => call.state !== 'ended')
  const store: CallStore = {
    get: async (ctx, id) => stored.find((c) => c.id === id && c.accountId === ctx.accountId),
    getByLogId: async (ctx, n) => stored.find((c) => c.logId === n && c.accountId === ctx.accountId),
    list: async (ctx, filter) => {
      const wanted = filter.phoneNumber?.replace(/\D/g, '').replace(/^0+/, '')
      return stored
        .filter((c) => c.accountId === ctx.accountId)
        .filter((c) => !filter.direction || c.direction === filter.direction)
        .filter((c) => !filter.states || filter.states.includes(c.state))
        .filter((c) => !wanted || (c.direction === 'inbound' ? c.from : c.to).endsWith(wanted))
        .sort((a, b) => b.createdAtMs - a.createdAtMs)
        .slice(0, filter.limit)
    },
  }
  const reads = new CallReads(new CallRegistry(), store)

  const placed: PlaceCall[] = []
  const hungUp: string[] = []
  const causes: unknown[] = []
  const transferred: FakeCore['transferred'] = []
  let failure: ErrorCode | 'BUG' | undefined
  return {
    clock,
    log,
    settings: { publicUrl: 'https://voice.example.com', defaultRegion: 'IN', defaultZone: 'Asia/Kolkata' },
    accounts,
    trunks,
    bots,
    numbers,
    schedules,
    scheduled: scheduleRows.all,
    recordings: new RecordingService({
      dir: options.recordingsDir ?? '/nonexistent',
      store: { listUnfinished: async () => [] },
      files: {
        finishCapture: () => Promise.reject(new Error('no captures here')),
        unfinishedCaptures: async () => [],
      },
      digest,
      clock,
      log,
    }),
    idempotency: new MemoryIdempotency(),
    reads: {
      get: (accountId, id) => reads.get(accountId, id),
      getByLogId: (accountId, n) => reads.getByLogId(accountId, n),
      list: (accountId, filter) => reads.list(accountId, filter),
      live: (accountId) => live.filter((c) => accountId === undefined || c.accountId === accountId),
    },
    calls: {
      place: async (request) => {
        const code = failure
        failure = undefined
        if (code === 'BUG') throw new TypeError('a bug with a secret in its text')
        if (code) throw new DomainError(code)
        placed.push(request)
        return { callId: request.ids?.callId ?? 'none', logId: request.ids?.logId ?? 123_456 }
      },
      hangup: (_accountId, callId, cause) => {
        hungUp.push(callId)
        if (cause) causes.push(cause)
        const call = stored.find((c) => c.id === callId)
        if (!call) return
        const outcome = { result: 'completed', reason: 'operator', sipStatus: 200, q850: 16, by: 'us' } as const
        const cancelled = { ...outcome, result: 'cancelled', sipStatus: 487 } as const
        Object.assign(call, {
          state: 'ended',
          endedAtMs: NOW_MS,
          outcome: call.answeredAtMs === undefined ? cancelled : outcome,
        })
      },
      transfer: (_accountId, callId, request) => {
        const code = failure
        failure = undefined
        if (code && code !== 'BUG') throw new DomainError(code)
        transferred.push({ callId, request })
        const call = stored.find((c) => c.id === callId)
        if (call) call.state = 'transferring'
      },
    },
    health: async () => ({ ready: true, checks: { database: 'ok', sip: 'ok' } }),
    readGauges: async () => undefined,
    placed,
    hungUp,
    causes,
    transferred,
    live,
    stored,
    failPlacing: (code) => (failure = code),
  }
}

/** Rows of one table. */
class Rows<T extends { id: string; accountId: string }> {
  readonly all: T[] = []
  of(ctx: AccountContext): T[] {
    return this.all.filter((row) => row.accountId === ctx.accountId)
  }
  put(row: T): T {
    this.all.push(row)
    return row
  }
  change(ctx: AccountContext, id: string, change: Partial<T>): boolean {
    const row = this.of(ctx).find((r) => r.id === id)
    if (row) Object.assign(row, change)
    return row !== undefined
  }
  remove(ctx: AccountContext, id: string): boolean {
    const at = this.all.findIndex((row) => row.id === id && row.accountId === ctx.accountId)
    if (at >= 0) this.all.splice(at, 1)
    return at >= 0
  }
}

const crud = <T extends { id: string; accountId: string }>(rows: Rows<T>) => ({
  update: async (ctx: AccountContext, row: T) => {
    const there = rows.remove(ctx, row.id)
    if (there) rows.put(row)
    return there
  },
  remove: async (ctx: AccountContext, id: string) => rows.remove(ctx, id),
  get: async (ctx: AccountContext, id: string) => rows.of(ctx).find((r) => r.id === id),
  list: async (ctx: AccountContext) => rows.of(ctx),
  listAll: async () => rows.all,
})

export class MemoryIdempotency implements IdempotencyStore {
  readonly rows = new Map<string, { digest: string; callId?: string; crashed?: boolean; reply?: unknown }>()

  async begin(ctx: AccountContext, request: IdempotentRequest): Promise<IdempotencyClaim> {
    const row = this.rows.get(nameOf(ctx, request))
    if (!row) {
      this.rows.set(nameOf(ctx, request), { digest: request.bodyDigest, callId: request.callId })
      return { state: 'new' }
    }
    if (row.digest !== request.bodyDigest) return { state: 'mismatch' }
    if (row.reply !== undefined) return { state: 'done', reply: row.reply }
    return row.crashed ? { state: 'interrupted', callId: row.callId } : { state: 'inFlight' }
  }
  async finish(ctx: AccountContext, request: IdempotentRequest, reply: unknown): Promise<void> {
    this.rows.get(nameOf(ctx, request))!.reply = JSON.parse(JSON.stringify(reply))
  }
  async abandon(ctx: AccountContext, request: IdempotentRequest): Promise<void> {
    this.rows.delete(nameOf(ctx, request))
  }
}

const nameOf = (ctx: AccountContext, { op, key }: IdempotentRequest): string => `${ctx.accountId} ${op} ${key}`

/** One call per shape that views must render; newest first. */
function sampleCalls(): CallRecord[] {
  const at = (minute: number, second = 0): number => Date.UTC(2026, 4, 11, 14, minute, second)
  const call = (n: number, createdAtMs: number, more: Partial<CallRecord>): CallRecord => ({
    id: `0193f4ba-1234-7c00-9e3d-${String(n).padStart(12, '0')}`,
    logId: 1000 + n,
    accountId: ACME,
    nodeId: 'node-1',
    seq: 1,
    direction: 'outbound',
    state: 'ended',
    from: '+911143104567',
    to: '+919876543210',
    trunkId: 'trunk-1',
    numberId: 'number-1',
    custom: {},
    createdAtMs,
    ...more,
  })
  const ended = (atMs: number, outcome: Partial<NonNullable<CallRecord['outcome']>>): Partial<CallRecord> => ({
    endedAtMs: atMs,
    outcome: { result: 'completed', reason: 'caller_hangup', sipStatus: 200, q850: 16, by: 'caller', ...outcome },
  })
  return [
    call(1, at(9, 50), { state: 'dialing', dialedAtMs: at(9, 50) }),
    call(2, at(9, 40), { state: 'ringing', dialedAtMs: at(9, 40), ringingAtMs: at(9, 42) }),
    call(3, at(2, 11), {
      direction: 'inbound',
      state: 'talking',
      from: '+14085550199',
      to: '+911143104567',
      botId: 'bot-1',
      botUrl: 'wss://bot.example.com/voice',
      ringingAtMs: at(2, 11),
      answeredAtMs: at(2, 14),
      botOpenAtMs: at(2, 12),
    }),
    call(4, at(1, 0), {
      ...ended(at(1, 30), { result: 'no_answer', reason: 'no_answer', sipStatus: 480 }),
      dialedAtMs: at(1, 0),
    }),
    call(5, at(0, 30), {
      ...ended(at(0, 33), { result: 'busy', reason: 'busy', sipStatus: 486, q850: 17 }),
      dialedAtMs: at(0, 30),
    }),
    call(6, at(0, 0), {
      ...ended(at(3, 10), {}),
      dialedAtMs: at(0, 0),
      ringingAtMs: at(0, 1),
      answeredAtMs: at(0, 3),
      recordingId: '0193f4ba-aaaa-7c00-9e3d-000000000006',
      recordingStatus: 'ready',
      recordingDurationMs: 187_000,
    }),
    call(7, at(0, 0) - 1000, { ...ended(at(0, 5), { result: 'cancelled', reason: 'operator', by: 'us' }) }),
    call(8, at(0, 0) - 2000, { ...ended(at(0, 5), { result: 'rejected', reason: 'rejected', sipStatus: 603 }) }),
    call(9, at(5), { accountId: OTHER, to: '+919999999999' }),
  ]
}
