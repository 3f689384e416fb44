import { systemClock } from '../../src/lib/clock.ts'
import { uuidv7 } from '../../src/lib/ids.ts'
import { openStorage } from '../../src/storage/index.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { CallScript } from './calls-of-test.ts'

// A server with live calls that is about to be killed: recovery.test.ts starts it. Arguments: data directory, calls.
const [, , dataDir, calls] = process.argv
try {
  const storage = await openStorage({
    dataDir,
    clock: systemClock,
    log: silentLog,
    databaseUrl: process.env.TEST_DATABASE_URL,
  })
  await storage.recover()
  const written: Promise<void>[] = []
  for (let i = 0; i < Number(calls); i++) {
    const call = new CallScript(uuidv7(systemClock.wallMs()), 'a', systemClock.wallMs())
    written.push(storage.journal.append(call.created(storage.logIds.next(), storage.nodeId)))
    written.push(storage.journal.append(call.dialing()))
    if (i % 2) written.push(storage.journal.append(call.answered()))
    if (i % 5 === 0)
      written.push(storage.journal.append(call.next({ type: 'recordingStarted', recordingId: `r${i}-${call.callId}` })))
  }
  await Promise.all(written)
  process.stdout.write('live\n')
} catch (err) {
  process.stderr.write(String(err instanceof Error ? err.message : err))
  process.exitCode = 1
}
