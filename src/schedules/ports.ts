import type { AccountContext } from '../accounts/ports.ts'

/**
 *   pending ──▶ firing ──▶ fired          the handler took it (the call has its own record from here on)
 *      │           ├─────▶ failed         the handler refused it; `failure` says why
 *      │           └─────▶ missed         the server was down for longer than a late call may wait
 *      └─────────▶ cancelled
 */
export type ScheduleStatus = 'pending' | 'firing' | 'fired' | 'failed' | 'missed' | 'cancelled'

export interface ScheduledCall {
  id: string
  accountId: string
  /** Given out when the call is scheduled, so that its status can be asked for before it exists. */
  callId: string
  logId: number
  /** Wall clock, ms. */
  atMs: number
  status: ScheduleStatus
  /** The request, as whoever scheduled it wants it back. */
  payload: Record<string, unknown>
  failure?: string
  createdAtMs: number
}

export interface ScheduleStore {
  /** The row and its job in one transaction. Rejects with RATE_LIMITED when `maxPending` rows wait already. */
  insert(ctx: AccountContext, call: ScheduledCall, maxPending: number): Promise<void>
  get(ctx: AccountContext, id: string): Promise<ScheduledCall | undefined>
  findByCallId(ctx: AccountContext, callId: string): Promise<ScheduledCall | undefined>
  findByLogId(ctx: AccountContext, logId: number): Promise<ScheduledCall | undefined>
  list(ctx: AccountContext, limit: number): Promise<ScheduledCall[]>
  /** Moves pending → cancelled; false when it was no longer pending. */
  cancel(ctx: AccountContext, id: string): Promise<boolean>
  /** Moves pending → firing for this node, or repeats the claim of a node that died; undefined when not ours to fire. */
  claim(ctx: AccountContext, id: string): Promise<ScheduledCall | undefined>
  settle(ctx: AccountContext, id: string, status: 'fired' | 'failed' | 'missed', failure?: string): Promise<void>
  /** Claimed by this node before it died, and never settled. */
  listInterrupted(): Promise<ScheduledCall[]>
  /** Calls `fire` once for each schedule that is due, on one node. A rejection is tried again later. */
  onDue(fire: (ctx: AccountContext, id: string) => Promise<void>): Promise<void>
}
