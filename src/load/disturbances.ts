/**
 * What the isolation run does to the server while it carries calls. Each is started, goes on until it is ended, and
 * then tells what it did.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { every, type Clock } from '../lib/clock.ts'
import type { Ask, Asked, Asking } from './asker.ts'
import type { Bridge } from './bridge.ts'

export const BLOCK_MS = 100
export const BLOCK_EVERY_MS = 1000
export const REST_PER_SECOND = 100
/** The API lets a key ask 1200 times a minute (api/route.ts): with so many keys that limit is not what is measured. */
export const KEYS = 32
const REST_LANES = 32
/** Lists at once: more than the database answers at a time, so that it never rests. */
const STORM_LANES = 16
const ASKER = join(import.meta.dirname, 'asker.ts')

export const DISTURBANCES = ['control thread blocked', 'REST requests', 'database queries'] as const
export type DisturbanceName = (typeof DISTURBANCES)[number]

/** Ends it; null: nothing was asked. */
export type End = () => Promise<Asked | null>

export interface Stage {
  clock: Clock
  bridge: Bridge
  keys: string[]
  /** Of the calls that are up. */
  callIds: string[]
  onStop: (fn: () => void) => void
}

export function disturb(name: DisturbanceName, stage: Stage): End {
  const { keys, callIds, bridge } = stage
  const port = bridge.httpPort
  switch (name) {
    case 'control thread blocked': {
      const timer = every(stage.clock, BLOCK_EVERY_MS, () => bridge.signal('SIGUSR2'))
      return async () => {
        timer.cancel()
        return null
      }
    }
    case 'REST requests':
      return ask(stage, { port, asks: statusAsks(callIds, keys), perSecond: REST_PER_SECOND, lanes: REST_LANES })
    case 'database queries':
      return ask(stage, { port, asks: listAsks(keys), lanes: STORM_LANES })
  }
}

/** Seven reads of how a call stands, then three that are wrong: no such call, a key of nobody, a body without a number. */
export function statusAsks(callIds: string[], keys: string[]): Ask[] {
  const asks: Ask[] = []
  for (let i = 0; asks.length < 10 * keys.length; i++) {
    const key = keys[i % keys.length]
    for (let n = 0; n < 7; n++)
      asks.push({ method: 'GET', path: `/v1/calls/${callIds[(i * 7 + n) % callIds.length]}`, key })
    const nobody = `00000000-0000-7000-8000-${String(i).padStart(12, '0')}`
    asks.push({ method: 'GET', path: `/v1/calls/${nobody}`, key })
    asks.push({ method: 'GET', path: `/v1/calls/${callIds[i % callIds.length]}`, key: `${key.slice(0, -4)}none` })
    asks.push({ method: 'POST', path: '/api/dial_by_aivoicebot', key, body: '{"customer_no":""}' })
  }
  return asks
}

/** Full pages, by each filter that there is; every one is a query. */
export function listAsks(keys: string[]): Ask[] {
  const filters = ['', '&direction=inbound', '&state=ended', '&phone_number=1', '&phone_number=7&state=ended']
  // Filters in the inner loop: a key's turn comes as late as can be.
  return filters.flatMap((filter) => keys.map((key) => ({ method: 'GET', path: `/v1/calls?limit=50${filter}`, key })))
}

function ask({ onStop }: Stage, asking: Asking): End {
  const child = fork(ASKER, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  onStop(() => child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  child.send(asking)
  return async () => {
    const reply = once(child, 'message')
    child.send('end')
    const told = await Promise.race([reply, exited.then(() => undefined)])
    if (!told) throw new Error('the asking process ended by itself')
    await exited
    return told[0] as Asked
  }
}
