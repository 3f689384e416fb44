import { describe, expect, it } from 'vitest'
import { accountView, keyView, newKeyFrom } from '../../../src/api/admin/accounts.ts'
import { botView } from '../../../src/api/admin/bots.ts'
import { callView } from '../../../src/api/admin/calls.ts'
import { problemView } from '../../../src/api/admin/errors.ts'
import { numberView } from '../../../src/api/admin/numbers.ts'
import { failureOf } from '../../../src/api/errors.ts'
import { DomainError, ERROR_CODES, type ErrorCode } from '../../../src/lib/errors.ts'
import { ACME, fakeCore, NOW_MS } from '../../fakes/core.ts'

const core = await fakeCore()
const ctx = { accountId: ACME }

describe('admin views', () => {
  it('show accounts, keys, numbers and calls with RFC 3339 times', async () => {
    expect(accountView(await core.accounts.get(ACME)).createdAt).toBe('2026-05-11T14:10:00.000Z')
    const [key] = await core.accounts.listKeys(ctx)
    expect(keyView({ ...key, revokedAtMs: NOW_MS }).revokedAt).toBe('2026-05-11T14:10:00.000Z')
    const [number] = await core.numbers.list(ctx)
    expect(numberView(number)).toMatchObject({ number: '+911143104567', createdAt: '2026-05-11T14:10:00.000Z' })
    expect(callView(core.stored[5], 'https://link')).toMatchObject({ durationS: 187, recordingUrl: 'https://link' })
  })

  it('show of a bot’s headers the names alone', async () => {
    const [bot] = await core.bots.list(ctx)
    expect(JSON.stringify(botView(bot))).not.toContain('of-the-bot')
    expect(botView(bot).headerNames).toEqual(['Authorization'])
  })
})

describe('newKeyFrom', () => {
  it('reads expiries in any zone, as UTC without one, and refuses what is past or no time', () => {
    const expiry = (expiresAt: string) => newKeyFrom({ expiresAt }, NOW_MS)
    expect(expiry('2026-05-11T20:10:00+05:30')).toEqual({ expiresAtMs: NOW_MS + 30 * 60_000 })
    expect(expiry('2026-05-11T14:40:00')).toEqual({ expiresAtMs: NOW_MS + 30 * 60_000 })
    expect(() => expiry('2026-05-11T14:10:00Z')).toThrow('expiresAt must be')
    expect(() => expiry('soon')).toThrow('expiresAt must be')
    expect(newKeyFrom({ name: 'x' }, NOW_MS)).toEqual({ name: 'x' })
  })
})

describe('problemView', () => {
  it('has a title and an HTTP status for every code of the catalogue', () => {
    for (const code of Object.keys(ERROR_CODES) as ErrorCode[]) {
      const problem = problemView(failureOf(new DomainError(code, 'detail')))
      expect(problem).toMatchObject({ type: 'about:blank', title: ERROR_CODES[code], detail: 'detail', code })
      expect(problem.status).toBeGreaterThanOrEqual(400)
    }
  })

  it('says nothing of errors that nobody foresaw', () => {
    const problem = problemView(failureOf(new Error('password=hunter2')))
    expect(problem).toMatchObject({ status: 500, code: 'INTERNAL' })
    expect(JSON.stringify(problem)).not.toContain('hunter2')
  })
})
