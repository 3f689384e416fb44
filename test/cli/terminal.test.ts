import { describe, expect, it } from 'vitest'
import { Terminal } from '../../src/cli/terminal.ts'
import { FakeClock } from '../fakes/clock.ts'

describe('Terminal', () => {
  const written = (isTTY: boolean): string => {
    let text = ''
    const clock = new FakeClock()
    const terminal = new Terminal(clock, { write: (t) => (text += t), isTTY })
    clock.advance(3210)
    terminal.tell('bot', 'says hello')
    return text
  }

  it('prints time, who and what, without colour where nobody sees it', () => {
    expect(written(false)).toBe('   3.21 s  bot     says hello\n')
  })

  it('uses colour on a terminal', () => {
    expect(written(true)).toContain('\x1b[32mbot')
  })
})
