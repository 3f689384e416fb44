/**
 * The three functions by which a realtime model steers the call, as the model is told of them and as its calls of them
 * are read (platform.openai.com/docs/guides/realtime-conversations, function calling). Spelling only: when an answer is
 * sent is the dialect's business, what is done the session's.
 */
import type { BotMessage } from '../dialect.ts'
import { isObject, type Json } from './json-reader.ts'

const parameters = (properties: Json, required: string[]): Json => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

export const TOOLS: readonly Json[] = [
  {
    type: 'function',
    name: 'end_call',
    description:
      'Ends the phone call. Say goodbye first: what you have said is played to its end before the line closes.',
    parameters: parameters({ reason: { type: 'string', description: 'Why the call ends, in a few words.' } }, []),
  },
  {
    type: 'function',
    name: 'transfer_call',
    description:
      'Connects the caller to another person or number. Say so first. If it fails you are told why and the call goes on.',
    parameters: parameters(
      { target: { type: 'string', description: 'Phone number in E.164 form such as +919812345678, or a sip: URI.' } },
      ['target'],
    ),
  },
  {
    type: 'function',
    name: 'send_dtmf',
    description: 'Presses keys of the phone, for example to get through the menu of the other side.',
    parameters: parameters(
      { digits: { type: 'string', description: 'Keys in order: 0-9, *, #, A-D; w waits for half a second.' } },
      ['digits'],
    ),
  },
]

export interface ToolCall {
  callId: string
  name: string
  /** JSON text. */
  args: unknown
}

const MAX_ARGS_CHARS = 16_384
const MAX_TARGET_CHARS = 256
const MAX_REASON_CHARS = 256
const MAX_DIGITS = 64
const TRANSFER_TIMEOUT_MS = 30_000

/** What is to be done, or a sentence for the model that says why it cannot be. Never throws. */
export function readToolCall({ callId, name, args }: ToolCall): BotMessage | string {
  const given = parsed(args)
  if (!given) return 'The arguments are not a JSON object.'
  switch (name) {
    case 'end_call': {
      const { reason } = given
      const words =
        typeof reason === 'string' && reason.trim() !== '' ? reason.slice(0, MAX_REASON_CHARS) : 'bot_hangup'
      return { kind: 'hangup', reason: words, afterPlayback: true, ref: callId }
    }
    case 'transfer_call': {
      const target = typeof given.target === 'string' ? given.target.trim() : ''
      if (target === '' || target.length > MAX_TARGET_CHARS || /[\x00-\x20<>"]/.test(target))
        return '`target` must be a phone number such as +919812345678, or a sip: URI.'
      return {
        kind: 'transfer',
        target,
        mode: 'bridge',
        timeoutMs: TRANSFER_TIMEOUT_MS,
        onFail: 'resume',
        headers: {},
        afterPlayback: true,
        ref: callId,
      }
    }
    case 'send_dtmf': {
      const digits = typeof given.digits === 'number' ? String(given.digits) : given.digits
      if (typeof digits !== 'string' || digits.length > MAX_DIGITS || !/^[0-9A-D*#w]+$/i.test(digits))
        return `\`digits\` must be 1 to ${MAX_DIGITS} of 0-9 * # A-D, and w for a pause.`
      return {
        kind: 'digits',
        digits: digits.toUpperCase().replaceAll('W', 'w'),
        durationMs: 160,
        gapMs: 80,
        method: 'auto',
        ref: callId,
        // The answer tells the dialect that no error came before it.
        ack: true,
      }
    }
    default:
      return `There is no function ${JSON.stringify(name.slice(0, 64))} on this call.`
  }
}

function parsed(args: unknown): Json | undefined {
  // Some servers send an empty string for a call without arguments.
  if (args === undefined || args === null || args === '') return {}
  if (isObject(args)) return args
  if (typeof args !== 'string' || args.length > MAX_ARGS_CHARS) return undefined
  try {
    const value: unknown = JSON.parse(args)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
