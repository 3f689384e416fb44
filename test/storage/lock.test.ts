import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { DirectoryInUse, lockDirectory } from '../../src/storage/lock.ts'

let dir: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'trunkline-lock-'))
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('the lock on the data directory', () => {
  it('is refused to a second owner, naming the first', () => {
    const lock = lockDirectory(dir)
    expect(() => lockDirectory(dir)).toThrow(DirectoryInUse)
    expect(() => lockDirectory(dir)).toThrow(`in use by process ${process.pid}`)
    lock.release()
    lockDirectory(dir).release()
    expect(readdirSync(dir)).toEqual([])
  })

  it('is taken over from a dead process', async () => {
    const child = spawn(process.execPath, ['-e', ''])
    await once(child, 'exit')
    writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: child.pid, started: '' }))
    lockDirectory(dir)
    expect(JSON.parse(readFileSync(join(dir, 'lock'), 'utf8'))).toMatchObject({ pid: process.pid })
    expect(readdirSync(dir)).toEqual(['lock'])
  })

  it.runIf(process.platform === 'linux')('is taken over when the pid now belongs to another process', () => {
    writeFileSync(join(dir, 'lock'), JSON.stringify({ pid: process.pid, started: 'another-boot 123' }))
    expect(() => lockDirectory(dir)).not.toThrow()
  })

  it('is taken over when the file is cut off', () => {
    writeFileSync(join(dir, 'lock'), '{"pi')
    expect(() => lockDirectory(dir)).not.toThrow()
  })

  it('does not remove a lock that another process has taken meanwhile', () => {
    const lock = lockDirectory(dir)
    writeFileSync(join(dir, 'lock'), '{"pid":1,"started":""}')
    lock.release()
    expect(readdirSync(dir)).toEqual(['lock'])
  })
})
