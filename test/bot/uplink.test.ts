import { describe, expect, it } from 'vitest'
import { DECODE, encodeInto } from '../../src/audio/g711.ts'
import { Resampler } from '../../src/audio/resampler.ts'
import { sine } from '../../src/audio/tone.ts'
import type { AudioFormat, MediaFrame } from '../../src/bot/dialect.ts'
import { Uplink } from '../../src/bot/uplink.ts'

const WIRE = 400

function rig(format: Partial<AudioFormat> = {}) {
  const sent: { first: number; bytes: number; chunk: number; timestampMs: number; lostMs: number }[] = []
  const heard: Uint8Array[] = []
  const objects = new Set<MediaFrame>()
  const port = {
    buffered: 0,
    blocked: false,
    lag: 0,
    stuckCalls: 0,
    bufferedBytes: () => port.buffered,
    lagMs: () => port.lag,
    sendAudio: (frame: MediaFrame) => {
      const { audio, chunk, timestampMs, lostMs } = frame
      objects.add(frame)
      heard.push(audio.slice())
      expect(frame.replay).toBe(false)
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
  return { uplink, port, sent, hear, heard, objects }
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

  it('keeps back what a bot more than 5 s behind could not read anyway, and goes on when it has caught up', () => {
    const { port, sent, hear } = rig()
    port.lag = 5000
    hear(1)
    expect(sent.length).toBe(1)
    port.lag = 5020
    hear(100)
    expect(sent.length).toBe(1)
    port.lag = 3000
    hear(1)
    // The last 400 ms, and this frame; the first of them says what is gone.
    expect(sent.length).toBe(21)
    expect(sent[1]).toMatchObject({ lostMs: 1620, timestampMs: 20 + 1620 })
    expect(port.stuckCalls).toBe(0)
  })

  it('counts a bot as dead that stays so far behind for 10 s', () => {
    const { port, hear } = rig()
    port.lag = 6000
    hear(499)
    expect(port.stuckCalls).toBe(0)
    hear(3)
    expect(port.stuckCalls).toBe(1)
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

  it.each([16_000, 24_000] as const)('sends what it hears at %i Hz, in one piece over all frames', (sampleRate) => {
    for (const frameMs of [20, 60]) {
      const { uplink, sent, heard, objects } = rig({ encoding: 'pcm16', sampleRate, frameMs })
      const law = new Uint8Array(9600)
      encodeInto(law, sine(1000, 1200), 'pcma')
      for (let at = 0; at < law.length; at += 160) uplink.frame(law.subarray(at, at + 160), 'pcma', 0)
      expect(sent.length).toBe(1200 / frameMs)
      expect(sent.every((s) => s.bytes === (frameMs * sampleRate * 2) / 1000)).toBe(true)
      expect(objects.size).toBe(1)
      const pcm = Int16Array.from(law, (byte) => DECODE.pcma[byte])
      const resampler = new Resampler(8000, sampleRate)
      const whole = new Int16Array((9600 * sampleRate) / 8000)
      resampler.process(pcm, pcm.length, whole)
      expect(Buffer.compare(Buffer.concat(heard), new Uint8Array(whole.buffer))).toBe(0)
    }
  })

  it('moves chunk and time on over what the bot did not want to hear', () => {
    const { uplink, sent, hear } = rig()
    hear(3)
    uplink.missed(2000, false)
    hear(1)
    expect(sent.at(-1)).toMatchObject({ chunk: 103, timestampMs: 2060, lostMs: 0 })
    uplink.missed(0, true)
    hear(1)
    expect(sent.at(-1)).toMatchObject({ chunk: 104, timestampMs: 2080, lostMs: 0 })
  })

  it('says in the next frame what was lost while the bot was gone, once', () => {
    const { uplink, sent, hear } = rig({ frameMs: 40 })
    hear(3)
    // 20 ms of a frame are gathered: gone too.
    uplink.missed(1500, true)
    hear(4)
    expect(sent.slice(1)).toMatchObject([
      { chunk: 39, timestampMs: 1560, lostMs: 1520 },
      { chunk: 40, timestampMs: 1600, lostMs: 0 },
    ])
  })

  it('gives up what waited for the lost socket, and tells it with the rest', () => {
    const { uplink, port, sent, hear } = rig()
    hear(1)
    port.buffered = 100_000
    hear(10)
    expect(sent.length).toBe(1)
    port.buffered = 0
    uplink.missed(1000, true)
    hear(1)
    expect(sent.at(-1)).toMatchObject({ chunk: 61, timestampMs: 1220, lostMs: 1200 })
    expect(uplink.stats.droppedMs).toBe(200)
  })

  it('begins without an echo of the time before what was missed', () => {
    const { uplink, heard, sent } = rig({ encoding: 'pcm16', sampleRate: 16_000 })
    uplink.frame(new Uint8Array(160).fill(0x10), 'pcmu', 0)
    uplink.missed(500, true)
    uplink.frame(new Uint8Array(160).fill(0xff), 'pcmu', 0)
    expect(sent.length).toBe(2)
    expect(heard[1].every((byte) => byte === 0)).toBe(true)
  })
})
