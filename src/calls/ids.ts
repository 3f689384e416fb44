/** A call's public id: UUIDv7. */
export type CallId = string
/** A leg's id: the call's id, a dot, and the leg's number in it ('0193….1'). Also names the leg in the worker. */
export type LegId = string

export const legIdOf = (callId: CallId, n: number): LegId => `${callId}.${n}`
export const callIdOf = (legId: LegId): CallId => legId.slice(0, legId.lastIndexOf('.'))
