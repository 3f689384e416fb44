import { describe, expect, it } from 'vitest'
import { DECODE } from '../../src/audio/g711.ts'
import type { AudioFormat } from '../../src/bot/dialect.ts'
import { Uplink } from '../../src/bot/uplink.ts'

const WIRE = 400

function rig(format: Partial<AudioFormat> = {}) {
  const sent: { first: number; bytes: number; chunk: number; timestampMs: number; lostMs: number }[] = []
  const port = {
    buffered: 0,
    blocked: false,
    stuckCalls: 0,
    bufferedBytes: () => port.buffered,
    sendAudio: (audio: Uint8Array, chunk: number, timestampMs: number, lostMs: number) => {
      sent.push({ first: audio[0], bytes: audio.length, chunk, timestampMs, lostMs })
      if (port.blocked) port.buffered += WIRE
      return WIRE
    },
    stuck: () => void port.stuckCalls++,
  }
  let nowMs = 0
  const uplink = new Uplink({ encoding: 'pcmu', sampleRate: 8000, frameMs: 20, ...format }, port, () => nowMs)
  let n = 0
  const hear = (frames: number, lostMs = 0): void => {
    for (let i = 0; i < frames; i++) {
      uplink.frame(new Uint8Array(160).fill(n++ & 127), 'pcmu', lostMs)
      nowMs += 20
    }
  }
  return { uplink, port, sent, hear }
}

describe('Uplink', () => {
  it('gathers frames to the size the bot wants, in its encoding', () => {
    const { sent, hear } = rig({ frameMs: 60, encoding: 'pcm16' })
    hear(7, 20)
    expect(sent.map(({ bytes, chunk, timestampMs, lostMs }) => [bytes, chunk, timestampMs, lostMs])).toEqual([
      [960, 0, 0, 60],
      [960, 1, 60, 60],
    ])
    expect(sent[0].first).toBe(DECODE.pcmu[0] & 255)
  })

  it('drops the oldest once 500 ms wait, and the next frame that gets through tells how much', () => {
    const { uplink, port, sent, hear } = rig()
    hear(1)
    port.blocked = true
    // 100 ms go into the socket, 400 ms wait, 500 ms more push as many out.
    hear(6 + 20 + 25)
    expect(sent.length).toBe(7)
    expect(uplink.stats.droppedMs).toBe(500)
    port.blocked = false
    port.buffered = 0
    sent.length = 0
    hear(1)
    expect(sent.length).toBe(20)
    expect(sent[0]).toMatchObject({ lostMs: 520, chunk: 7 + 26, timestampMs: (7 + 26) * 20 })
    expect(sent.slice(1).every((s, i) => s.lostMs === 0 && s.chunk === sent[0].chunk + i + 1)).toBe(true)
    hear(1)
    expect(sent.at(-1)).toMatchObject({ lostMs: 0 })
  })

  it('takes a bot that reads nothing for 10 s for dead, one that reads slowly not', () => {
    const dead = rig()
    dead.hear(1)
    dead.port.buffered = 100_000
    dead.hear(490)
    expect(dead.port.stuckCalls).toBe(0)
    dead.hear(20)
    expect(dead.port.stuckCalls).toBe(1)
    const slow = rig()
    slow.hear(1)
    slow.port.buffered = 1_000_000
    for (let i = 0; i < 30; i++) {
      slow.hear(100)
      slow.port.buffered -= 10
    }
    expect(slow.port.stuckCalls).toBe(0)
  })

  it('changes format between two frames and tells what it gave up', () => {
    const { uplink, sent, hear } = rig({ frameMs: 100 })
    hear(2)
    uplink.setFormat({ encoding: 'pcma', sampleRate: 8000, frameMs: 20 })
    hear(1)
    expect(sent).toMatchObject([{ bytes: 160, lostMs: 40, timestampMs: 40 }])
  })
})
