import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { toneLevel } from '../helpers/tones.ts'
import { loadClip } from '../../src/load/clips.ts'
import type { PhoneCall } from '../../src/load/phone.ts'
import { RealtimeServer } from '../fakes/realtime-server.ts'
import { startExample, type RealBot } from '../helpers/real-bots.ts'
import { DIDS, startTestServer, type TestServer } from '../helpers/server.ts'
import { until } from '../helpers/until.ts'

/** The examples, as they stand there, each in its own process, take real calls. */
const HUMAN = '+914911000001'
const BUSY = '+914900000001'
let model: RealtimeServer
let bots: Record<'echo' | 'menu' | 'transfer' | 'realtime', RealBot>
let t: TestServer
let human: PhoneCall | undefined
let humanIsBusy = false
