import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/lib/clock.ts'
import { migrate, openDatabase } from '../../src/storage/database.ts'
import { EmbeddedDatabase } from '../../src/storage/embedded.ts'
import { FileJournal } from '../../src/storage/journal.ts'
import { BlockLogIds } from '../../src/storage/log-ids.ts'
import { Projector } from '../../src/storage/projector.ts'
import { SqlCallStore } from '../../src/storage/call-store.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { until } from '../helpers/until.ts'
import { CallScript } from './calls-of-test.ts'

describe('while the database is away', { timeout: 60_000 }, () => {
  it('events go to the journal and numbers are given; each call is there once, soon after it is back', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'trunkline-outage-'))
    const [clock, log] = [systemClock, silentLog]
    const first = await EmbeddedDatabase.open(dir, clock, log)
    const db = openDatabase({ socketDir: first.socketDir }, log)
    await migrate(db, log)
    const journal = await FileJournal.open({ dir: join(dir, 'journal'), clock, log, segmentBytes: 4000 })
    const projector = new Projector({ journal, db, nodeId: 'n', clock, log, settleDisk: () => Promise.resolve() })
    await projector.start()
    const logIds = await BlockLogIds.open(db, clock, log)
    await first.close()

    const scripts = Array.from({ length: 100 }, (_, i) => new CallScript(`call-${i}`, 'a'))
    for (const script of scripts) {
      await journal.append(script.created(logIds.next(), 'n'))
      await journal.append(script.ended())
    }
    await until(() => !projector.healthy)
    expect(projector.lag).toBe(200)

    const second = await EmbeddedDatabase.open(dir, clock, log)
    const backAtMs = clock.now()
    await projector.caughtUp()
    expect(clock.now() - backAtMs).toBeLessThan(5000)
    expect(projector.lag).toBe(0)
    expect(await until(() => projector.healthy)).toBe(true)
    const calls = await new SqlCallStore(db).list({ accountId: 'a' }, { limit: 1000 })
    expect(calls.map((c) => c.state)).toEqual(Array.from({ length: 100 }, () => 'ended'))
    expect(new Set(calls.map((c) => c.logId)).size).toBe(100)
    // What is projected needs no journal any more.
    await until(() => journal.begin.segment === journal.end.segment)

    logIds.close()
    await projector.stop()
    await journal.close()
    await db.destroy()
    await second.close()
    rmSync(dir, { recursive: true })
  })
})
