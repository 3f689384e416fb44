import { ConfigError, loadConfig, printConfig, type Config } from './config.ts'
import { systemClock } from './lib/clock.ts'
import { startServer } from './server.ts'
import { createLog } from './telemetry/log.ts'
import { startProcessMetrics } from './telemetry/metrics.ts'

/**
 * The server as a process. SIGTERM or SIGINT drains: no new calls, live ones go on up to TRUNKLINE_DRAIN_S; a second
 * signal gives them five seconds. Exit 0: drained. 1: could not start, or a bug. 2: the configuration is wrong.
 */
const SECOND_SIGNAL_MS = 5000

function readConfig(): Config {
  try {
    return loadConfig()
  } catch (err) {
    if (!(err instanceof ConfigError)) throw err
    console.error(err.message)
    process.exit(2)
  }
}

export async function serve(): Promise<void> {
  const config = readConfig()
  if (process.argv.includes('--print-config')) {
    console.log(printConfig(config))
    return
  }
  const log = createLog(config.logLevel)
  startProcessMetrics()
  const server = await startServer(config, systemClock, log).catch((err: unknown) => {
    log.fatal({ err }, 'could not start')
    console.error(`Trunkline could not start: ${err instanceof Error ? err.message : String(err)}`)
    process.exit(1)
  })
  if (server.newAdminKey) console.log(`admin key (shown once): ${server.newAdminKey}`)

  let signals = 0
  const stop = (signal: string): void => {
    const first = ++signals === 1
    log.info({ signal, live: server.calls.live }, first ? 'draining' : 'ending live calls')
    const done = first
      ? server.drain(config.drainSeconds * 1000)
      : server.calls.drain(SECOND_SIGNAL_MS).then(() => server.close())
    void done.then(() => process.exit(0))
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}

if (import.meta.main) await serve()
