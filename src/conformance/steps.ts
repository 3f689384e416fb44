/**
 * The rules that take an action: each has a call with an open socket to act on, and says what it found. Short waits, all
 * of them bounded.
 */
import type { DialectName } from '../calls/ports.ts'
import type { TestCall } from './call.ts'
import type { Observations } from './observations.ts'
import { seconds, type Finding, type Rule } from './rules.ts'
import { SLOW_CONNECT_MS, type Pace } from './pace.ts'

/** The bridge hears that the caller has begun, or ended. */
const NOTICED_MS = 2000
const HUSH_MS = 2000

export interface Stage {
  readonly call: TestCall
  readonly dialect: DialectName
  readonly seen: Observations
  readonly pace: Pace
  /** The caller's voice, µ-law. */
  readonly voice: Uint8Array
  readonly now: () => number
}

export type Step = (stage: Stage) => Promise<Finding>

const lastLoss = (call: TestCall): string => call.losses.at(-1) ?? 'no reason given'
const goodbye = (call: TestCall): string => call.over?.reason ?? ''

const connects = async ({ call }: Stage): Promise<Finding> => {
  const { connectMs } = call.opened[0]
  const chosen = call.subprotocol === undefined ? 'it chose no subprotocol, which is fine' : `subprotocol ${call.subprotocol}` // prettier-ignore
  const detail = `in ${seconds(connectMs)}, ${chosen}`
  return connectMs > SLOW_CONNECT_MS ? ['warn', `${detail}; the caller waits for so long`] : ['pass', detail]
}

const start: Step = async ({ call, pace }) => {
  const how = await call.watch(pace.settleMs)
  if (how === 'well') return ['pass', 'with a field that it does not know']
  if (how === 'gone') return ['fail', `the connection was lost: ${lastLoss(call)}`]
  return ['fail', `it hung up at once: ${goodbye(call)}`]
}

/** A greeting, or else an answer to the caller's words. */
const answers: Step = async ({ call, pace, voice, now }) => {
  const startMs = call.opened[0].atMs
  const spoke = (): boolean => call.firstAudibleAtMs !== undefined
  if (await call.until(() => spoke() || call.over !== undefined, pace.greetingMs))
    if (spoke()) return ['pass', `greets ${seconds(call.firstAudibleAtMs! - startMs)} after start`]
  call.say(voice.subarray(0, pace.wordsBytes))
  await call.until(() => !call.speaking || call.over !== undefined, pace.wordsBytes / 8 + 1000)
  const saidMs = now()
  if (!(await call.until(() => spoke() || call.over !== undefined, pace.answerMs)) || !spoke())
    return call.over
      ? ['warn', `it hung up without a word: ${goodbye(call)}`]
      : ['fail', `the caller heard nothing within ${seconds(pace.answerMs)} of the last word`]
  const latencyMs = call.firstAudibleAtMs! - saidMs
  if (latencyMs <= 0) return ['pass', 'while the caller was speaking']
  const detail = `${seconds(latencyMs)} after the caller's last word`
  return latencyMs > pace.slowAnswerMs ? ['warn', `${detail}, which callers find long`] : ['pass', detail]
}

/** The caller says nothing, and the bridge has noticed. */
async function hush({ call, seen }: Stage): Promise<void> {
  call.say(new Uint8Array(0))
  await call.until(() => !seen.callerSpeaks, HUSH_MS)
}

/** The caller speaks while the bot does: over its greeting or answer, or over what it says at the same time. */
const bargeIn: Step = async (stage) => {
  const { call, seen, pace, voice, now } = stage
  const words = voice.subarray(0, pace.wordsBytes)
  await hush(stage)
  let beforeMs = now()
  if (!call.botSpeaks) {
    call.say(words)
    await call.until(() => call.botSpeaks || call.over !== undefined, pace.wordsBytes / 8 + pace.answerMs)
  }
  if (!call.botSpeaks && !call.over) return ['info', 'it did not speak, so there was nothing to interrupt']
  if (!call.speaking) {
    await hush(stage)
    beforeMs = now()
    call.say(words)
  }
  await call.until(() => seen.speechToldAtMs >= beforeMs || call.over !== undefined, NOTICED_MS)
  if (call.over) return ['info', `it hung up: ${goodbye(call)}`]
  if (seen.speechToldAtMs < beforeMs || !call.botSpeaks) return ['info', 'it had ended before the caller was noticed']
  const toldMs = seen.speechToldAtMs
  if (await call.until(() => seen.lastClearAtMs >= toldMs, pace.bargeInMs))
    return ['pass', `clear came ${seconds(seen.lastClearAtMs - toldMs)} after speech.started`]
  if (!call.botSpeaks) return ['pass', `silent within ${seconds(pace.bargeInMs)} of speech.started`]
  const hint = 'send `clear` at speech.started, or have barge_in_policy auto_clear'
  return ['warn', `still speaking ${seconds(pace.bargeInMs)} after speech.started: ${hint}`]
}

/** New message types are how version 1 grows. */
const unknown: Step = async ({ call, dialect, pace }) => {
  if (dialect === 'openai-realtime') return ['info', 'a model answers it with an error, and may']
  const name = 'x_from_tomorrow'
  const message = { type: name, event: name, seq: 0, [name]: { list: [1, null], text: 'two' } }
  const how = await call.watch(pace.settleMs, () => call.write(JSON.stringify(message)))
  if (how === 'well') return ['pass', 'a message of an unknown type']
  if (how === 'gone') return ['fail', `a message of an unknown type cost the connection: ${lastLoss(call)}`]
  return ['fail', `it hung up at a message of an unknown type: ${goodbye(call)}`]
}

const silence: Step = async ({ call, pace }) => {
  const how = await call.watch(pace.silenceMs)
  if (how === 'well') return ['pass', `open after ${seconds(pace.silenceMs)} in which the caller said nothing`]
  if (how === 'gone') return ['fail', `the connection was lost: ${lastLoss(call)}`]
  return ['warn', `it hung up within ${seconds(pace.silenceMs)}: ${goodbye(call)}`]
}

const resumes: Step = async ({ call, pace, now }) => {
  const droppedAtMs = now()
  const sockets = call.opened.length
  call.drop()
  if (!(await call.until(() => call.opened.length > sockets || call.over !== undefined, pace.reconnectMs)) || call.over)
    return ['fail', `the socket was lost, and no other opened: ${lastLoss(call)}`]
  const tookMs = now() - droppedAtMs
  const how = await call.watch(pace.settleMs)
  if (how === 'well') return ['pass', `${seconds(tookMs)} after the first was lost, with start.resume`]
  if (how === 'gone') return ['fail', `the second connection was lost: ${lastLoss(call)}`]
  return ['warn', `it hung up on the second connection: ${goodbye(call)}`]
}

const dtmf: Step = async ({ call, pace }) => {
  const before = call.requests.length
  const how = await call.watch(pace.settleMs * 2, () => call.press('5'))
  if (how === 'gone') return ['fail', `the connection was lost: ${lastLoss(call)}`]
  if (how === 'hungUp') return ['info', `it hung up at the key 5: ${goodbye(call)}`]
  const asked = call.requests[before]
  return ['pass', asked ? `the key 5; it asked for ${asked.ask}` : 'the key 5']
}

const stop: Step = async ({ call, pace, now }) => {
  const stoppedAtMs = now()
  call.stop()
  await call.until(() => call.ended, pace.closeMs + 1000)
  const tookMs = now() - stoppedAtMs
  if (call.ended && tookMs < pace.closeMs) return ['pass', `closed within ${seconds(Math.max(1, tookMs))}`]
  return ['fail', `it did not answer the closing handshake within ${seconds(pace.closeMs)}`]
}

/** In this order: what a bot may end the call at comes late. */
export const STEPS: readonly [Rule, Step][] = [
  ['connects', connects],
  ['start', start],
  ['answers', answers],
  ['barge-in', bargeIn],
  ['unknown', unknown],
  ['silence', silence],
  ['resumes', resumes],
  ['dtmf', dtmf],
  ['stop', stop],
]
