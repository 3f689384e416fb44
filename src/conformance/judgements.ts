/** The rules that need no action of their own: read off what was seen over the whole run. */
import type { Observations } from './observations.ts'
import { seconds, type Finding, type Rule } from './rules.ts'

/** Pings go out each 2 s. */
const PING_SURE_MS = 4500
const SLOW_PONG_MS = 1000
/** About one second of audio in JSON. */
const MUCH_BUFFERED_BYTES = 16 * 1024

const FORMAT_CODES = new Set(['bad_audio', 'format_mismatch'])

function format(seen: Observations): Finding {
  const wrong = seen.complaints.filter((c) => FORMAT_CODES.has(c.code))
  if (wrong.length > 0) return ['fail', wrong[0].message]
  if (seen.audioMessages === 0) return ['info', 'it sent no audio']
  const longest = seconds(seen.longestAudioMs)
  return ['pass', `${seconds(seen.audioMs)} in ${seen.audioMessages} messages, the longest of ${longest}`]
}

function understood(seen: Observations): Finding {
  const wrong = seen.complaints.filter((c) => !FORMAT_CODES.has(c.code))
  if (wrong.length === 0) return ['pass', 'each message was understood']
  const [first] = [...wrong.filter((c) => c.bad), ...wrong]
  const more = seen.complained > 1 ? ` (${seen.complained} complaints in all)` : ''
  return [first.bad ? 'fail' : 'warn', `${first.code}: ${first.message}${more}`]
}

function marks(seen: Observations): Finding {
  if (seen.marks === 0) return ['info', 'it used none']
  const detail = `${seen.marks} sent: ${seen.marksPlayed} played, ${seen.marksCleared} cleared`
  if (seen.doubleMarks > 0)
    return ['warn', `${detail}; ${seen.doubleMarks} had the name of one still waiting, so the answers look the same`]
  return ['pass', detail]
}

function pong(seen: Observations): Finding {
  if (seen.rttMs !== undefined) return ['pass', `the slowest after ${seconds(seen.worstRttMs)}`]
  if (seen.openMs < PING_SURE_MS) return ['info', `not connected long enough (${seconds(seen.openMs)})`]
  return ['fail', 'never: when it has nothing to say for 20 s it will be taken for dead']
}

function reads(seen: Observations): Finding {
  if (seen.openMs < 1000) return ['info', 'not connected long enough']
  if (seen.droppedMs > 0) return ['fail', `${seconds(seen.droppedMs)} of the caller's audio had to be dropped`]
  if (seen.worstRttMs > SLOW_PONG_MS)
    return ['warn', `a ping took ${seconds(seen.worstRttMs)} to come back: it reads late`]
  if (seen.mostBufferedBytes > MUCH_BUFFERED_BYTES)
    return ['warn', `${Math.round(seen.mostBufferedBytes / 1024)} KiB were waiting to be read`]
  return ['pass', 'nothing piled up']
}

export const JUDGEMENTS: readonly [Rule, (seen: Observations) => Finding][] = [
  ['format', format],
  ['understood', understood],
  ['marks', marks],
  ['pong', pong],
  ['reads', reads],
]
