import { describe, expect, it } from 'vitest'
import { Slack } from '../../src/bot/slack.ts'

/** Chunks each 20 ms from `fromMs` on, `slackMs(i)` early. Returns what was given up, with the time. */
function feed(slack: Slack, fromMs: number, chunks: number, slackMs: (i: number) => number): [number, number][] {
  const given: [number, number][] = []
  for (let i = 0; i < chunks; i++) {
    const spare = slack.arrived(slackMs(i), fromMs + i * 20)
    if (spare > 0) given.push([fromMs + i * 20, spare])
  }
  return given
}

describe('delay that no chunk needs', () => {
  it('is given up after 2 s, but for 2 ms', () => {
    const slack = new Slack()
    slack.began(0)
    feed(slack, 20, 20, () => 1)
    slack.began(420)
    expect(feed(slack, 440, 101, (i) => (i === 50 ? 18 : 30))).toEqual([[2440, 16]])
  })

  it('is none when one chunk of a hundred has come just in time', () => {
    const slack = new Slack()
    slack.began(0)
    expect(feed(slack, 20, 101, (i) => (i === 50 ? 3 : 30))).toEqual([])
  })

  it('is none in a lead that the bot has sent itself, or in a queue that is deep', () => {
    const slack = new Slack()
    slack.began(0)
    expect(feed(slack, 20, 300, () => 81)).toEqual([])
    const ahead = new Slack()
    ahead.began(0)
    feed(ahead, 20, 20, () => 1)
    expect(feed(ahead, 420, 300, () => 101)).toEqual([])
  })

  it('is measured anew in a stream that begins after a pause', () => {
    const slack = new Slack()
    slack.began(0)
    feed(slack, 20, 20, () => 1)
    slack.began(2000)
    expect(feed(slack, 2020, 300, () => 60)).toEqual([])
  })

  it('is kept a little more each time that the stream runs dry soon after it gave some up', () => {
    const slack = new Slack()
    slack.began(0)
    feed(slack, 20, 20, () => 1)
    slack.began(420)
    const spares: number[] = []
    let nowMs = 440
    for (let i = 0; i < 6; i++) {
      const [given] = feed(slack, nowMs, 101, () => 25)
      spares.push(given[1])
      nowMs = given[0] + 20
      slack.began(nowMs)
    }
    expect(spares).toEqual([23, 19, 15, 11, 7, 7])
  })
})
