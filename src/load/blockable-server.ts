/**
 * The server's own program, with the one fault that cannot be made from outside: on SIGUSR2 its main thread does nothing
 * else for 100 ms. Started by the isolation run in place of main.ts; the server itself knows no such signal. Signals
 * reach the main thread only, and no worker runs this file.
 */
import { systemClock } from '../lib/clock.ts'
import { serve } from '../main.ts'
import { BLOCK_MS } from './disturbances.ts'

process.on('SIGUSR2', () => {
  const untilMs = systemClock.now() + BLOCK_MS
  while (systemClock.now() < untilMs);
})

await serve()
