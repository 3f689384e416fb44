import { describe, expect, it } from 'vitest'
import { normaliseNumber } from '../../src/numbers/normalise.ts'

describe('a number', () => {
  it.each([
    ['9812345601', 'IN', '+919812345601'],
    ['09812345601', 'IN', '+919812345601'],
    ['919812345601', 'IN', '+919812345601'],
    ['+919812345601', 'IN', '+919812345601'],
    ['00919812345601', 'IN', '+919812345601'],
    ['+91 98123-45601', 'US', '+919812345601'],
    ['022 4000 1234', 'IN', '+912240001234'],
    ['9123456789', 'IN', '+919123456789'],
    ['(415) 555-2671', 'US', '+14155552671'],
    ['030 123456', 'DE', '+4930123456'],
    ['+4930123456', 'IN', '+4930123456'],
  ])('written %s in %s is %s', (raw, region, e164) => {
    expect(normaliseNumber(raw, region)).toBe(e164)
  })

  it.each([
    '',
    '12',
    'abc',
    '+',
    '+99912345',
    '98123456012345678',
    '9812345601;ext=5',
    'sip:x@y',
    '9'.repeat(1000),
    '+91981\r\n2345601x',
  ])('is not %j', (raw) => {
    expect(normaliseNumber(raw, 'IN')).toBeUndefined()
  })
})
