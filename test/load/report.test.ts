import { describe, expect, it } from 'vitest'
import { grown } from '../../src/load/churn.ts'
import { loadSettings, UsageError } from '../../src/load/options.ts'
import { gcMaxMs, loopDelayMs, sum } from '../../src/load/readings.ts'
import { churnTable, latency, loadTable, setup, type Leaks, type LoadReport } from '../../src/load/report.ts'
import { LatencyHistogram } from '../../src/load/stats.ts'

describe('load settings', () => {
  it('have defaults for everything', () => {
    expect(loadSettings([])).toMatchObject({
      mode: 'steady',
      calls: 100,
      seconds: 20,
      dialect: 'native-binary',
      recording: false,
      workers: undefined,
    })
  })

  it('take what the command line says; --total makes it a leak run', () => {
    expect(loadSettings(['--calls', '7', '--dialect', 'native-json', '--recording', '--workers', '0', '--json'])).toMatchObject({
      mode: 'steady', calls: 7, dialect: 'native-json', recording: true, workers: 0, json: true,
    }) // prettier-ignore
    expect(loadSettings(['--total', '1000', '--cps', '50'])).toMatchObject({ mode: 'churn', total: 1000, cps: 50 })
  })

  it('make the latency budget a small run of its own, and slow bots a phase of the steady one', () => {
    expect(loadSettings(['--budget'])).toMatchObject({ mode: 'budget', calls: 10, seconds: 5 })
    expect(loadSettings(['--budget', '--calls', '3'])).toMatchObject({ mode: 'budget', calls: 3 })
    expect(loadSettings(['--calls', '9', '--slow-bots', '2'])).toMatchObject({ mode: 'steady', slowBots: 2 })
  })

  it('choose what the bots speak, and at which rate', () => {
    expect(loadSettings(['--dialect', 'twilio'])).toMatchObject({ dialect: 'twilio', rate: undefined })
    expect(loadSettings(['--rate', '24000'])).toMatchObject({ dialect: 'native-binary', rate: 24_000 })
  })

  it('refuse what makes no sense, by name', () => {
    expect(() => loadSettings(['--calls', 'many'])).toThrow('--calls must be a whole number')
    expect(() => loadSettings(['--dialect', 'morse'])).toThrow('--dialect must be one of native-json')
    expect(() => loadSettings(['--rate', '44100'])).toThrow('--rate must be 16000 or 24000')
    expect(() => loadSettings(['--rate', '16000', '--dialect', 'twilio'])).toThrow('--rate is for the native dialects')
    expect(() => loadSettings(['--budget', '--total', '9'])).toThrow('--budget and --total')
    expect(() => loadSettings(['--budget', '--dialect', 'twilio'])).toThrow('need a native dialect')
    expect(() => loadSettings(['--budget', '--slow-bots', '2'])).toThrow('--slow-bots is for neither')
    expect(() => loadSettings(['--calls', '4', '--slow-bots', '4'])).toThrow(
      '--slow-bots must be a whole number from 0',
    )
    expect(() => loadSettings(['--nonsense'])).toThrow(UsageError)
  })
})

const NOTHING: Leaks = {
  openFiles: 40,
  sockets: 20,
  udpSockets: 1,
  rtpPorts: 0,
  callsActive: 0,
  timers: 10,
  handles: 12,
  rssMb: 120,
}

describe('leaks', () => {
  it('are what grew beyond its tolerance; not measured is no leak', () => {
    expect(grown(NOTHING, NOTHING)).toEqual([])
    expect(grown(NOTHING, { ...NOTHING, udpSockets: 2, callsActive: 1, openFiles: 42 })).toEqual([
      'udpSockets',
      'callsActive',
    ])
    expect(grown({ ...NOTHING, rtpPorts: null }, { ...NOTHING, rtpPorts: 4 })).toEqual([])
  })
})

describe('readings of /metrics', () => {
  const samples = new Map<string, number>([
    ['nodejs_gc_duration_seconds_bucket{le="0.001",kind="minor"}', 8],
    ['nodejs_gc_duration_seconds_bucket{le="0.01",kind="minor"}', 10],
    ['nodejs_gc_duration_seconds_bucket{le="+Inf",kind="minor"}', 10],
    ['nodejs_gc_duration_seconds_bucket{le="0.001",kind="major"}', 0],
    ['nodejs_gc_duration_seconds_bucket{le="+Inf",kind="major"}', 0],
    ['nodejs_eventloop_lag_p99_seconds', 0.012],
    ['trunkline_media_loop_delay_seconds{worker="0"}', 0.002],
    ['trunkline_media_loop_delay_seconds{worker="1"}', 0.005],
  ])

  it('find the longest garbage collection, the loop delays, and sums over labels', () => {
    expect(gcMaxMs(new Map(), samples)).toBe(10)
    expect(gcMaxMs(samples, samples)).toBe(0)
    const onlyShort = new Map(samples)
    for (const le of ['0.001', '0.01', '+Inf']) {
      const name = `nodejs_gc_duration_seconds_bucket{le="${le}",kind="minor"}`
      onlyShort.set(name, samples.get(name)! + 3)
    }
    expect(gcMaxMs(samples, onlyShort)).toBe(1)
    expect(loopDelayMs(samples)).toEqual({ control: 12, media: 5 })
    expect(sum(samples, 'trunkline_media_loop_delay_seconds')).toBeCloseTo(0.007)
  })

  it('give null for what is not there', () => {
    expect(gcMaxMs(new Map(), new Map())).toBeNull()
    expect(loopDelayMs(new Map())).toEqual({ control: null, media: null })
    expect(sum(samples, 'trunkline_rtp')).toBeNull()
  })
})

describe('the report', () => {
  const report: LoadReport = {
    calls: 100, failures: 1, seconds: 20, dialect: 'native-binary', rate: null, recording: true, workers: 1,
    cpuPercentPerCall: 0.31, cpuUserPercentPerCall: 0.11, cpuSystemPercentPerCall: 0.2, floor: { c: null, node: 0.4 }, ratioToFloor: 0.775,
    upMs: { p50: 21.2, p99: 24, p999: 30 }, downMs: null, upBeyondMs: null, downBeyondMs: null, interArrivalMs: null,
    lostFrames: 2, lateFrames: 3, framesSent: 1000, packetsPerSecond: { sent: 50, heard: 49.9, returned: 50 }, setupMs: null, ringMs: null, rssMb: null, rssBaseMb: null,
    gcMaxMs: null, loopDelayMs: { control: null, media: null },
    generator: { worstLateMs: 3, skippedMs: 0, cpuPercent: 60 }, loadAverage: 1.5, problems: { '486 Busy Here': 1 },
  } // prettier-ignore

  it('prints what was measured, a dash for what was not, and why calls failed', () => {
    const text = loadTable(report)
    expect(text).toContain('0.310 % of one core (bridge process alone): user 0.110 %, system 0.200 %')
    expect(text).toContain('21.2 ms / 24.0 ms / 30.0 ms')
    expect(text).toMatch(/bot to caller.*-\n/)
    expect(text).toContain('1 x 486 Busy Here')
  })

  it('says what the bots spoke, and no lost frames where none can be counted', () => {
    const text = loadTable({ ...report, rate: 16_000, lostFrames: null })
    expect(text).toContain('native-binary, pcm16 16000 Hz')
    expect(text).toContain('1000 sent, - lost')
  })

  it('names what a leak run left behind', () => {
    const text = churnTable({
      mode: 'churn', calls: 10, failures: 0, seconds: 2, callsPerSecond: 5, setupMs: null,
      before: NOTHING, after: { ...NOTHING, udpSockets: 3 }, leaks: ['udpSockets'], problems: {},
    }) // prettier-ignore
    expect(text).toMatch(/UDP sockets\s+1 -> 3/)
    expect(text).toMatch(/left behind\s+udpSockets/)
  })

  it('has null for a latency of which nothing was seen', () => {
    expect([latency(new LatencyHistogram()), setup(new LatencyHistogram())]).toEqual([null, null])
  })
})
