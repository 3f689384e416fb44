import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { CallEvent } from '../../src/calls/events.ts'
import type { Position } from '../../src/storage/journal-segment.ts'
import { FileJournal } from '../../src/storage/journal.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock } from '../fakes/clock.ts'
import { until } from '../helpers/until.ts'

const event = (seq: number): CallEvent => ({
  callId: 'c1',
  accountId: 'a1',
  seq,
  atMs: 1000 + seq,
  type: 'ringing',
  legId: 'c1.1',
  sipStatus: 180,
})

const START: Position = { segment: 0, offset: 0 }
let dir: string
let clock: FakeClock
const open = (segmentBytes?: number): Promise<FileJournal> =>
  FileJournal.open({ dir, clock, log: silentLog, segmentBytes })

async function seqs(journal: FileJournal, from = START): Promise<number[]> {
  const all: number[] = []
  for await (const { events } of journal.replay(from)) all.push(...events.map((e) => e.seq))
  return all
}

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'trunkline-journal-')), 'journal')
  clock = new FakeClock()
})
afterEach(() => rmSync(join(dir, '..'), { recursive: true, force: true }))

describe('the journal', () => {
  it('gives back what was appended, in order, also to the next run', async () => {
    const first = await open()
    await Promise.all([1, 2, 3].map((n) => first.append(event(n))))
    expect(await seqs(first)).toEqual([1, 2, 3])
    await first.close()
    const second = await open()
    await second.append(event(4))
    expect(await seqs(second)).toEqual([1, 2, 3, 4])
    await second.close()
  })

  it('writes events that come together in one group, and tells how many', async () => {
    const journal = await open()
    const groups: number[] = []
    journal.onCommit((events) => groups.push(events))
    await Promise.all(Array.from({ length: 50 }, (_, n) => journal.append(event(n))))
    expect(groups).toEqual([1, 49])
    await journal.close()
  })

  it('goes on behind a torn line, whatever its length', async () => {
    const whole = await open()
    await whole.append(event(1))
    await whole.append(event(2))
    await whole.close()
    const path = join(dir, '00000001.ndjson')
    const bytes = readFileSync(path)
    const firstLine = bytes.indexOf(10) + 1
    for (let cut = firstLine; cut < bytes.length; cut += 7) {
      writeFileSync(path, bytes.subarray(0, cut))
      const journal = await open()
      await journal.append(event(3))
      expect(await seqs(journal)).toEqual([1, 3])
      await journal.close()
      rmSync(join(dir, readdirSync(dir).at(-1)!))
    }
  })

  it('skips a damaged line and keeps its neighbours', async () => {
    const journal = await open()
    for (const n of [1, 2, 3]) await journal.append(event(n))
    const path = join(dir, '00000001.ndjson')
    const lines = readFileSync(path, 'utf8').split('\n')
    lines[1] = lines[1].replace('"seq":2', '"seq":9')
    writeFileSync(path, lines.join('\n'))
    expect(await seqs(journal)).toEqual([1, 3])
    await journal.close()
  })

  it('survives lines that are no journal lines at all', async () => {
    const journal = await open()
    await journal.append(event(1))
    await journal.close()
    appendFileSync(join(dir, '00000001.ndjson'), '\n\n{}\nxxxxxxxx {"seq":1}\n\0\0\0\0')
    const next = await open()
    expect(await seqs(next)).toEqual([1])
    await next.close()
  })

  it('begins a new file past the size limit and deletes old ones on request', async () => {
    const journal = await open(200)
    for (let n = 1; n <= 10; n++) await journal.append(event(n))
    expect(readdirSync(dir).length).toBeGreaterThan(3)
    expect(await seqs(journal)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    await journal.dropBefore(journal.end.segment)
    expect(readdirSync(dir)).toHaveLength(1)
    await journal.append(event(11))
    expect((await seqs(journal)).at(-1)).toBe(11)
    await journal.close()
  })

  it('reads on from a position, line by line where lines are long', async () => {
    const journal = await open()
    const long: CallEvent = {
      ...event(1),
      type: 'recordingFailed',
      recordingId: 'r',
      reason: 'x'.repeat(600_000),
    }
    await journal.append(long)
    await journal.append(event(2))
    const positions: Position[] = []
    for await (const { next } of journal.replay(START)) positions.push(next)
    expect(await seqs(journal, positions[0])).toEqual(positions.length > 1 ? [2] : [])
    expect(await seqs(journal)).toEqual([1, 2])
    await journal.close()
  })

  it('rejects what the disk does not take, and writes it once the disk is back', async () => {
    const journal = await open(1)
    await journal.append(event(1))
    rmSync(dir, { recursive: true })
    // The file is past its limit, so the next write begins a new one: in a directory that is gone.
    await expect(journal.append(event(2))).rejects.toThrow('ENOENT')
    await expect(journal.append(event(3))).rejects.toThrow('can not be written')
    mkdirSync(dir)
    clock.advance(1000)
    await until(() => journal.end.segment > 1 && journal.end.offset > 0)
    await journal.append(event(4))
    expect(await seqs(journal, { segment: 2, offset: 0 })).toEqual([2, 3, 4])
    await journal.close()
    await expect(journal.append(event(5))).rejects.toThrow('closed')
  })
})
