import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { rangeOf } from '../../src/api/recordings.ts'
import { buildServer, type ApiServer } from '../../src/api/server.ts'
import { fakeCore, type FakeCore } from '../fakes/core.ts'

describe('rangeOf', () => {
  const cases: [header: string | undefined, size: number, expected: unknown][] = [
    [undefined, 10, undefined],
    ['bytes=0-3', 10, { first: 0, last: 3 }],
    ['bytes=4-', 10, { first: 4, last: 9 }],
    ['bytes=-4', 10, { first: 6, last: 9 }],
    ['bytes=-40', 10, { first: 0, last: 9 }],
    ['bytes=5-500', 10, { first: 5, last: 9 }],
    ['bytes=9-9', 10, { first: 9, last: 9 }],
    ['bytes=10-', 10, 'unsatisfiable'],
    ['bytes=-0', 10, 'unsatisfiable'],
    ['bytes=0-', 0, 'unsatisfiable'],
    ['bytes=-5', 0, 'unsatisfiable'],
    ['bytes=5-4', 10, undefined],
    ['bytes=-', 10, undefined],
    ['bytes=0-1,3-4', 10, undefined],
    ['items=0-1', 10, undefined],
    ['bytes=0x1-2', 10, undefined],
  ]
  for (const [header, size, expected] of cases)
    it(`reads ${header} of ${size}`, () => expect(rangeOf(header, size)).toEqual(expected))
})

describe('GET /recordings/:file', () => {
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, i) => i % 251))
  let dir: string
  let core: FakeCore
  let app: ApiServer
  let link: URL

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'recordings-'))
    core = await fakeCore({ recordingsDir: dir })
    app = await buildServer(core)
    await writeFile(core.recordings.pathOf(core.stored[5])!, bytes)
  })
  beforeEach(() => {
    link = new URL(core.recordings.link(core.stored[5], 'http://localhost')!)
  })
  afterAll(async () => {
    await app.close()
    await rm(dir, { recursive: true })
  })

  const get = (url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })
  const path = (): string => link.pathname + link.search

  it('serves the whole file with headers for a download', async () => {
    const got = await get(path())
    expect(got.statusCode).toBe(200)
    expect(got.rawPayload.equals(bytes)).toBe(true)
    expect(got.headers).toMatchObject({
      'content-type': 'audio/wav',
      'content-length': '100000',
      'accept-ranges': 'bytes',
      'cache-control': 'private, max-age=900',
      'x-content-type-options': 'nosniff',
    })
    expect(got.headers['content-disposition']).toMatch(/^attachment; filename="recording-[0-9a-f]{8}\.wav"$/)
  })

  it('serves a range, refuses one beyond the end, and ignores one for another version', async () => {
    const part = await get(path(), { range: 'bytes=100-199' })
    expect(part.statusCode).toBe(206)
    expect(part.headers['content-range']).toBe('bytes 100-199/100000')
    expect(part.rawPayload.equals(bytes.subarray(100, 200))).toBe(true)
    const beyond = await get(path(), { range: 'bytes=100000-' })
    expect(beyond.statusCode).toBe(416)
    expect(beyond.headers['content-range']).toBe('bytes */100000')
    expect((await get(path(), { range: 'bytes=0-1', 'if-range': '"other"' })).statusCode).toBe(200)
  })

  it('answers HEAD with the length and no body', async () => {
    const got = await app.inject({ method: 'HEAD', url: path() })
    expect(got.statusCode).toBe(200)
    expect(got.headers['content-length']).toBe('100000')
    expect(got.rawPayload).toHaveLength(0)
  })

  it('refuses changed, unsigned and outlived links alike', async () => {
    const sig = link.searchParams.get('sig')!
    const exp = link.searchParams.get('exp')!
    const other = `${sig[0] === 'a' ? 'b' : 'a'}${sig.slice(1)}`
    expect((await get(`${link.pathname}?exp=${exp}&sig=${other}`)).statusCode).toBe(403)
    expect((await get(`${link.pathname}?exp=${Number(exp) + 1}&sig=${sig}`)).statusCode).toBe(403)
    expect((await get(`/recordings/${'0'.repeat(32)}.wav?exp=${exp}&sig=${sig}`)).statusCode).toBe(403)
    expect((await get(link.pathname)).statusCode).toBe(400)
    core.clock.advance(15 * 60_000)
    const late = await get(path())
    expect(late.statusCode).toBe(403)
    expect(late.json()).toMatchObject({ code: 'FORBIDDEN' })
  })

  it('never leaves its directory, by name or by link', async () => {
    for (const name of ['..%2f..%2fetc%2fpasswd', '%2e%2e', 'x.wav', `${'0'.repeat(32)}.wav%2f..`])
      expect((await get(`/recordings/${name}?exp=9999999999&sig=x`)).statusCode, name).toBeGreaterThanOrEqual(400)
    const gone = { ...core.stored[5], recordingId: 'elsewhere' }
    await symlink('/etc/passwd', core.recordings.pathOf(gone)!)
    const url = new URL(core.recordings.link(gone, 'http://localhost')!)
    expect((await get(url.pathname + url.search)).statusCode).toBe(404)
  })

  it('serves a range over a real socket, and closes the file of a client that goes away', async () => {
    const address = new URL(await app.listen({ host: '127.0.0.1', port: 0 }))
    const got = await fetch(new URL(path(), address), { headers: { range: 'bytes=99990-' } })
    expect(got.status).toBe(206)
    expect(Buffer.from(await got.arrayBuffer()).equals(bytes.subarray(99_990))).toBe(true)

    const socket = connect(Number(address.port), '127.0.0.1')
    socket.write(`GET ${path()} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    await new Promise((resolve) => socket.once('close', resolve))
    // The server is still well.
    expect((await fetch(new URL(path(), address), { method: 'HEAD' })).status).toBe(200)

    const long = connect(Number(address.port), '127.0.0.1')
    long.write(`GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${'y'.repeat(20_000)}\r\n\r\n`)
    const reply = await new Promise<Buffer>((resolve) => long.once('data', resolve))
    expect(reply.toString()).toMatch(/^HTTP\/1\.1 431 /)
    long.destroy()
  })
})
