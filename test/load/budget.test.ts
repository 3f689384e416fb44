import { describe, expect, it } from 'vitest'
import { bootstrapFile } from '../../src/load/bootstrap.ts'
import { ClearFigures, clearingBot, openingBot } from '../../src/load/budget-bots.ts'
import {
  budgetTable,
  grownBy,
  slowTable,
  stretch,
  type BudgetReport,
  type SlowReport,
} from '../../src/load/budget-report.ts'
import { SoundWatch } from '../../src/load/sound-watch.ts'
import { LatencyHistogram } from '../../src/load/stats.ts'
import { FakeClock } from '../fakes/clock.ts'

const SILENCE = new Uint8Array(160).fill(0xff)
const SOUND = Uint8Array.from({ length: 160 }, (_, i) => (i % 20 < 10 ? 0x10 : 0x90))

const socket = (): { sent: { type: string }[]; send(text: string): void } => {
  const sent: { type: string }[] = []
  return { sent, send: (text) => void sent.push(JSON.parse(text) as { type: string }) }
}

describe('SoundWatch', () => {
  it('tells sound from the silence of the codec, and when it came', () => {
    const watch = new SoundWatch()
    watch.arrived(SILENCE, 20)
    expect(watch.firstSoundMs).toBe(-1)
    watch.arrived(SOUND, 40)
    watch.arrived(SOUND, 60)
    watch.arrived(SILENCE, 80)
    expect(watch).toMatchObject({ firstSoundMs: 40, lastSoundMs: 60, packets: 2 })
    watch.mark()
    expect(watch.packets).toBe(0)
  })
})

describe('clearingBot', () => {
  const run = (stopsAfterMs: number): { figures: ClearFigures; sent: { type: string }[] } => {
    const clock = new FakeClock()
    const figures = new ClearFigures()
    const watch = new SoundWatch()
    const { sent, send } = socket()
    const bot = clearingBot({ send }, clock, Buffer.from(SOUND), figures, (from) =>
      from === '+911' ? watch : undefined,
    )
    bot.text('{"type":"start","from":"+911","state":"ringing"}')
    expect(sent).toEqual([])
    bot.binary(Buffer.from(SILENCE))
    let clearedAtMs = Infinity
    for (let ms = 0; ms < 850; ms += 10) {
      if (sent.length === 2 && clearedAtMs === Infinity) {
        clearedAtMs = clock.now()
        clock.advance(1)
        bot.text('{"type":"cleared","played_ms":500}')
      }
      const sounds = clock.now() < clearedAtMs + stopsAfterMs
      if (ms % 20 === 0) watch.arrived(sounds ? SOUND : SILENCE, clock.now())
      clock.advance(10)
    }
    bot.closed()
    clock.advance(5000)
    return { figures, sent }
  }

  it('speaks once the call is answered, clears, and measures to the last packet with sound', () => {
    const { figures, sent } = run(15)
    expect(sent.map((m) => m.type)).toEqual(['response.audio.delta', 'clear', 'response.audio.delta'])
    expect(figures).toMatchObject({ mostPackets: 1, failed: 0 })
    expect(figures.reply.maxMs).toBe(1)
    expect(figures.lastPacket.count).toBe(1)
    expect(figures.silence.maxMs - figures.lastPacket.maxMs).toBe(20)
  })

  it('has nothing good to say of a phone that goes on hearing', () => {
    expect(run(5000).figures.failed).toBe(1)
  })
})

describe('openingBot', () => {
  it('speaks at its start, whatever the call is doing', () => {
    const { sent, send } = socket()
    const states: (string | undefined)[] = []
    const bot = openingBot({ send }, Buffer.from(SOUND), ({ state }) => states.push(state))
    bot.text('{"type":"start","event":"start","state":"ringing"}')
    bot.text('{"type":"call.answered"}')
    expect(states).toEqual(['ringing'])
    expect(sent).toEqual([{ type: 'response.audio.delta', delta: Buffer.from(SOUND).toString('base64') }])
  })
})

describe('the simulated installation', () => {
  const bot = (o: Partial<Parameters<typeof bootstrapFile>[0]>): unknown => {
    const file = bootstrapFile({ botUrl: 'ws://b/', dialect: 'native-binary', recording: false, maxCalls: 1, ...o })
    return (file.accounts as { bots: unknown[] }[])[0].bots[0]
  }

  it("has a bot of the run's dialect and rate", () => {
    expect(bot({})).toEqual({ id: 'bot', name: 'Simulated bot', url: 'ws://b/', transport: 'binary', record: false })
    expect(bot({ dialect: 'twilio' })).toMatchObject({ dialect: 'twilio' })
    expect(bot({ dialect: 'native-json', rate: 16_000 })).toMatchObject({
      transport: 'json', input: 'pcm16', inputRate: 16_000, output: 'pcm16', outputRate: 16_000,
    }) // prettier-ignore
  })
})

describe('the reports of single stretches', () => {
  const figure = { p50: 8.2, p99: 21.3, max: 25, count: 2500 }
  const way = { p50: 8, p99: 20, p999: 30 }

  it('print the budget, a dash for what was not measured', () => {
    const report: BudgetReport = {
      mode: 'budget', calls: 10, failures: 1, dialect: 'native-binary', toBotMs: figure, toCallerMs: figure, lostFrames: 0,
      clearToLastPacketMs: figure, clearToSilenceMs: figure, clearToReplyMs: null, packetsAfterClear: 1,
      outboundFirstSoundMs: figure, outboundHeld: 10, inboundFirstSoundMs: null,
      generator: { worstLateMs: 3, skippedMs: 0 }, loadAverage: { before: 1, after: 2.25 }, problems: { odd: 1 },
    } // prettier-ignore
    const text = budgetTable(report)
    expect(text).toMatch(/caller to bot +8\.20 ms \/ 21\.3 ms \/ 25\.0 ms, 2500 samples/)
    expect(text).toMatch(/clear to cleared +-\n/)
    expect(text).toMatch(/load average +1\.0 before, 2\.3 after/)
    expect(text).toContain('1 x odd')
  })

  it('set the phase with slow bots beside the one without', () => {
    const before = { upMs: way, downMs: way, upBeyondMs: way, downBeyondMs: null, lostFrames: 1, worstLateMs: 2, loadAverage: 1 } // prettier-ignore
    const during = { ...before, upMs: { ...way, p99: 21.5 }, downMs: { ...way, p99: 19 }, lostFrames: 2 }
    const report: SlowReport = {
      mode: 'slow-bots', calls: 10, failures: 0, seconds: 8, dialect: 'native-binary', slowBots: 2, before, during,
      p99GrowthMs: grownBy(before, during), p99NoiseMs: grownBy(before, before),
      slow: { redialled: 2, redialMs: { least: 10_100, most: 10_300 }, callsUp: 2, droppedMs: 20_000 },
      problems: {},
    } // prettier-ignore
    const text = slowTable(report)
    expect(text).toMatch(/caller to bot +8\.00 ms \/ 20\.0 ms \/ 30\.0 ms {2}-> {2}8\.00 ms \/ 21\.5 ms/)
    expect(text).toContain('+1.50 ms to the bot, -1.00 ms to the caller')
    expect(text).toMatch(/beyond the standing delay grew by +\+0\.00 ms \/ -/)
    expect(text).toContain('2 of 2 given up and dialled anew')
  })

  it('have null where nothing was seen', () => {
    expect(stretch(new LatencyHistogram())).toBeNull()
    const one = new LatencyHistogram()
    one.record(7)
    expect(stretch(one)).toEqual({ p50: 7, p99: 7, max: 7, count: 1 })
  })
})
