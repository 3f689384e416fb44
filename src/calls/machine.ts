import { machine } from '../lib/machine.ts'

/**
 * A call's life.
 *
 *   queued ──▶ dialing ──▶ ringing ──▶ answered ──▶ talking ◀──▶ transferring ──▶ bridged
 *     │           │           │            │            │              │             │
 *     └───────────┴───────────┴────────────┴────────────┴──────────────┴─────────────┴──▶ ended
 *
 * Inbound calls start at ringing. 'talking': answered, with a bot on the line.
 */
export type CallState = 'queued' | 'dialing' | 'ringing' | 'answered' | 'talking' | 'transferring' | 'bridged' | 'ended'

export type CallMove = 'dial' | 'progress' | 'answer' | 'botReady' | 'transfer' | 'resume' | 'bridge' | 'end'

export const callMachine = machine<CallState, CallMove>('call', {
  queued: { dial: 'dialing', progress: 'ringing', end: 'ended' },
  dialing: { progress: 'ringing', answer: 'answered', end: 'ended' },
  ringing: { progress: 'ringing', answer: 'answered', end: 'ended' },
  answered: { botReady: 'talking', transfer: 'transferring', end: 'ended' },
  talking: { botReady: 'talking', transfer: 'transferring', end: 'ended' },
  transferring: { resume: 'talking', bridge: 'bridged', end: 'ended' },
  bridged: { end: 'ended' },
  ended: {},
})
