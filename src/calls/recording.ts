import { errorText } from '../lib/errors.ts'
import { uuidv7 } from '../lib/ids.ts'
import { metrics } from '../telemetry/metrics.ts'
import type { Call } from './call.ts'
import type { CallCore } from './core.ts'
import type { BotRequest, RecordingStatus } from './ports.ts'

type RecordingRequest = Extract<BotRequest, { ask: 'recording' }>

const DONE = { start: 'started', stop: 'stopped', pause: 'paused', resume: 'resumed' } as const satisfies Record<
  RecordingRequest['action'],
  RecordingStatus['state']
>

/**
 * The one recording of a call: begun at the answer where bot or number say so, or when the bot asks.
 *
 *   none ─▶ capturing ◀─▶ paused ─▶ stopping ─▶ finishing ─▶ none (and none follows)
 *               └─────────┴── the leg ends ─────────▲
 */
export class CallRecordings {
  readonly #core: CallCore

  constructor(core: CallCore) {
    this.#core = core
  }

  answered(call: Call): void {
    if (call.bot?.record && call.record.recordingId === undefined) this.#start(call)
  }

  /** The bot's wish; what became of it is told to the bot. */
  asked(call: Call, { ref, action }: RecordingRequest): void {
    const reason = this.#refusal(call, action)
    if (reason === undefined) this.#do(call, action)
    this.#core.world.media.recordingStatus(call.first.id, {
      ref,
      state: reason === undefined ? DONE[action] : 'failed',
      recordingId: call.record.recordingId,
      reason,
    })
  }

  #refusal(call: Call, action: RecordingRequest['action']): string | undefined {
    const { recording: state, record } = call
    if (action === 'start') {
      if (state === 'capturing' || state === 'paused') return 'the call is being recorded already'
      if (record.recordingId !== undefined) return 'the call has been recorded already'
      return record.answeredAtMs === undefined ? 'the call is not answered' : undefined
    }
    if (state !== 'capturing' && state !== 'paused') return 'not recording'
    if (action === 'pause' && state === 'paused') return 'paused already'
    if (action === 'resume' && state === 'capturing') return 'not paused'
    return undefined
  }

  #do(call: Call, action: RecordingRequest['action']): void {
    const { media } = this.#core.world
    const recordingId = call.record.recordingId ?? ''
    switch (action) {
      case 'start':
        return this.#start(call)
      case 'stop':
        call.recording = 'stopping'
        return media.stopRecording(call.first.id)
      case 'pause':
        call.recording = 'paused'
        call.note({ type: 'recordingPaused', recordingId })
        return media.pauseRecording(call.first.id, true)
      case 'resume':
        call.recording = 'capturing'
        call.note({ type: 'recordingResumed', recordingId })
        return media.pauseRecording(call.first.id, false)
    }
  }

  #start(call: Call): void {
    const recordingId = uuidv7(this.#core.world.clock.wallMs())
    call.recording = 'capturing'
    call.note({ type: 'recordingStarted', recordingId })
    this.#core.world.media.record(call.first.id, { recordingId })
  }

  /** The capture is closed on disk (or its worker died): make the file. */
  async captured(call: Call, recordingId: string): Promise<void> {
    if (call.recording === 'none' || call.recording === 'finishing' || call.record.recordingId !== recordingId) return
    call.recording = 'finishing'
    try {
      const { durationMs, bytes } = await this.#core.world.recordings.finish(call.record, recordingId)
      metrics.recordings.inc({ result: 'ready' })
      metrics.recordingBytes.inc(bytes)
      call.note({ type: 'recordingFinished', recordingId, durationMs, bytes })
    } catch (err) {
      metrics.recordings.inc({ result: 'failed' })
      this.#core.log(call).error({ recordingId, err }, 'recording could not be finished')
      call.note({ type: 'recordingFailed', recordingId, reason: errorText(err) })
    }
    call.recording = 'none'
    this.#core.sweep(call)
  }
}
