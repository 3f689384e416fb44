import { describe, expect, it } from 'vitest'
import { DigitFilter } from '../../src/engine/digit-filter.ts'

type Step = ['rfc4733' | 'info', string, number]
const told = (steps: Step[], durationMs = 100): string => {
  const filter = new DigitFilter()
  return steps.filter(([method, digit, atMs]) => filter.take(digit, method, atMs, durationMs)).map(([, digit]) => digit).join('') // prettier-ignore
}

describe('DigitFilter', () => {
  it.each<[string, Step[], string]>([
    ['one method alone', [['rfc4733', '5', 0], ['rfc4733', '5', 150]], '55'],
    ['both, events first', [['rfc4733', '5', 0], ['info', '5', 120]], '5'],
    ['both, INFO first', [['info', '5', 0], ['rfc4733', '5', 120]], '5'],
    ['two quick presses by both', [['rfc4733', '5', 0], ['rfc4733', '5', 200], ['info', '5', 210], ['info', '5', 300]], '55'],
    ['different digits', [['rfc4733', '1', 0], ['info', '2', 10]], '12'],
    ['the other method long after', [['rfc4733', '5', 0], ['info', '5', 1500]], '55'],
  ])('%s', (_what, steps, want) => expect(told(steps)).toBe(want)) // prettier-ignore

  it('waits as long as the press for the INFO at its end', () => {
    expect(told([['rfc4733', '5', 0], ['info', '5', 2000]], 1900)).toBe('5') // prettier-ignore
  })
})
