import { describe, expect, it } from 'vitest'
import { Slack } from '../../src/bot/slack.ts'

/** Chunks of 20 ms, one each 20 ms from `fromMs` on, `slackMs(i)` early. Returns what was given up, with the time. */
function feed(slack: Slack, fromMs: number, chunks: number, slackMs: (i: number) => number): [number, number][] {
  const given: [number, number][] = []
  for (let i = 0; i < chunks; i++) {
    const spare = slack.arrived(slackMs(i), 20, fromMs + i * 20)
    if (spare > 0) given.push([fromMs + i * 20, spare])
  }
  return given
}

/** A stream in real time that has run for 400 ms, and then ran dry for `dryMs`. */
function live(dryMs = 20): { slack: Slack; nowMs: number } {
  const slack = new Slack()
  slack.began(20, 0)
  feed(slack, 20, 19, () => 1)
  slack.began(20, 380 + dryMs)
  return { slack, nowMs: 400 + dryMs }
}

describe('delay that no chunk needs', () => {
  it('is given up after 2 s, but for 2 ms', () => {
    const { slack, nowMs } = live()
    expect(feed(slack, nowMs, 101, (i) => (i === 50 ? 18 : 30))).toEqual([[nowMs + 2000, 16]])
  })

  it('is none when one chunk of a hundred has come just in time', () => {
    const { slack, nowMs } = live()
    expect(feed(slack, nowMs, 101, (i) => (i === 50 ? 3 : 30))).toEqual([])
  })

  it('is none in what the bot has sent ahead of time, at the start or later', () => {
    const slack = new Slack()
    slack.began(20, 0)
    for (let i = 0; i < 9; i++) slack.arrived(20 * (i + 1), 20, 0)
    expect(feed(slack, 20, 300, () => 181)).toEqual([])
    const later = live()
    for (let i = 0; i < 10; i++) later.slack.arrived(20 * (i + 1), 20, later.nowMs)
    expect(feed(later.slack, later.nowMs, 300, () => 201)).toEqual([])
  })

  it('is taken up also when a stall of ours has left hundreds of ms, and not in a queue that is deep', () => {
    const stalled = live()
    expect(feed(stalled.slack, stalled.nowMs, 101, () => 301)).toEqual([[stalled.nowMs + 2000, 299]])
    const deep = live()
    expect(feed(deep.slack, deep.nowMs, 300, () => 1001)).toEqual([])
  })

  it('is told apart from the lead that a bot restores after a stall of its own', () => {
    const slack = new Slack()
    slack.began(200, 0)
    feed(slack, 20, 20, () => 180)
    // 300 ms of nothing, so 100 ms dry; then what was missed comes at once: its lead of 180 ms stands again, and 100 more.
    slack.began(320, 720)
    expect(feed(slack, 740, 101, () => 280)[0][1]).toBe(98)
  })

  it('is measured anew in a stream that begins after a pause', () => {
    const { slack } = live()
    slack.began(80, 2000)
    expect(feed(slack, 2020, 300, () => 62)).toEqual([])
  })

  it('is kept a little more each time that the stream runs dry soon after it gave some up', () => {
    const { slack, nowMs: startMs } = live()
    const spares: number[] = []
    let nowMs = startMs
    for (let i = 0; i < 6; i++) {
      const [given] = feed(slack, nowMs, 101, () => 25)
      spares.push(given[1])
      nowMs = given[0] + 20
      slack.began(20, nowMs)
      nowMs += 20
    }
    expect(spares).toEqual([23, 19, 15, 11, 7, 7])
  })
})
