/** What the kernel says of another process (Linux /proc): CPU, memory, open files. Elsewhere: undefined. */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

// USER_HZ is 100 on every Linux that Node runs on (a fixed part of the kernel's interface, proc(5)).
const TICKS_PER_SECOND = 100

export interface ProcessUsage {
  /** User and system time of all threads since the start. */
  cpuSeconds: number
  userSeconds: number
  /** In the kernel: sends, receives, wake-ups. */
  systemSeconds: number
  rssMb: number
  threads: number
}

export interface OpenFiles {
  total: number
  sockets: number
  udp: number
}

export function processUsage(pid: number): ProcessUsage | undefined {
  const stat = readOr(`/proc/${pid}/stat`)
  const status = readOr(`/proc/${pid}/status`)
  if (!stat || !status) return undefined
  // The name (field 2) may hold spaces and brackets: count from its closing bracket; state is field 3.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const rssKb = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0)
  const [userSeconds, systemSeconds] = [Number(fields[11]) / TICKS_PER_SECOND, Number(fields[12]) / TICKS_PER_SECOND]
  return {
    cpuSeconds: userSeconds + systemSeconds,
    userSeconds,
    systemSeconds,
    rssMb: rssKb / 1024,
    threads: Number(fields[17]),
  }
}

export function openFiles(pid: number): OpenFiles | undefined {
  const udpInodes = new Set([...inodes(`/proc/${pid}/net/udp`), ...inodes(`/proc/${pid}/net/udp6`)])
  let names: string[]
  try {
    names = readdirSync(`/proc/${pid}/fd`)
  } catch {
    return undefined // gone, or not Linux
  }
  const found = { total: 0, sockets: 0, udp: 0 }
  for (const name of names) {
    let target: string
    try {
      target = readlinkSync(`/proc/${pid}/fd/${name}`)
    } catch {
      continue // closed since it was listed
    }
    found.total++
    const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1]
    if (!inode) continue
    found.sockets++
    if (udpInodes.has(inode)) found.udp++
  }
  return found
}

/** Column 10 of /proc/net/udp. */
function inodes(path: string): string[] {
  const lines = (readOr(path) ?? '').trim().split('\n').slice(1)
  return lines.map((line) => line.trim().split(/\s+/)[9] ?? '')
}

function readOr(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined // no such process, or no /proc
  }
}
