import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { hexToken } from '../lib/ids.ts'

/**
 * One process per data directory: two PGlite on one directory corrupt it silently. The lock is a file that names its
 * owner by pid and start time, so that a recycled pid is not taken for the owner. A dead owner's lock is taken over, a
 * live one's never. Not for directories shared between hosts.
 */
export class DirectoryInUse extends Error {
  readonly pid: number

  constructor(dataDir: string, pid: number) {
    super(
      `data directory ${dataDir} is in use by process ${pid}; stop that process or set TRUNKLINE_DATA_DIR to another directory`,
    )
    this.pid = pid
  }
}

export interface DataLock {
  release(): void
}

interface Owner {
  pid: number
  /** Clock ticks from boot to the process's start, and which boot; '' where the system does not tell. */
  started: string
}

export function lockDirectory(dataDir: string): DataLock {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const path = join(dataDir, 'lock')
  const mine: Owner = { pid: process.pid, started: startOf(process.pid) }
  const text = JSON.stringify(mine)
  const draft = `${path}.${process.pid}.${hexToken(32)}`
  writeFileSync(draft, text, { flag: 'wx', mode: 0o600 })
  try {
    // link() fails where the name exists, and the file is complete the moment that it appears.
    while (!link(draft, path)) {
      const found = read(path)
      if (found === undefined) continue
      const owner = parse(found)
      if (owner && isAlive(owner)) throw new DirectoryInUse(dataDir, owner.pid)
      takeAway(path, found, draft)
    }
  } finally {
    rmSync(draft, { force: true })
  }
  return {
    release() {
      if (read(path) === text) rmSync(path, { force: true })
    },
  }
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw err
  }
}

/** Removes the dead owner's file. Another process may do so at the same time and put its own there: that one goes back. */
function takeAway(path: string, dead: string, draft: string): void {
  const aside = `${draft}.stale`
  try {
    renameSync(path, aside)
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return
    throw err
  }
  if (read(aside) !== dead) link(aside, path)
  rmSync(aside, { force: true })
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (err) {
    if ((err as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw err
  }
}

function parse(text: string): Owner | undefined {
  try {
    const value = JSON.parse(text) as Partial<Owner> | null
    if (value && Number.isInteger(value.pid) && typeof value.started === 'string') return value as Owner
  } catch {
    // Not ours, or cut off by a power failure: nobody's lock.
  }
  return undefined
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0)
  } catch (err) {
    // EPERM: there is such a process, of another user.
    if ((err as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const started = startOf(owner.pid)
  if (started === 'dead') return false
  return started === '' || owner.started === '' || started === owner.started
}

function startOf(pid: number): string {
  try {
    // proc(5): field 22 is the start time; the second field may hold spaces, so count from its closing parenthesis.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // Dead, but its parent has not asked for it yet (or never will, in a container without init).
    if (fields[0] === 'Z' || fields[0] === 'X') return 'dead'
    return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`
  } catch {
    return '' // Not Linux: the pid alone decides.
  }
}
