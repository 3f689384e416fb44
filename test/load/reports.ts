import type { LoadReport } from '../../src/load/report.ts'

/** A report of a good run, with what a test wants otherwise. */
export const loadReport = (other: Partial<LoadReport> = {}): LoadReport => ({
  calls: 100, failures: 0, seconds: 20, dialect: 'native-binary', rate: null, recording: false, workers: 1,
  cpuPercentPerCall: 0.31, cpuUserPercentPerCall: 0.11, cpuSystemPercentPerCall: 0.2,
  floor: { c: 0.1, node: 0.2 }, ratioToFloor: 3.1,
  upMs: { p50: 8, p99: 20, p999: 30 }, downMs: { p50: 7, p99: 22, p999: 33 }, upBeyondMs: null, downBeyondMs: null,
  interArrivalMs: { p50: 0.3, p99: 2.2, p999: 5.4 }, lostFrames: 2, lateFrames: 3, framesSent: 1000,
  packetsPerSecond: { sent: 50, heard: 50, returned: 50 }, setupMs: null, ringMs: null, rssMb: 300, rssBaseMb: 250,
  gcMaxMs: null, loopDelayMs: { control: null, media: null },
  generator: { worstLateMs: 3, skippedMs: 0, cpuPercent: 60 }, loadAverage: 1.5, problems: {},
  ...other,
}) // prettier-ignore
