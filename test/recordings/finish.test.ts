import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { capturePath } from '../../src/audio/capture.ts'
import { DECODE } from '../../src/audio/g711.ts'
import { readWav } from '../../src/audio/wav.ts'
import { Recorder, type CaptureFiles } from '../../src/media/recorder.ts'
import { finishCapture, unfinishedCaptures } from '../../src/recordings/finish.ts'
import { FakeClock } from '../fakes/clock.ts'

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'trunkline-finish-'))
})
afterEach(async () => {
  await rm(dir, { recursive: true })
})

const frame = (byte: number): Uint8Array => new Uint8Array(160).fill(byte)

const record = (id: string, errors: Error[] = [], files?: CaptureFiles): Recorder =>
  new Recorder({ dir, recordingId: id, clock: new FakeClock(), onError: (err) => errors.push(err), files })

describe('a recording', () => {
  it('holds the caller left and the bot right, each at its time, silence between', async () => {
    const recorder = record('r1')
    for (let i = 0; i < 200; i++) {
      if (i < 50 || i >= 100) recorder.rx(i * 20, frame(0x10 + (i & 7)), 'pcmu')
      if (i >= 20) recorder.tx(i * 20 + 5, frame(0x90), 'pcma')
    }
    await recorder.close()
    const done = await finishCapture(dir, 'r1')
    expect(done).toEqual({ path: `${dir}/r1.wav`, durationMs: 4005, bytes: 44 + 4005 * 8 * 4 })
    const file = await readFile(done.path)
    const left = readWav(file, 0).pcm
    const right = readWav(file, 1).pcm
    for (let i = 0; i < 200; i++) {
      expect(left[i * 160 + 80]).toBe(i < 50 || i >= 100 ? DECODE.pcmu[0x10 + (i & 7)] : 0)
      expect(right[i * 160 + 80]).toBe(i >= 20 ? DECODE.pcma[0x90] : 0)
    }
    expect(right[20 * 160 + 39]).toBe(0)
    expect(right[20 * 160 + 40]).toBe(DECODE.pcma[0x90])
    expect(await unfinishedCaptures(dir)).toEqual([])
  })

  it('is the same when finished twice, or after a crash between rename and removal', async () => {
    const recorder = record('r2')
    recorder.rx(0, frame(1), 'pcmu')
    await recorder.close()
    const raw = await readFile(capturePath(dir, 'r2'))
    const once = await finishCapture(dir, 'r2')
    expect(await finishCapture(dir, 'r2')).toEqual(once)
    await writeFile(capturePath(dir, 'r2'), raw)
    expect(await unfinishedCaptures(dir)).toEqual(['r2'])
    expect(await finishCapture(dir, 'r2')).toEqual(once)
    expect(await unfinishedCaptures(dir)).toEqual([])
    await expect(finishCapture(dir, 'none')).rejects.toThrow()
  })

  it('is on disk up to the last second while it runs', async () => {
    const recorder = record('r3')
    const size = async (): Promise<number> => (await stat(capturePath(dir, 'r3')).catch(() => ({ size: 0 }))).size
    for (let second = 1; second <= 3; second++) {
      for (let i = 0; i < 50; i++) {
        const atMs = (second - 1) * 1000 + i * 20
        recorder.rx(atMs, frame(1), 'pcmu')
        recorder.tx(atMs, frame(2), 'pcmu')
      }
      while ((await size()) < (second - 1) * 16_000) await Promise.resolve()
    }
    expect(await size()).toBeGreaterThanOrEqual(32_000)
    await recorder.close()
    expect((await finishCapture(dir, 'r3')).durationMs).toBe(3000)
  })

  it('plays up to the tear when the capture is torn anywhere', async () => {
    const recorder = record('whole')
    for (let i = 0; i < 150; i++) recorder.rx(i * 20, frame(1), 'pcmu')
    await recorder.close()
    const raw = await readFile(capturePath(dir, 'whole'))
    let last = 0
    for (const cut of [0, 5, 16, 20, 24, 30, 4000, 9000, 20_000, raw.length - 1]) {
      const id = `torn-${cut}`
      await writeFile(capturePath(dir, id), raw)
      await truncate(capturePath(dir, id), cut)
      const { durationMs } = await finishCapture(dir, id)
      expect(durationMs).toBeGreaterThanOrEqual(last)
      expect(durationMs).toBeGreaterThanOrEqual(Math.floor(cut / 8) - 10)
      last = durationMs
    }
    // Garbage behind the last good block ends the recording there.
    await writeFile(capturePath(dir, 'noise'), Buffer.concat([raw, Buffer.alloc(500, 0xee)]))
    expect((await finishCapture(dir, 'noise')).durationMs).toBe(3000)
  })

  it('refuses what is no capture', async () => {
    await writeFile(capturePath(dir, 'x'), Buffer.alloc(100, 7))
    await expect(finishCapture(dir, 'x')).rejects.toThrow('no capture')
  })

  it('stops and reports once when the disk is full, keeping what was written', async () => {
    const errors: Error[] = []
    const fs = await import('node:fs')
    let room = 20_000
    const recorder = record('full', errors, {
      open: fs.open,
      close: fs.close,
      write(fd, data, offset, length, position, done) {
        if (room <= 0) return process.nextTick(done, Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' }), 0)
        const part = Math.min(length, room, 7000)
        room -= part
        fs.write(fd, data, offset, part, position, done)
      },
    })
    for (let i = 0; i < 500; i++) {
      recorder.rx(i * 20, frame(1), 'pcmu')
      if (i % 50 === 0) await new Promise((resolve) => fs.stat(dir, resolve))
    }
    await recorder.close()
    await recorder.close()
    expect(errors.map((e) => e.message)).toEqual(['ENOSPC'])
    expect(recorder.failed).toBe(true)
    expect((await finishCapture(dir, 'full')).durationMs).toBeGreaterThan(2000)
  })

  it('reports a directory that it cannot write to', async () => {
    await writeFile(join(dir, 'file'), 'x')
    const errors: Error[] = []
    const recorder = new Recorder({
      dir: join(dir, 'file'),
      recordingId: 'r',
      clock: new FakeClock(),
      onError: (err) => errors.push(err),
    })
    recorder.rx(0, frame(1), 'pcmu')
    await recorder.close()
    expect(errors.length).toBe(1)
    expect(await unfinishedCaptures(join(dir, 'absent'))).toEqual([])
  })

  it('leaves audio out, and never grows, when the disk hangs', async () => {
    const fs = await import('node:fs')
    const held: (() => void)[] = []
    let hang = true
    const recorder = record('slow', [], {
      open: fs.open,
      close: fs.close,
      write(fd, data, offset, length, position, done) {
        const go = (): void => fs.write(fd, data, offset, length, position, done)
        if (hang) held.push(go)
        else go()
      },
    })
    for (let i = 0; i < 1000; i++) recorder.rx(i * 20, frame(1), 'pcmu')
    expect(recorder.droppedSamples).toBeGreaterThan(0)
    while (held.length === 0) await new Promise((resolve) => fs.stat(dir, resolve))
    hang = false
    held.forEach((go) => go())
    await recorder.close()
    expect((await finishCapture(dir, 'slow')).durationMs).toBeGreaterThan(1000)
  })
})
