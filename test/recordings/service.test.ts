import { createHmac } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wavFile } from '../../src/audio/wav.ts'
import { fileNameOf } from '../../src/recordings/link.ts'
import type { CaptureFiles, UnfinishedRecording } from '../../src/recordings/ports.ts'
import { RecordingService } from '../../src/recordings/service.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { fakeCore } from '../fakes/core.ts'
import { FakeClock, settle } from '../fakes/clock.ts'

const CALL = { id: 'call-1', accountId: 'acme' }
const second = wavFile(new Int16Array(8000), new Int16Array(8000))
const digest = (text: string): string => createHmac('sha256', 'key').update(text).digest('hex')

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'recordings-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

function service(
  given: { captures?: string[]; unfinished?: UnfinishedRecording[]; finish?: CaptureFiles['finishCapture'] } = {},
): RecordingService {
  return new RecordingService({
    dir,
    store: { listUnfinished: async () => given.unfinished ?? [] },
    files: {
      finishCapture:
        given.finish ??
        (async (where, id) => {
          const path = join(where, `${id}.wav`)
          await writeFile(path, second)
          return { path, durationMs: 1000, bytes: second.length }
        }),
      unfinishedCaptures: async () => given.captures ?? [],
    },
    digest,
    clock: new FakeClock(),
    log: silentLog,
  })
}

describe('finish', () => {
  it('gives the file a name that follows from account and recording, and from nothing that a caller knows', async () => {
    expect(await service().finish(CALL, 'rec-1')).toEqual({ durationMs: 1000, bytes: second.length })
    const [name] = await readdir(dir)
    expect(name).toBe(fileNameOf(digest, 'acme', 'rec-1'))
    expect(name).toMatch(/^[0-9a-f]{32}\.wav$/)
    expect(name).not.toBe(fileNameOf(digest, 'other', 'rec-1'))
  })

  it('rejects when the capture cannot be finished, and goes on with the next', async () => {
    const recordings = service({
      finish: async () => {
        throw new Error('torn')
      },
    })
    for (let i = 0; i < 5; i++) await expect(recordings.finish(CALL, `rec-${i}`)).rejects.toThrow('torn')
  })

  it('works on two files at once and no more', async () => {
    let running = 0
    let most = 0
    const gates: (() => void)[] = []
    const recordings = service({
      finish: async (where, id) => {
        most = Math.max(most, ++running)
        await new Promise<void>((resolve) => gates.push(resolve))
        running--
        const path = join(where, `${id}.wav`)
        await writeFile(path, second)
        return { path, durationMs: 1000, bytes: second.length }
      },
    })
    const all = Promise.all(Array.from({ length: 6 }, (_, i) => recordings.finish(CALL, `rec-${i}`)))
    let done = false
    void all.then(() => (done = true))
    while (!done) {
      gates.shift()?.()
      await settle()
      await readdir(dir)
    }
    expect(most).toBe(2)
    expect(await readdir(dir)).toHaveLength(6)
  })
})

describe('recover', () => {
  const recoveredBy = async (s: RecordingService) => s.recover(await s.leftOvers())
  const row = { id: 'rec-1', callId: 'call-1', accountId: 'acme' }

  it('finishes the captures of a run that died', async () => {
    const found = await recoveredBy(service({ captures: ['rec-1'], unfinished: [row] }))
    expect(found).toEqual([{ ...row, ready: true, durationMs: 1000, bytes: second.length }])
    expect(await readdir(dir)).toEqual([fileNameOf(digest, 'acme', 'rec-1')])
  })

  it('takes a file that was renamed just before the crash as it is', async () => {
    await writeFile(join(dir, fileNameOf(digest, 'acme', 'rec-1')), second)
    const found = await recoveredBy(
      service({
        unfinished: [row],
        finish: () => Promise.reject(new Error('must not be asked')),
      }),
    )
    expect(found).toEqual([{ ...row, ready: true, durationMs: 1000, bytes: second.length }])
  })

  it('reports a recording of which nothing is left, and leaves captures of no call alone', async () => {
    const found = await recoveredBy(
      service({
        captures: ['stray'],
        unfinished: [row],
        finish: () => Promise.reject(new Error('no capture')),
      }),
    )
    expect(found).toEqual([{ ...row, ready: false, reason: 'no capture' }])
  })

  it('makes the directory at the first start', async () => {
    await rm(dir, { recursive: true })
    expect(await recoveredBy(service())).toEqual([])
    expect(await readdir(dir)).toEqual([])
  })
})

describe('link', () => {
  it('is there for ready recordings only', async () => {
    const core = await fakeCore()
    const [live, , , , , recorded] = core.stored
    expect(core.recordings.link(live, 'https://x')).toBeUndefined()
    expect(core.recordings.link({ ...recorded, recordingStatus: 'capturing' }, 'https://x')).toBeUndefined()
    expect(core.recordings.link(recorded, 'https://x')).toMatch(
      /^https:\/\/x\/recordings\/[0-9a-f]{32}\.wav\?exp=\d+&sig=[0-9a-f]{64}$/,
    )
  })
})
