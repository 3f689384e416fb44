import type { Call } from './call.ts'

/** Free data that bots and API clients attach to a call: bounded before it is kept, told on or put on the wire. */
const MOST_BYTES = 16_384
const MOST_NOTES = 100
/** What a User-to-User header carries without making the INVITE too large for a datagram. */
const MOST_USER_DATA_BYTES = 128

type Data = Record<string, unknown>

/** Adds a note to the call's record. Returns why not. */
export function addNote(call: Call, data: Data): string | undefined {
  if (call.notesTaken >= MOST_NOTES) return `a call takes ${MOST_NOTES} notes`
  if (!fits({ ...call.record.notes, ...data })) return `the notes of a call take ${MOST_BYTES} bytes`
  call.notesTaken++
  call.note({ type: 'noted', data })
  return undefined
}

/** A transfer's context as the record keeps it; undefined when it is too large. */
export const keptContext = (context: Data): Data | undefined => (fits(context) ? context : undefined)

/** A transfer's context as the target is told it; undefined when it is too large for that. */
export const userDataOf = (context: Data | undefined): string | undefined => {
  const text = context && jsonOf(context)
  return text !== undefined && Buffer.byteLength(text) <= MOST_USER_DATA_BYTES ? text : undefined
}

function fits(data: Data): boolean {
  const text = jsonOf(data)
  return text !== undefined && Buffer.byteLength(text) <= MOST_BYTES
}

/** Undefined for what cannot be written: nested deeper than the stack, for one. */
function jsonOf(data: Data): string | undefined {
  try {
    return JSON.stringify(data)
  } catch {
    return undefined
  }
}
