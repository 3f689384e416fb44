import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { accountIdOfSid, accountSid, callIdOfSid, callSid, streamSid, uuidOf } from '../../src/lib/sids.ts'
import { uuidv7 } from '../../src/lib/ids.ts'

const ID = '0192f0c8-7a1e-7c3d-9b5f-3e2a1d4c5b6a'
const sha = (text: string): string => createHash('sha256').update(text).digest('hex')

describe('sids', () => {
  it('are two letters and the hex of the id', () => {
    expect(callSid(ID)).toBe('CA0192f0c87a1e7c3d9b5f3e2a1d4c5b6a')
    expect(accountSid(ID.toUpperCase())).toBe('AC0192f0c87a1e7c3d9b5f3e2a1d4c5b6a')
  })

  it('lead back to the id they were made of', () => {
    for (let i = 0; i < 100; i++) {
      const id = uuidv7(1_700_000_000_000 + i)
      expect(callIdOfSid(callSid(id))).toBe(id)
      expect(accountIdOfSid(accountSid(id))).toBe(id)
      expect(callSid(id)).toMatch(/^CA[0-9a-f]{32}$/)
    }
    expect(callIdOfSid('CA0192F0C87A1E7C3D9B5F3E2A1D4C5B6A')).toBe(ID)
  })

  it('are hashes of what is no UUID, and of every stream', () => {
    expect(accountSid('acme')).toBe(`AC${sha('acme').slice(0, 32)}`)
    expect(streamSid(ID)).toBe(`MZ${sha(ID).slice(0, 32)}`)
    expect(callSid('')).toMatch(/^CA[0-9a-f]{32}$/)
  })

  it.each(['', 'CA', ID, accountSid(ID), `CA${ID}`, `${callSid(ID)}0`, `CA${'g'.repeat(32)}`, `CA${'0'.repeat(32)}`])(
    'lead nowhere from %j',
    (sid) => expect(callIdOfSid(sid)).toBeUndefined(),
  )

  it('give a UUID to where only those are taken', () => {
    expect(uuidOf(ID)).toBe(ID)
    expect(uuidOf('leg-1.1')).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(uuidOf('leg-1.1')).toBe(uuidOf('leg-1.1'))
    expect(uuidOf('leg-1.2')).not.toBe(uuidOf('leg-1.1'))
  })
})
