import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { callView, filterFrom, statesFrom } from '../../../src/api/phone-inc/calls.ts'
import { errorView } from '../../../src/api/phone-inc/errors.ts'
import { displayNumber } from '../../../src/numbers/display.ts'
import { fakeCore } from '../../fakes/core.ts'

const core = await fakeCore()
const [, , talking, , , recorded] = core.stored

describe('callView', () => {
  it('has the keys of the vendor’s sample, in its order', () => {
    const sample = JSON.parse(
      readFileSync(join(import.meta.dirname, '../../../fixtures/api/phone-inc/phoneinc.calls.get/live.json'), 'utf8'),
    ) as { reply: { body: object } }
    expect(Object.keys(callView(talking, undefined))).toEqual(Object.keys(sample.reply.body))
  })

  it('names who placed a call on outbound ones only', () => {
    expect(callView(recorded, undefined)).toHaveProperty('initiated_by', null)
    expect(callView(talking, undefined)).not.toHaveProperty('initiated_by')
  })

  it('keeps the link back until the call has ended', () => {
    expect(callView(recorded, 'https://link').recording_url).toBe('https://link')
    expect(callView({ ...recorded, state: 'transferring' }, 'https://link')).toMatchObject({
      state: 'transferring',
      recording_url: null,
    })
  })
})

describe('filterFrom', () => {
  it('defaults to ten, and keeps limits between 1 and 50', () => {
    const limit = (n?: number): number => filterFrom({ limit: n }, () => undefined).limit
    expect([undefined, 0, -5, 7, 50, 51].map(limit)).toEqual([10, 1, 1, 7, 50, 50])
  })

  it('reads numbers where it can and leaves them as written where not', () => {
    const read = (phone_number: string): string | undefined =>
      filterFrom({ phone_number }, core.numbers.normalise.bind(core.numbers)).phoneNumber
    expect([read('098765 43210'), read('43210')]).toEqual(['+919876543210', '43210'])
  })

  it('knows the vendor’s words and ignores others', () => {
    expect(statesFrom('initiated')).toEqual(['queued', 'dialing', 'ringing'])
    expect(statesFrom('recording')).toEqual([])
    expect([statesFrom('toString'), statesFrom(''), statesFrom(undefined)]).toEqual([undefined, undefined, undefined])
  })
})

it('prints numbers as the vendor does', () => {
  expect(['+14155551234', '+911143104567', 'anonymous'].map(displayNumber)).toEqual([
    '+1 415-555-1234',
    '+91 11 4310 4567',
    'anonymous',
  ])
})

it('lists input errors by field', () => {
  const issues = [
    { field: 'limit', message: 'must be integer' },
    { field: 'limit', message: 'again' },
    { field: '', message: 'odd' },
  ]
  const failure = { status: 400, code: 'INVALID', message: 'm', issues, ours: false } as const
  expect(errorView({ ...failure, issues }, true)).toEqual({
    errors: { limit: ['must be integer', 'again'], base: ['odd'] },
  })
  expect(errorView({ ...failure, issues }, false)).toEqual({ error: 'm' })
})
