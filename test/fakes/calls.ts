import type { CallEvent } from '../../src/calls/events.ts'
import type {
  BotPlan,
  BotSettings,
  CallStore,
  Directory,
  IncomingLeg,
  Journal,
  MediaAddress,
  MediaEvent,
  MediaPlane,
  RemoteMedia,
  Signaling,
  SignalingEvent,
} from '../../src/calls/ports.ts'
import { botSettingsFrom } from '../../src/bots/bot.ts'
import { CallService } from '../../src/calls/service.ts'
import { silentLog } from '../../src/telemetry/log.ts'
import { FakeClock, settle } from './clock.ts'

export type Did = [what: string, ...args: unknown[]]

/** Remembers what it was told to do, in order, and lets a test say what happens. */
class Recorded<E> {
  readonly did: Did[] = []
  #listener: (event: E) => void = () => {}
  onEvent(listener: (event: E) => void): void {
    this.#listener = listener
  }
  say(event: E): void {
    this.#listener(event)
  }
  protected do(what: string, ...args: unknown[]): void {
    this.did.push([what, ...args])
  }
  all(what: string): unknown[][] {
    return this.did.filter(([w]) => w === what).map(([, ...args]) => args)
  }
}

export class FakeSignaling extends Recorded<SignalingEvent> implements Signaling {
  dial = (...a: unknown[]): void => this.do('dial', ...a)
  ring = (...a: unknown[]): void => this.do('ring', ...a)
  progress = (...a: unknown[]): void => this.do('progress', ...a)
  answer = (...a: unknown[]): void => this.do('answer', ...a)
  reject = (...a: unknown[]): void => this.do('reject', ...a)
  hangup = (...a: unknown[]): void => this.do('hangup', ...a)
  refer = (...a: unknown[]): void => this.do('refer', ...a)
  sendInfoDigit = (...a: unknown[]): void => this.do('sendInfoDigit', ...a)
}

export class FakeMedia extends Recorded<MediaEvent> implements MediaPlane {
  full = false
  #port = 40000
  async open(legId: string, near?: string): Promise<MediaAddress> {
    this.do('open', legId, near)
    if (this.full) throw new Error('no port')
    return { host: '127.0.0.1', port: (this.#port += 2) }
  }
  connect = (...a: unknown[]): void => this.do('connect', ...a)
  attachBot = (legId: string, plan: BotPlan): void => this.do('attachBot', legId, plan)
  callProgress = (...a: unknown[]): void => this.do('callProgress', ...a)
  callAnswered = (...a: unknown[]): void => this.do('callAnswered', ...a)
  digit = (...a: unknown[]): void => this.do('digit', ...a)
  held = (...a: unknown[]): void => this.do('held', ...a)
  transferStatus = (...a: unknown[]): void => this.do('transferStatus', ...a)
  recordingStatus = (...a: unknown[]): void => this.do('recordingStatus', ...a)
  play = (...a: unknown[]): void => this.do('play', ...a)
  bridge = (...a: unknown[]): void => this.do('bridge', ...a)
  unbridge = (...a: unknown[]): void => this.do('unbridge', ...a)
  detachBot = (...a: unknown[]): void => this.do('detachBot', ...a)
  record = (...a: unknown[]): void => this.do('record', ...a)
  pauseRecording = (...a: unknown[]): void => this.do('pauseRecording', ...a)
  stopRecording = (...a: unknown[]): void => this.do('stopRecording', ...a)
  close = (...a: unknown[]): void => this.do('close', ...a)
}

export const ECHO_BOT: BotSettings = {
  ...botSettingsFrom({ name: 'echo', url: 'ws://127.0.0.1:9/bot?key=s', record: true }),
  id: 'bot-1',
}

/** A call service in a world of fakes. */
export function callWorld(options: { bot?: Partial<BotSettings>; maxCalls?: number; record?: boolean } = {}) {
  const clock = new FakeClock()
  const signaling = new FakeSignaling()
  const media = new FakeMedia()
  const events: CallEvent[] = []
  const bot = { ...ECHO_BOT, ...options.bot }
  const journal: Journal & { broken: boolean } = {
    broken: false,
    async append(event) {
      if (journal.broken) throw new Error('disk full')
      events.push(structuredClone(event))
    },
  }
  const directory: Directory = {
    inboundRoute: (_trunk, number) =>
      number.startsWith('+9111')
        ? {
            accountId: 'acc',
            numberId: 'num',
            number,
            action: number.endsWith('00') ? 'reject' : 'bot',
            botId: number.endsWith('01') ? 'gone' : 'bot-1',
            record: options.record ?? true,
          }
        : undefined,
    outboundTrunk: (accountId, from) =>
      accountId === 'acc' && from !== '+10' ? { trunkId: 'trunk', from: from ?? '+911140000002' } : undefined,
    bot: (_account, id) => (id === 'bot-1' ? bot : undefined),
  }
  const store: CallStore = { get: async () => undefined, getByLogId: async () => undefined, list: async () => [] }
  let logId = 100
  const finished: string[] = []
  const calls = new CallService(
    {
      clock,
      log: silentLog,
      signaling,
      media,
      journal,
      directory,
      logIds: { next: () => logId++ },
      recordings: {
        finish: async (_call, id) => {
          finished.push(id)
          return { durationMs: 1000, bytes: 32044 }
        },
      },
      nodeId: 'node',
      maxCalls: options.maxCalls ?? 100,
    },
    store,
  )
  const types = (): string[] => events.map((e) => e.type)
  return { clock, signaling, media, journal, events, types, calls, bot, finished }
}

export const CLEARED = { sipStatus: 200, q850: 16, text: 'Normal call clearing' }

export const NO_STATS = { rxPackets: 0, txPackets: 0, rxLost: 0, rxLate: 0, rxDropped: 0, jitterMs: 0 }

export type World = ReturnType<typeof callWorld>

export const incoming = (more: Partial<IncomingLeg> = {}): IncomingLeg => ({
  legId: 'c1.1',
  trunkId: 'trunk',
  accountId: 'acc',
  to: '+911140000002',
  from: '+919876543210',
  sipCallId: 'sip-1',
  headers: {},
  codec: 'pcmu',
  delayedOffer: false,
  maxForwards: 69,
  ...more,
})

const remote = { host: '127.0.0.1', port: 5000 } as RemoteMedia

export const botOpen = (legId: string, more: { resumed?: boolean; standIn?: number } = {}): MediaEvent => ({
  on: 'bot',
  legId,
  state: 'open',
  resumed: false,
  standIn: 0,
  ...more,
})

export const botLost = (legId: string, clean = false): MediaEvent => ({
  on: 'bot',
  legId,
  state: 'lost',
  clean,
  wasOpen: true,
  reason: 'closed 1006',
})

/** An inbound call `c1` that talks with its bot. */
export async function inboundTalking(w: World): Promise<void> {
  w.signaling.say({ on: 'incoming', leg: incoming() })
  await settle()
  w.media.say(botOpen('c1.1'))
  w.signaling.say({ on: 'media', legId: 'c1.1', remote })
  w.signaling.say({ on: 'answered', legId: 'c1.1', sipCallId: 'sip-1' })
}

/** Both planes report that the leg is gone, as they do after hangup and close. */
export function gone(w: World, legId: string): void {
  w.signaling.say({ on: 'ended', legId, by: 'us', cause: CLEARED })
  w.media.say({ on: 'closed', legId, stats: NO_STATS })
}
