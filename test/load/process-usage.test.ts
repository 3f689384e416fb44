import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { openFiles, processUsage } from '../../src/load/process-usage.ts'

describe.runIf(process.platform === 'linux')('process usage', () => {
  it('reads CPU, memory and threads of a process', () => {
    const before = processUsage(process.pid)!
    for (const end = process.cpuUsage().user + 60_000; process.cpuUsage().user < end;) Math.sqrt(2)
    const after = processUsage(process.pid)!
    expect(after.cpuSeconds - before.cpuSeconds).toBeGreaterThanOrEqual(0.03)
    expect(after.userSeconds).toBeGreaterThan(before.userSeconds)
    expect(after.userSeconds + after.systemSeconds).toBeCloseTo(after.cpuSeconds)
    expect(after.rssMb).toBeGreaterThan(20)
    expect(after.threads).toBeGreaterThan(1)
  })

  it('counts UDP sockets apart from other open files', async () => {
    const before = openFiles(process.pid)!
    const socket = createSocket('udp4').bind(0, '127.0.0.1')
    await once(socket, 'listening')
    expect(openFiles(process.pid)!.udp).toBe(before.udp + 1)
    socket.close()
    await once(socket, 'close')
    expect(openFiles(process.pid)!.udp).toBe(before.udp)
  })

  it('gives nothing for a process that is not there', () => {
    expect(processUsage(2 ** 22 + 1)).toBeUndefined()
    expect(openFiles(2 ** 22 + 1)).toBeUndefined()
  })
})
