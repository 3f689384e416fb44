import { describe, expect, it } from 'vitest'
import { DemoScript, type BotAction } from '../../src/load/demo-script.ts'

const LOUD_DB = -20
const QUIET_DB = -80
const frames = (ms: number): number => ms / 20

const scene = (): { script: DemoScript; said: string[]; hear: (levelDb: number, ms: number) => void } => {
  const said: string[] = []
  const label = (a: BotAction): string => (a.do === 'say' ? a.clip : a.do === 'mark' ? `(${a.name})` : a.do)
  const script = new DemoScript((a) => said.push(label(a)))
  const hear = (levelDb: number, ms: number): void => {
    for (let i = 0; i < frames(ms); i++) script.heard(levelDb)
  }
  return { script, said, hear }
}

describe('DemoScript', () => {
  it('greets, listens to the end, answers, takes the key and says goodbye', () => {
    const { script, said, hear } = scene()
    script.start()
    expect(said).toEqual(['greeting', '(greeting)'])
    hear(QUIET_DB, 2000)
    script.markReached('greeting')
    hear(LOUD_DB, 2000)
    hear(QUIET_DB, 680) // a pause within speech
    hear(LOUD_DB, 2000)
    expect(said.length).toBe(2)
    hear(QUIET_DB, 700)
    expect(said.slice(2)).toEqual(['answer', '(answer)'])
    script.markReached('answer')
    script.key('5')
    expect(said.slice(4)).toEqual(['key', 'goodbye', 'hangup'])
    expect(script.digits).toEqual(['5'])
  })

  it('stops speaking when a key comes in the middle', () => {
    const { script, said, hear } = scene()
    script.start()
    script.markReached('greeting')
    hear(LOUD_DB, 500)
    hear(QUIET_DB, 700)
    script.key('1')
    expect(said.slice(4)).toEqual(['clear', 'key', 'goodbye', 'hangup'])
    script.markReached('answer') // cleared
    hear(QUIET_DB, 20_000)
    script.key('2')
    expect(said.length).toBe(8)
  })

  it('does not wait for ever for speech, nor for a key', () => {
    const silentCall = scene()
    silentCall.script.start()
    silentCall.script.markReached('greeting')
    silentCall.hear(QUIET_DB, 14_980)
    expect(silentCall.script.phase).toBe('listening')
    silentCall.hear(QUIET_DB, 20)
    expect(silentCall.said.slice(2)).toEqual(['goodbye', 'hangup'])

    const noKey = scene()
    noKey.script.start()
    noKey.script.markReached('greeting')
    noKey.hear(LOUD_DB, 500)
    noKey.hear(QUIET_DB, 700)
    noKey.script.markReached('answer')
    noKey.hear(QUIET_DB, 8000)
    expect(noKey.said.slice(4)).toEqual(['goodbye', 'hangup'])
  })

  it('does not answer what was said over the greeting', () => {
    const { script, said, hear } = scene()
    script.start()
    hear(LOUD_DB, 500)
    hear(QUIET_DB, 1000)
    expect(said.length).toBe(2)
  })
})
